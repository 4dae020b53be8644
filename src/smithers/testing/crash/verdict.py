"""What a death and a resume must not change. Pure: snapshots and journals in, sentences out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from smithers.ids import NodeKey
from smithers.records import NodeState

from .journal import Line
from .snapshot import Slot, Snapshot

T = TypeVar("T")
_SHOWN = 120
"""Characters of an output that are shown."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run that is over stands."""

    snapshot: Snapshot
    files: Mapping[str, bytes]


@dataclass(slots=True)
class Wanted:
    """What every end is compared with: a run that nobody disturbed."""

    end: End
    unsteady: set[str] = field(default_factory=set)
    """Outputs and files in which two undisturbed runs differ, in words; they are not compared."""


def wanted_of(first: End, second: End) -> tuple[Wanted, list[str]]:
    """What two undisturbed runs have in common, and how they differ where they must not."""
    wanted = Wanted(first)
    one, other = first.snapshot, second.snapshot
    for slot, body in one.outputs.items():
        if other.outputs.get(slot, body) != body:
            wanted.unsteady.add(_output(slot[0]))
    for name in first.files.keys() | second.files.keys():
        if first.files.get(name) != second.files.get(name):
            wanted.unsteady.add(_file(name))
    return wanted, _differences(wanted, second)


def check_sound(end: Snapshot) -> list[str]:
    """What holds of every end, also that of an undisturbed run."""
    found = [f"`{key}` has finished without an output" for key, _ in end.standing - end.outputs.keys()]
    found += [
        f"`{key}` has a finished attempt, and has not finished"
        for key, generation in end.standing
        if end.nodes.get((key, generation)) is not NodeState.FINISHED
    ]
    if end.state.has_ended:
        found += [f"the run has ended, and `{key}` runs" for key, _ in end.running]
    return found


def check_death(dead: Snapshot | None, lines: Sequence[Line]) -> list[str]:
    """What was said to be finished must be stored."""
    stored = dead.finished if dead is not None else set()
    return [
        f"`{key}` had been reported as finished, and is not stored"
        for key, generation in _told(lines)
        if (key, generation) not in stored
    ]


def check_resume(
    dead: Snapshot | None, before: Sequence[Line], after: Sequence[Line], end: Snapshot
) -> list[str]:
    """What had finished must not be executed again, nor changed; nothing may run that is not stored.

    Args:
        before: what happened until the death.
        after: what the resume did.
    """
    finished = {*(dead.finished if dead is not None else ()), *_told(before)}
    found = [
        f"on resume `{line.key}` executed {_times(line, before, after)} although it had finished"
        for line in after
        if line.what == "begun" and (line.key, line.generation) in finished
    ]
    found += _again_within(before) + _again_within(after)
    begun = Counter(
        (line.key, line.generation, line.attempt) for line in (*before, *after) if line.what == "begun"
    )
    stored = {(row.key, row.generation, row.attempt) for row in end.attempts}
    for (key, generation, attempt), count in begun.items():
        if count > 1:
            found.append(f"attempt {attempt} of `{key}` executed {_word(count)}")
        if (key, generation, attempt) not in stored:
            found.append(f"attempt {attempt} of `{key}` was executed, and is not stored")
    found += _tried_again(
        dead, end, but={(line.key, line.generation) for line in after if line.what == "begun"}
    )
    found += [
        f"the output of `{key}` was {_shown(body)}, and is {_shown(end.outputs.get((key, generation)))}"
        for (key, generation), body in (dead.outputs if dead is not None else {}).items()
        if (key, generation) in end.outputs and end.outputs[key, generation] != body
    ]
    return list(dict.fromkeys(found))


def check_end(wanted: Wanted, end: End, lines: Sequence[Line]) -> list[str]:
    """An end against that of an undisturbed run.

    Args:
        lines: all that happened.
    """
    found = _differences(wanted, end) + check_sound(end.snapshot)
    return [f"{text}{_executed_again(lines)}" for text in found]


def _differences(wanted: Wanted, end: End) -> list[str]:
    this, other = end.snapshot, wanted.end.snapshot
    found = []
    if this.state is not other.state:
        found.append(f"the run ended {this.state.word}, not {other.state.word}")
    states, expected = _by_key(this.nodes), _by_key(other.nodes)
    for key in sorted(states.keys() | expected.keys()):
        now, then = states.get(key), expected.get(key)
        if now is not then:
            found.append(
                f"`{key}` is {now.word if now else 'not there'}, not {then.word if then else 'absent'}"
            )
    bodies, wishes = _by_key(this.outputs), _by_key(other.outputs)
    found += [
        f"the output of `{key}` is {_shown(bodies.get(key))}, not {_shown(wishes.get(key))}"
        for key in sorted(bodies.keys() | wishes.keys())
        if bodies.get(key) != wishes.get(key) and _output(key) not in wanted.unsteady
    ]
    for name in sorted(end.files.keys() | wanted.end.files.keys()):
        now_, then_ = end.files.get(name), wanted.end.files.get(name)
        if now_ != then_ and _file(name) not in wanted.unsteady:
            found.append(f"{_file(name)} is {_shown_bytes(now_)}, not {_shown_bytes(then_)}")
    return found


def _tried_again(dead: Snapshot | None, end: Snapshot, but: set[Slot]) -> list[str]:
    """By the rows: further attempts of what had finished; a static value has no code that could tell."""
    if dead is None:
        return []
    tried = Counter((row.key, row.generation) for row in dead.attempts)
    now = Counter((row.key, row.generation) for row in end.attempts)
    return [
        f"on resume `{slot[0]}` was tried again in attempt {now[slot]}, although it had finished"
        for slot in dead.finished - but
        if now[slot] > tried[slot]
    ]


def _told(lines: Sequence[Line]) -> list[Slot]:
    return [(line.key, line.generation) for line in lines if line.what == "told"]


def _again_within(lines: Sequence[Line]) -> list[str]:
    """Executions, within one process, of what that process had reported as finished."""
    told: set[Slot] = set()
    found = []
    for line in lines:
        if line.what == "told":
            told.add((line.key, line.generation))
        elif line.what == "begun" and (line.key, line.generation) in told:
            found.append(
                f"`{line.key}` was executed again in attempt {line.attempt}, although it had finished"
            )
    return found


def _times(line: Line, before: Sequence[Line], after: Sequence[Line]) -> str:
    attempts = [
        one.attempt
        for one in (*before, *after)
        if one.what == "begun" and (one.key, one.generation) == (line.key, line.generation)
    ]
    if len(attempts) == 1:
        return "again"  # its first execution lies before this call of the test
    return f"{_word(len(attempts))} (attempts {', '.join(map(str, attempts))})"


def _executed_again(lines: Sequence[Line]) -> str:
    """Whom to ask about a difference: who was executed more than once."""
    count = Counter((line.key, line.generation) for line in lines if line.what == "begun")
    again = [f"`{key}` executed {_word(times)}" for (key, _), times in count.items() if times > 1]
    return f" ({', '.join(again)})" if again else ""


def _word(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _by_key(found: Mapping[Slot, T]) -> dict[NodeKey, T]:
    return {key: value for (key, _), value in found.items()}


def _output(key: NodeKey) -> str:
    return f"the output of `{key}`"


def _file(name: str) -> str:
    return f"the file {name}"


def _shown(body: str | None) -> str:
    if body is None:
        return "not there"
    return body if len(body) <= _SHOWN else f"{body[:_SHOWN]}…"


def _shown_bytes(body: bytes | None) -> str:
    return "not there" if body is None else _shown(repr(body)[1:])
