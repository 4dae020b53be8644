"""Notices: what somebody wants to be told of, on its way from the frame that caused it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from smithers.ids import NodeKey


class NoticeKind(StrEnum):
    """What a notice is about. The words are stored, sent and written in configurations."""

    APPROVAL = "approval"
    """A person is to decide."""
    QUESTION = "question"
    """A person is to answer."""
    EVENT = "event"
    """A message from outside is waited for, which may well be a program's."""
    FINISHED = "finished"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BUDGET = "budget"
    """The run is paused, because a budget is used up."""
    TEST = "test"
    """Sent by hand, to try the ways; never stored."""


WANTED: Final = frozenset(NoticeKind) - {NoticeKind.EVENT, NoticeKind.CANCELLED, NoticeKind.TEST}
"""Kinds that are sent unless somebody says otherwise: those that a person has something to do about."""


class NoticeWrite(NamedTuple):
    """A notice that a frame causes: stored with it, or not at all."""

    kind: NoticeKind
    data: str
    """JSON object; see `smithers.notify.letter` for its keys."""
    key: NodeKey | None = None
    """The node that waits; None: the notice is about the whole run."""
    generation: int = 0
    number: int = 0
    """Which wait of this node's generation."""


class NoticeRow(NamedTuple):
    """A stored notice. Times are wall clock."""

    id: int
    uid: str
    """32 hexadecimal digits, its own in all the world: what receivers tell a repetition by."""
    run: int
    run_name: str
    workflow: str
    kind: NoticeKind
    key: NodeKey | None
    generation: int
    number: int
    data: str
    at_ms: int
    tries: int
    taken: tuple[str, ...]
    """Ways by which it has been delivered already."""
    next_ms: int | None
    """When it is due; None: it is done with. In the future while somebody is about to deliver it, too."""
    sent_ms: int | None
    """When the last of the ways took it."""
    error: str | None
    """Why the last try failed."""

    @property
    def state(self) -> str:
        """`waiting`, `sent`, `given-up`; `void`: it was overtaken by what it asked for."""
        if self.sent_ms is not None:
            return "sent"
        if self.next_ms is not None:
            return "waiting"
        return "void" if self.error is None else "given-up"
