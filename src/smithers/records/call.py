"""What an attempt asked of an agent, and accounts whose limits are used up."""

from __future__ import annotations

from typing import NamedTuple

from smithers.ids import NodeKey

from .state import AttemptState, FailureClass
from .usage import NOTHING, Usage


class CallRow(NamedTuple):
    """One agent that an attempt has asked."""

    key: NodeKey
    generation: int
    attempt: int
    rank: int
    """Which of the agents that the attempt has asked; counts from 0."""
    agent: str
    """Its name."""
    account: str
    session: str | None = None
    """Name by which the conversation can be continued; None: it has told none."""
    is_continued: bool = False
    """It went on with a conversation of an earlier attempt, or another task's."""
    usage: Usage = NOTHING
    """Of this attempt alone, whatever the conversation has cost before."""
    counted: Usage | None = None
    """Where the counters of the conversation stand, of an agent that counts over all of it."""
    at_ms: int = 0
    """Wall clock of the last word of it."""
    state: AttemptState | None = None
    """Of the attempt; filled in where calls of one node are read."""
    failure: FailureClass | None = None


class ParkedAccount(NamedTuple):
    """An account of which nothing is asked before `until_ms`."""

    account: str
    until_ms: int
    """Wall clock, as the one below."""
    since_ms: int
    strikes: int
    """Limits in a row for which the agent named no reset."""
    reason: str
