"""The waits of one run: opened the moment their turn comes, ended by people, messages and times.

A wait is a row before anybody hears of it. Whoever decides it, a person, a link or its own deadline, does so
by the same compare-and-set on that row: a frame that comes too late is refused by the store, and the run is
rebuilt from what was decided instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from smithers.agents.sampler import sample
from smithers.clock import Clock
from smithers.context import View, model_of
from smithers.errors import (
    AgentError,
    AnswersUsedUp,
    ApprovalDenied,
    BugError,
    InvalidNode,
    MissingOutput,
    SmithersError,
    WaitTimedOut,
)
from smithers.ids import NodeKey
from smithers.nodes import Approval, HumanTask, Question, Task, WaitForEvent
from smithers.nodes.approval import by_rule
from smithers.records import (
    EventType,
    InboxKind,
    InboxRow,
    SignalRow,
    WaitKind,
    WaitRef,
    WaitState,
    WaitWrite,
    Wakeup,
)
from smithers.scheduler import Blocked, Due, Open, Settled
from smithers.scheduler.vertex import Leaf

from .argument import arguments
from .asks import Asks
from .calling import call_people, title_of
from .definition import Definition
from .draft import Draft, dump
from .encode import encode_json, encode_output
from .memory import Memory
from .planning import Planning, standing_of
from .settling import Settling
from .waiting import BY_CLOCK, Waiting, iso

if TYPE_CHECKING:
    from .starting import Starting

LAST_MS = 253_402_300_799_999
"""The end of the year 9999, which is as far as times go."""
BY_REHEARSAL = "smithers:rehearsal"
"""Who answers where every agent is played, too."""


class Waits:
    """Opens and ends the waits of one run.

    Args:
        clock: the machine's own, for deadlines that are times of the day.
        is_rehearsal: people are played too: nobody is asked, and no time is waited for.
    """

    def __init__(
        self,
        definition: Definition,
        memory: Memory,
        planning: Planning,
        settling: Settling,
        starting: Starting,
        clock: Clock,
        *,
        is_rehearsal: bool = False,
    ) -> None:
        self._is_rehearsal = is_rehearsal
        self._definition = definition
        self._memory = memory
        self._planning = planning
        self._settling = settling
        self._starting = starting
        self._clock = clock
        self._untold: list[SignalRow] = []
        """Signals that the next frame tells of."""
        self._seen: set[int] = set()
        self._taken: list[int] = []
        """Messages that the next frame marks as read."""
        self._asks = Asks(memory, settling)
        self._unfit: set[tuple[int, WaitRef]] = set()
        """Signals that do not fit a wait, and of which that was said."""
        self._has_news = True
        self._wakes = False

    # --- What comes from outside ----------------------------------------------------------------

    def take(self, message: InboxRow) -> None:
        """Read a message about waits; the next frame goes on by it, and marks it as read."""
        if message.id in self._seen:
            return
        self._seen.add(message.id)
        self._taken.append(message.id)
        self._has_news = True
        match message.kind:
            case InboxKind.SIGNAL:
                self._take_signal(message)
            case InboxKind.DECIDED:
                self._take_decision(message)
            case InboxKind.WAKE:
                self._wakes = True
            case InboxKind.ASK:
                self._asks.take(message)
            case InboxKind.CANCEL | InboxKind.PAUSE:
                raise BugError(f"{message.kind.name} is about the whole run")

    def _take_signal(self, message: InboxRow) -> None:
        found = json.loads(message.data or "{}")
        row = SignalRow(
            message.id,
            found["name"],
            found.get("correlation"),
            found.get("payload"),
            message.by,
            message.at_ms,
        )
        known = {signal.id for signal in self._memory.signals}
        if row.id not in known:
            self._memory.signals.append(row)
        self._untold.append(row)

    def _take_decision(self, message: InboxRow) -> None:
        found = json.loads(message.data or "{}")
        *key, generation, number = found["wait"]
        wait = self._memory.waits.get(WaitRef(NodeKey(*key), generation, number))
        if wait is not None and wait.state is WaitState.OPEN:
            wait.state, wait.result = WaitState.DECIDED, found["result"]

    # --- Opening --------------------------------------------------------------------------------

    def enter(self, draft: Draft, key: NodeKey) -> None:
        """The turn of a node has come to wait."""
        memory, schedule = self._memory, self._planning.schedule
        leaf = schedule.leaf(key)
        assert leaf is not None  # the schedule has just named it
        task: Task[Any] = leaf.plan.payload
        view = View(memory, standing_of(leaf), draft.seq, set())
        if task.skip_if is not False and self._starting.skip_asked(draft, leaf, task, view):
            return
        try:
            question = self._planning.asked(lambda: task.question(arguments(task, view)), view)
        except MissingOutput as error:
            target = str(error.details.get("node"))
            draft.event(EventType.NODE_BLOCKED, key, 0, {"waits_for": target})
            self._planning.settle(key, Blocked(target))
            return
        if self._is_rehearsal:
            question = replace(question, decided=self._rehearsed(question, task))
        ref = WaitRef(key, memory.generations.get(key, 0))
        wait = self._open(draft, ref, question, task)
        schedule.opened(key)
        self._planning.moved(key.node)
        self._has_news = True
        if question.decided is not None:
            wait.state, wait.result = WaitState.DECIDED, {**question.decided, "at": iso(draft.now_ms)}
            self._settle(draft, ref, wait, was=WaitState.OPEN)

    def _rehearsed(self, question: Question, task: Task[Any]) -> Mapping[str, Any]:
        """What people, messages and clocks say in a rehearsal: what lets the run go on."""
        match question.kind:
            case WaitKind.APPROVAL:
                return by_rule(BY_REHEARSAL, question.spec)
            case WaitKind.HUMAN:
                return {"value": example_of(self._model(task)), "by": BY_REHEARSAL}
            case WaitKind.EVENT:
                return {"payload": example_of(self._model(task)), "by": BY_REHEARSAL}
            case WaitKind.TIMER:
                return {"by": BY_REHEARSAL}

    def _open(self, draft: Draft, ref: WaitRef, question: Question, task: Task[Any]) -> Waiting:
        memory, now_ms = self._memory, draft.now_ms
        before = memory.waits.get(ref)
        opened_ms, due_ms = now_ms, question.at_ms
        if before is not None:
            opened_ms, due_ms = before.opened_ms, before.due_ms  # its first one stands
        elif question.after_ms is not None:
            due_ms = now_ms + question.after_ms
        self._check_due(question, due_ms, task)
        self._check_default(task)
        spec = question.spec
        if "schema" in spec:
            spec = {**spec, "example": example_of(self._model(task))}
        wait = memory.waits[ref] = memory.live[ref] = Waiting(
            question.kind, WaitState.OPEN, opened_ms, due_ms, spec
        )
        draft.write.waits.append(WaitWrite(ref, question.kind, opened_ms, due_ms, dump(spec)))
        data = {"kind": question.kind.word, "title": question.spec.get("title"), **question.facts}
        if due_ms is not None:
            data["due_ms"] = due_ms
            draft.write.wakeups.append(Wakeup(ref.key, "wait", due_ms))
        draft.event(EventType.WAIT_OPENED, ref.key, 0, data)
        self._arm_reminder(draft, ref, wait)
        if question.decided is None:
            call_people(draft, self._memory.name, ref, wait)
        elif question.facts.get("audit"):
            by = question.decided["by"]
            draft.event(
                EventType.RUN_LOG, None, 0, {"message": f"{ref.key} was approved by {by}: {title_of(wait)}"}
            )
        return wait

    def _check_due(self, question: Question, due_ms: int | None, task: Task[Any]) -> None:
        """Refuse a deadline that is a mistake in the file, as long as nothing of the run is stored."""
        if due_ms is None:
            return
        if due_ms > LAST_MS:
            raise InvalidNode(f"{task!r} ends after the year 9999", place=task.place)
        is_new = self._starting.is_first and not self._memory.frame
        # A span is counted from this frame's time; however short it is, it cannot be a mistake.
        if is_new and question.at_ms is not None and question.at_ms < self._clock.now_ms():
            raise InvalidNode(
                f"{task!r} waits for {iso(due_ms)}, which has passed",
                hint="a time that has passed when its turn comes later on lets it go on at once",
                place=task.place,
            )

    def _check_default(self, task: Task[Any]) -> None:
        """Refuse what could not be its output in the end, before anybody has waited for that."""
        if not isinstance(task, WaitForEvent) or task.on_timeout != "continue":
            return
        try:
            encode_output(task, self._model(task), task.default)
        except SmithersError as error:
            raise InvalidNode(f"{task!r}: default= does not fit: {error.message}", place=task.place) from None

    # --- Ending ---------------------------------------------------------------------------------

    def look(self, draft: Draft) -> None:
        """Go on by what was decided, by signals, and by deadlines that have come."""
        self.tell(draft)
        if self._wakes:
            self._wake_children(draft)
        if self._has_news:
            # A script comes to its waits one by one: what was said to one is still news when it stands again.
            self._has_news = self._has_more_to_come()
            for ref, wait in self._standing(WaitState.DECIDED):
                self._settle(draft, ref, wait, was=WaitState.DECIDED)
            self._match_signals(draft)
        for ref, wait in self._standing(WaitState.OPEN):
            if self._is_due(draft, wait):
                self._expire(draft, ref, wait)
            else:
                self._remind(draft, ref, wait)
        self._asks.look(draft)

    def tell(self, draft: Draft) -> None:
        """Write that messages were read, and which signals have come."""
        draft.write.inbox_taken += self._taken
        self._taken.clear()
        for signal in self._untold:
            data = {"name": signal.name, "by": signal.by, "correlation": signal.correlation}
            draft.event(EventType.SIGNAL_SENT, None, 0, data)
            self._planning.renderer.moved(("signal", signal.name))
        self._untold.clear()

    def withdraw(self, draft: Draft, *, has_ended: bool = False, may_grow: bool = False) -> None:
        """End the waits that stand no longer: their nodes have left the tree, or what is around has ended.

        Args:
            has_ended: of the whole run.
            may_grow: a script goes on by itself, and may come to what is not mounted yet: that stands.
        """
        memory, schedule = self._memory, self._memory.schedule
        for ref, wait in list(memory.live.items()):
            if wait.state is WaitState.DECIDED and has_ended and not ref.number:
                draft.wake(ref.key, "wait", "reminder")  # it stands, and nobody has to come for its deadline
            if wait.state is not WaitState.OPEN:
                continue
            key = ref.key
            if ref.number:
                self._asks.withdraw(draft, ref, wait)
                continue
            if not has_ended and (schedule is None or schedule.is_open(key)):
                continue
            if not has_ended and may_grow and schedule is not None and schedule.leaf(key) is None:
                continue
            wait.state = WaitState.WITHDRAWN
            del memory.live[ref]
            draft.end_wait(ref, WaitState.WITHDRAWN, None)
            draft.event(EventType.WAIT_WITHDRAWN, key)
            if isinstance(memory.facts.nodes.get(key), Open):
                memory.facts.entered.discard(key)
                self._planning.settle(key, None)

    def _has_more_to_come(self) -> bool:
        """Whether there are waits whose nodes are not mounted, or not yet."""
        schedule = self._planning.schedule
        return any(schedule.leaf(ref.key) is None for ref in self._memory.live)

    def _standing(self, state: WaitState) -> Iterator[tuple[WaitRef, Waiting]]:
        """Waits of a state whose nodes wait where they stand; what moves meanwhile is left out."""
        schedule = self._planning.schedule
        for ref, wait in list(self._memory.live.items()):
            if wait.state is state and not ref.number and schedule.is_open(ref.key):
                yield ref, wait

    def _settle(self, draft: Draft, ref: WaitRef, wait: Waiting, *, was: WaitState) -> None:
        """Go on by what a wait has come to."""
        leaf, result = self._planning.schedule.leaf(ref.key), wait.result or {}
        assert leaf is not None  # it stands
        task: Task[Any] = leaf.plan.payload
        match wait.kind:
            case WaitKind.APPROVAL:
                self._settle_approval(draft, ref, wait, leaf, was)
            case WaitKind.HUMAN:
                self._settle_answer(draft, ref, wait, leaf, was)
            case WaitKind.EVENT:
                text = json.dumps(result.get("payload"), ensure_ascii=False)
                body = encode_json(task, self._model(task), text)
                self._close(draft, ref, wait, was)
                self._finish(draft, leaf, body)
            case WaitKind.TIMER:
                fired = {**result, "due": iso(wait.due_ms or draft.now_ms), "fired": iso(draft.now_ms)}
                wait.result = fired
                self._close(draft, ref, wait, was)
                self._finish(draft, leaf, encode_output(task, None, fired))
            case _:
                assert_never(wait.kind)

    def _settle_approval(self, draft: Draft, ref: WaitRef, wait: Waiting, leaf: Leaf, was: WaitState) -> None:
        task: Task[Any] = leaf.plan.payload
        result = wait.result or {}
        is_approved, by = bool(result.get("approved")), str(result.get("by"))
        on_deny = task.on_deny if isinstance(task, Approval) else "fail"
        why = f"denied by {by}" + (f": {result['note']}" if result.get("note") else "")
        if is_approved or on_deny == "continue":
            self._close(draft, ref, wait, was)
            if isinstance(task, Approval):
                words = ("approved", "selected", "ranking", "by", "at", "note")
                decision = {word: result[word] for word in words if result.get(word) is not None}
                self._finish(draft, leaf, encode_output(task, self._model(task), decision))
            else:
                self._planning.settle(ref.key, None)  # now it may run
        elif on_deny == "skip":
            self._close(draft, ref, wait, was)
            self._skip(draft, ref.key, why)
        else:
            error = ApprovalDenied(
                f"{ref.key} was {why}",
                hint=f"a resume asks again: `smithers up --resume {self._memory.name}`",
                place=task.place,
            )
            self._fail(draft, ref, wait, leaf, error, was)

    def _settle_answer(self, draft: Draft, ref: WaitRef, wait: Waiting, leaf: Leaf, was: WaitState) -> None:
        """An answer counts if it fits the model; otherwise it is asked again, with what was wrong."""
        task: Task[Any] = leaf.plan.payload
        result = wait.result or {}
        text = json.dumps(result.get("value"), ensure_ascii=False)
        try:
            body = encode_json(task, self._model(task), text)
        except SmithersError as error:
            self._ask_again(draft, ref, wait, leaf, error, was)
            return
        self._close(draft, ref, wait, was)
        self._finish(draft, leaf, body)

    def _ask_again(
        self, draft: Draft, ref: WaitRef, wait: Waiting, leaf: Leaf, error: SmithersError, was: WaitState
    ) -> None:
        task: Task[Any] = leaf.plan.payload
        tries = int(wait.spec.get("tries", 0)) + 1
        most = task.max_attempts if isinstance(task, HumanTask) else 1
        if most is not None and tries >= most:
            used = AnswersUsedUp(
                f"{ref.key}: {tries} answers did not fit, the last: {error.message}",
                hint=f"a resume asks again: `smithers up --resume {self._memory.name}`",
                place=task.place,
            )
            self._fail(draft, ref, wait, leaf, used, was)
            return
        by = (wait.result or {}).get("by")
        wait.spec = {**wait.spec, "tries": tries, "error": error.message}
        wait.state, wait.result = WaitState.OPEN, None
        draft.write.waits.append(WaitWrite(ref, wait.kind, wait.opened_ms, wait.due_ms, dump(wait.spec)))
        data = {"kind": wait.kind.word, "title": wait.spec.get("title"), "error": error.message, "by": by}
        draft.event(EventType.WAIT_OPENED, ref.key, 0, data)
        call_people(draft, self._memory.name, ref, wait)

    # --- Signals --------------------------------------------------------------------------------

    def _match_signals(self, draft: Draft) -> None:
        """Give each signal that nobody has taken to all waits for it that are open now."""
        memory = self._memory
        for signal in memory.signals:
            if signal.id in memory.consumed:
                continue
            for ref, wait in self._standing(WaitState.OPEN):
                if self._waits_for(ref, wait, signal, draft):
                    memory.consumed.add(signal.id)
                    wait.result = {
                        "signal": signal.id,
                        "payload": signal.payload,
                        "by": signal.by,
                        "at": iso(signal.at_ms),
                    }
                    self._settle(draft, ref, wait, was=WaitState.OPEN)

    def _waits_for(self, ref: WaitRef, wait: Waiting, signal: SignalRow, draft: Draft) -> bool:
        if wait.kind is not WaitKind.EVENT or wait.spec.get("event") != signal.name:
            return False
        if wait.spec.get("correlation") != signal.correlation:
            return False
        leaf = self._planning.schedule.leaf(ref.key)
        assert leaf is not None  # it stands
        task: Task[Any] = leaf.plan.payload
        try:
            encode_json(task, self._model(task), json.dumps(signal.payload, ensure_ascii=False))
        except (SmithersError, AttributeError, TypeError) as error:
            if (signal.id, ref) not in self._unfit:
                self._unfit.add((signal.id, ref))
                text = f"signal {signal.name} of {signal.by} does not fit: {error}; it waits on"
                draft.event(EventType.RUN_WARNING, ref.key, 0, {"message": text})
            return False
        return True

    # --- Deadlines ------------------------------------------------------------------------------

    def next_due_ms(self, now_ms: int) -> int | None:
        """When to look again, by the clock that frames are stamped by; None: no deadline stands."""
        schedule = self._memory.schedule
        if schedule is None:
            return None
        wall_ms, found = self._clock.now_ms(), []
        for ref, wait in self._memory.live.items():
            if wait.state is not WaitState.OPEN or not (ref.number or schedule.is_open(ref.key)):
                continue
            if wait.due_ms is not None:
                found.append(wait.due_ms + (now_ms - wall_ms if wait.follows_wall else 0))
            if wait.reminder_ms is not None:
                found.append(wait.reminder_ms)
        return min(found, default=None)

    def deadlines(self) -> list[Wakeup]:
        """Deadlines that stand, the earliest first: whoever resumes the run goes on by them."""
        found = [
            Wakeup(ref.key, "wait", wait.due_ms)
            for ref, wait in self._memory.live.items()
            if wait.state is WaitState.OPEN and not ref.number and wait.due_ms is not None
        ]
        return sorted(found, key=lambda wakeup: wakeup.due_ms)

    def _is_due(self, draft: Draft, wait: Waiting) -> bool:
        if wait.due_ms is None:
            return False
        return wait.due_ms <= (self._clock.now_ms() if wait.follows_wall else draft.now_ms)

    def _expire(self, draft: Draft, ref: WaitRef, wait: Waiting) -> None:
        """Nobody has answered in time, or it is time."""
        leaf = self._planning.schedule.leaf(ref.key)
        assert leaf is not None  # it stands
        task: Task[Any] = leaf.plan.payload
        at = iso(draft.now_ms)
        if wait.kind is WaitKind.TIMER:
            wait.result = {}
            self._settle(draft, ref, wait, was=WaitState.OPEN)
            return
        then = task.on_expire if isinstance(task, Approval) else getattr(task, "on_timeout", "fail")
        if then in ("deny", "approve"):
            word = {"approved": then == "approve", "note": "nobody has decided in time"}
            wait.result = {**by_rule(BY_CLOCK, wait.spec), **word, "at": at}
            self._settle(draft, ref, wait, was=WaitState.OPEN)
        elif then == "continue":
            wait.result = {"by": BY_CLOCK, "at": at}
            value = task.default if isinstance(task, WaitForEvent) else None
            try:
                body = encode_output(task, self._model(task), value)
            except SmithersError as unfit:
                self._fail(draft, ref, wait, leaf, unfit, WaitState.OPEN)
                return
            self._close(draft, ref, wait, WaitState.OPEN)
            self._finish(draft, leaf, body)
        elif then == "skip":
            wait.result = {"by": BY_CLOCK, "at": at}
            self._close(draft, ref, wait, WaitState.OPEN)
            self._skip(draft, ref.key, "timed out")
        else:
            error = WaitTimedOut(
                f"{ref.key} has waited in vain: {_waited(wait)}",
                hint=f"a resume waits again: `smithers up --resume {self._memory.name}`",
                place=task.place,
            )
            wait.result = {"by": BY_CLOCK, "at": at}
            self._fail(draft, ref, wait, leaf, error, WaitState.OPEN)

    def _arm_reminder(self, draft: Draft, ref: WaitRef, wait: Waiting) -> None:
        wait.reminder_ms = wait.reminder_after(draft.now_ms)
        if wait.reminder_ms is not None:
            draft.write.wakeups.append(Wakeup(ref.key, "reminder", wait.reminder_ms))

    def _remind(self, draft: Draft, ref: WaitRef, wait: Waiting) -> None:
        if wait.reminder_ms is None:
            self._arm_reminder(draft, ref, wait)
        elif wait.reminder_ms <= draft.now_ms:
            draft.event(EventType.WAIT_REMINDED, ref.key, 0, {"title": wait.spec.get("title")})
            call_people(draft, self._memory.name, ref, wait)
            self._arm_reminder(draft, ref, wait)

    # --- Rows -----------------------------------------------------------------------------------

    def _close(self, draft: Draft, ref: WaitRef, wait: Waiting, was: WaitState) -> None:
        wait.state = WaitState.SETTLED
        self._memory.live.pop(ref, None)
        draft.end_wait(ref, WaitState.SETTLED, wait.result, was=was)
        data = {"kind": wait.kind.word}
        told = ("approved", "selected", "ranking", "by", "note", "signal", "skipped")
        data |= {name: value for name in told if (value := (wait.result or {}).get(name)) is not None}
        draft.event(EventType.WAIT_DECIDED, ref.key, 0, data)

    def _finish(self, draft: Draft, leaf: Leaf, body: str) -> None:
        task: Task[Any] = leaf.plan.payload
        self._settling.finish_wait(draft, leaf, task, self._model(task), body)

    def _skip(self, draft: Draft, key: NodeKey, reason: str) -> None:
        self._planning.skip(draft, key, reason)
        self._planning.settle(key, Settled.SKIPPED)

    def _fail(
        self,
        draft: Draft,
        ref: WaitRef,
        wait: Waiting,
        leaf: Leaf,
        error: SmithersError,
        was: WaitState,
    ) -> None:
        payload = error.payload()
        wait.result = {**(wait.result or {}), "error": payload}
        self._close(draft, ref, wait, was)
        self._settling.fail_wait(draft, leaf, payload)

    def _model(self, task: Task[Any]) -> type[Any] | None:
        return model_of(task, self._definition.outputs)

    def wake_children(self) -> None:
        """Let the next frame look at runs that are what nodes do, and that wait."""
        self._wakes = True

    def _wake_children(self, draft: Draft) -> None:
        """A run that is what a node does can go on: so does the node."""
        self._wakes = False
        for key in list(self._memory.awaited):
            if isinstance(self._memory.facts.nodes.get(key), Blocked | Due):
                self._planning.settle(key, Due(draft.now_ms))
            del self._memory.awaited[key]


def example_of(model: type[Any] | None) -> Any:
    """A value that fits a model, to be shown to whoever has to write one."""
    if model is str:
        return "…"
    if model is None:
        return {}
    try:
        return sample(model)
    except AgentError:
        return {}  # its validators refuse whatever is made up


def _waited(wait: Waiting) -> str:
    match wait.kind:
        case WaitKind.EVENT:
            return f"no signal {wait.spec.get('event')} has come in time"
        case _:
            return "nobody has answered in time"
