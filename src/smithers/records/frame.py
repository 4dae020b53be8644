"""What one frame of one run writes, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from smithers.ids import NodeKey

from .budget import BudgetRow
from .cache import CacheEntry, LookupRow
from .call import CallRow
from .notice import NoticeWrite
from .shape import OutputShape, UserRow
from .state import AttemptState, EventType, FailureClass, NodeState, RunState, Verdict
from .wait import WaitEnd, WaitWrite

if TYPE_CHECKING:
    from .kin import KeptChild
    from .row import NewRun


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
    """Why it was skipped or cancelled, or `TOLERATED` for a tolerated failure."""


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


class BlockMove(NamedTuple):
    """A try block or a saga that goes on to another part, ends, or begins anew, in this frame."""

    block: NodeKey
    at: str | None
    """Part under way: `body`, `catch`, `finally`, `action:2`, `undo:1`; empty: it has ended; None: it is open
    again, from its beginning."""
    outcome: int
    """How it ends once that part has run: a `Settled`."""
    cause: NodeKey | None = None
    """The failure behind that."""
    done: tuple[str, ...] = ()
    """Parts that settled."""
    broken: tuple[NodeKey, ...] = ()
    """Failures of its compensations."""
    again: tuple[NodeKey, ...] = ()
    """Tasks in it that are open again since this frame; they may have no row of their new generation yet."""


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
    """`retry`; `quota`; `child`: the node's own run waits; `wait`: what it waits for expires, or its time
    comes; `reminder`."""
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
    """Number of the run; filled in by the store where the frame creates it."""
    fence: int
    frame: int
    parent: int
    seq: int
    used: int
    at_ms: int
    rendered: bool = False
    creates: NewRun | None = None
    """The run that this first frame brings into being."""
    then: FrameWrite | None = None
    """The first frame of the run that this one goes on as: stored with it, or not at all."""
    children: list[KeptChild] = field(default_factory=list)
    """Runs that nodes which are open again go on with."""
    run_change: RunChange | None = None
    events: list[EventRow] = field(default_factory=list)
    started: list[AttemptStart] = field(default_factory=list)
    ended: list[AttemptEnd] = field(default_factory=list)
    settled: list[NodeEnd] = field(default_factory=list)
    outputs: list[OutputRow] = field(default_factory=list)
    passes: list[PassEnd] = field(default_factory=list)
    blocks: list[BlockMove] = field(default_factory=list)
    mounted: list[Mount] = field(default_factory=list)
    unmounted: list[str] = field(default_factory=list)
    """Ids of nodes whose open mount row ends with the frame before this one.

    A node that moves, or whose spec changes, is in both lists; the store closes first, then opens.
    """
    wakeups: list[Wakeup] = field(default_factory=list)
    woken: list[Wakeup] = field(default_factory=list)
    """Deadlines that no longer stand."""
    inbox_taken: list[int] = field(default_factory=list)
    inbox_kept: list[int] = field(default_factory=list)
    """Messages that whoever drives the run next has to obey, when this frame gives it up."""
    shapes: list[OutputShape] = field(default_factory=list)
    """What its outputs look like; those that the store knows already cost a look-up."""
    user_rows: list[UserRow] = field(default_factory=list)
    cached: list[CacheEntry] = field(default_factory=list)
    """Outputs of this frame that later attempts may take."""
    lookups: list[LookupRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    """What the attempts that end in it have asked of agents."""
    budgets: list[BudgetRow] = field(default_factory=list)
    """What has been spent, where that has changed; of several rows of one budget the last counts."""
    waits: list[WaitWrite] = field(default_factory=list)
    """Waits that are opened, or opened again."""
    wait_ends: list[WaitEnd] = field(default_factory=list)
    notices: list[NoticeWrite] = field(default_factory=list)
    """What somebody wants to be told of."""
    notes: list[str] = field(default_factory=list)
    """Filled in by the store: what a person should be told, and what stopped nothing."""
