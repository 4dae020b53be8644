"""One run, frame by frame: apply what came in → render if stale → decide → what to store.

A `Drive` is used from the engine's thread only. It never touches the database, a thread or a clock: it is
given messages and the time, and returns the frame to commit; after the commit it says what to start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, assert_never

from smithers.context import Context, View
from smithers.errors import BugError, InvalidNode, MissingOutput, SmithersError
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.plan import PlanNode
from smithers.ports import Agent
from smithers.records import (
    AttemptRow,
    AttemptStart,
    EventType,
    FrameWrite,
    HeartbeatRow,
    InboxKind,
    InboxRow,
    OutputRef,
    RunChange,
    RunState,
    StoredRun,
    Wakeup,
)
from smithers.scheduler import Blocked, Cancel, Deadlock, Execute, Fail, Finish, Judge, Settled, Skip, Wait
from smithers.scheduler.retry import rung
from smithers.scheduler.vertex import Leaf

from .definition import Definition
from .draft import Draft, brief, dump
from .encode import encode_output
from .failure import author_place, classify, describe
from .fingerprint import fingerprint
from .job import Done, Failed, Job, Outcome
from .memory import Memory
from .planning import Planning, standing_of
from .settling import Settling

FRAME_EVENTS = 2_000
"""A frame with more than this is stored before anything further is decided."""

NOTHING_MOUNTED = "no task was mounted, so nothing was done; does the workflow function `return` its tree?"


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


@dataclass(frozen=True, slots=True)
class Wires:
    """How an attempt reaches the engine, from any thread."""

    report: Callable[[Job, Outcome], None]
    beat: Callable[[Job, str | None], None]


class Drive:
    """Drives one run under one fence."""

    def __init__(
        self, definition: Definition, memory: Memory, terms: Terms, random: Random, wires: Wires
    ) -> None:
        self.definition = definition
        self.memory = memory
        self.terms = terms
        self.run = 0
        self.fence = 0
        self.to_start: list[Job] = []
        """Attempts that the last frame began: to be dispatched once it is stored."""
        self.to_cancel: list[Job] = []
        self.ended: Ended | None = None
        """Set by the frame that gives the run up."""
        self.wants_more = False
        """There is more to decide, once what has been decided is stored."""
        self.doubts = 0
        """How many frames in a row came to nothing, and were rebuilt from rows."""
        self._random = random
        self._wires = wires
        self._ctx: Context[Any] = Context(memory)
        self._planning = Planning(definition, self._ctx, memory, terms.limit)
        self._settling = Settling(memory, self._planning, random)
        self._stop: RunState | None = None
        """Set by pause or cancel: nothing new starts."""
        self._failure: SmithersError | None = None
        self._cut_off: list[AttemptRow] = []
        self._superseded: list[InboxRow] = []
        """Messages that nobody took while nobody drove the run; whoever resumes it wants it to go on."""
        self._mail: list[InboxRow] = []
        """Messages that the next frame notes as taken."""
        self._mail_seen: set[int] = set()
        self._is_first = True
        """No frame of this owner is stored yet: a mistake in the file is refused, and changes nothing."""
        self._first_event = EventType.RUN_STARTED

    @property
    def jobs(self) -> dict[NodeKey, Job]:
        """Attempts in flight, by node."""
        return self._settling.jobs

    # --- Beginning ------------------------------------------------------------------------------

    def restore(self, stored: StoredRun) -> None:
        """Take over a stored run: what is stored as running was cut off."""
        self.run, self.fence = stored.run.id, stored.run.fence
        self._cut_off = self.memory.restore(stored, set())
        self._planning.restore(stored.mounts)
        self._first_event = EventType.RUN_RESUMED
        self._superseded = list(stored.inbox)
        self._planning.reopens = stored.run.state in (RunState.FAILED, RunState.CANCELLED, RunState.PARTIAL)

    def rebuilt(self, stored: StoredRun, in_flight: Iterable[Job]) -> Drive:
        """This run from its rows, in place of a memory that cannot be trusted any more.

        Args:
            in_flight: attempts that the rows show as running, and that run, or are about to, in this process.
        """
        memory = Memory(self.memory.name, stored.run.input, self.definition.input_model)
        fresh = Drive(self.definition, memory, self.terms, self._random, self._wires)
        fresh.run, fresh.fence = stored.run.id, stored.run.fence
        fresh._stop, fresh._is_first = self._stop, False
        fresh.doubts = self.doubts + 1
        # Authors' closures hold this ctx: it must read the new memory from now on.
        fresh._ctx = self._ctx
        fresh._ctx.rebind(memory)
        fresh._planning = Planning(self.definition, self._ctx, memory, self.terms.limit)
        fresh._settling = Settling(memory, fresh._planning, self._random)
        jobs = {job.key: job for job in in_flight}
        fresh._cut_off = memory.restore(stored, set(jobs))
        fresh._planning.restore(stored.mounts)
        fresh._settling.jobs.update(jobs)
        fresh._settling.lingering.update(self._settling.lingering)
        for job in jobs.values():
            job.view.state = memory
        fresh.to_start = [job for job in self.to_start if jobs.get(job.key) is job]
        fresh.to_cancel = [job for job in self.to_cancel if jobs.get(job.key) is job]
        return fresh

    def preview(self) -> PlanNode:
        """Render and plan the first frame, and run nothing."""
        self._planning.refresh(Draft(self.memory, 0, 0, 0))
        return self._planning.schedule.tree

    # --- One frame ------------------------------------------------------------------------------

    def step(self, settled: Iterable[tuple[Job, Outcome]], now_ms: int) -> FrameWrite | None:
        """Everything that can be done now, as one frame; None: nothing changed.

        Args:
            settled: attempts that ended, in the order they came.
            now_ms: wall clock.
        Raises:
            SmithersError: the first frame is refused; nothing has changed.
        """
        draft = Draft(self.memory, self.run, self.fence, now_ms)
        try:
            self._begin(draft)
            for job, outcome in settled:
                self._settling.apply(draft, job, outcome, is_stopping=self._is_stopping)
            self._advance(draft)
        except SmithersError as error:
            if self._is_first:
                raise
            self._fail_with(error)
        if self._is_stopping and not self.jobs and self.ended is None:
            self._end(draft, self._stop or RunState.FAILED, None if self._stop else self._failure)
        self._planning.write_tree(draft)
        if not draft.write.used:
            return None
        self.memory.seq = draft.seq
        self.memory.frame += 1
        self._is_first = False
        return draft.write

    def _begin(self, draft: Draft) -> None:
        """What stands at the head of a frame: the run's own first event, lost attempts, mail."""
        if self._is_first:
            draft.event(self._first_event)
            if self._first_event is EventType.RUN_RESUMED:
                draft.write.run_change = RunChange(RunState.RUNNING)
        for row in self._cut_off:
            self._settling.lose(draft, row)
        self._cut_off = []
        for message in self._superseded:
            self._mail_seen.add(message.id)
            draft.write.inbox_taken.append(message.id)
            draft.event(EventType.CANCEL_REQUESTED, None, 0, {**_told(message), "superseded": True})
        self._superseded = []
        for message in self._mail:
            draft.write.inbox_taken.append(message.id)
            draft.event(EventType.CANCEL_REQUESTED, None, 0, _told(message))
        self._mail = []

    def _advance(self, draft: Draft) -> None:
        """Decide until there is nothing left to decide now."""
        planning = self._planning
        self.wants_more = False
        while not self._is_stopping:
            if draft.write.used > FRAME_EVENTS:
                # Static values in an endless loop settle for ever: others must have their turn, and so must
                # a message that stops it.
                self.wants_more = True
                return
            planning.refresh(draft)
            decision = planning.schedule.decide(draft.now_ms)
            match decision:
                case Execute(starts):
                    for key in starts:
                        self._start(draft, key)
                case Skip(skipped):
                    for key, reason in skipped:
                        planning.skip(draft, key, reason)
                case Cancel(keys):
                    self.to_cancel.extend(self.jobs[key] for key in keys if key in self.jobs)
                case Judge(loops):
                    planning.judge(draft, loops)
                case Wait():
                    planning.warn_missing(draft)
                    return
                case Finish(is_partial):
                    if not self.memory.facts.nodes:
                        draft.event(EventType.RUN_WARNING, None, 0, {"message": NOTHING_MOUNTED})
                    self._end(draft, RunState.PARTIAL if is_partial else RunState.FINISHED)
                    return
                case Fail(cause):
                    self._failure = planning.cause(cause)
                case Deadlock():
                    raise planning.deadlock(decision)
                case _:
                    assert_never(decision)

    # --- Starting -------------------------------------------------------------------------------

    def _start(self, draft: Draft, key: NodeKey) -> None:
        """Begin an attempt, or settle at once what needs none."""
        leaf = self._planning.schedule.leaf(key)
        if leaf is None:
            raise BugError(f"{key} is not mounted")
        abandoned = self._settling.lingering.pop(key, None)
        if abandoned is not None:
            self._settling.refuse_second(draft, abandoned)
            return
        task: Task[Any] = leaf.plan.payload
        view = View(self.memory, standing_of(leaf), draft.seq)
        if task.skip_if is not False and self._skip_asked(draft, leaf, task, view):
            return
        job = self._begin_attempt(draft, key, task, view)
        if task.mode == "value" and not callable(task.value):
            outcome = self._static(job)
            self._settling.apply(draft, job, outcome, is_stopping=False)
        else:
            self.to_start.append(job)

    def _begin_attempt(self, draft: Draft, key: NodeKey, task: Task[Any], view: View) -> Job:
        memory = self.memory
        log = memory.log(key)
        log.last += 1
        if log.failures:
            draft.write.woken.append(Wakeup(key, "retry", 0))
        agents = self.terms.agents(task) if task.mode == "agent" else ()
        chain = agents[rung(log.failures, len(agents)) :] if agents else ()
        model = task.model if task.model is not None else self.definition.outputs.get(task.model_name)
        generation = memory.generations.get(key, 0)
        draft.write.started.append(
            AttemptStart(
                key,
                generation,
                log.last,
                draft.seq,
                draft.now_ms,
                chain[0].name if chain else None,
                fingerprint(task, agents, model),
            )
        )
        draft.event(EventType.NODE_STARTED, key, log.last)
        job = Job(
            run=self.run,
            fence=self.fence,
            task=task,
            model=model,
            key=key,
            generation=generation,
            attempt=log.last,
            view=view,
            ctx=self._ctx,
            chain=chain,
            last_heartbeat=log.heartbeat,
            base=self.definition.base,
            project=self.terms.project,
            report=self._wires.report,
            beat=self._wires.beat,
        )
        self.jobs[key] = job
        return job

    def _skip_asked(self, draft: Draft, leaf: Leaf, task: Task[Any], view: View) -> bool:
        """Whether `skip_if` settled the task, or made it wait."""
        key, asked = leaf.key, task.skip_if
        try:
            skips = asked if isinstance(asked, bool) else self._planning.holds(asked, view)
        except MissingOutput as error:
            target = str(error.details.get("node"))
            draft.event(EventType.NODE_BLOCKED, key, 0, {"waits_for": target})
            self._planning.settle(key, Blocked(target))
            return True
        if skips:
            self._planning.skip(draft, key, "skip_if")
            self._planning.settle(key, Settled.SKIPPED)
        return skips

    def _static(self, job: Job) -> Outcome:
        try:
            return Done(encode_output(job.task, job.model, job.task.value))
        except BaseException as error:  # noqa: BLE001 - a model's own validators are the author's code
            if self._is_first and isinstance(error, SmithersError):
                # Known before anything ran: a mistake in the file, not a failure of the run.
                raise InvalidNode(
                    error.message, hint=error.hint, place=error.place, **error.details
                ) from None
            return Failed(classify(error), describe(error))

    def note_beat(self, job: Job) -> HeartbeatRow | None:
        """The row of an attempt's newest heartbeat data; None: it does not run any more."""
        if self.jobs.get(job.key) is not job or job.pending_beat is None:
            return None
        self.memory.log(job.key).heartbeat = json.loads(job.pending_beat)
        return HeartbeatRow(job.key, job.generation, job.attempt, job.pending_beat)

    # --- Ending ---------------------------------------------------------------------------------

    @property
    def _is_stopping(self) -> bool:
        return self._stop is not None or self._failure is not None

    def stop(self, state: RunState) -> None:
        """Pause or cancel: nothing new starts, attempts in flight end and do not count."""
        if self._stop is None or state is RunState.CANCELLED:
            self._stop = state
            self.to_cancel.extend(self.jobs.values())

    def take(self, message: InboxRow) -> None:
        """Obey an outsider's message; the next frame notes that it was taken."""
        if message.id not in self._mail_seen:
            self._mail_seen.add(message.id)
            self._mail.append(message)
            self.stop(RunState.CANCELLED if message.kind is InboxKind.CANCEL else RunState.PAUSED)

    def next_due_ms(self) -> int | None:
        """Wall clock of the earliest back-off's end."""
        schedule = self.memory.schedule
        return None if schedule is None or self._is_stopping else schedule.next_due()

    def _fail_with(self, error: SmithersError) -> None:
        """End the run once what is in flight has ended by itself."""
        if error.place is None:
            error.place = author_place(error)
        self._failure = self._failure or error

    def _end(self, draft: Draft, state: RunState, error: SmithersError | None = None) -> None:
        payload = error.payload() if error is not None else None
        draft.event(_ENDS[state], None, 0, brief(payload) if payload else None)
        output = self.own_output() if state in (RunState.FINISHED, RunState.PARTIAL) else None
        draft.write.run_change = RunChange(state, dump(payload) if payload else None, output, release=True)
        self.ended = Ended(state, payload)

    def own_output(self) -> OutputRef | None:
        """The row that is the run's own output, if there is one."""
        wanted = self.definition.output_model
        if wanted is not None:
            return self.memory.outputs_by_model.get(wanted)
        return self.memory.newest_output


def _told(message: InboxRow) -> dict[str, Any]:
    return {"kind": message.kind.name.lower(), "by": message.by}


_ENDS = {
    RunState.FINISHED: EventType.RUN_FINISHED,
    RunState.PARTIAL: EventType.RUN_PARTIAL,
    RunState.FAILED: EventType.RUN_FAILED,
    RunState.CANCELLED: EventType.RUN_CANCELLED,
    RunState.PAUSED: EventType.RUN_PAUSED,
}
