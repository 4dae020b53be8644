"""Waits for people, messages and times, and what they came to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from smithers.ids import NodeKey


class WaitKind(IntEnum):
    """Whom, or what, is waited for. The numbers are stored and never change meaning."""

    APPROVAL = 1
    """Somebody's decision."""
    HUMAN = 2
    """Somebody's answer, as JSON that fits a model."""
    EVENT = 3
    """A signal."""
    TIMER = 4
    """A time."""

    @property
    def word(self) -> str:
        return self.name.lower()


class WaitState(IntEnum):
    """Where a wait stands. The numbers are stored and never change meaning."""

    OPEN = 1
    DECIDED = 2
    """Somebody has decided it; its run has not gone on by that yet."""
    SETTLED = 3
    """Its run has gone on."""
    WITHDRAWN = 4
    """Its run does not wait for it any more: it has left the tree, or what it stood in has ended."""

    @property
    def word(self) -> str:
        return self.name.lower()


class WaitRef(NamedTuple):
    """Names one wait of a run."""

    key: NodeKey
    generation: int
    number: int = 0
    """0: the node's own; from 1 on: what its agent has asked while it worked."""

    def __str__(self) -> str:
        return f"{self.key}#{self.number}" if self.number else str(self.key)


class WaitWrite(NamedTuple):
    """A wait that is opened in this frame; or again, or with another deadline or question."""

    ref: WaitRef
    kind: WaitKind
    opened_ms: int
    """Wall clock."""
    due_ms: int | None
    """Wall clock at which it expires, or fires; None: never."""
    spec: str
    """JSON object: what is asked, of whom, and what happens at the deadline."""


class WaitEnd(NamedTuple):
    """A wait that ends in this frame."""

    ref: WaitRef
    state: WaitState
    result: str | None
    """JSON object: what it came to."""
    was: WaitState = WaitState.OPEN
    """If it is not so any more, somebody has decided it meanwhile, and the frame is refused."""


class WaitRow(NamedTuple):
    """A wait, as stored."""

    run: int
    ref: WaitRef
    kind: WaitKind
    state: WaitState
    from_frame: int
    to_frame: int | None
    opened_ms: int
    due_ms: int | None
    spec: Mapping[str, Any]
    result: Mapping[str, Any] | None

    @property
    def key(self) -> NodeKey:
        return self.ref.key

    @property
    def is_open(self) -> bool:
        return self.state is WaitState.OPEN


class Vote(NamedTuple):
    """What one person, link or program says to an open wait. Stored once, and never changed."""

    run: int
    ref: WaitRef
    word: str
    """`approve`, `deny`, `answer`, `skip`."""
    data: Mapping[str, Any]
    """What the wait comes to, if this decides it."""
    by: str
    note: str | None = None
    link: str | None = None
    """Nonce of the link that it came by; each counts once."""
    quorum: int = 1
    """How many people must say so."""


class VoteRow(NamedTuple):
    """A vote, as stored."""

    id: int
    ref: WaitRef
    word: str
    data: Mapping[str, Any]
    by: str
    note: str | None
    at_ms: int


class SignalRow(NamedTuple):
    """A signal that was sent to a run: kept, whether anybody waits for it or not."""

    id: int
    """Rises with each; the order in which they are taken."""
    name: str
    correlation: str | None
    payload: Any
    """Decoded JSON."""
    by: str
    at_ms: int


class Voted(NamedTuple):
    """What a vote came to."""

    is_decided: bool
    votes: int
    """How many say so by now."""
    quorum: int
    """How many have to."""
