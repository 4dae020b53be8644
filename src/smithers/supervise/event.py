"""What a supervisor has to tell: one line for people, the same as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, Final

from smithers.observe import moment, next_step
from smithers.observe.summary import owner_name

from .choice import Choice, Why

_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened."""

    word: str
    """`standing-by`, `active`, `host-started`, `host-left`, `host-stuck`, `given`, `unfit`, `left-alone`,
    `store`, `left`."""
    text: str
    data: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """One line of `smithers supervise --json`."""
        return {"event": self.word, **self.data, "message": self.text}


def reason(choice: Choice) -> str:
    """Why a run should go on: `its owner, process 4711 on laptop, has died`."""
    owner = choice.standing.owner
    who = "its owner" if owner is None else f"its owner, {owner_name(owner)},"
    match choice.why:
        case Why.OWNER_DIED:
            return f"{who} has died"
        case Why.OWNER_SILENT:
            return f"{who} is silent"
        case Why.LEFT:
            lost = choice.lost
            return "it could not be resumed" if lost and lost.why else "its owner gave it up"
        case Why.DUE:
            return "it was due"
        case Why.MESSAGE:
            return "somebody wrote to it"
        case Why.CANCEL:
            return "it was cancelled, and owes last parts"


def given(choices: Sequence[Choice], pid: int | None) -> Event:
    """Runs were given to a host."""
    names = [choice.standing.name for choice in choices]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    reasons = list(dict.fromkeys(map(reason, choices)))
    why = "; ".join(reasons[:_NAMED])
    text = f"{', '.join(names[:_NAMED])}{more}: {why}; given to host {pid}"
    return Event("given", text, {"runs": names, "pid": pid, "why": [choice.why.value for choice in choices]})


def unfit(choice: Choice) -> Event:
    """A run could not be resumed, and is tried again."""
    one, lost = choice.standing, choice.lost
    why = None if lost is None else lost.why
    data = {"run": one.name, "source": one.source, "error": why}
    return Event("unfit", f"{one.name} could not be resumed: {why}", data)


def left_alone(choices: Sequence[Choice], named: str | None) -> Event:
    """Runs were lost too often; several have one reason.

    Args:
        named: what `--store` said.
    """
    first = choices[0]
    more = f"; so are {len(choices) - 1} more runs of {first.standing.source}" if len(choices) > 1 else ""
    data = {"runs": [document(choice, named) for choice in choices]}
    return Event("left-alone", f"{first.standing.name} {alone_text(first, named)}{more}", data)


def alone_text(choice: Choice, named: str | None) -> str:
    """Until when a run is left alone, what a person can do, and why it is."""
    lost = choice.lost
    assert lost is not None  # nothing else is left alone
    assert choice.held_until_ms is not None
    until = moment.local(choice.held_until_ms)[11:]
    why = (
        f"it could not be resumed: {lost.why}"
        if lost.why
        else f"it lost its owner {lost.deaths} times in a row, and nothing settled in between"
    )
    # The command first: a narrow screen cuts what stands last.
    return f"is left alone until {until} (by hand: {command(choice, named)}): {why}"


def command(choice: Choice, named: str | None) -> str:
    """What a person types to resume a run."""
    resume = next_step.resume(choice.standing.name)
    return f"{resume} --store {quote(named)}" if named else resume


def document(choice: Choice, named: str | None) -> dict[str, Any]:
    """A run that should go on, as JSON."""
    one, lost = choice.standing, choice.lost
    return {
        "run": one.name,
        "workflow": one.workflow,
        "source": one.source,
        "state": one.state.word,
        "why": choice.why.value,
        "since": moment.iso(choice.since_ms),
        "due": moment.iso(one.due_ms),
        "owner": None if one.owner is None else {"pid": one.owner.pid, "host": one.owner.host},
        "deaths": 0 if lost is None else lost.deaths,
        "error": None if lost is None else lost.why,
        "held_until": moment.iso(choice.held_until_ms),
        "command": command(choice, named),
    }
