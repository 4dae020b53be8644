"""One run, frame by frame: apply what came in → render if stale → decide → what to store.

A `Drive` is used from the engine's thread only. It never touches the database, a thread or a clock: it is
given messages and the time, and returns the frame to commit; after the commit it says what to start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, assert_never

from smithers.context import Context, OutputText, Standing, View, ambient
from smithers.errors import (
    BugError,
    CrashLoop,
    DependencyDeadlock,
    HeartbeatTimeout,
    LoopMaxReached,
    MissingOutput,
    RenderUnstable,
    SmithersError,
    TaskFailed,
    TaskTimeout,
)
from smithers.ids import NodeKey
from smithers.nodes import MISSING, Loop, RetryPolicy, Task, span_ms
from smithers.plan import PlanNode
from smithers.ports import Agent
from smithers.records import (
    AttemptEnd,
    AttemptStart,
    AttemptState,
    EventRow,
    EventType,
    FailureClass,
    FrameWrite,
    InboxKind,
    InboxRow,
    Mount,
    NodeEnd,
    NodeState,
    OutputRef,
    OutputRow,
    PassEnd,
    RunChange,
    RunState,
    StoredRun,
    Verdict,
    Wakeup,
)
from smithers.scheduler import (
    Blocked,
    Cancel,
    Deadlock,
    Due,
    Execute,
    Fail,
    Finish,
    Judge,
    Schedule,
    Settled,
    Skip,
    Wait,
)
from smithers.scheduler.retry import Again, PastFailure, RetryRule, Stop, judge_failure, rung, signature
from smithers.scheduler.vertex import HoleVertex, Leaf, LoopVertex

from .definition import Definition
from .encode import encode_output
from .failure import classify, describe, message_of
from .job import Done, Failed, Job, NotYet, Outcome, Stopped
from .memory import TOLERATED, UPSTREAM, Memory
from .render import Renderer, author_place
from .tree import MountedRows

MAX_IDLE_RENDERS = 20
"""Renders without a settlement: more means the tree changes by itself."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run was started with."""

    source: str
    limit: int | None
    project: Path | None
    agents: Callable[[Task[Any]], tuple[Agent, ...]]
    """The chain of a task; a rehearsal answers with one agent for all."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run left its owner."""

    state: RunState
    error: Mapping[str, Any] | None


