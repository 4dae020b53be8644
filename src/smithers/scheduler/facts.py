"""What has happened, by key: the whole state that a plan is computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from smithers.ids import NodeKey


class Settled(IntEnum):
    """How a node settled. `TOLERATED`: failed with `continue_on_fail`."""

    FINISHED = 1
    SKIPPED = 2
    UPSTREAM = 3
    """Skipped, because a task whose output it needs has none, and a failure is behind that."""
    TOLERATED = 4
    FAILED = 5
    """Unhandled: its innermost region unwinds."""
    CANCELLED = 6
    NOT_REACHED = 7
    """Skipped, because the block it stands in ended before its turn came."""

    @property
    def has_output(self) -> bool:
        """Whether it left an output that others can be given."""
        return self is Settled.FINISHED


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt runs."""


@dataclass(frozen=True, slots=True)
class Due:
    """The next attempt may start at `at_ms` (wall clock): a retry in its back-off."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """A callable of the task read `target`, which is not there yet: it waits as by an ordering edge."""

    target: str


NodeFact: TypeAlias = Settled | Running | Due | Blocked
"""No fact at all: the node has never been touched, or is open again."""


@dataclass(slots=True)
class LoopFact:
    """A loop's own memory. It never steps back because the tree changed."""

    pass_: int = 0
    done: bool = False
    failed: bool = False
    """Ended by `fail_on_max`."""


@dataclass(slots=True)
class Facts:
    """The facts of one run. The schedule writes what it is told; nothing else does."""

    nodes: dict[NodeKey, NodeFact] = field(default_factory=dict)
    loops: dict[NodeKey, LoopFact] = field(default_factory=dict)
    blocks: dict[NodeKey, Settled] = field(default_factory=dict)
    """Error boundaries that have ended, and how."""

    def copy(self) -> Facts:
        """An independent copy: what a reload from the store would give."""
        return Facts(
            dict(self.nodes),
            {key: LoopFact(fact.pass_, fact.done, fact.failed) for key, fact in self.loops.items()},
            dict(self.blocks),
        )

    def running(self) -> Iterable[NodeKey]:
        """Keys with a running attempt, mounted or not."""
        return (key for key, fact in self.nodes.items() if isinstance(fact, Running))
