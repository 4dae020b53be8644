"""One run, frame by frame: apply what came in → render if stale → decide → what to store.

A `Drive` is used from the engine's thread only. It never touches the database, a thread or a clock: it is
given messages and the time, and returns the frame to commit; after the commit it says what to start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, assert_never

from smithers.context import Context, model_of
from smithers.errors import (
    BudgetExceeded,
    LastPartsOwed,
    RowsRefused,
    SmithersError,
    TableUnfit,
)
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.plan import PlanNode
from smithers.records import (
    IN_PART,
    AttemptRow,
    BlockMove,
    EventType,
    FailureClass,
    FrameWrite,
    HeartbeatRow,
    InboxKind,
    InboxRow,
    KeptChild,
    NodeState,
    OutputRef,
    RunChange,
    RunState,
    StoredRun,
    Wakeup,
)
from smithers.scheduler import (
    Cancel,
    Deadlock,
    Due,
    Enter,
    Execute,
    Fail,
    Finish,
    Judge,
    Settled,
    Skip,
    Stop,
    Wait,
)
from smithers.scheduler.vertex import Leaf

from .budgets import Budgets
from .cancelling import Cancelling
from .continuation import carried_by
from .definition import Definition
from .draft import Draft, brief, dump
from .end_notice import tell_end
from .failure import author_place
from .fingerprint import fingerprint
from .job import Job, Outcome
from .mail import Mail
from .memory import Memory
from .planning import Planning
from .pure import Twice
from .rechecking import Rechecking, pending_rerun
from .scope import SCRIPT_KEY
from .scripting import Scripting
from .settling import Settling
from .starting import Starting
from .terms import Ended, Terms, Wires
from .waits import Waits

if TYPE_CHECKING:
    from .author import Author
    from .script_player import ScriptPlayer

FRAME_EVENTS = 2_000
"""A frame with more than this is stored before anything further is decided."""

LINGER_MS = 3_600_000
"""How long a run is kept that waits for people or messages, for the sake of a deadline."""
NOTHING_MOUNTED = "no task was mounted, so nothing was done; does the workflow function `return` its tree?"


class Drive:
    """Drives one run under one fence."""

    def __init__(
        self,
        definition: Definition,
        memory: Memory,
        terms: Terms,
        random: Random,
        wires: Wires,
        ctx: Context[Any] | None = None,
        scripting: Scripting | None = None,
    ) -> None:
        self.definition = definition
        self.memory = memory
        memory.workflow, memory.named_outputs = definition.name, definition.outputs
        self.terms = terms
        self.to_start: list[Job] = []
        """Attempts that the last frame began: to be dispatched once it is stored."""
        self.to_cancel: list[Job] = []
        self.ended: Ended | None = None
        """Set by the frame that gives the run up."""
        self._stored_as = RunState.RUNNING
        """How the run stands by the rows that this was rebuilt from: people have been told of that."""
        self.wants_more = False
        """There is more to decide, once what has been decided is stored."""
        self.doubts = 0
        """How many frames in a row came to nothing, and were rebuilt from rows."""
        self._random = random
        self._wires = wires
        self._ctx: Context[Any] = Context(memory) if ctx is None else ctx
        self._planning = Planning(definition, self._ctx, memory, terms.limit, terms.find_table)
        if terms.strict:
            self._planning.renderer.twice = Twice(definition, terms)
        self._settling = Settling(memory, self._planning, random)
        self._starting = Starting(definition, terms, wires, memory, self._planning, self._settling, self._ctx)
        self._waits = Waits(
            definition,
            memory,
            self._planning,
            self._settling,
            self._starting,
            wires.wall,
            is_rehearsal=bool(terms.config.get("rehearse")),
        )
        self._cancelling = Cancelling(memory, self._planning)
        self._scripting = scripting
        self._rechecking: Rechecking | None = None
        if definition.is_script:
            self._plan_script()
        self._stop: RunState | None = None
        """Set by pause or cancel: nothing new starts."""
        self._is_draining = False
        """Nothing new starts; what runs ends by itself, and then the run is paused, unless that ended it."""
        self._idle_ms: int | None = None
        """Since when the run only waits for a time."""
        self._failure: SmithersError | None = None
        self._cut_off: list[AttemptRow] = []
        self._mail = Mail()
        self._notes: list[tuple[EventType, Mapping[str, Any]]] = []
        """What is to be said beside what happens in the run; the next frame tells it."""
        self._telling: list[tuple[EventType, Mapping[str, Any]]] = []
        """What the last frame told, in case it came to nothing."""
        self._first_event = EventType.RUN_STARTED
        self._rerun: tuple[NodeKey, ...] = ()
        """What of a script is executed again because somebody asked for it."""
        self._reopened: list[tuple[NodeKey, int]] = []
        """Settled work that this resume does again, and its new generations; the first frame tells of it."""
        self._kept: list[KeptChild] = []
        """Runs that such work goes on with; the first frame stores it."""
        self._begun: list[tuple[Job, str]] = []
        """Attempts whose own runs have begun, and their names; the next frame tells of it."""
        self.looks_at_limits = False
        """What is known of accounts has changed since its last frame."""
        self.is_stopped_now = False
        """It was asked to end without its last parts."""

    def _plan_script(self) -> None:
        """The script is what the run's tree is made of; a drive that is rebuilt goes on with the same one."""
        planning = self._planning

        def plan() -> PlanNode:
            # Not before the first render: what was stored of the run is known by then.
            if self._scripting is None:
                self._scripting = Scripting(
                    self.definition,
                    self._ctx,
                    self.memory,
                    planning,
                    self._wires.clock,
                    self._random,
                    lambda: self._wires.moved(self.run),
                )
                self._scripting.reopens = planning.reopens
                self._scripting.rechecking = self._rechecking
                self._scripting.only_stored = self._cancelling.is_gathering
            return self._scripting.plan()

        planning.renderer.script = plan
        planning.is_whole = lambda: self._scripting is None or not self._scripting.goes_on

    @property
    def run(self) -> int:
        """Its number; 0 until its first frame is stored."""
        return self._starting.run

    @property
    def fence(self) -> int:
        return self._starting.fence

    def begin_under(self, run: int, fence: int) -> None:
        """From here on it is this run, under this fence; so are the attempts that have begun."""
        self._starting.run, self._starting.fence = run, fence
        for job in (*self.jobs.values(), *self.to_start):
            job.run, job.fence = run, fence

    @property
    def jobs(self) -> dict[NodeKey, Job]:
        """Attempts in flight, by node."""
        return self._settling.jobs

    # --- Beginning ------------------------------------------------------------------------------

    def restore(
        self,
        stored: StoredRun,
        again: Iterable[NodeKey] = (),
        marks: Mapping[NodeKey, bytes] | None = None,
        afresh: Collection[NodeKey] = (),
    ) -> None:
        """Take over a stored run: what is stored as running was cut off.

        Args:
            again: settled nodes that are to be executed again.
            marks: as in `ResumePlan`.
            afresh: those among them that do not go on with the run that they had.
        """
        self.begin_under(stored.run.id, stored.run.fence)
        self._cut_off = self.memory.restore(stored, set())
        self._starting.budgets.restore(stored.budgets, stored.spent_by_children)
        self._planning.restore(stored.mounts)
        self._first_event = EventType.RUN_RESUMED
        again = tuple(again)
        for key in again:
            self._reopened.append((key, self.memory.reopen(key)))
            if key not in afresh and (kept := self.memory.keep_child(key)) is not None:
                self._kept.append(kept)
        self.memory.asked.update(again)
        self._open_script(stored)
        self._rerun = again if self.definition.is_script else ()
        self._rechecking = Rechecking(marks or {}, (*self._rerun, *pending_rerun(stored)), self._mark_now)
        self._cancelling.restore(stored)
        # A cancel that its owner died over: last parts go on, or begin, and the run ends by them.
        if self._cancelling.had_begun(stored, is_script=self.definition.is_script):
            self._cancelling.ask()
        for message in self._mail.sort(stored, owes=self._cancelling.owes):
            self.take(message)
        self._take_word(stored)
        self._planning.reopens = not self._cancelling.is_asked and stored.run.state in (
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.PARTIAL,
        )

    def _take_word(self, stored: StoredRun) -> None:
        """What people and messages have said to the run's waits, and nobody has heard yet."""
        for message in stored.inbox:
            if not message.kind.is_order:
                self._waits.take(message)

    def _mark_now(self, task: Task[Any]) -> bytes | None:
        agents = self.terms.agents(task) if task.mode == "agent" else ()
        return fingerprint(task, agents, model_of(task, self.definition.outputs))

    def _open_script(self, stored: StoredRun) -> None:
        """A script has no state of its own: unless its value is all that was missing, it runs again."""
        fact = self.memory.facts.nodes.get(SCRIPT_KEY)
        is_done = fact is Settled.FINISHED and not stored.run.state.has_ended
        if self.definition.is_script and fact is not None and not is_done:
            self._reopened.append((SCRIPT_KEY, self.memory.reopen(SCRIPT_KEY)))

    def rebuilt(self, stored: StoredRun, in_flight: Iterable[Job]) -> Drive:
        """This run from its rows, in place of a memory that cannot be trusted any more.

        Args:
            in_flight: attempts that the rows show as running, and that run, or are about to, in this process.
        """
        memory = Memory(self.memory.name, stored.run.input, self.definition.input_model)
        # Authors' closures hold this ctx: it must read the new memory from now on.
        self._ctx.rebind(memory)
        fresh = Drive(
            self.definition, memory, self.terms, self._random, self._wires, self._ctx, self._scripting
        )
        self._hand_over(fresh, stored, in_flight)
        if self._scripting is not None:
            self._scripting.moved_to(memory, fresh._planning)
        fresh.doubts = self.doubts + 1
        fresh._notes = [*self._telling, *self._notes]
        for job in fresh.jobs.values():
            if job.view.state is self.memory:  # not one that goes on under code from before a swap
                job.view.state = memory
        return fresh

    def under(self, definition: Definition, stored: StoredRun, in_flight: Iterable[Job]) -> Drive:
        """This run from its rows, under another definition of its workflow; this one is left as it is.

        Attempts in flight keep what they began with: their code, its `ctx`, and the state that this reads.
        """
        memory = Memory(self.memory.name, stored.run.input, definition.input_model)
        fresh = Drive(definition, memory, self.terms, self._random, self._wires)
        self._hand_over(fresh, stored, in_flight)
        fresh.doubts = self.doubts
        fresh._notes = list(self._notes)
        return fresh

    def _hand_over(self, fresh: Drive, stored: StoredRun, in_flight: Iterable[Job]) -> None:
        """Give what no row holds to a drive of the same run, and the rows."""
        fresh._stop = self._stop
        fresh._stored_as = stored.run.state
        fresh._is_draining, fresh._idle_ms = self._is_draining, self._idle_ms
        fresh._planning.is_cancelled = self._planning.is_cancelled
        fresh.is_stopped_now = self.is_stopped_now
        fresh.begin_under(stored.run.id, stored.run.fence)
        fresh._starting.is_first = False
        fresh._starting.out = self._starting.out
        jobs = {job.key: job for job in in_flight}
        fresh._cut_off = fresh.memory.restore(stored, set(jobs))
        fresh._starting.budgets.restore(stored.budgets, stored.spent_by_children)
        fresh._starting.budgets.take_over(self._starting.budgets, jobs.values())
        fresh.memory.was_cancelled = self.memory.was_cancelled
        for key, child in self.memory.parked.items():
            if key not in fresh.memory.facts.nodes:
                fresh.memory.park(key, child)
        for key, child in self.memory.awaited.items():
            if key not in fresh.memory.facts.nodes:
                fact = self.memory.facts.nodes.get(key)
                fresh.memory.await_run(key, child)
                if isinstance(fact, Due):
                    fresh.memory.facts.nodes[key] = fact  # it has a deadline of its own
        fresh._take_word(stored)
        fresh._planning.restore(stored.mounts)
        fresh._cancelling.take_over(self._cancelling, stored)
        fresh._settling.jobs.update(jobs)
        fresh._settling.lingering.update(self._settling.lingering)
        fresh._settling.refused.update(self._settling.refused)
        fresh._settling.returned.update(self._settling.returned)
        fresh.to_start = [job for job in self.to_start if jobs.get(job.key) is job]
        fresh.to_cancel = [job for job in self.to_cancel if jobs.get(job.key) is job]

    def preview(self, player: ScriptPlayer) -> PlanNode:
        """Render and plan the first frame, and run nothing."""
        draft = Draft(self.memory, 0, 0, 0)
        self._planning.refresh(draft)
        if self._scripting is not None:
            player.play(draft, self._planning, self._scripting, lambda: None)
        return self._planning.schedule.tree

    def foresee(self, now_ms: int, player: ScriptPlayer, met: Callable[[Planning], None]) -> Planning:
        """What the first frame plans from, without deciding anything. The drive is of no other use then.

        Args:
            met: called whenever a script has changed the tree.
        Raises:
            SmithersError: the first frame is refused.
        """
        draft = Draft(self.memory, self.run, self.fence, now_ms)
        self._begin(draft)
        self._planning.refresh(draft)
        if self._scripting is not None:
            player.play(draft, self._planning, self._scripting, lambda: met(self._planning))
        return self._planning

    @property
    def _may_grow(self) -> bool:
        """Whether a script goes on by itself: what it has not come to yet may still be mounted."""
        return self._scripting is not None and self._scripting.is_live

    @property
    def script_goes_on(self) -> bool:
        """Whether there is a script, and it has not ended."""
        return self._scripting is not None and self._scripting.goes_on

    # --- One frame ------------------------------------------------------------------------------

    def step(self, settled: Iterable[tuple[Job, Outcome]], now_ms: int) -> FrameWrite | None:
        """Everything that can be done now, as one frame; None: nothing changed.

        Args:
            settled: attempts that ended, in the order they came.
            now_ms: wall clock.
        Raises:
            SmithersError: the first frame is refused; nothing has changed.
        """
        draft = Draft(self.memory, self.run, self.fence, now_ms, self.terms.notices)
        try:
            self._begin(draft)
            for job, outcome in settled:
                self._settling.apply(draft, job, outcome, is_stopping=self._is_stopping)
            self._advance(draft)
        except LastPartsOwed:
            raise  # nobody can say that the run has failed, or has ended: it is left as it is
        except SmithersError as error:
            if self._starting.is_first:
                raise
            self._fail_with(error)
        if self._is_stopping and not self.jobs and self.ended is None:
            self._end(draft, self._stop or RunState.FAILED, None if self._stop else self._failure)
        has_ended = self.ended is not None and self.ended.state.has_ended
        self._waits.withdraw(draft, has_ended=has_ended, may_grow=self._may_grow)
        if self.ended is not None:
            self._waits.tell(draft)
            self._mail.close(draft, has_ended=self.ended.state.has_ended)
        self._planning.write_blocks(draft)
        if not draft.write.used:
            return None
        self._planning.write_tree(draft)
        self.memory.seq = draft.seq
        self.memory.frame += 1
        self._starting.is_first = False
        return draft.write

    def _begin(self, draft: Draft) -> None:
        """What stands at the head of a frame: the run's own first event, lost attempts, mail."""
        if self._starting.is_first:
            draft.event(self._first_event)
            if self._first_event is EventType.RUN_RESUMED:
                draft.write.run_change = RunChange(RunState.RUNNING)
        for key, generation in self._reopened:
            draft.event(EventType.NODE_REOPENED, key, 0, {"generation": generation, "asked": True})
        if self._rerun:
            # Stored: whoever goes on with it after a crash has to know what it was about.
            draft.write.blocks.append(BlockMove(SCRIPT_KEY, None, 0, again=self._rerun))
        self._reopened, self._rerun = [], ()
        draft.write.children.extend(self._kept)
        self._kept = []
        for job, name in self._begun:
            draft.event(EventType.CHILD_STARTED, job.key, job.attempt, {"run": name})
        self._begun = []
        self._telling, self._notes = self._notes, []
        for kind, data in self._telling:
            draft.event(kind, None, 0, data)
        for row in self._cut_off:
            self._settling.lose(draft, row)
        self._cut_off = []
        self._mail.tell(draft)

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
            if self.looks_at_limits:
                self.looks_at_limits = False
                self._starting.look_at_limits(draft)
            if self._scripting is not None:
                self._scripting.step(draft)
            self._waits.look(draft)
            planning.refresh(draft)  # what waits have come to may change the tree: a run must not rest before
            self._cancelling.look(draft.now_ms, self._scripting)
            decision = planning.schedule.decide(
                draft.now_ms,
                may_start=not self._is_draining and not self._cancelling.is_gathering,
                may_grow=self._may_grow,
            )
            planning.write_blocks(draft)
            match decision:
                case Execute(starts):
                    for key in starts:
                        if (job := self._starting.start(draft, key)) is not None:
                            self.to_start.append(job)
                case Enter(keys):
                    for key in keys:
                        self._waits.enter(draft, key)
                case Skip(skipped):
                    for key, reason in skipped:
                        planning.skip(draft, key, reason)
                case Cancel(keys):
                    self.to_cancel.extend(self.jobs[key] for key in keys if key in self.jobs)
                case Judge(loops):
                    planning.judge(draft, loops)
                case Wait(due_ms, _, has_open):
                    if self._scripting is not None and self._scripting.look(draft):
                        continue  # a block has ended just now
                    planning.warn_missing(draft)
                    self._rest(draft, due_ms, has_open=has_open)
                    return
                case Finish(is_partial):
                    if not self.memory.facts.nodes:
                        draft.event(EventType.RUN_WARNING, None, 0, {"message": NOTHING_MOUNTED})
                    is_partial = is_partial or self._has_part()
                    self._end(draft, RunState.PARTIAL if is_partial else RunState.FINISHED)
                    return
                case Fail(cause):
                    self._failure = planning.cause(cause)
                case Stop():
                    self._end(draft, RunState.CANCELLED)
                    return
                case Deadlock() if self.memory.held:
                    budgets = ", ".join(sorted(set(self.memory.held.values())))
                    self._end(draft, RunState.PAUSED, BudgetExceeded(f"used up: {budgets}"))
                    return
                case Deadlock() if self.memory.awaited:
                    self._rest(draft, None, has_open=True)
                    return
                case Deadlock() if self.memory.parked:
                    # A run of a node was paused by itself: so is this one, and its resume resumes both.
                    why = "; ".join(sorted(set(self.memory.parked_why.values())))
                    self._end(draft, RunState.PAUSED, BudgetExceeded(why) if why else None)
                    return
                case Deadlock(blocked) if (leaf := self._last_leaf(blocked)) is not None:
                    self._go_on(draft, leaf)
                    return
                case Deadlock():
                    raise planning.deadlock(decision)
                case _:
                    assert_never(decision)

    def _rest(self, draft: Draft, due_ms: int | None, *, has_open: bool) -> None:
        """Nothing is left to decide now: the run waits for what runs, waits for a time, or leaves."""
        if self.jobs:
            self._idle_ms = None
            return
        if self._is_draining:
            self._end(draft, RunState.PAUSED)
            return
        if self._starting.waits_for_place(due_ms, draft.now_ms):
            # That is no wait for a time: it ends when another run gives a place back, which wakes nobody.
            self._idle_ms = None
            return
        if self._idle_ms is None:
            self._idle_ms = draft.now_ms
        if self._may_grow or self.terms.stays:
            return
        linger_ms = self.terms.linger_ms
        if linger_ms is None and has_open:
            linger_ms = LINGER_MS
        dues = [at_ms for at_ms in (due_ms, self._waits.next_due_ms(draft.now_ms)) if at_ms is not None]
        is_far = linger_ms is not None and bool(dues) and min(dues) > self._idle_ms + linger_ms
        if is_far or (has_open and not dues):
            self._park(draft, min(dues, default=None))

    def _park(self, draft: Draft, due_ms: int | None) -> None:
        """Leave a run that only waits. Its waits and deadlines are stored: whoever resumes it goes on."""
        facts = self.memory.facts.nodes.items()
        waits = [Wakeup(key, self._kind_of(key), fact.at_ms) for key, fact in facts if isinstance(fact, Due)]
        waits += self._waits.deadlines()
        data: dict[str, Any] = (
            {"tasks": len(waits)} if due_ms is None else {"due_ms": due_ms, "tasks": len(waits)}
        )
        self._end(draft, RunState.WAITING, data=data)
        deadlines = tuple(sorted(waits, key=lambda one: one.due_ms))
        self.ended = Ended(RunState.WAITING, None, None, deadlines, due_ms)

    def go_on(self, author: Author) -> None:
        """What was decided is stored: the script, if there is one, goes on."""
        if self._scripting is not None and self.ended is None and not self._is_stopping:
            self._scripting.carry_out(author)

    def leave(self) -> None:
        """The run has left this process."""
        if self._scripting is not None:
            self._scripting.close(drops=self.terms.is_leaving)

    def step_aside(self) -> None:
        """Another drive goes on in this process: by code of its own, or with the run that this one became."""
        if self._scripting is not None:
            self._scripting.close(drops=False)  # dropped, it would go on with whatever else it waits for

    def _kind_of(self, key: NodeKey) -> str:
        """What a node that waits for a time waits for: a retry, or what its own run waits for."""
        failures = self.memory.log(key).failures
        if self.memory.has_child(key) and not failures:
            return "child"
        is_quota = key in self.memory.limited or (failures and failures[-1].failure is FailureClass.QUOTA)
        return "quota" if is_quota else "retry"

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

    @property
    def is_leaving(self) -> bool:
        """The run ends, or pauses: nothing is rendered for its sake any more."""
        schedule = self.memory.schedule
        is_unwinding = self._cancelling.is_asked or (schedule is not None and schedule.is_unwinding)
        return is_unwinding or self._is_stopping or self._is_draining or self.ended is not None

    @property
    def failure(self) -> SmithersError | None:
        """Why the run fails, or will once what runs has ended."""
        schedule = self.memory.schedule
        cause = schedule.failed_by if schedule is not None else None
        return self._failure or (self._planning.cause(cause) if cause is not None else None)

    def stop(self, state: RunState) -> None:
        """Pause or cancel: nothing new starts, attempts in flight are cut off and do not count."""
        if self._stop is None or state is RunState.CANCELLED:
            self._stop = state
            self.to_cancel.extend(self.jobs.values())

    @property
    def stopping(self) -> RunState | None:
        """What it is asked to become: paused or cancelled; None: neither."""
        return self._stop

    @property
    def is_draining(self) -> bool:
        """It is to be paused when what runs has ended."""
        return self._is_draining

    def drain(self) -> None:
        """Let nothing new start: the run is paused when what runs has ended by itself."""
        self._is_draining = True

    def cancel(self) -> None:
        """End the run, after its last parts if any have begun."""
        if self._cancelling.has_last_parts and not self._is_stopping:
            self._is_draining = False
            self._cancelling.ask()
        else:
            self.stop(RunState.CANCELLED)

    def note_child(self, job: Job, run: int, name: str) -> None:
        """An attempt's own run has begun, and is stored."""
        self.memory.children[job.key, job.generation] = run
        self._begun.append((job, name))

    def _has_part(self) -> bool:
        """Whether a mounted node's own run has tolerated a failure."""
        vertex = self._planning.schedule.vertex
        return any(why == IN_PART and vertex(key.node) for key, why in self.memory.reasons.items())

    def take(self, message: InboxRow) -> None:
        """Obey an outsider's message; the next frame tells of it."""
        if not message.kind.is_order:
            self._waits.take(message)
            return
        order = self._mail.open(message)
        if order is None:
            return
        if order.kind is InboxKind.CANCEL and not order.is_now:
            self.cancel()
        elif order.kind is InboxKind.CANCEL or order.is_now:
            self.is_stopped_now = order.is_now
            self.stop(order.state)
        else:
            self.drain()

    def note(self, notes: Sequence[str]) -> bool:
        """Have the next frame tell what the store had to say; False: there will be none."""
        for text in notes:
            self.tell(EventType.RUN_WARNING, {"message": text})
        return self.ended is None

    def tell(self, kind: EventType, data: Mapping[str, Any]) -> None:
        """Have the next frame tell this of the run."""
        self._notes.append((kind, data))

    def refuse(self, frame: FrameWrite, error: RowsRefused) -> None:
        """Tables of the user's did not take outputs of this frame: those attempts have failed."""
        self.doubts = 0  # the store has answered, and gives each attempt one such answer
        for end in frame.ended:
            if end.key in error.refused:
                self._settling.refused[end.key, end.attempt] = error.refused[end.key]

    def unfit(self, error: RowsRefused) -> TableUnfit:
        """The same of a first frame's static values: a mistake in the file, and nothing has run."""
        leaves = (self._planning.schedule.leaf(NodeKey(*key)) for key in error.refused)
        place = next((leaf.plan.place for leaf in leaves if leaf is not None), None)
        return TableUnfit(error.message, hint=error.hint, place=place)

    def look_at_times(self) -> None:
        """The wall clock was set: look again at what its runs wait for."""
        self._waits.wake_children()

    def next_due_ms(self) -> int | None:
        """Wall clock of the earliest back-off's end."""
        if self._cancelling.due_ms is not None:
            return self._cancelling.due_ms
        schedule = self.memory.schedule
        if schedule is None or self._is_stopping or self._is_draining:
            return None
        waits_ms = self._waits.next_due_ms(self._wires.clock.now_ms())
        return min((at_ms for at_ms in (schedule.next_due(), waits_ms) if at_ms is not None), default=None)

    def _fail_with(self, error: SmithersError) -> None:
        """End the run once what is in flight has ended by itself."""
        if error.place is None:
            error.place = author_place(error)
        self._failure = self._failure or error

    def _end(
        self,
        draft: Draft,
        state: RunState,
        error: SmithersError | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        payload = error.payload() if error is not None else None
        draft.event(_ENDS[state], None, 0, brief(payload) if payload else data)
        output = self.own_output() if state in (RunState.FINISHED, RunState.PARTIAL) else None
        draft.write.run_change = RunChange(state, dump(payload) if payload else None, output, release=True)
        if self.terms.notices and state is not self._stored_as:
            tell_end(draft, self.memory.name, state, payload, is_child=self.terms.outer is not None)
        is_obeyed = state in (RunState.PAUSED, RunState.CANCELLED)
        self.ended = Ended(state, payload, self._mail.asked_by if is_obeyed else None)

    def _last_leaf(self, blocked: Iterable[tuple[NodeKey, object]]) -> Leaf | None:
        """Of what nothing stands before any more, the node that lets the run go on as another one."""
        leaves = (self._planning.schedule.leaf(key) for key, _ in blocked)
        return next(
            (leaf for leaf in leaves if leaf is not None and leaf.plan.payload.mode == "continue"), None
        )

    def _go_on(self, draft: Draft, leaf: Leaf) -> None:
        """Close the run: it goes on as another one, which is created with this very frame."""
        carried = carried_by(leaf, self.memory)
        draft.event(EventType.NODE_FINISHED, leaf.key)
        draft.settle_node(leaf.key, NodeState.FINISHED)
        self._end(draft, RunState.CONTINUED)
        self.ended = Ended(RunState.CONTINUED, None, carried=carried)

    def take_on(self, stored: StoredRun) -> None:
        """Begin with a run that the one before it has created: its first frame is stored."""
        self.begin_under(stored.run.id, stored.run.fence)
        self.memory.restore(stored, set())
        self._starting.budgets.restore(stored.budgets, stored.spent_by_children)
        self._starting.is_first = False
        for message in stored.inbox:
            self.take(message)

    @property
    def budgets(self) -> Budgets:
        return self._starting.budgets

    def own_output(self) -> OutputRef | None:
        """The row that is the run's own output, if there is one."""
        if self.definition.is_script:
            row = self.memory.rows.get(SCRIPT_KEY)
            return OutputRef(row.key, self.memory.generations.get(row.key, 0)) if row is not None else None
        wanted = self.definition.output_model
        if wanted is None:
            return self.memory.newest_output
        refs = (self.memory.outputs_by_model.get(name) for name in self._planning.output_names(wanted))
        found = [(row.seq, ref) for ref in refs if ref and (row := self.memory.rows.get(ref.key))]
        return max(found)[1] if found else None


_ENDS = {
    RunState.FINISHED: EventType.RUN_FINISHED,
    RunState.PARTIAL: EventType.RUN_PARTIAL,
    RunState.FAILED: EventType.RUN_FAILED,
    RunState.CANCELLED: EventType.RUN_CANCELLED,
    RunState.PAUSED: EventType.RUN_PAUSED,
    RunState.WAITING: EventType.RUN_WAITING,
    RunState.CONTINUED: EventType.RUN_CONTINUED,
}