class Drive:
    """Drives one run under one fence."""

    def __init__(self, definition: Definition, memory: Memory, terms: Terms, random: Random) -> None:
        self.definition = definition
        self.memory = memory
        self.terms = terms
        self.random = random
        self.run = 0
        self.fence = 0
        self.jobs: dict[NodeKey, Job] = {}
        """Attempts in flight, by node."""
        self.lingering: dict[NodeKey, Job] = {}
        """Attempts that were given up while their code still runs."""
        self.to_start: list[Job] = []
        self.to_cancel: list[Job] = []
        self.ended: Ended | None = None
        """Set by the frame that gives the run up."""
        self.report: Callable[[Job, Outcome], None] = _nowhere
        self.beat: Callable[[Job, str | None], None] = _nowhere
        self.ctx: Context[Any] = Context(memory)
        self._renderer = Renderer(definition, self.ctx, memory)
        self._mounts = MountedRows()
        self._mount_version = -1
        self._stop: RunState | None = None
        """Set by pause or cancel: nothing new starts."""
        self._failure: SmithersError | None = None
        self._idle_renders = 0
        self._is_fresh = False
        """Nothing has settled since the last render."""
        self._reopen = False
        self._cut_off: list[Any] = []
        self._checked_edges: tuple[Any, ...] = ()
        self._taken: list[int] = []
        self._to_take: list[InboxRow] = []
        self._warned: set[tuple[NodeKey, str]] = set()
        self._frame: FrameWrite | None = None
        self._now_ms = 0
        self._has_begun = False
        self._is_first = True
        """No frame of this owner is stored yet: a mistake in the file is refused, and changes nothing."""
        self._first_event = EventType.RUN_STARTED

    # --- Beginning ------------------------------------------------------------------------------

    def restore(self, stored: StoredRun, *, in_flight: Iterable[Job] = ()) -> None:
        """Take over a stored run.

        Args:
            in_flight: attempts of it that run in this process (after a commit of unknown outcome).
        """
        jobs = {job.key: job for job in in_flight}
        self.run, self.fence = stored.run.id, stored.run.fence
        self._cut_off = self.memory.restore(stored, set(jobs))
        self.jobs = jobs
        self._mounts.restore(
            [
                Mount(
                    m.node,
                    m.parent,
                    m.position,
                    json.dumps(m.spec, ensure_ascii=False, separators=(",", ":")),
                )
                for m in stored.mounts
            ]
        )
        if not jobs:
            self._first_event = EventType.RUN_RESUMED
            self._reopen = stored.run.state in (RunState.FAILED, RunState.CANCELLED, RunState.PARTIAL)
        else:
            self._has_begun = True
            self._is_first = False

    def take_over(self, old: Drive, stored: StoredRun, in_flight: Iterable[Job]) -> None:
        """Continue from rows in place of a drive whose memory cannot be trusted any more."""
        self.report, self.beat = old.report, old.beat
        self.ctx = old.ctx
        self.ctx.rebind(self.memory)
        self._renderer = Renderer(self.definition, self.ctx, self.memory)
        self.restore(stored, in_flight=in_flight)
        self._has_begun, self._is_first = True, False
        self._stop, self._failure = old._stop, None
        self._warned = old._warned
        started = {id(job) for job in old.to_start}
        for job in self.jobs.values():
            job.view.state = self.memory
            if id(job) in started:
                self.to_start.append(job)
        self.to_cancel = [job for job in old.to_cancel if self.jobs.get(job.key) is job]

    def preview(self) -> PlanNode:
        """Render and plan the first frame, and run nothing."""
        self._frame = FrameWrite(0, 0, 1, 0, 0, 0, 0)
        self._render()
        return self._schedule.tree

    # --- One frame ------------------------------------------------------------------------------

    def step(self, settled: Iterable[tuple[Job, Outcome]], now_ms: int) -> FrameWrite | None:
        """Everything that can be done now, as one frame; None: nothing changed.

        Args:
            settled: attempts that ended, in the order they came.
            now_ms: wall clock.
        """
        memory = self.memory
        self._now_ms = now_ms
        frame = self._frame = FrameWrite(
            self.run, self.fence, memory.frame + 1, memory.frame, memory.seq, 0, now_ms
        )
        try:
            if not self._has_begun:
                self._begin()
            for message in self._to_take:
                frame.inbox_taken.append(message.id)
                self._event(
                    EventType.CANCEL_REQUESTED, None, 0, {"kind": message.kind.name.lower(), "by": message.by}
                )
            self._to_take = []
            for job, outcome in settled:
                self._apply(job, outcome)
            self._advance()
        except SmithersError as error:
            if self._is_first:
                raise  # nothing has changed yet: refuse, and leave no trace
            self._fail_with(error)
        if self._failure is not None or self._stop is not None:
            self._wind_down()
        if self.memory.schedule is not None and self._mount_version != self.memory.schedule.version:
            self._mount_version = self.memory.schedule.version
            self._mounts.compare(self.memory.schedule.root, frame)
        self._frame = None
        if not frame.used:
            return None
        memory.seq += frame.used
        memory.frame += 1
        self._is_first = False
        return frame

    def _begin(self) -> None:
        self._has_begun = True
        self._event(self._first_event)
        if self._first_event is EventType.RUN_RESUMED:
            self._write.run_change = RunChange(RunState.RUNNING)
        for row in self._cut_off:
            self._lose(row)
        self._cut_off = []

    def _lose(self, row: Any) -> None:
        """An attempt that our own death cut off: no retry consumed, unless it keeps killing us."""
        log = self.memory.log(row.key)
        error = {"code": "LOST", "message": "the process died while this attempt ran"}
        log.failures.append(PastFailure(FailureClass.LOST, ""))
        log.error = error
        self._write.ended.append(
            AttemptEnd(
                row.key, row.generation, row.attempt, AttemptState.LOST, self._now_ms, FailureClass.LOST, False,
                json.dumps(error),
            )
        )  # fmt: skip
        self._event(EventType.NODE_LOST, row.key, row.attempt)
        verdict = judge_failure(RetryRule(), log.failures, 0.0)
        if isinstance(verdict, Stop):
            crash = CrashLoop(f"{row.key}: {verdict.reason}, always while this task ran")
            log.error = crash.payload()
            self.memory.facts.nodes[row.key] = Settled.FAILED
            self._settle_node(row.key, NodeState.FAILED, row.attempt)
            self._event(EventType.NODE_FAILED, row.key, row.attempt, log.error)

    # --- Applying -------------------------------------------------------------------------------

    def _apply(self, job: Job, outcome: Outcome) -> None:
        """Record how an attempt ended. A result that comes late, or twice, changes nothing."""
        if self.lingering.get(job.key) is job:
            del self.lingering[job.key]
            self._release(job.key)
            return
        if self.jobs.get(job.key) is not job:
            return
        if job.timed_out is not None and outcome is not job.timed_out:
            # It ended after its time: what it says does not count, but it does not run any more either.
            outcome = replace(job.timed_out, is_running=False)
        del self.jobs[job.key]
        match outcome:
            case Done():
                self._finish_job(job, outcome)
            case Failed():
                self._fail_job(job, outcome)
            case NotYet(target):
                self._block_job(job, target)
            case Stopped():
                self._stop_job(job)
            case _:
                assert_never(outcome)

    def _finish_job(self, job: Job, done: Done) -> None:
        key = job.key
        seq = self._event(EventType.NODE_FINISHED, key, job.attempt)
        write = self._write
        write.ended.append(
            AttemptEnd(
                key, job.generation, job.attempt, AttemptState.FINISHED, self._now_ms, None, True, None, done.prompt
            )
        )  # fmt: skip
        write.settled.append(NodeEnd(key, job.generation, NodeState.FINISHED, job.attempt))
        write.outputs.append(OutputRow(key, job.generation, seq, job.task.model_name, done.body))
        self.memory.add_output(OutputText(key, seq, job.task.model_name, done.body), job.generation)
        self.memory.logs.pop(key, None)
        self._moved(key.node, job.task.model_name)
        self._schedule.settle(key, Settled.FINISHED)

    def _fail_job(self, job: Job, failed: Failed) -> None:
        key, memory = job.key, self.memory
        log = memory.log(key)
        log.error = failed.error
        log.failures.append(PastFailure(failed.failure, signature(message_of(failed.error))))
        verdict = judge_failure(rule_of(job.task), log.failures, self.random.random())
        self._write.ended.append(
            AttemptEnd(
                key, job.generation, job.attempt, AttemptState.FAILED, self._now_ms, failed.failure,
                failed.failure not in (FailureClass.QUOTA, FailureClass.THROTTLE), _json(failed.error), failed.prompt,
            )
        )  # fmt: skip
        match verdict:
            case Again(delay_ms):
                due_ms = self._now_ms + delay_ms
                if failed.is_running:
                    # Its code still runs: no second one beside it, for as long as its timeout once more.
                    self.lingering[key] = job
                    due_ms = max(due_ms, self._now_ms + (job.task.timeout_ms or 0))
                self._event(
                    EventType.NODE_RETRYING, key, job.attempt, {**_brief(failed.error), "delay_ms": delay_ms}
                )
                self._write.wakeups.append(Wakeup(key, "retry", due_ms))
                self._moved(key.node, None)
                self._schedule.settle(key, Due(due_ms))
            case Stop(reason):
                self._give_up(job, {**failed.error, "final": reason})
            case _:
                assert_never(verdict)

    def _give_up(self, job: Job, error: Mapping[str, Any]) -> None:
        """A failure that no retry follows: tolerated, or its region unwinds."""
        key = job.key
        leaf = self._schedule.leaf(key)
        tolerated = job.task.continue_on_fail if leaf is None else leaf.plan.continue_on_fail
        self._event(EventType.NODE_FAILED, key, job.attempt, _brief(error))
        self._settle_node(key, NodeState.FAILED, job.attempt, TOLERATED if tolerated else None)
        self._moved(key.node, None)
        self._schedule.settle(key, Settled.TOLERATED if tolerated else Settled.FAILED)

    def _block_job(self, job: Job, target: str) -> None:
        """A callable read what is not there yet: the attempt does not count, the task waits for it."""
        source = self._schedule.vertex(target)
        if isinstance(source, Leaf) and source.is_settled:
            error = MissingOutput(
                f"{job.key.node} reads {target}, which has settled without an output", place=job.task.place
            )
            self._fail_job(job, Failed(FailureClass.FATAL, error.payload()))
            return
        self._end_uncounted(job)
        self._event(EventType.NODE_BLOCKED, job.key, job.attempt, {"waits_for": target})
        self._schedule.settle(job.key, Blocked(target))

    def _stop_job(self, job: Job) -> None:
        self._end_uncounted(job)
        self._event(EventType.NODE_CANCELLED, job.key, job.attempt)
        if self._stop is not None or self._failure is not None:
            self._schedule.settle(job.key, None)
            return
        self._settle_node(job.key, NodeState.CANCELLED, job.attempt)
        self._moved(job.key.node, None)
        self._schedule.settle(job.key, Settled.CANCELLED)

    def _end_uncounted(self, job: Job) -> None:
        self._write.ended.append(
            AttemptEnd(
                job.key, job.generation, job.attempt, AttemptState.CANCELLED, self._now_ms, None, False
            )
        )

    def _settle_node(
        self, key: NodeKey, state: NodeState, attempt: int = 0, reason: str | None = None
    ) -> None:
        generation = self.memory.generations.get(key, 0)
        self._write.settled.append(NodeEnd(key, generation, state, attempt, reason))
        if reason:
            self.memory.reasons[key] = reason

    def _release(self, key: NodeKey) -> None:
        """Code that had been given up has ended: its task may be tried again as soon as its back-off ends."""
        if isinstance(self.memory.facts.nodes.get(key), Due):
            self._write.wakeups.append(Wakeup(key, "retry", self._now_ms))
            self._event(EventType.RUN_WARNING, key, 0, {"message": "the abandoned attempt has ended"})
            self._schedule.settle(key, Due(self._now_ms))

    def _moved(self, node: str, model: str | None) -> None:
        """Something about a node changed: what read it is stale."""
        self._is_fresh = False
        self._idle_renders = 0
        self._renderer.moved(("node", node))
        self._renderer.moved(("state", node))
        if model is not None:
            self._renderer.moved(("model", model))

    # --- Rendering ------------------------------------------------------------------------------

    def _render(self) -> None:
        """Render what is stale, and plan it."""
        self._idle_renders += 1
        if self._idle_renders > MAX_IDLE_RENDERS:
            raise RenderUnstable(
                f"{self.definition.name} rendered {MAX_IDLE_RENDERS} times and nothing settled",
                place=self.definition.place,
            )
        self._write.rendered = True
        renderer, schedule = self._renderer, self.memory.schedule
        if schedule is None or None in renderer.stale:
            tree = renderer.render_tree()
            version = schedule.version + 1 if schedule is not None else 0
            self.memory.schedule = Schedule(
                tree, self.memory.facts, limit=self.terms.limit, version=version, on_mount=self._attach
            )
            self._check_edges()
            if self._reopen:
                self._reopen_failed()
        else:
            for key in [key for key in renderer.stale if key is not None]:
                self._refill(key)
        self._is_fresh = True

    def _check_edges(self) -> None:
        """Look for cycles when edges are other than at the last look."""
        edges = tuple((leaf.path, leaf.plan.edges) for leaf in self._schedule.leaves() if leaf.plan.edges)
        if edges != self._checked_edges:
            self._schedule.check_edges()
            self._checked_edges = edges

    def _attach(self, schedule: Schedule) -> None:
        """Reads of body functions go by the tree that is being planned."""
        self.memory.schedule = schedule

    def _refill(self, key: NodeKey) -> None:
        schedule = self._schedule
        vertex = schedule.vertex(key.node)
        if vertex is None or vertex.key != key:
            self._renderer.forget([key])
            return
        # Bodies below are made by functions that this one makes: theirs are not what they were.
        self._renderer.forget([v.key for v in schedule.below(vertex) if isinstance(v, HoleVertex)])
        schedule.refill(key)

    def _reopen_failed(self) -> None:
        """A resume tries again what failed unhandled, was tolerated or was cut off, and nothing else."""
        self._reopen = False
        memory, schedule = self.memory, self._schedule
        again = (Settled.FAILED, Settled.TOLERATED, Settled.UPSTREAM, Settled.CANCELLED)
        keys = [
            leaf.key
            for leaf in schedule.leaves()
            if memory.facts.nodes.get(leaf.key) in again
            and not any(loop.fact.done and not loop.fact.failed for loop in leaf.loops())
        ]
        for key in keys:
            memory.reopen(key)
            self._event(EventType.NODE_REOPENED, key)
        if keys:
            memory.schedule = Schedule(
                schedule.tree,
                memory.facts,
                limit=self.terms.limit,
                version=schedule.version + 1,
                on_mount=self._attach,
            )

    # --- Deciding -------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Decide until there is nothing left to decide now."""
        while self._stop is None and self._failure is None:
            if self._renderer.stale and not self._is_unwinding():
                self._render()
            decision = self._schedule.decide(self._now_ms)
            match decision:
                case Execute(starts):
                    for key in starts:
                        self._start(key)
                case Skip(skipped):
                    for key, reason in skipped:
                        self._skip(key, reason)
                case Cancel(keys):
                    self.to_cancel.extend(self.jobs[key] for key in keys if key in self.jobs)
                case Judge(loops):
                    self._judge(loops)
                case Wait():
                    self._warn_missing()
                    return
                case Finish(is_partial):
                    self._end(RunState.PARTIAL if is_partial else RunState.FINISHED)
                    return
                case Fail(cause):
                    self._failure = self._cause(cause)
                case Deadlock():
                    raise self._deadlock(decision)
                case _:
                    assert_never(decision)

    def _is_unwinding(self) -> bool:
        schedule = self.memory.schedule
        return schedule is not None and schedule.is_unwinding

    def _judge(self, loops: tuple[NodeKey, ...]) -> None:
        """Ask each loop whose pass has ended whether it is done."""
        for key in loops:
            vertex = self._schedule.vertex(key.node)
            if not isinstance(vertex, LoopVertex):
                raise BugError(f"{key} is not a loop")
            node = vertex.plan.payload
            until = node.until if isinstance(node, Loop) else False
            if callable(until):
                self._judge_one(vertex, self._ask(until, vertex))
                continue
            if not self._is_fresh:
                # A bool was computed by a render, and the pass has ended since: render once more, then judge.
                self._renderer.stale.add(self._schedule.unit_of(vertex))
                return
            self._judge_one(vertex, until)
        # A pass ended in this state; the next one ends in another.
        self._is_fresh = False

    def _ask(self, until: Callable[[], bool], vertex: LoopVertex) -> bool:
        loops = vertex.loops()
        at = Standing(
            (*(loop.key.node for loop in loops), vertex.key.node),
            (*(loop.fact.pass_ for loop in loops), vertex.fact.pass_),
        )
        return bool(self._call_quick(until, View(self.memory, at)))

    def _judge_one(self, vertex: LoopVertex, until: bool) -> None:
        plan, pass_ = vertex.plan, vertex.fact.pass_
        key = vertex.key
        is_last = plan.max_iterations is not None and pass_ + 1 >= plan.max_iterations
        fails = not until and is_last and plan.fail_on_max
        verdict = Verdict.UNTIL if until else Verdict.MAX_REACHED if is_last else Verdict.NEXT
        if not fails:
            # Without a row the pass is judged again by the next resume, when the limit may be another.
            self._write.passes.append(PassEnd(key, pass_, verdict))
        self._event(
            EventType.PASS_ENDED if verdict is Verdict.NEXT else EventType.LOOP_DONE,
            key,
            0,
            {"pass": pass_, "verdict": verdict.name.lower()},
        )
        self._idle_renders = 0
        self._renderer.moved(("node", key.node))
        self._schedule.judge(key, until)

    def _call_quick(self, function: Callable[[], Any], view: View) -> Any:
        """Call an author's quick function on the engine's own thread."""
        token = ambient.set(view)
        try:
            return function()
        finally:
            ambient.reset(token)

    def _skip(self, key: NodeKey, reason: str) -> None:
        self._settle_node(key, NodeState.SKIPPED, 0, reason)
        self._event(EventType.NODE_SKIPPED, key, 0, {"reason": reason})
        self._moved(key.node, None)

    def _cause(self, key: NodeKey) -> SmithersError:
        vertex = self._schedule.vertex(key.node)
        place = vertex.plan.place if vertex is not None else None
        if isinstance(vertex, LoopVertex):
            return LoopMaxReached(
                f"{key} made {vertex.plan.max_iterations} passes and is not done", place=place, node=key.node
            )
        error = self.memory.failure(key) or {}
        return TaskFailed(
            f"{key} failed: {error.get('message', 'no message')}",
            place=place,
            node=str(key),
            error=dict(error),
        )

    def _deadlock(self, decision: Deadlock) -> DependencyDeadlock:
        found = []
        place = None
        for key, missing in decision.blocked:
            leaf = self._schedule.leaf(key)
            where = leaf.plan.place if leaf else None
            place = place or where
            found.append(f"{key} waits for {', '.join(missing)}" + (f" ({where})" if where else ""))
        return DependencyDeadlock(
            "nothing can run any more: " + "; ".join(found[:5]),
            place=place,
            blocked=[{"node": str(key), "waits_for": list(missing)} for key, missing in decision.blocked],
        )

    def _warn_missing(self) -> None:
        for key, target in self._schedule.missing():
            if (key, target) not in self._warned:
                self._warned.add((key, target))
                self._event(
                    EventType.RUN_WARNING, key, 0, {"message": f"waits for {target}, which is not mounted"}
                )

    # --- Starting -------------------------------------------------------------------------------

    def _start(self, key: NodeKey) -> None:
        """Begin an attempt, or settle at once what needs none."""
        leaf = self._schedule.leaf(key)
        if leaf is None:
            raise BugError(f"{key} is not mounted")
        task: Task[Any] = leaf.plan.payload
        memory = self.memory
        write = self._write
        if (abandoned := self.lingering.pop(key, None)) is not None:
            self._refuse_second(abandoned)
            return
        seq_now = memory.seq + write.used
        view = View(memory, _standing_of(leaf), seq_now)
        if task.skip_if is not False and self._skip_asked(task, leaf, view):
            return
        log = memory.log(key)
        log.last += 1
        generation = memory.generations.get(key, 0)
        if log.failures:
            write.woken.append(Wakeup(key, "retry", 0))
        chain = self.terms.agents(task) if task.mode == "agent" else ()
        at_rung = chain[rung(log.failures, len(chain)) :] if chain else ()
        write.started.append(
            AttemptStart(
                key, generation, log.last, seq_now, self._now_ms, at_rung[0].name if at_rung else None, None
            )
        )
        self._event(EventType.NODE_STARTED, key, log.last)
        job = Job(
            self.run, task, key, generation, log.last, view, self.ctx, at_rung, log.heartbeat,
            self.definition.base, self.terms.project, self.report, self.beat,
        )  # fmt: skip
        self.jobs[key] = job
        if task.mode == "value" and not callable(task.value):
            self._apply(job, self._static(task))
        else:
            self.to_start.append(job)

    def _skip_asked(self, task: Task[Any], leaf: Leaf, view: View) -> bool:
        """Whether `skip_if` settled the task, or made it wait."""
        key = leaf.key
        try:
            skips = task.skip_if if isinstance(task.skip_if, bool) else self._call_quick(task.skip_if, view)
        except MissingOutput as error:
            self._event(EventType.NODE_BLOCKED, key, 0, {"waits_for": error.details.get("node")})
            self._schedule.settle(key, Blocked(str(error.details.get("node"))))
            return True
        if not skips:
            return False
        self._skip(key, "skip_if")
        self._schedule.settle(key, Settled.SKIPPED)
        return True

    def _static(self, task: Task[Any]) -> Outcome:
        try:
            return Done(encode_output(task, task.value))
        except SmithersError as error:
            if self._is_first:
                raise  # known before anything ran: a mistake in the file, not a failure of the run
            return Failed(classify(error), describe(error))

    def _refuse_second(self, job: Job) -> None:
        """The abandoned attempt still runs after its timeout once more: give the task up."""
        error = TaskTimeout(
            f"{job.key} is still running after its timeout of {job.task.timeout_ms} ms, twice",
            hint="a thread cannot be ended from outside; make the function return in time, or start it in a process",
            place=job.task.place,
        ).payload()
        self.memory.log(job.key).error = error
        self._give_up(job, error)

    # --- Time -----------------------------------------------------------------------------------

    def expire(self, job: Job, failed: Failed) -> tuple[Job, Outcome]:
        """An attempt's time is up: what it will say does not count any more."""
        job.timed_out = failed
        return job, failed

    def next_due_ms(self) -> int | None:
        """Wall clock of the earliest back-off's end."""
        schedule = self.memory.schedule
        if schedule is None or self._stop is not None or self._failure is not None:
            return None
        return schedule.next_due()

    # --- Ending ---------------------------------------------------------------------------------

    def stop(self, state: RunState) -> None:
        """Pause or cancel: nothing new starts, attempts in flight end and do not count."""
        if self._stop is None or state is RunState.CANCELLED:
            self._stop = state
            self.to_cancel.extend(self.jobs.values())

    def take(self, message: InboxRow) -> None:
        """Obey an outsider's message; the next frame notes that it was taken."""
        if message.id in self._taken:
            return
        self._taken.append(message.id)
        self._to_take.append(message)
        self.stop(RunState.CANCELLED if message.kind is InboxKind.CANCEL else RunState.PAUSED)

    def _wind_down(self) -> None:
        """End the run once nothing of it is in flight."""
        if self._frame is None or self.ended is not None:
            return
        if self.jobs:
            return
        if self._stop is not None:
            self._end(self._stop)
        elif self._failure is not None:
            self._end(RunState.FAILED, self._failure)

    def _fail_with(self, error: SmithersError) -> None:
        if error.place is None:
            error.place = author_place(error)
        self._failure = self._failure or error

    def _end(self, state: RunState, error: SmithersError | None = None) -> None:
        payload = error.payload() if error is not None else None
        self._event(_ENDS[state], None, 0, _brief(payload) if payload else None)
        output = self.own_output() if state in (RunState.FINISHED, RunState.PARTIAL) else None
        self._write.run_change = RunChange(state, _json(payload) if payload else None, output, release=True)
        self.ended = Ended(state, payload)

    def own_output(self) -> OutputRef | None:
        """The row that is the run's own output, if there is one."""
        wanted = self.definition.output_model
        if wanted is not None:
            return self.memory.outputs_by_model.get(wanted)
        return self.memory.newest_output

    # --- Writing --------------------------------------------------------------------------------

    @property
    def _write(self) -> FrameWrite:
        if self._frame is None:
            raise BugError("there is no open frame")
        return self._frame

    @property
    def _schedule(self) -> Schedule:
        if self.memory.schedule is None:
            self._render()
        if self.memory.schedule is None:
            raise BugError("there is no plan")
        return self.memory.schedule

    def _event(
        self,
        kind: EventType,
        key: NodeKey | None = None,
        attempt: int = 0,
        data: Mapping[str, Any] | None = None,
    ) -> int:
        """Append an event; returns its `seq`."""
        write = self._write
        write.used += 1
        seq = write.seq + write.used
        write.events.append(EventRow(seq, kind, self._now_ms, key, attempt, _json(data) if data else None))
        return seq


