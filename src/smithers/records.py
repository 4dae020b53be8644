"""Stored facts: the rows the engine writes and the readers return. No behaviour, no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

from smithers.ids import NodeKey


class RunState(IntEnum):
    """Where a run stands. The numbers are stored and never change meaning."""

    RUNNING = 1
    WAITING = 2
    PAUSED = 3
    FINISHED = 4
    PARTIAL = 5
    FAILED = 6
    CANCELLED = 7
    CONTINUED = 8

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def has_ended(self) -> bool:
        return self >= RunState.FINISHED


class NodeState(IntEnum):
    """Where a node stands. The numbers are stored and never change meaning."""

    PENDING = 0
    RUNNING = 1
    WAITING = 2
    FINISHED = 3
    FAILED = 4
    SKIPPED = 5
    CANCELLED = 6

    @property
    def word(self) -> str:
        return self.name.lower()


class AttemptState(IntEnum):
    """Where an attempt stands; words as for nodes, and `lost`: cut off by our own death."""

    RUNNING = 1
    FINISHED = 3
    FAILED = 4
    CANCELLED = 6
    LOST = 7

    @property
    def word(self) -> str:
        return self.name.lower()


class FailureClass(IntEnum):
    """What kind of failure ended an attempt: decided once, stored, used everywhere."""

    QUOTA = 1
    THROTTLE = 2
    AUTH = 3
    MISSING_BINARY = 4
    BAD_OUTPUT = 5
    TIMEOUT = 6
    STALLED = 7
    CRASH = 8
    REFUSAL = 9
    LOGIC = 10
    LOST = 11
    FATAL = 12

    @property
    def word(self) -> str:
        return self.name.lower()


class EventType(IntEnum):
    """What happened. The numbers are stored and never change meaning."""

    RUN_STARTED = 1
    RUN_RESUMED = 2
    RUN_WAITING = 3
    RUN_PAUSED = 4
    RUN_FINISHED = 5
    RUN_PARTIAL = 6
    RUN_FAILED = 7
    RUN_CANCELLED = 8
    RUN_WARNING = 9
    CANCEL_REQUESTED = 10
    NODE_STARTED = 20
    NODE_FINISHED = 21
    NODE_FAILED = 22
    NODE_RETRYING = 23
    NODE_SKIPPED = 24
    NODE_CANCELLED = 25
    NODE_LOST = 26
    NODE_BLOCKED = 27
    NODE_REOPENED = 28
    NODE_HEARTBEAT = 29
    PASS_ENDED = 40
    LOOP_DONE = 41

    @property
    def word(self) -> str:
        """`NODE_STARTED` reads as `node-started`."""
        return self.name.lower().replace("_", "-")


class Verdict(IntEnum):
    """How a pass of a loop ended."""

    NEXT = 0
    UNTIL = 1
    MAX_REACHED = 2


class InboxKind(IntEnum):
    """What an outsider asks of a run's owner."""

    CANCEL = 1
    PAUSE = 2


INPUT_LIMIT_BYTES: Final = 1 << 20
"""Inputs above this are refused."""

BLOB_LIMIT_BYTES: Final = 1 << 20
"""Outputs above this live in a file named by their hash, not in the row."""


# --- What one frame writes ----------------------------------------------------------------------


class EventRow(NamedTuple):
    """One event; `seq` is its place in the run, and the only cursor anywhere."""

    seq: int
    type: EventType
    at_ms: int
    key: NodeKey | None = None
    attempt: int = 0
    data: str | None = None
    """JSON object with what the columns do not say; most events have none."""


class AttemptStart(NamedTuple):
    """An attempt that begins in this frame; its row exists before any effect."""

    key: NodeKey
    generation: int
    attempt: int
    start_seq: int
    """Reads of this attempt see rows up to and including this `seq`."""
    at_ms: int
    agent: str | None = None
    fingerprint: bytes | None = None


