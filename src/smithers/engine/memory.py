"""What an owner remembers of its run: rebuilt from rows at any time, and thrown away when in doubt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smithers.context import OutputText, Record, Rows, Spending, Standing, from_stored, wrap
from smithers.errors import BudgetExceeded, BugError
from smithers.ids import NodeKey, passes_of
from smithers.nodes import Caught
from smithers.records import TOLERATED as TOLERATED  # noqa: PLC0414 - `settling` takes it from here
from smithers.records import (
    AttemptRow,
    AttemptState,
    FailureClass,
    KeptChild,
    NodeRow,
    NodeState,
    OutputRef,
    RunState,
    SignalRow,
    StoredRun,
    Verdict,
    WaitRef,
    WaitState,
)
from smithers.scheduler import Blocked, BlockFact, Due, Facts, LoopFact, Open, Running, Schedule, Settled
from smithers.scheduler.block import CATCH, LOOP_FAILED
from smithers.scheduler.edges import UPSTREAM_FAILED
from smithers.scheduler.failing import NOT_REACHED
from smithers.scheduler.retry import PastFailure, signature

from .failure import message_of
from .waiting import Waiting

OVERSPENT = "budget exceeded"
"""Begins the reason of what was skipped because there was nothing left to spend."""
_FAILED_BEHIND = (UPSTREAM_FAILED, OVERSPENT)


@dataclass(slots=True)
class AttemptLog:
    """The attempts of one node in its newest generation."""

    last: int = 0
    """Number of the last one."""
    failures: list[PastFailure] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    """Of the last failed one."""
    heartbeat: Any = None


class Memory:
    """One run's state: facts for the scheduler, rows for reads, and the counters of the next frame.

    Implements `smithers.context.State`.
    """

    def __init__(self, name: str, input_text: str, input_model: type[Any] | None) -> None:
        self.name = name
        self.facts = Facts()
        self.rows = Rows()
        self.schedule: Schedule | None = None
        self.logs: dict[NodeKey, AttemptLog] = {}
        self.generations: dict[NodeKey, int] = {}
        self.asked: set[NodeKey] = set()
        """Nodes that somebody has asked to execute again, and that have not finished since."""
        self.reasons: dict[NodeKey, str] = {}
        self.frames: dict[NodeKey, int] = {}
        """In which frame each node settled, and each block ended."""
        self.pass_frames: dict[tuple[NodeKey, int], int] = {}
        """In which frame each pass of each loop ended."""
        self.caught_by: dict[NodeKey, NodeKey] = {}
        """By block: the failure that its catch was last about."""
        self.children: dict[tuple[NodeKey, int], int] = {}
        """Runs that are what nodes do, by generation."""
        self.carried: str | None = None
        """JSON text that the run before this one handed over."""
        self.number = 1
        """The run's place in its lineage."""
        self.was_cancelled = False
        """It goes on after a cancel: so do its children, whoever cancelled them."""
        self.parked: dict[NodeKey, str] = {}
        """Nodes whose own run is paused, and that run."""
        self.held: dict[NodeKey, str] = {}
        """Nodes that wait for somebody to raise a budget, and that budget."""
        self.parked_why: dict[NodeKey, str] = {}
        """Of nodes whose own run is paused because a budget is used up, what that run says of it."""
        self.awaited: dict[NodeKey, str] = {}
        """Nodes whose own run has left, and waits for somebody or for a time; and that run."""
        self.waits: dict[WaitRef, Waiting] = {}
        """Waits of newest generations, those that are over too."""
        self.live: dict[WaitRef, Waiting] = {}
        """Those of them that are open, or decided and not gone on by: nobody looks through the rest."""
        self.signals: list[SignalRow] = []
        """What was sent to the run, in the order it came."""
        self.consumed: set[int] = set()
        """Signals that a wait has taken."""
        self.limited: set[NodeKey] = set()
        """Nodes that have not begun because the accounts of all their agents are parked."""
        self.budgets: Spending | None = None
        """What its agents have spent; set by whoever drives it."""
        self.newest_output: OutputRef | None = None
        self.outputs_by_model: dict[str, OutputRef] = {}
        self.workflow = ""
        """As the run's row names it, whatever the file calls itself by now."""
        self.named_outputs: Mapping[str, type[Any]] = {}
        self.seq = 0
        self.frame = 0
        self.input_text = input_text
        self._input_model = input_model
        self._stored_tree: dict[str, tuple[str, ...]] = {}
        """Loops around each node of the last stored tree: what reads go by before the first render."""

    # --- State, as reads see it -----------------------------------------------------------------

    @property
    def run_id(self) -> str:
        return self.name

    @property
    def input(self) -> Any:
        if self._input_model is not None:
            return from_stored(self._input_model, self.input_text)
        value = wrap(json.loads(self.input_text))
        return value if value is not None else Record({})

    def standing(self, node: str) -> Standing | None:
        schedule = self.schedule
        if schedule is not None:
            vertex = schedule.vertex(node)
            if vertex is not None:
                if vertex.loop is None:
                    return Standing()
                loops = vertex.loops()
                return Standing(
                    tuple(loop.key.node for loop in loops), tuple(loop.fact.pass_ for loop in loops)
                )
        loops_around = self._stored_tree.get(node)
        if loops_around is None:
            return None
        return Standing(loops_around, self._stored_passes(loops_around))

    def note_loops(self, node: str, loops: tuple[str, ...]) -> None:
        """Remember where a node with an output stood.

        A body function is called before what it makes is in the plan; what it reads of its own tasks has a
        place all the same.
        """
        if loops:
            self._stored_tree[node] = loops

    def is_going_on(self, key: NodeKey) -> bool:
        """Whether a task that is not mounted stood, when the tree was last stored, in a pass that goes on."""
        loops = self._stored_tree.get(key.node)
        if loops is None:
            return False
        passes = self._stored_passes(loops)
        if passes_of(key) != (passes or (0,)):
            return False
        around = (self.facts.loops.get(_key_of(loops, passes, depth)) for depth in range(len(loops)))
        return not any(fact is not None and fact.done for fact in around)

    def _stored_passes(self, loops: tuple[str, ...]) -> tuple[int, ...]:
        passes: list[int] = []
        for depth in range(len(loops)):
            fact = self.facts.loops.get(_key_of(loops, tuple(passes), depth))
            passes.append(fact.pass_ if fact else 0)
        return tuple(passes)

    def node_state(self, key: NodeKey) -> NodeState:
        match self.facts.nodes.get(key):
            case Settled.FINISHED:
                return NodeState.FINISHED
            case Settled.SKIPPED | Settled.UPSTREAM | Settled.NOT_REACHED:
                return NodeState.SKIPPED
            case Settled.TOLERATED | Settled.FAILED:
                return NodeState.FAILED
            case Settled.CANCELLED:
                return NodeState.CANCELLED
            case Running():
                return NodeState.RUNNING
            case Open():
                return NodeState.WAITING
            case _:
                return NodeState.PENDING

    def failure(self, key: NodeKey) -> Mapping[str, Any] | None:
        log = self.logs.get(key)
        return log.error if log else None

    @property
    def only_loop_pass(self) -> int:
        loops = self.facts.loops
        return next(iter(loops.values())).pass_ if len(loops) == 1 else 0

    # --- Rebuilding -----------------------------------------------------------------------------

    def log(self, key: NodeKey) -> AttemptLog:
        """A node's attempts; an empty log where there is none yet."""
        found = self.logs.get(key)
        if found is None:
            found = self.logs[key] = AttemptLog()
        return found

    def restore(self, stored: StoredRun, in_flight: set[NodeKey]) -> list[AttemptRow]:
        """Fill in from rows.

        Args:
            in_flight: nodes whose attempts run in this process; all others that are stored as running
                were cut off.
        Returns:
            The attempts that were cut off.
        """
        self.seq, self.frame = stored.run.seq, stored.run.frame
        self.workflow = stored.run.workflow
        self.generations = dict(stored.generations)
        self.asked = set(stored.asked)
        self.children, self.carried = dict(stored.children), stored.carried
        self.number = stored.run.kin.number
        self.was_cancelled = stored.run.state is RunState.CANCELLED
        for node in stored.nodes:
            self.facts.nodes[node.key] = _settled(node)
            self.frames[node.key] = node.frame
            if node.reason:
                self.reasons[node.key] = node.reason
        for row in stored.outputs:
            self.add_output(OutputText(row.key, row.seq, row.model, row.body), row.generation)
        for passed in sorted(stored.passes, key=lambda row: row.pass_):
            done = passed.verdict is not Verdict.NEXT
            self.facts.loops[passed.loop] = LoopFact(passed.pass_ + (0 if done else 1), done)
            self.pass_frames[passed.loop, passed.pass_] = passed.frame
        reopened = self._restore_reopened(stored)
        for moved in stored.blocks:
            if moved.at == CATCH and moved.cause is not None:
                self.caught_by[moved.block] = moved.cause
            if moved.at is None:
                self.facts.blocks.pop(moved.block, None)
            else:
                self.facts.blocks[moved.block] = BlockFact(
                    moved.at, Settled(moved.outcome), moved.cause, moved.done, moved.broken
                )
                self.frames[moved.block] = moved.frame
        self._restore_waits(stored, reopened)
        rows = [row for row in stored.attempts if row.key not in reopened]
        cut_off = [row for row in rows if self._restore_attempt(row, in_flight)]
        for wakeup in stored.wakeups:
            if wakeup.kind == "quota":
                self.limited.add(wakeup.key)
            # Whether a limit is still used up is looked at anew: somebody may have seen to it.
            # A run of a node is looked at whenever this one is resumed: it may wait for a time of the day,
            # and only that run knows which of its deadlines follow the wall clock.
            if wakeup.kind == "retry" and wakeup.key not in self.facts.nodes:
                self.facts.nodes[wakeup.key] = Due(wakeup.due_ms)
        self._restore_tree(stored)
        return cut_off

    def _restore_reopened(self, stored: StoredRun) -> set[NodeKey]:
        """Open again what was opened again with a block, and has no row since; the keys."""
        last = {row.key: row.from_frame for row in stored.attempts}
        last.update((row.key, row.frame) for row in stored.nodes)
        found: set[NodeKey] = set()
        for moved in stored.blocks:
            for key in moved.again:
                if last.get(key, 0) < moved.frame:
                    last[key] = moved.frame
                    self.reopen(key)
                    found.add(key)
        return found

    def _restore_waits(self, stored: StoredRun, reopened: set[NodeKey]) -> None:
        self.signals, self.consumed = list(stored.signals), set(stored.consumed)
        reminders = {one.key: one.due_ms for one in stored.wakeups if one.kind == "reminder"}
        for row in stored.waits:
            if row.key in reopened:
                continue
            if row.state is WaitState.WITHDRAWN and stored.run.state.has_ended and not row.ref.number:
                continue  # whoever goes on with a run that had ended asks anew, with a new deadline
            wait = self.waits[row.ref] = Waiting.of(row)
            if row.state in (WaitState.OPEN, WaitState.DECIDED):
                self.live[row.ref] = wait
            if not row.ref.number:
                wait.reminder_ms = reminders.get(row.key)
            if row.ref.number or row.state is WaitState.WITHDRAWN:
                continue
            self.facts.entered.add(row.key)
            if row.state is not WaitState.SETTLED:
                self.facts.nodes.setdefault(row.key, Open())
            elif row.result is not None and "error" in row.result:
                self.log(row.key).error = row.result["error"]
                self.name_failure(row.key)

    def _restore_attempt(self, row: AttemptRow, in_flight: set[NodeKey]) -> bool:
        log = self.log(row.key)
        log.last = max(log.last, row.attempt)
        if row.heartbeat is not None:
            log.heartbeat = row.heartbeat
        if row.state is AttemptState.RUNNING:
            if row.key in in_flight:
                self.facts.nodes[row.key] = Running()
                return False
            return True
        if row.state is AttemptState.LOST and self.has_child(row.key):
            return False
        if row.state is AttemptState.FAILED or row.state is AttemptState.LOST:
            failure = row.failure if row.failure is not None else FailureClass.LOST
            log.failures.append(PastFailure(failure, signature(message_of(row.error or {}))))
            log.error = row.error
            if self.facts.nodes.get(row.key) is Settled.FAILED:
                self.name_failure(row.key)
        return False

    def name_failure(self, key: NodeKey) -> None:
        """Note what a node's last failure goes by: its code and its class."""
        log = self.log(key)
        words = [str((log.error or {}).get("code", ""))]
        if log.failures:
            words.append(log.failures[-1].failure.word)
        self.facts.names[key] = tuple(words)

    def caught(self, block: NodeKey) -> Caught:
        """The failure that the catch of a block is about."""
        fact = self.facts.blocks.get(block)
        cause = fact.cause if fact is not None else None
        if fact is not None and fact.has_ended and CATCH in fact.done:
            cause = self.caught_by.get(block, cause)  # its last part may have failed since
        if cause is None:
            raise BugError(f"{block} has no failure to catch")
        error = self.failure(cause)
        if error is None:
            return Caught(LOOP_FAILED, f"{cause} made its last pass and is not done", cause.node)
        place = error.get("place")
        return Caught(
            str(error.get("code", "")), message_of(error), cause.node, str(place) if place else None
        )

    def _restore_tree(self, stored: StoredRun) -> None:
        parents = {mount.node: mount.parent for mount in stored.mounts}
        kinds = {mount.node: mount.spec.get("kind") for mount in stored.mounts}
        around: dict[str | None, tuple[str, ...]] = {None: ()}
        for node in parents:
            trail: list[str] = []
            step: str | None = node
            while step not in around:
                trail.append(step or "")
                step = parents.get(step or "")
            found = around[step]
            for one in reversed(trail):
                parent = parents.get(one)
                found = around[parent]
                if parent is not None and kinds.get(parent) == "loop":
                    found = (*found, parent)
                around[one] = found
        self._stored_tree = {node: loops for node, loops in around.items() if node is not None}

    # --- Changing -------------------------------------------------------------------------------

    def add_output(self, row: OutputText, generation: int) -> None:
        """Take in the newest output of all."""
        self.rows.add(row)
        ref = OutputRef(row.key, generation)
        self.newest_output = ref
        self.outputs_by_model[row.model] = ref

    def has_child(self, key: NodeKey) -> bool:
        """Whether a node goes on with a run of its own: what cuts off its attempt ends nothing."""
        return (key, self.generations.get(key, 0)) in self.children

    def hold(self, key: NodeKey, budget: str) -> Blocked:
        """A budget is used up, and somebody has to raise it; what the node waits for."""
        self.held[key] = budget
        found = self.facts.nodes[key] = Blocked(budget)
        return found

    def park(self, key: NodeKey, run: str, error: Mapping[str, Any] | None = None) -> Blocked:
        """A node's own run is paused, and somebody has to resume it; what the node waits for."""
        self.parked[key] = run
        if error is not None and error.get("code") == BudgetExceeded.code:
            self.parked_why[key] = str(error.get("message"))
        found = self.facts.nodes[key] = Blocked(f"run {run}")
        return found

    def await_run(self, key: NodeKey, run: str) -> Blocked:
        """A node's own run waits for somebody; what the node waits for."""
        self.awaited[key] = run
        found = self.facts.nodes[key] = Blocked(f"run {run}")
        return found

    def keep_child(self, key: NodeKey) -> KeptChild | None:
        """Let a node's new generation go on with the run of the one before, if it had one."""
        generation = self.generations.get(key, 0)
        child = self.children.get((key, generation - 1))
        if child is None:
            return None
        self.children[key, generation] = child
        return KeptChild(key, generation, child)

    def reopen(self, key: NodeKey) -> int:
        """Begin a new generation of a settled node; returns its number."""
        self.generations[key] = self.generations.get(key, 0) + 1
        self.facts.nodes.pop(key, None)
        self.facts.names.pop(key, None)
        self.facts.entered.discard(key)
        self.logs.pop(key, None)
        self.reasons.pop(key, None)
        self.frames.pop(key, None)
        self.rows.drop(key)
        if self.newest_output is not None and self.newest_output.key == key:
            self.newest_output = self._newest()
        for model, ref in list(self.outputs_by_model.items()):
            if ref.key == key:
                found = self._newest(model)
                if found is not None:
                    self.outputs_by_model[model] = found
                else:
                    del self.outputs_by_model[model]
        return self.generations[key]

    def _newest(self, *models: str) -> OutputRef | None:
        """The newest output that stands, of these models or of all."""
        rows = list(self.rows.of_output(*models))
        return OutputRef(rows[-1].key, self.generations.get(rows[-1].key, 0)) if rows else None


def _key_of(loops: tuple[str, ...], passes: tuple[int, ...], depth: int) -> NodeKey:
    """The key of one of several loops within each other, `depth` from the outside."""
    if depth == 0:
        return NodeKey(loops[0])
    outer = zip(loops[: depth - 1], passes, strict=False)
    return NodeKey(loops[depth], ",".join(f"{name}={n}" for name, n in outer), passes[depth - 1])


def _settled(node: NodeRow) -> Settled:
    match node.state:
        case NodeState.FINISHED:
            return Settled.FINISHED
        case NodeState.FAILED:
            return Settled.TOLERATED if node.reason == TOLERATED else Settled.FAILED
        case NodeState.CANCELLED:
            return Settled.CANCELLED
        case _:
            if node.reason == NOT_REACHED:
                return Settled.NOT_REACHED
            return Settled.UPSTREAM if (node.reason or "").startswith(_FAILED_BEHIND) else Settled.SKIPPED
