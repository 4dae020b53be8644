"""How attempts end: one function an outcome, each writes its rows and tells the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, assert_never

from smithers.context import OutputText
from smithers.errors import CrashLoop, MissingOutput, RowsRefused
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.records import (
    IN_PART,
    SUSPECT,
    AttemptRow,
    AttemptState,
    EventType,
    FailureClass,
    Lookup,
    LookupRow,
    NodeState,
    OutputRow,
    UserRow,
    Wakeup,
)
from smithers.scheduler import Blocked, Due, Settled
from smithers.scheduler.retry import (
    UNCOUNTED,
    Again,
    PastFailure,
    RetryRule,
    Stop,
    judge_failure,
    signature,
)
from smithers.scheduler.vertex import Leaf

from .budgets import Budgets
from .draft import Draft, brief
from .failure import message_of
from .job import Done, Failed, Job, NotYet, Outcome, Parked, Stopped
from .memory import TOLERATED, Memory
from .planning import Planning
from .policy import rule_of, still_running
from .shape import Shapes


class Settling:
    """The attempts in flight of one run, and what becomes of them."""

    def __init__(self, memory: Memory, planning: Planning, random: Random) -> None:
        self._shapes = Shapes()
        self._memory = memory
        self._planning = planning
        self._random = random
        self.budgets: Budgets | None = None
        """Set by whoever begins the attempts; so is what follows."""
        self.place_is_free: Callable[[Draft], None] = lambda draft: None
        """Called when an attempt has ended that may have had a place."""
        self.jobs: dict[NodeKey, Job] = {}
        """Attempts in flight, by node."""
        self.lingering: dict[NodeKey, Job] = {}
        """Attempts that were given up while their code still runs."""
        self.refused: dict[tuple[NodeKey, int], str] = {}
        """What tables of the user's have against results, by attempt: these have failed."""

        self.returned: dict[NodeKey, Lookup] = {}
        """What newest attempts had found in the cache, and were refused by a table of the user's."""

    def apply(self, draft: Draft, job: Job, outcome: Outcome, *, is_stopping: bool) -> None:
        """Record how an attempt ended. A result that comes late, or twice, changes nothing.

        Args:
            is_stopping: the run is being paused, cancelled or has failed: what is cut off stays open.
        """
        if self.lingering.get(job.key) is job:
            del self.lingering[job.key]
            self._release(draft, job.key)
            return
        if self.jobs.get(job.key) is not job:
            return
        if job.timed_out is not None and outcome is not job.timed_out:
            # It ended after its time: what it says does not count, but it does not run any more either.
            outcome = replace(job.timed_out, is_running=False)
        del self.jobs[job.key]
        self._count(draft, job)
        if self.budgets is not None and job.task.mode == "child":
            self.budgets.rest(job.key)
        if job.places is not None:
            self.place_is_free(draft)
        self.returned.pop(job.key, None)
        refusal = self.refused.get((job.key, job.attempt)) if isinstance(outcome, Done) else None
        lookup = job.caching.lookup if job.caching is not None else None
        if refusal is not None and lookup is not None and lookup.is_hit:
            self._return(draft, job, lookup, refusal)
            return
        if lookup is not None:
            draft.write.lookups.append(LookupRow(job.key, job.generation, job.attempt, lookup))
        draft.write.calls.extend(job.calls)
        if isinstance(outcome, Done) and refusal is not None:
            error = RowsRefused(f"Task {job.key.node}: {refusal}", {}, place=job.task.place)
            outcome = Failed(FailureClass.BAD_OUTPUT, error.payload(), outcome.agent, outcome.prompt)
        match outcome:
            case Done():
                self._finish(draft, job, outcome)
            case Failed():
                self._fail(draft, job, outcome)
            case NotYet(target):
                self._block(draft, job, target)
            case Stopped():
                self._stop(draft, job, is_stopping)
            case Parked():
                self._park(draft, job, outcome)
            case _:
                assert_never(outcome)

    def _count(self, draft: Draft, job: Job) -> None:
        """What the attempt has spent is spent, whatever became of it."""
        if self.budgets is None or not job.reserved:
            return
        schedule = self._memory.schedule
        leaf = schedule.leaf(job.key) if schedule is not None else None
        for key in self.budgets.end(draft, job):
            if self.budgets.limits_money(key, leaf):
                agents = ", ".join({call.agent for call in job.calls})
                text = f"nobody says what {agents} costs: no budget of money sees it"
                draft.event(EventType.RUN_WARNING, job.key, job.attempt, {"message": text})

    def _finish(self, draft: Draft, job: Job, done: Done) -> None:
        key, model = job.key, job.task.model_name
        reads = _reads_of(job)
        seq = draft.event(EventType.NODE_FINISHED, key, job.attempt, _told(job, reads))
        draft.end_attempt(
            key, job.attempt, AttemptState.FINISHED, counted=True, prompt=done.prompt, agent=done.agent
        )
        reason = IN_PART if done.in_part else f"{SUSPECT}: {done.suspect}" if done.suspect else None
        draft.settle_node(key, NodeState.FINISHED, job.attempt, reason)
        if reason is not None:
            self._memory.reasons[key] = reason
        if done.suspect:
            text = f"the answer looks like a placeholder: {done.suspect}"
            draft.event(EventType.RUN_WARNING, key, job.attempt, {"message": text, "suspect": done.suspect})
        draft.write.outputs.append(OutputRow(key, job.generation, seq, model, done.body))
        has_table = job.task.table is not None
        self._shapes.tell(
            draft.write, self._memory.workflow, model, job.model, done.body, has_table=has_table
        )
        if has_table:
            loops = len(job.view.at.loops) if job.view.at is not None else 0
            draft.write.user_rows.append(UserRow(model, key, loops, done.body))
        if job.caching is not None and job.caching.entry is not None:
            draft.write.cached.append(job.caching.entry._replace(reads=tuple(reads)))
        self._memory.add_output(OutputText(key, seq, model, done.body), job.generation)
        if job.view.at is not None:
            self._memory.note_loops(key.node, job.view.at.loops)
        self._memory.logs.pop(key, None)
        self._memory.asked.discard(key)
        self._planning.settle(key, Settled.FINISHED, model)

    def _fail(self, draft: Draft, job: Job, failed: Failed) -> None:
        key = job.key
        log = self._memory.log(key)
        log.error = failed.error
        log.failures.append(PastFailure(failed.failure, signature(message_of(failed.error))))
        verdict = judge_failure(rule_of(job.task), log.failures, self._random.random())
        draft.end_attempt(
            key,
            job.attempt,
            AttemptState.FAILED,
            failed.failure,
            counted=failed.failure not in UNCOUNTED,
            error=failed.error,
            prompt=failed.prompt,
            agent=failed.agent,
        )
        match verdict:
            case Again(delay_ms):
                self._retry(draft, job, failed, delay_ms)
            case Stop(reason):
                self.give_up(draft, job, {**failed.error, "final": reason})
            case _:
                assert_never(verdict)

    def finish_wait(
        self, draft: Draft, leaf: Leaf, task: Task[Any], model: type[Any] | None, body: str
    ) -> None:
        """What has waited has an output; there was no attempt."""
        key, name = leaf.key, task.model_name
        seq = draft.event(EventType.NODE_FINISHED, key)
        draft.settle_node(key, NodeState.FINISHED)
        generation = self._memory.generations.get(key, 0)
        draft.write.outputs.append(OutputRow(key, generation, seq, name, body))
        self._shapes.tell(
            draft.write, self._memory.workflow, name, model, body, has_table=task.table is not None
        )
        if task.table is not None:
            draft.write.user_rows.append(UserRow(name, key, len(leaf.loops()), body))
        self._memory.add_output(OutputText(key, seq, name, body), generation)
        self._memory.note_loops(key.node, tuple(loop.key.node for loop in leaf.loops()))
        self._memory.asked.discard(key)
        self._planning.settle(key, Settled.FINISHED, name)

    def fail_wait(self, draft: Draft, leaf: Leaf, error: Mapping[str, Any]) -> None:
        """What has waited has failed; nothing is tried again."""
        key, tolerated = leaf.key, leaf.plan.continue_on_fail
        self._memory.log(key).error = error
        draft.event(EventType.NODE_FAILED, key, 0, brief(error))
        draft.settle_node(key, NodeState.FAILED, 0, TOLERATED if tolerated else None)
        self._memory.name_failure(key)
        self._planning.settle(key, Settled.TOLERATED if tolerated else Settled.FAILED)

    def _retry(self, draft: Draft, job: Job, failed: Failed, delay_ms: int) -> None:
        kind, due_ms = "retry", draft.now_ms + delay_ms
        if failed.retry_at_ms is not None:
            is_quota = failed.failure is FailureClass.QUOTA  # its end is known: no later, and not before
            kind = "quota" if is_quota else kind
            due_ms = failed.retry_at_ms if is_quota else max(due_ms, failed.retry_at_ms)
            delay_ms = max(0, due_ms - draft.now_ms)
        if failed.is_running:
            # Its code still runs: no second one beside it, for as long as its limit once more.
            self.lingering[job.key] = job
            limit_ms = job.task.timeout_ms or job.task.heartbeat_timeout_ms or 0
            due_ms = max(due_ms, draft.now_ms + limit_ms)
        data = {**brief(failed.error), "delay_ms": delay_ms}
        draft.event(EventType.NODE_RETRYING, job.key, job.attempt, data)
        draft.write.wakeups.append(Wakeup(job.key, kind, due_ms))
        self._planning.settle(job.key, Due(due_ms))

    def give_up(self, draft: Draft, job: Job, error: Mapping[str, Any]) -> None:
        """A failure that no retry follows: tolerated, or its region unwinds."""
        schedule = self._memory.schedule
        leaf = schedule.leaf(job.key) if schedule is not None else None
        tolerated = (leaf.plan if leaf is not None else job.task).continue_on_fail
        draft.event(EventType.NODE_FAILED, job.key, job.attempt, brief(error))
        draft.settle_node(job.key, NodeState.FAILED, job.attempt, TOLERATED if tolerated else None)
        self._memory.name_failure(job.key)
        self._planning.settle(job.key, Settled.TOLERATED if tolerated else Settled.FAILED)

    def refuse_second(self, draft: Draft, job: Job) -> None:
        """The code of an abandoned attempt still runs when the next is due: give the task up."""
        error = still_running(job)
        self._memory.log(job.key).error = error
        self.give_up(draft, job, error)

    def _block(self, draft: Draft, job: Job, target: str) -> None:
        """A callable read what is not there yet: the attempt does not count, the task waits for it."""
        schedule = self._memory.schedule
        source = schedule.vertex(target) if schedule is not None else None
        if isinstance(source, Leaf) and source.is_settled and not self._has_come(job, target):
            error = MissingOutput(
                f"{job.key.node} reads {target}, which has settled without an output", place=job.task.place
            )
            self._fail(draft, job, Failed(FailureClass.FATAL, error.payload()))
            return
        draft.end_attempt(job.key, job.attempt, AttemptState.CANCELLED)
        draft.event(EventType.NODE_BLOCKED, job.key, job.attempt, {"waits_for": target})
        self._planning.settle(job.key, Blocked(target))

    def _has_come(self, job: Job, target: str) -> bool:
        """Whether an output has been stored since an attempt began: its next one sees it."""
        rows = self._memory.rows.of(target).values()
        return any(row.seq > (job.view.seq or 0) for row in rows)

    def _return(self, draft: Draft, job: Job, lookup: Lookup, refusal: str) -> None:
        """A table of the user's does not take the output that the cache had: the task is executed after all.

        Nothing was executed, so there is no failure to count.
        """
        found = lookup._replace(verdict="refused", detail=refusal)
        draft.write.lookups.append(LookupRow(job.key, job.generation, job.attempt, found))
        draft.end_attempt(job.key, job.attempt, AttemptState.CANCELLED)
        data = {"code": RowsRefused.code, "message": refusal, "cached": lookup.run, "delay_ms": 0}
        draft.event(EventType.NODE_RETRYING, job.key, job.attempt, data)
        self.returned[job.key] = found
        self._planning.settle(job.key, Due(draft.now_ms))

    def _stop(self, draft: Draft, job: Job, is_stopping: bool) -> None:
        draft.end_attempt(job.key, job.attempt, AttemptState.CANCELLED)
        draft.event(EventType.NODE_CANCELLED, job.key, job.attempt)
        if is_stopping:
            self._planning.settle(job.key, None)
            return
        draft.settle_node(job.key, NodeState.CANCELLED, job.attempt)
        self._planning.settle(job.key, Settled.CANCELLED)

    def _park(self, draft: Draft, job: Job, parked: Parked) -> None:
        """The run that the attempt was has left: the node is open again, and goes on with it in its time."""
        key = job.key
        draft.end_attempt(key, job.attempt, AttemptState.CANCELLED)
        waits_for = f"run {parked.run}" if parked.run else "its run, which cannot be driven yet"
        draft.event(EventType.NODE_BLOCKED, key, job.attempt, {"waits_for": waits_for})
        if parked.is_waiting and parked.due_ms is None:
            self._planning.settle(key, self._memory.await_run(key, parked.run))
            return
        if parked.is_waiting:
            self._memory.awaited[key] = parked.run
        if parked.due_ms is None:
            self._planning.settle(key, self._memory.park(key, parked.run, parked.error))
        else:
            draft.write.wakeups.append(Wakeup(key, "child", parked.due_ms))
            self._planning.settle(key, Due(parked.due_ms))

    def _release(self, draft: Draft, key: NodeKey) -> None:
        """Code that had been given up has ended: its task need not wait for that any longer."""
        if isinstance(self._memory.facts.nodes.get(key), Due):
            draft.write.wakeups.append(Wakeup(key, "retry", draft.now_ms))
            draft.event(EventType.RUN_WARNING, key, 0, {"message": "the abandoned attempt has ended"})
            self._planning.settle(key, Due(draft.now_ms))

    def lose(self, draft: Draft, row: AttemptRow) -> None:
        """An attempt that our own death cut off: no retry consumed, unless it keeps killing us."""
        log = self._memory.log(row.key)
        if not self._memory.has_child(row.key):
            log.failures.append(PastFailure(FailureClass.LOST, ""))
        log.error = {"code": "LOST", "message": "the process died while this attempt ran"}
        draft.end_attempt(
            row.key, row.attempt, AttemptState.LOST, FailureClass.LOST, counted=False, error=log.error
        )
        draft.event(EventType.NODE_LOST, row.key, row.attempt)
        if not log.failures or log.failures[-1].failure is not FailureClass.LOST:
            return  # a run of its own goes on where it stood, however often that is
        verdict = judge_failure(RetryRule(), log.failures, 0.0)
        if isinstance(verdict, Stop):
            error = CrashLoop(f"{row.key}: {verdict.reason}, always while this task ran").payload()
            log.error = error
            self._memory.facts.nodes[row.key] = Settled.FAILED
            self._memory.name_failure(row.key)
            draft.settle_node(row.key, NodeState.FAILED, row.attempt)
            draft.event(EventType.NODE_FAILED, row.key, row.attempt, brief(error))


def _reads_of(job: Job) -> list[str]:
    """What an attempt has read beside what it was given: ids of nodes, `*` and the name of a model.

    Whoever executes one of these again has to know. Where the output was found in the cache, it is what the
    attempt had read that made it.
    """
    caching, reads = job.caching, job.view.reads
    if not reads and caching is None:
        return []
    found = set(caching.reads) if caching is not None else set[str]()
    before = caching.before if caching is not None else ()
    given = {job.key.node, *(edge.target for edge in job.task.edges)}
    # A copy in one step: a thread that the function has left behind may still read.
    read = (*(reads or ()), *before)
    nodes = {name for kind, name in read if kind in ("node", "state") and name not in given}
    return sorted(found | nodes | {f"*{name}" for kind, name in read if kind == "model"})


def _told(job: Job, reads: list[str]) -> dict[str, Any] | None:
    """What the event of a finished attempt says."""
    data: dict[str, Any] = {"reads": reads} if reads else {}
    lookup = job.caching.lookup if job.caching is not None else None
    if lookup is not None and lookup.is_hit:
        data["cached"] = lookup.run
    return data or None
