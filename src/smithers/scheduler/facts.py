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


@dataclass(frozen=True, slots=True)
class Open:
    """It has been entered, and waits for somebody or for a time: that is not the scheduler's to end."""


NodeFact: TypeAlias = Settled | Running | Due | Blocked | Open
"""No fact at all: the node has never been touched, or is open again."""


@dataclass(slots=True)
class LoopFact:
    """A loop's own memory. It never steps back because the tree changed."""

    pass_: int = 0
    done: bool = False
    failed: bool = False
    """Ended by `fail_on_max`."""


@dataclass(frozen=True, slots=True)
class BlockFact:
    """A block's own memory: no fact before it has begun. It never steps back because the tree changed."""

    at: str
    """Name of the part under way: `body`, `catch`, `finally`, `action:2`, `undo:1`; empty: it has ended."""
    then: Settled = Settled.FINISHED
    """How it ends, or has ended, once that part has run."""
    cause: NodeKey | None = None
    """The failure behind that, or the one that its catch is about."""
    done: tuple[str, ...] = ()
    """Parts that settled."""
    broken: tuple[NodeKey, ...] = ()
    """Failures of its compensations."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing in it happens any more."""
        return not self.at

    @property
    def has_failed(self) -> bool:
        """Whether it has ended by a failure that nothing in it handled, or was cut short by a cancel.

        The second is one too: should the run go on after all, what the block was for has not been done.
        """
        return not self.at and self.then in (Settled.FAILED, Settled.CANCELLED)


@dataclass(slots=True)
class Facts:
    """The facts of one run. The schedule writes what it is told; nothing else does."""

    nodes: dict[NodeKey, NodeFact] = field(default_factory=dict)
    loops: dict[NodeKey, LoopFact] = field(default_factory=dict)
    blocks: dict[NodeKey, BlockFact] = field(default_factory=dict)
    names: dict[NodeKey, tuple[str, ...]] = field(default_factory=dict)
    """What a failure goes by: its code, its class."""
    entered: set[NodeKey] = field(default_factory=set)
    """What has been entered, and is not to be entered again."""

    def copy(self) -> Facts:
        """An independent copy: what a reload from the store would give."""
        return Facts(
            dict(self.nodes),
            {key: LoopFact(fact.pass_, fact.done, fact.failed) for key, fact in self.loops.items()},
            dict(self.blocks),
            dict(self.names),
            set(self.entered),
        )

    def running(self) -> Iterable[NodeKey]:
        """Keys with a running attempt, mounted or not."""
        return (key for key, fact in self.nodes.items() if isinstance(fact, Running))

    def open(self) -> Iterable[NodeKey]:
        """Keys of what waits, mounted or not."""
        return (key for key, fact in self.nodes.items() if isinstance(fact, Open))
