"""Beginning attempts: what a decision to start a task comes to."""

from __future__ import annotations

from typing import Any, assert_never

from smithers.context import Context, View, model_of
from smithers.errors import AgentQuota, BudgetExceeded, BugError, InvalidNode, MissingOutput, SmithersError
from smithers.ids import NodeKey
from smithers.nodes import ENDS_IN, Task
from smithers.ports import Agent
from smithers.records import AttemptStart, EventType, FailureClass, Lookup, Wakeup
from smithers.scheduler import Blocked, Due, Settled
from smithers.scheduler.retry import rung
from smithers.scheduler.vertex import Leaf, Path

from .budgets import HOLD_MS, Budgets, Exceeded, Held, Limits
from .cache import Caching
from .continuation import check_end
from .definition import Definition
from .desk import Out, account_of
from .draft import Draft
from .encode import child_input, encode_output
from .failure import classify, describe
from .fingerprint import fingerprint
from .job import Done, Failed, Job, Outcome
from .memory import OVERSPENT, Memory
from .places import TRY_EVERY_MS, Place
from .planning import Planning, standing_of
from .settling import Settling
from .terms import Terms, Wires, policies_of


class Starting:
    """Begins the attempts of one run under one fence."""

    def __init__(
        self,
        definition: Definition,
        terms: Terms,
        wires: Wires,
        memory: Memory,
        planning: Planning,
        settling: Settling,
        ctx: Context[Any],
    ) -> None:
        self._definition = definition
        self._terms = terms
        self._wires = wires
        self._memory = memory
        self._planning = planning
        self._settling = settling
        self._ctx = ctx
        self.out = Out()
        max_usd = terms.config.get("max_usd")
        whole = Limits(cost_micros=None if max_usd is None else round(max_usd * 1e6))
        self.budgets = Budgets(whole, terms.limit or 16, memory.name, terms.outer, self._leaf_of)
        settling.budgets = memory.budgets = self.budgets
        settling.place_is_free = self.go_on
        self._held: dict[NodeKey, Path] = {}
        """Tasks that wait for a place of an agent, and where they stand."""
        self.run = 0
        self.fence = 0
        self.is_first = True
        """No frame of this owner is stored yet: a mistake in the file is refused, and changes nothing."""

    def start(self, draft: Draft, key: NodeKey) -> Job | None:
        """Begin an attempt, to be dispatched once it is stored; None: it needs none, and has settled."""
        leaf = self._planning.schedule.leaf(key)
        if leaf is None:
            raise BugError(f"{key} is not mounted")
        abandoned = self._settling.lingering.pop(key, None)
        if abandoned is not None:
            self._settling.refuse_second(draft, abandoned)
            return None
        task: Task[Any] = leaf.plan.payload
        if task.table is not None:
            self._planning.tables.check((leaf,))  # the body of a function may be new in this very frame
        view = View(self._memory, standing_of(leaf), draft.seq, set())
        if task.skip_if is not False and not task.enters and self.skip_asked(draft, leaf, task, view):
            return None
        if task.mode == "continue":
            self._reach_end(draft, leaf, task)
            return None
        if task.mode == "child" and self.is_first and not callable(task.value):
            child_input(task, task.value)  # known before anything ran: a mistake in the file
        if task.mode == "agent" and self._may_not_spend(draft, leaf, task, view):
            return None
        self._held.pop(key, None)
        place = self._take_place(key, task) if task.mode == "agent" else None
        if isinstance(place, int):
            # By the clock's own marks: what was held back together is due together, in the file's order.
            self._held[key] = leaf.path
            self._planning.settle(
                key, Due((draft.now_ms + place) // TRY_EVERY_MS * TRY_EVERY_MS + TRY_EVERY_MS)
            )
            return None
        job = self._begin_attempt(draft, key, task, view)
        if task.mode == "agent":
            job.place, job.places = place, self._terms.places
            self.budgets.begin(draft, job, leaf)
        if task.mode == "value" and not callable(task.value):
            self._settling.apply(draft, job, self._static(job), is_stopping=False)
            return None
        return job

    def _reach_end(self, draft: Draft, leaf: Leaf, node: Task[Any]) -> None:
        """The run is to go on as another one: what is under way comes to its end first, and nothing follows.

        It waits as for something that is not there, and so holds no slot and keeps nobody from starting.
        """
        check_end(leaf, self._memory)  # a mistake is told before anything waits for it
        draft.event(EventType.NODE_BLOCKED, leaf.key, 0, {"waits_for": ENDS_IN})
        self._planning.settle(leaf.key, Blocked(ENDS_IN))

    def _begin_attempt(self, draft: Draft, key: NodeKey, task: Task[Any], view: View) -> Job:
        memory = self._memory
        log = memory.log(key)
        log.last += 1
        if log.failures or key in memory.limited:
            memory.limited.discard(key)
            draft.wake(key, "retry", "quota")
        if task.mode == "child":
            draft.wake(key, "child")
            memory.parked.pop(key, None)
            memory.parked_why.pop(key, None)
            memory.awaited.pop(key, None)
        agents = self._terms.agents(task) if task.mode == "agent" else ()
        chain = self._chain(key, agents)
        model = model_of(task, self._definition.outputs)
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
            ctx=self._ctx if task.within is None else task.within.ctx,
            chain=chain,
            last_heartbeat=log.heartbeat,
            base=self._definition.base if task.within is None else task.within.base,
            project=self._terms.project,
            report=self._wires.report,
            beat=self._wires.beat,
            caching=self._caching(key, task, agents) if task.cache is not None else None,
            call=self._wires.call if task.mode == "child" else None,
            child=memory.children.get((key, generation)),
            retries_child=(key, generation - 1) in memory.children,
            out=self.out,
            is_rerun=key in memory.asked,
            had_bad_output=any(one.failure is FailureClass.BAD_OUTPUT for one in log.failures),
            policies=(
                *policies_of(self._definition, self._terms),
                *(task.within.policies if task.within is not None else ()),
            ),
            explicit_tools=self._terms.config.get("agent_tools") == "explicit-only",
        )
        self._settling.jobs[key] = job
        return job

    def _waits_for_quota(self, draft: Draft, key: NodeKey, task: Task[Any]) -> bool:
        """Whether nobody could be asked: the accounts of all the task's agents are parked.

        A cache may have the answer all the same, and what this process does not know yet is found out when an
        agent is about to be asked.
        """
        if task.cache is not None:
            return False
        due_ms = self.parked_until_ms(task)
        if due_ms is None:
            return False
        self._memory.limited.add(key)
        data = {"code": AgentQuota.code, "due_ms": due_ms}
        draft.event(EventType.NODE_BLOCKED, key, 0, {"waits_for": "quota", **data})
        draft.write.wakeups.append(Wakeup(key, "quota", due_ms))
        self._planning.settle(key, Due(due_ms))
        return True

    def parked_until_ms(self, task: Task[Any]) -> int | None:
        """Wall clock at which the first of a task's agents may be asked again; None: one of them may be
        now."""
        usable = (agent for agent in self._terms.agents(task) if self.out.why(agent) is None)
        times = [self._terms.parked_until_ms(account_of(agent)) for agent in usable]
        due = [at_ms for at_ms in times if at_ms is not None]
        return min(due) if due and len(due) == len(times) else None

    def look_at_limits(self, draft: Draft) -> None:
        """Somebody has changed what is known of accounts: what waited for one that is free now goes on."""
        facts = self._memory.facts.nodes
        for key in [*self._memory.limited, *self._quota_waits()]:
            leaf = self._planning.schedule.leaf(key)
            if (
                leaf is not None
                and isinstance(facts.get(key), Due)
                and self.parked_until_ms(leaf.plan.payload) is None
            ):
                self._planning.settle(key, Due(draft.now_ms))

    def _quota_waits(self) -> list[NodeKey]:
        """Tasks whose last attempt has met a limit, and that wait for its reset."""
        memory = self._memory
        waiting = (key for key, fact in memory.facts.nodes.items() if isinstance(fact, Due))
        logs = ((key, memory.logs.get(key)) for key in waiting)
        return [
            key
            for key, log in logs
            if log and log.failures and log.failures[-1].failure is FailureClass.QUOTA
        ]

    def _may_not_spend(self, draft: Draft, leaf: Leaf, task: Task[Any], view: View) -> bool:
        """Whether no agent may be asked now: the task has settled then, or waits."""
        return self._waits_for_quota(draft, leaf.key, task) or self._is_overspent(draft, leaf, task, view)

    def go_on(self, draft: Draft) -> None:
        """A place has been given back: the first task that waits for one is looked at again, at once."""
        if self._held:
            key = min(self._held, key=self._held.__getitem__)
            del self._held[key]
            if isinstance(self._memory.facts.nodes.get(key), Due):
                self._planning.settle(key, Due(draft.now_ms))

    def waits_for_place(self, due_ms: int | None, now_ms: int) -> bool:
        """Whether what comes first is another try to get a place for an agent.

        Args:
            due_ms: when the next thing is due.
        """
        return bool(self._held) and due_ms is not None and due_ms - now_ms <= 2 * TRY_EVERY_MS

    def _take_place(self, key: NodeKey, task: Task[Any]) -> Place | int | None:
        """A place for the agent that will be asked first; None: it needs none; a number: none for so many
        ms."""
        places = self._terms.places
        if places is None:
            return None
        agents = self._terms.agents(task)
        chain = self._chain(key, agents)
        usable = [one for one in chain if self.out.why(one) is None]
        free = [one for one in usable if self._terms.parked_until_ms(account_of(one)) is None]
        asked = next(iter(free or usable or chain))
        return places.take(asked, self._memory.name, str(key))

    def _chain(self, key: NodeKey, agents: tuple[Agent, ...]) -> tuple[Agent, ...]:
        """Whom the next attempt of a task asks, in order."""
        first = rung(self._memory.log(key).failures, len(agents)) if agents else 0
        # Who made an earlier attempt is asked only where no later one can be.
        return (*agents[first:], *reversed(agents[:first]))

    def _is_overspent(self, draft: Draft, leaf: Leaf, task: Task[Any], view: View) -> bool:
        """Whether there is nothing left to spend on the task: then it has settled, or waits."""
        key, found = leaf.key, self.budgets.look(leaf, draft.now_ms)
        self._memory.held.pop(key, None)
        match found:
            case None:
                return False
            case Held():
                self._planning.settle(key, Due(draft.now_ms + HOLD_MS))
            case Exceeded(limits=limits, text=text):
                error = BudgetExceeded(f"{found.name} is used up: {text}", place=task.place)
                match limits.on_exceeded:
                    case "warn":
                        if self.budgets.warns(found):
                            draft.event(EventType.RUN_WARNING, None, 0, {"message": error.message})
                        return False
                    case "fail":
                        job = self._begin_attempt(draft, key, task, view)
                        failed = Failed(FailureClass.FATAL, error.payload())
                        self._settling.apply(draft, job, failed, is_stopping=False)
                    case "skip-remaining":
                        self._planning.skip(draft, key, f"{OVERSPENT}: {found.name}, {text}")
                        self._planning.settle(key, Settled.UPSTREAM)
                    case "ask":
                        waits_for = f"{found.name} ({text})"
                        draft.event(EventType.NODE_BLOCKED, key, 0, {"waits_for": waits_for})
                        self._planning.settle(key, self._memory.hold(key, waits_for))
                    case _:
                        assert_never(limits.on_exceeded)
            case _:
                assert_never(found)
        return True

    def _leaf_of(self, key: NodeKey) -> Leaf | None:
        schedule = self._memory.schedule
        return schedule.leaf(key) if schedule is not None else None

    def _caching(self, key: NodeKey, task: Task[Any], agents: tuple[Agent, ...]) -> Caching | None:
        reader, memory = self._terms.cache, self._memory
        if reader is None or task.cache is None:
            return None
        caching = Caching(reader, task.cache, agents, memory.workflow)
        if key in memory.asked:
            caching.unread = Lookup("rerun")
        else:
            caching.unread = self._settling.returned.get(key)
        return caching

    def skip_asked(self, draft: Draft, leaf: Leaf, task: Task[Any], view: View) -> bool:
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
            if self.is_first and isinstance(error, SmithersError):
                # Known before anything ran: a mistake in the file, not a failure of the run.
                raise InvalidNode(
                    error.message, hint=error.hint, place=error.place, **error.details
                ) from None
            return Failed(classify(error), describe(error))
