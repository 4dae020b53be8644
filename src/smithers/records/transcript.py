"""Conversations with agents, as they are stored beside the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from smithers.ids import NodeKey


class EntryKind(IntEnum):
    """What was said or done. The numbers are stored and never change meaning."""

    PROMPT = 1
    """`text`: what the agent was asked."""
    TEXT = 2
    """`text`: what it said. Those that follow one another are one text."""
    REASONING = 3
    """The same, to itself."""
    TOOL_CALL = 4
    """`text`: the tool's input, as JSON; `data`: `id`, `name`."""
    TOOL_RESULT = 5
    """`text`: what the tool answered; `data`: `id`, `is_error`."""
    USAGE = 6
    """`data`: the fields of `Usage` that are known, of this turn so far; a later one stands for all of it."""
    SESSION = 7
    """`text`: by which name the conversation can be continued."""
    RETRY = 8
    """`text`: why; `data`: `reason`, `attempt`, `delay_s`."""
    NOTICE = 9
    """`text`: anything else."""
    REPLY = 10
    """The turn has ended. `text`: its answer; `data`: `is_structured`, if that is JSON."""
    ERROR = 11
    """The turn has failed. `text`: how; `data`: `code`, if the error has one."""
    LEFT_OUT = 12
    """`data`: `why` (`limit`, `queue`, `store`), and how much is not kept: `events`, `characters`."""

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(slots=True, eq=False)
class Conversation:
    """What one agent was asked in one attempt, and all that came of it."""

    run: int
    """Number of the run in the store."""
    key: NodeKey
    generation: int
    attempt: int
    """Counts from 1."""
    agent: str
    began_ms: int
    """Wall clock; no entry is older."""
    id: int = 0
    """Its number in the file; filled in when it is stored."""


class NewEntry(NamedTuple):
    """One entry to be stored."""

    serial: int
    """Number of the event in its conversation, from 1; of several that were merged, the first."""
    turn: int
    """Which prompt it belongs to; counts from 0."""
    kind: EntryKind
    at_ms: int
    """Wall clock."""
    text: str
    data: str = ""
    """JSON, or nothing."""


class EntryRow(NamedTuple):
    """One stored entry."""

    id: int
    """Rises over all conversations."""
    conversation: int
    serial: int
    turn: int
    kind: EntryKind
    at_ms: int
    text: str
    data: str


Batch: TypeAlias = Sequence[tuple[Conversation, Sequence[NewEntry]]]
"""What is stored in one go; a conversation may come several times, its entries in order."""