_ENDS = {
    RunState.FINISHED: EventType.RUN_FINISHED,
    RunState.PARTIAL: EventType.RUN_PARTIAL,
    RunState.FAILED: EventType.RUN_FAILED,
    RunState.CANCELLED: EventType.RUN_CANCELLED,
    RunState.PAUSED: EventType.RUN_PAUSED,
}


def rule_of(task: Task[Any]) -> RetryRule:
    """A task's retry properties, lowered."""
    policy: RetryPolicy | None = task.retry_policy
    retries = None if task.retries is MISSING else task.retries
    is_explicit = task.retries is not MISSING
    if policy is None:
        if not is_explicit and task.continue_on_fail:
            # One further try for agents, and at least one for each agent of the chain.
            retries = max(1, len(task.agents) - 1) if task.mode == "agent" else 0
        return RetryRule(retries, is_explicit, is_agent=task.mode == "agent")
    if not is_explicit:
        retries = policy.retries
    return RetryRule(
        retries, True, policy.backoff, span_ms(policy.initial_delay, "initial_delay"),
        span_ms(policy.max_delay, "max_delay"), has_jitter=False, is_agent=task.mode == "agent",
    )  # fmt: skip


def stalled(job: Job) -> Failed:
    error = HeartbeatTimeout(
        f"{job.key} gave no sign of life for {job.task.heartbeat_timeout_ms} ms", place=job.task.place
    )
    return Failed(FailureClass.STALLED, error.payload(), is_running=True)


def timed_out(job: Job) -> Failed:
    error = TaskTimeout(f"{job.key} took longer than {job.task.timeout_ms} ms", place=job.task.place)
    return Failed(FailureClass.TIMEOUT, error.payload(), is_running=True)


def _standing_of(leaf: Leaf) -> Standing:
    if leaf.loop is None:
        return Standing()
    loops = leaf.loops()
    return Standing(tuple(loop.key.node for loop in loops), tuple(loop.fact.pass_ for loop in loops))


def _brief(error: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says of an error: enough to read a log by; the whole of it stands with the attempt."""
    message = str(error.get("message", ""))
    return {"code": error.get("code"), "message": message if len(message) <= 300 else message[:299] + "…"}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _nowhere(*_: object) -> None:
    raise BugError("the drive is not connected")


__all__ = ["UPSTREAM", "Drive", "Ended", "Terms", "rule_of", "stalled", "timed_out"]
