"""What is read back: rows as people, programs and a resuming owner want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from smithers.ids import NodeKey

from .budget import BudgetRow, ChildSpent
from .cache import Lookup
from .frame import OutputRef, OutputRow, Wakeup
from .kin import ALONE, Kin, NewChild
from .state import AttemptState, FailureClass, InboxKind, NodeState, RunState, Verdict
from .wait import SignalRow, WaitRow


@dataclass(frozen=True, slots=True)
class Owner:
    """An engine process that holds, or held, leases."""

    id: int
    host: str
    boot: str
    namespace: str
    pid: int
    ticks: int
    """Kernel start time of the process, in clock ticks: tells a reused pid from the old one."""
    started_ms: int
    expires_wall_ms: int
    expires_monotonic_ms: int


class OwnerHealth(IntEnum):
    """What a reader can say of an owner."""

    NONE = 0
    ALIVE = 1
    EXPIRED = 2
    DEAD = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as stored."""

    id: int
    name: str
    workflow: str
    source: str
    """How to load the workflow again: `path/flow.py:name`, relative to the store's project."""
    state: RunState
    fence: int
    seq: int
    frame: int
    created_ms: int
    started_ms: int
    """When the present or last owner began to drive it."""
    ended_ms: int | None
    input: str
    """JSON text."""
    config: Mapping[str, Any]
    """`max_concurrency`, `durability`, `rehearse`, …: what a resume must know."""
    error: Mapping[str, Any] | None
    owner: Owner | None
    health: OwnerHealth
    output: OutputRef | None
    kin: Kin = ALONE


class NodeRow(NamedTuple):
    """A node's final row in its newest generation."""

    key: NodeKey
    generation: int
    state: NodeState
    frame: int
    attempt: int
    reason: str | None


class AttemptRow(NamedTuple):
    """One attempt, as stored."""

    key: NodeKey
    generation: int
    attempt: int
    state: AttemptState
    from_frame: int
    to_frame: int | None
    start_seq: int
    started_ms: int
    ended_ms: int | None
    agent: str | None
    failure: FailureClass | None
    counted: bool
    error: Mapping[str, Any] | None
    heartbeat: Any
    """Last heartbeat data, decoded; None without one."""
    prompt: bytes | None = None
    """16-byte hash of the rendered prompt."""
    fingerprint: bytes | None = None
    """16-byte hash of what the task was; None: it could not be said."""
    lookup: Lookup | None = None
    """What it found in the cache; None: its task had none, it has not ended, or nobody asked."""

    @property
    def is_cached(self) -> bool:
        """Its output was taken from the cache; nothing was called."""
        return self.lookup is not None and self.lookup.is_hit


class FrameRow(NamedTuple):
    """One frame: when, what it stands on, and whether it rendered."""

    frame: int
    parent: int
    seq: int
    """The run's counter after the frame."""
    at_ms: int
    rendered: bool


class PassRow(NamedTuple):
    """One judged pass of a loop."""

    loop: NodeKey
    pass_: int
    verdict: Verdict
    frame: int


class BlockRow(NamedTuple):
    """What a block remembered from one frame on; fields as in `BlockMove`."""

    block: NodeKey
    at: str | None
    outcome: int
    cause: NodeKey | None
    done: tuple[str, ...]
    broken: tuple[NodeKey, ...]
    again: tuple[NodeKey, ...]
    frame: int


class MountRow(NamedTuple):
    """A node's stay in the tree."""

    node: str
    parent: str | None
    position: int
    spec: Mapping[str, Any]
    from_frame: int
    to_frame: int | None
    """Last frame it stood in; None while it stands."""
    edges: str = ""
    """As in `Mount`."""


@dataclass(slots=True)
class StoredRun:
    """Everything an owner needs to continue a run: newest generations only, no history."""

    run: RunRow
    nodes: list[NodeRow]
    outputs: list[OutputRow]
    """In the order they came (`seq`)."""
    attempts: list[AttemptRow]
    """Attempts of nodes that have not settled in their newest generation, by number."""
    generations: dict[NodeKey, int]
    """Newest generation of each node that has any row, where it is not 0."""
    passes: list[PassRow]
    blocks: list[BlockRow]
    """Oldest first."""
    mounts: list[MountRow]
    """Open mounts."""
    wakeups: list[Wakeup]
    inbox: list[InboxRow]
    last_ms: int = 0
    """Wall clock of the last frame."""
    asked: set[NodeKey] = field(default_factory=set)
    """Nodes that somebody has asked to execute again, and that have not finished since."""
    children: dict[tuple[NodeKey, int], int] = field(default_factory=dict)
    """Runs that are what its nodes do, by key and generation."""
    carried: str | None = None
    """JSON text that the run before it handed over; None: there was none before it."""
    budgets: list[BudgetRow] = field(default_factory=list)
    """What has been spent, reservations for calls in flight included."""
    spent_by_children: list[ChildSpent] = field(default_factory=list)
    waits: list[WaitRow] = field(default_factory=list)
    """Of newest generations."""
    signals: list[SignalRow] = field(default_factory=list)
    """All that were sent to it, in the order they came."""
    consumed: set[int] = field(default_factory=set)
    """Signals that a wait has taken."""
    cancelled_by: str | None = None
    """Whose request cancelled this very run; None: nobody's, or it was cancelled with its parent."""


@dataclass(slots=True)
class History:
    """What a run has become, and how: all that a look at its next resume needs."""

    stored: StoredRun
    attempts: list[AttemptRow]
    """Of all generations, a node's in the order they were made."""
    frames: list[FrameRow]
    reads: dict[NodeKey, tuple[str, ...]]
    """Ids of nodes that a finished task has read beside what it was given, in its newest generation."""


class InboxRow(NamedTuple):
    """A message to a run's owner that nobody has taken yet."""

    id: int
    kind: InboxKind
    data: str | None
    at_ms: int
    by: str


@dataclass(slots=True)
class NewRun:
    """A run to be created together with its first frame."""

    name: str
    workflow: str
    source: str
    input: str
    config: Mapping[str, Any]
    created_ms: int
    owner: int
    """Who drives it from its first frame on."""
    child_of: NewChild | None = None
    carried: str | None = None
    """JSON text that the run before it, in whose last frame it is created, hands over."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows."""

    states: Sequence[RunState] = ()
    workflow: str | None = None
    limit: int | None = None
    tops: bool = False
    """Only runs that are nobody's child, and of each lineage only the newest."""
