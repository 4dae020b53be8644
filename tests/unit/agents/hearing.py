"""A fold told what a program has written, line by line, as `Conversation` tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st

from smithers.agents.cli import Ending, Fold
from smithers.agents.cli.line import event_in
from smithers.errors import AgentError
from smithers.ids import NodeKey
from smithers.ports import AgentEvent, AgentReply, AgentRequest, Exit
from tests.agents.transcript import load

T = TypeVar("T")

NOW_MS = 1_767_225_600_000
"""The instant that all recordings are said to be of."""
TWO_HOURS_MS = 7_200_000


def asked(**more: Any) -> AgentRequest:
    """A request, with these fields."""
    fields = {"prompt": "hello", "schema": None, "now_ms": lambda: NOW_MS, **more}
    return AgentRequest(task=NodeKey("t"), run_id="r", attempt=1, **fields)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of it."""

    events: list[AgentEvent] = field(default_factory=list)
    reply: AgentReply | None = None
    error: AgentError | None = None

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def good(self) -> AgentReply:
        assert self.reply is not None, self.error
        return self.reply

    @property
    def bad(self) -> AgentError:
        assert self.error is not None, self.reply
        return self.error


def hear(
    fold: Fold,
    lines: Iterable[str | Mapping[str, Any]] = (),
    *,
    status: int = 0,
    stderr: str = "",
    was_ended: bool = False,
    notes: Iterable[str] = (),
    is_text: bool = False,
) -> Heard:
    """Tell it all.

    Args:
        lines: of the standard output, or events.
        notes: lines of the standard error that the fold is told, once the others are.
    """
    heard = Heard()
    try:
        for line in lines:
            event = line if isinstance(line, Mapping) else None if is_text else event_in(line)
            heard.events.extend(fold.event(event) if event is not None else fold.line(str(line)))
        for note in notes:
            heard.events.extend(fold.line(note))
        reply = fold.finish(Ending(Exit(status), stderr, was_ended))
    except AgentError as error:
        return Heard(heard.events, error=error)
    return Heard(heard.events, reply)


def recorded(fold: Callable[[AgentRequest], Fold], program: str, case: str, **more: Any) -> Heard:
    """A recording of the real program, heard again."""
    kept = load(program, case)
    return hear(fold(asked(**more)), kept.stdout.splitlines(), status=kept.exit, stderr=kept.stderr)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def spoiled(events: Iterable[Mapping[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Events of these kinds, in which anything may stand anywhere; and any other objects."""
    return st.one_of(
        st.dictionaries(st.text(max_size=8), JSON, max_size=4), *(_like(dict(event)) for event in events)
    )


def _like(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, dict):
        return st.fixed_dictionaries(
            {}, optional={key: _like(inner) | JSON for key, inner in value.items()}
        ).map(
            lambda found: {
                **found,
                **{k: value[k] for k in ("type", "role") if k in value and k not in found},
            }
        )
    if isinstance(value, list):
        return st.lists(st.one_of([_like(one) for one in value] or [JSON]), max_size=3)
    return st.just(value)