class AttemptEnd(NamedTuple):
    """An attempt that ends in this frame."""

    key: NodeKey
    generation: int
    attempt: int
    state: AttemptState
    at_ms: int
    failure: FailureClass | None = None
    counted: bool = True
    """Whether it used up one of the task's retries."""
    error: str | None = None
    """JSON: `code`, `message`, `hint`, `place`, `details`."""
    prompt: bytes | None = None
    """16-byte hash of the rendered prompt."""
    agent: str | None = None
    """Who answered, where it was not the one that was asked first."""


class NodeEnd(NamedTuple):
    """A node that settled in this frame: its one final row of this generation."""

    key: NodeKey
    generation: int
    state: NodeState
    attempt: int = 0
    reason: str | None = None
    """Why it was skipped or cancelled, or `continued` for a tolerated failure."""


class OutputRow(NamedTuple):
    """A finished task's value, as the exact JSON text that every later read returns."""

    key: NodeKey
    generation: int
    seq: int
    model: str
    body: str
    """JSON text; bodies above `BLOB_LIMIT_BYTES` are moved to a blob by the store."""


class PassEnd(NamedTuple):
    """One pass of a loop that was judged in this frame."""

    loop: NodeKey
    pass_: int
    verdict: Verdict


class Mount(NamedTuple):
    """A node that stands in the tree from this frame on."""

    node: str
    parent: str | None
    position: int
    """Order among its siblings."""
    spec: str
    """JSON text of what the node is: kind, label, meta, mode, model, …; shared by hash."""
    edges: str = ""
    """Ids that a task waits for, with blanks between them; `!` before those whose output it needs."""


class Wakeup(NamedTuple):
    """A deadline. `due_ms` is wall clock."""

    key: NodeKey
    kind: str
    """`retry` here; timers, waits and quotas come with later kinds."""
    due_ms: int


class HeartbeatRow(NamedTuple):
    """Progress data of a running attempt, given to the next one."""

    key: NodeKey
    generation: int
    attempt: int
    data: str


@dataclass(slots=True)
class RunChange:
    """What a frame changes in the run's own row."""

    state: RunState
    error: str | None = None
    """JSON of the error that ended the run."""
    output: OutputRef | None = None
    """The row that is the run's own output."""
    release: bool = False
    """Give the run up: no owner any more."""


class OutputRef(NamedTuple):
    """Names one output row."""

    key: NodeKey
    generation: int


@dataclass(slots=True)
class FrameWrite:
    """All that one frame of one run stores, in one transaction.

    `seq` is the run's counter before this frame; the frame uses `seq + 1 … seq + used`.
    """

    run: int
    fence: int
    frame: int
    parent: int
    seq: int
    used: int
    at_ms: int
    rendered: bool = False
    run_change: RunChange | None = None
    events: list[EventRow] = field(default_factory=list)
    started: list[AttemptStart] = field(default_factory=list)
    ended: list[AttemptEnd] = field(default_factory=list)
    settled: list[NodeEnd] = field(default_factory=list)
    outputs: list[OutputRow] = field(default_factory=list)
    passes: list[PassEnd] = field(default_factory=list)
    mounted: list[Mount] = field(default_factory=list)
    unmounted: list[str] = field(default_factory=list)
    """Ids of nodes whose open mount row ends with the frame before this one.

    A node that moves, or whose spec changes, is in both lists; the store closes first, then opens.
    """
    wakeups: list[Wakeup] = field(default_factory=list)
    woken: list[Wakeup] = field(default_factory=list)
    """Deadlines that no longer stand."""
    inbox_taken: list[int] = field(default_factory=list)


# --- What is read back --------------------------------------------------------------------------


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
    mounts: list[MountRow]
    """Open mounts."""
    wakeups: list[Wakeup]
    inbox: list[InboxRow]


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


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows."""

    states: Sequence[RunState] = ()
    workflow: str | None = None
    limit: int | None = None
