"""What somebody outside asks of a run, pause or cancel: as a message, as an event, and what it leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smithers.records import EventType, InboxKind, InboxRow, RunState

ASKED: Final[Mapping[InboxKind, EventType]] = {
    InboxKind.CANCEL: EventType.CANCEL_REQUESTED,
    InboxKind.PAUSE: EventType.PAUSE_REQUESTED,
}
"""The event that tells of each kind."""

_LEADS_TO: Final[Mapping[InboxKind, tuple[RunState, EventType]]] = {
    InboxKind.CANCEL: (RunState.CANCELLED, EventType.RUN_CANCELLED),
    InboxKind.PAUSE: (RunState.PAUSED, EventType.RUN_PAUSED),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A pause or a cancel."""

    kind: InboxKind
    by: str
    """Who asks."""
    is_now: bool = False
    """Of a pause: what runs is cut off, and not waited for. A cancel always does that."""

    @classmethod
    def of(cls, message: InboxRow) -> Order:
        """A message read back. What cannot be read asks for the gentler thing."""
        try:
            data = json.loads(message.data) if message.data else None
        except ValueError:
            data = None
        return cls(message.kind, message.by, isinstance(data, dict) and data.get("now") is True)

    @property
    def data(self) -> str | None:
        """What its message carries besides."""
        return '{"now":true}' if self.is_now else None

    @property
    def state(self) -> RunState:
        """What the run is in the end."""
        return _LEADS_TO[self.kind][0]

    @property
    def asked(self) -> EventType:
        """The event that tells that it was asked for."""
        return ASKED[self.kind]

    @property
    def done(self) -> EventType:
        """The event that tells that it was done."""
        return _LEADS_TO[self.kind][1]

    def told(self) -> dict[str, Any]:
        """What the event of its request says."""
        found: dict[str, Any] = {"kind": self.kind.name.lower(), "by": self.by}
        return {**found, "now": True} if self.is_now else found
