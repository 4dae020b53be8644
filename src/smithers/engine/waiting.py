"""One wait of a run, as its owner remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from smithers.records import WaitKind, WaitRow, WaitState

BY_CLOCK = "smithers:expired"
"""Who decides when nobody has in time."""


@dataclass(slots=True)
class Waiting:
    """A wait; the rows say the same."""

    kind: WaitKind
    state: WaitState
    opened_ms: int
    due_ms: int | None
    spec: Mapping[str, Any]
    result: Mapping[str, Any] | None = None
    reminder_ms: int | None = None
    """When people are told of it again, by the clock that frames are stamped by; None: not armed."""

    @classmethod
    def of(cls, row: WaitRow) -> Waiting:
        """From a row."""
        return cls(row.kind, row.state, row.opened_ms, row.due_ms, row.spec, row.result)

    @property
    def follows_wall(self) -> bool:
        """Whether its deadline is a time of the day, and not so long after it was opened."""
        return self.kind is WaitKind.TIMER and self.spec.get("until") is True

    def reminder_after(self, now_ms: int) -> int | None:
        """When people are to be told of it next, counted from its opening; None: never."""
        every = self.spec.get("remind_ms")
        if self.state is not WaitState.OPEN or not isinstance(every, int):
            return None
        return self.opened_ms + ((now_ms - self.opened_ms) // every + 1) * every


def iso(at_ms: int) -> str:
    """A wall-clock time in ISO 8601."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
