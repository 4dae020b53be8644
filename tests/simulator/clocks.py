"""Runs that wait for times, in worlds whose clocks jump, drift and sleep, and whose processes die.

The engine, the statements and SQLite are the real ones; time is simulated, and passes only when nobody has
anything to do. What is early, late or double is judged from outside, by plain SQL and a clock of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, NamedTuple

from smithers import (
    Approval,
    Context,
    HumanTask,
    Loop,
    Node,
    Parallel,
    RetryPolicy,
    Sequence,
    Subflow,
    Task,
    Timer,
    WaitForEvent,
    Workflow,
    current,
)
from smithers.engine.handle import Handle
from smithers.engine.message import New, Resume
from smithers.engine.terms import Terms
from smithers.errors import NotWaiting, SmithersError
from smithers.ids import NodeKey
from smithers.records import EventType, RunRow, RunState, Vote, WaitKind, WaitRef
from smithers.store.inbox import SqliteOutsider
from smithers.store.memory import MemoryStore
from smithers.store.reader import SqliteReader
from smithers.testing.clock import FakeClock
from smithers.testing.simulator.fault import Sites
from smithers.testing.simulator.process import Connections, SimulatedProcess
from smithers.testing.tape import Tape, run_tape, stop_tape

RUN = "r"
SECOND, HOUR = 1_000, 3_600_000
YEAR = 365 * 24 * HOUR
LATE_MS = SECOND
"""A deadline that has passed for longer, while somebody drives the run, was missed."""
POLL_MS = 50
"""So often a real engine looks at its clocks."""
LONGEST_MS = 600 * SECOND
"""Of one step of time: clocks drift apart meanwhile."""
SWEEP_MS = 300 * SECOND
"""So often somebody looks at what is due while nobody drives the run."""
LONGEST_STEPS = 20_000
AT_ONCE = 200
"""Actions without any time between them: more is a busy loop."""
BY_CLOCK = "smithers:expired"


class Broken(AssertionError):
    """A promise that was not kept."""


class Wait(NamedTuple):
    """A row of a wait, and what is told of it."""

    run: int
    ref: WaitRef
    kind: int
    state: int
    opened_ms: int
    due_ms: int | None
    spec: str
    result: str | None

    @property
    def follows_wall(self) -> bool:
        return self.kind == WaitKind.TIMER and json.loads(self.spec)["until"]

    @property
    def is_by_clock(self) -> bool:
        """Whether it was over because its time had come."""
        result = json.loads(self.result or "{}")
        if self.kind == WaitKind.TIMER:
            return "skipped" not in result
        return result.get("by") == BY_CLOCK


@dataclass
class Count:
    """What a row of worlds did."""

    scenarios: int = 0
    jumps: int = 0
    deaths: int = 0
    resumes: int = 0
    takeovers: int = 0
    answers: int = 0
    firings: int = 0
    reminders: int = 0
    turns: int = 0
    latest_ms: int = 0
    """How late the latest firing was, while somebody drove the run."""

    def add(self, other: Count) -> None:
        for name in self.__dataclass_fields__:
            most = max if name == "latest_ms" else sum
            setattr(self, name, most([getattr(self, name), getattr(other, name)]))

    def __str__(self) -> str:
        return (
            f"{self.scenarios} scenarios, {self.jumps} jumps, {self.deaths} deaths, {self.resumes} resumes, "
            f"{self.takeovers} takeovers, {self.answers} answers, {self.firings} firings, "
            f"{self.reminders} reminders, {self.turns} turns, latest {self.latest_ms} ms"
        )


class Flow:
    """A workflow that waits for times in all the ways there are, made at random."""

    def __init__(self, random: Random, now_ms: int, tree: Node | None = None) -> None:
        """Args: tree: this one, in place of one made at random."""
        self._random, self._now_ms = random, now_ms
        self._number = 0
        self.spans: dict[str, int] = {}
        """By node: how long after its opening it is due, in ms."""
        made = self._tree() if tree is None else tree

        def waiting(ctx: Context[Any]) -> Node:
            return made

        self.workflow = Workflow(waiting)

    def _tree(self) -> Node:
        branches = [self._branch() for _ in range(self._random.randint(2, 5))]
        inner = Sequence(self._wait(), self._work())
        if self._random.random() < 0.3:
            branches.append(Subflow("child", Workflow(lambda ctx: inner, name="within", output=str)))
        return Sequence(Parallel(*branches), self._work())

    def _id(self, word: str) -> str:
        self._number += 1
        return f"{word}{self._number}"

    def _span_ms(self) -> int:
        return int(self._random.choice((1, 30, 600, 7_200)) * SECOND * self._random.uniform(0.5, 1))

    def _branch(self) -> Node:
        parts = [self._work(), self._wait(), self._work()]
        if self._random.random() < 0.3:
            wait = self._wait()
            parts.append(Loop(wait, id=self._id("loop"), max_iterations=2))
        return Sequence(*parts)

    def _work(self) -> Task[str]:
        """Every third one fails first, and is tried again after a while."""
        fails = self._random.random() < 0.3

        def run() -> str:
            if fails and current().attempt == 1:
                raise RuntimeError("not yet")
            return "done"

        delay = self._random.choice((0.5, 20.0, 900.0))
        policy = RetryPolicy(retries=1, backoff="fixed", initial_delay=delay)
        return Task(self._id("work"), str, run=run, retry_policy=policy)

    def _wait(self) -> Node:
        random, span_ms = self._random, self._span_ms()
        kind = random.choice(("timer", "timer", "until", "until", "event", "human", "approval"))
        name = self._id(kind)
        span = span_ms / 1000
        if kind == "until":
            at = datetime.fromtimestamp((self._now_ms + span_ms) / 1000, UTC)
            return Timer(name, until=(lambda: at) if random.random() < 0.5 else at)
        self.spans[name] = span_ms
        fails = random.random() < 0.15
        match kind:
            case "event":
                if fails:
                    return WaitForEvent(name, timeout=span)
                return WaitForEvent(name, timeout=span, on_timeout="continue", default={"none": True})
            case "human":
                return HumanTask(
                    name, str, prompt="What?", timeout=span, on_timeout="fail" if fails else "skip"
                )
            case "approval":
                then = "fail" if fails else random.choice(("deny", "approve", "skip"))
                again = random.choice((None, span / 3.5, span / 1.5))
                return Approval(name, on_deny="continue", expires_in=span, on_expire=then, remind_every=again)
            case _:
                return Timer(name, duration=span)


@dataclass
class Driver:
    """A process that drives the run, or thinks so."""

    process: SimulatedProcess
    handle: Handle
    fence: int


@dataclass
class World:
    """One seed: a machine, its clocks, a run, and those who drive it."""

    seed: int
    tree: Node | None = None
    """None: one made at random, to which things happen at random."""
    happens: SequenceOf[tuple[int, Callable[[World], None]]] = ()
    """What happens to that tree, and after how many ms."""
    lingers_ms: SequenceOf[int | None] = (None, None, 0, 5_000)
    """How long processes keep the run while it only waits; None: an hour."""
    count: Count = field(default_factory=Count)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.clock = FakeClock()
        self._connections = Connections()
        self.store = MemoryStore(self.clock, connect=self._connections.connect)
        self._look = self.store.connect()
        self.reader = SqliteReader(self.store.connect(), self.store.path, self.clock)
        self.outsider = SqliteOutsider(self.store.connect(), self.store.path, self.clock)
        self.flow = Flow(self.random, self.clock.now_ms(), self.tree)
        is_random = self.tree is None
        self.has_rivals = is_random and self.random.random() < 0.15
        self.drift = self.random.choice((0.0, 0.0, 2e-4, -2e-4)) if is_random else 0.0
        self.elapsed_ms = 0
        self.lines: list[str] = []
        self.processes: list[SimulatedProcess] = []
        self.living: set[int] = set()
        self.drivers: list[Driver] = []
        self._steady_ms = 0
        """What the best of the two clocks of whoever drives has come to."""
        self._seen_ms = 0
        self._due_since: dict[tuple[int, WaitRef], int] = {}
        """Since when a deadline has passed and somebody drives the run, by what has elapsed."""
        self._over: set[tuple[int, WaitRef]] = set()
        self._reminded = 0
        self._poll_at: int | None = None
        self.resume_at: int | None = 0
        self._resumes = 0
        self._failures = 0
        self.last_row: RunRow | None = None
        """The run, when all was over."""
        self._wants_again = is_random and self.random.random() < 0.3
        """Somebody has a wait of the finished run done again."""
        self._again: tuple[NodeKey, ...] = ()
        told = [(at_ms, partial(happens, self)) for at_ms, happens in self.happens]
        self._incidents = sorted(self._plan() if is_random else told, key=lambda one: one[0])

    # --- What goes wrong --------------------------------------------------------------------------

    def _plan(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """Jumps, deaths, stops and answers, and when, in ms from the start."""
        random = self.random
        end_ms = random.choice((40, 700, 9_000)) * SECOND
        for _ in range(random.choice((0, 1, 2, 4, 8))):
            step_ms = random.choice(
                (YEAR, -HOUR, HOUR, -HOUR, HOUR, 8 * HOUR, -24 * HOUR, 500, -500, 500, -500, 3, -3)
            )
            yield random.randint(0, end_ms), lambda step_ms=step_ms: self.jump(step_ms)
            if abs(step_ms) <= HOUR and random.random() < 0.5:
                # As of a summer time that is put right again.
                yield random.randint(0, end_ms), lambda step_ms=-step_ms: self.jump(step_ms)
        for _ in range(random.choice((0, 1, 2, 4))):
            yield random.randint(0, end_ms), self.kill
        for _ in range(random.choice((0, 0, 1, 3))):
            yield random.randint(0, end_ms), self.answer
        if self.has_rivals:
            yield random.randint(0, end_ms), self._stop

    def jump(self, step_ms: int) -> None:
        self.say("jump", step_ms)
        self.count.jumps += 1
        self.clock.set_wall(self.clock.wall_ms + step_ms)
        self._poll_at = self.elapsed_ms + POLL_MS

    def kill(self) -> None:
        driver = self._driver()
        if driver is None:
            return
        self.count.deaths += 1
        self._die(driver.process)
        self.resume_at = self.elapsed_ms + self.random.choice((0, 700, 30_000, 3 * HOUR))
        if not self.living:
            # As after a reboot: the monotonic clock begins anywhere.
            self.clock.uptime_ms = self.random.randint(1_000, 10**9)

    def _stop(self) -> None:
        """Stop the owner past its lease: another takes the run over, and the first one wakes up."""
        driver = self._driver()
        if driver is not None:
            self.say("stop", driver.process.pid)
            driver.process.stopped_until_ms = self.clock.uptime_ms + 40 * SECOND
            self.resume_at = self.elapsed_ms + 20 * SECOND

    def answer(self) -> None:
        """Somebody answers what is open, perhaps just as its time comes."""
        for wait in self.waits():
            if wait.state != 1 or self.random.random() < 0.5:
                continue
            data: dict[str, Any] = {"by": "somebody", "at": "2025-06-15T15:06:40.000+00:00"}
            match wait.kind:
                case WaitKind.APPROVAL:
                    word, data = "approve", {**data, "approved": True}
                case WaitKind.HUMAN:
                    word, data = "answer", {**data, "value": "so"}
                case WaitKind.TIMER if self.random.random() < 0.3:
                    word, data = "skip", {**data, "skipped": True}
                case WaitKind.EVENT:
                    name = json.loads(wait.spec)["event"]
                    self.outsider.signal(wait.run, name, {"some": "thing"}, None, "somebody")
                    self.told()
                    continue
                case _:
                    continue
            try:
                self.outsider.vote(Vote(wait.run, wait.ref, word, data, "somebody"))
                self.told()
            except NotWaiting:
                return  # of a run that has ended

    def told(self) -> None:
        """As a command does after an answer: somebody has to go on by it."""
        self.count.answers += 1
        self.say("answer")
        for process in self.processes:
            process.has_mail = True
        if self._driver() is None and self.resume_at is None:
            self.resume_at = self.elapsed_ms

    # --- Time -------------------------------------------------------------------------------------

    def run(self) -> Count:
        """Let it happen to its end.

        Raises:
            Broken: says which promise.
        """
        self.count.scenarios += 1
        run_tape(Tape())
        try:
            for _ in range(LONGEST_STEPS):
                self._settle()
                if self._is_over():
                    break
                self._pass()
            else:
                raise Broken(f"no end after {LONGEST_STEPS} steps")
            self._check_end()
        except Broken as error:
            said = "\n  ".join(self.lines[-60:])
            raise Broken(f"seed {self.seed}: {error}\n  {said}") from None
        finally:
            self._close()
        return self.count

    def _settle(self) -> None:
        """Do all that can be done at this moment."""
        for _ in range(AT_ONCE):
            self._sample()
            if self.resume_at is not None and self.resume_at <= self.elapsed_ms and self._driver() is None:
                self.resume_at = None
                self._drive()
            ready = [(one, act) for one in self.processes for act in one.actions()]
            if self._poll_at is not None and self._poll_at <= self.elapsed_ms:
                self._poll_at = None
                ready += [(one, one.turn) for one in self.processes if not one.is_dead and not one.is_stopped]
            if not ready:
                self._check_late()
                return
            self._act(*ready[self.random.randrange(len(ready))])
            self._check()
        raise Broken(f"busy: {AT_ONCE} actions in no time")

    def _act(self, process: SimulatedProcess, act: Callable[[], None]) -> None:
        row = self.row()
        fence = max((one.fence for one in self.drivers if one.process is process), default=0)
        act()
        self.count.turns += act.__name__ == "turn"
        after = self.row()
        if row is not None and after is not None and fence < row.fence and after.seq != row.seq:
            raise Broken(f"process {process.pid} wrote under fence {fence}, the run has {row.fence}")
        if row is None or after is None or row.seq != after.seq:
            for other in self.processes:
                other.has_mail = other.has_mail or other is not process

    def _pass(self) -> None:
        """Let time pass until somebody has something to do."""
        for one in self.drivers:
            if one.handle.ended.done() and not one.process.is_dead:
                self._die(one.process)  # as `up` leaves when its run has
        if self._driver() is None and self.resume_at is None:
            self._sweep()
        now_ms, uptime_ms = self.elapsed_ms, self.clock.uptime_ms
        due = [now_ms + LONGEST_MS]
        due += [now_ms + at - uptime_ms for one in self.processes if (at := one.next_ms()) is not None]
        due += [at for at in (self.resume_at, self._poll_at) if at is not None]
        due += [at for at, _ in self._incidents[:1]]
        due += [now_ms + ahead_ms for ahead_ms in map(self._ahead_ms, self.waits()) if ahead_ms > 0]
        span_ms = max(1, min(due) - now_ms)
        self.elapsed_ms += span_ms
        self.clock.uptime_ms += span_ms
        self.clock.wall_ms += round(span_ms * (1 + self.drift))
        while self._incidents and self._incidents[0][0] <= self.elapsed_ms:
            self._incidents.pop(0)[1]()

    def _ahead_ms(self, wait: Wait) -> int:
        """How long until a wait is due; 0 or less: it is, or is over."""
        if wait.state != 1 or wait.due_ms is None:
            return 0
        return wait.due_ms - (self.clock.now_ms() if wait.follows_wall else self._steady_ms)

    def _sample(self) -> None:
        now_ms = self.clock.now_ms()
        self._steady_ms = max(now_ms, self._steady_ms + self.elapsed_ms - self._seen_ms)
        self._seen_ms = self.elapsed_ms

    # --- Whoever drives it ------------------------------------------------------------------------

    def _driver(self) -> Driver | None:
        if not self.drivers:
            return None
        found = self.drivers[-1]
        if found.process.is_dead or found.process.is_stopped or found.handle.ended.done():
            return None
        return found

    def _sweep(self) -> None:
        """As a supervisor does: resume what is due, or what has lost its owner."""
        row = self.row()
        if row is None or row.state in (RunState.RUNNING, RunState.FAILED):
            self.resume_at = self.elapsed_ms + SECOND
            return
        (due_ms,) = self._look.execute("SELECT min(due_ms) FROM smithers_wakeups").fetchone()
        if due_ms is None:
            raise Broken("the run is parked, and nothing wakes it")
        if due_ms <= self.clock.now_ms():
            self.resume_at = self.elapsed_ms
        else:
            self._poll_at = self.elapsed_ms + min(due_ms - self.clock.now_ms(), SWEEP_MS)

    def _drive(self) -> None:
        self._resumes += 1
        if self._resumes > 60:
            raise Broken("it is resumed again and again")
        row = self.row()
        if row is not None and row.state is RunState.FINISHED and not self._again:
            return
        process = self._born()
        handle = process.engine.handle()
        terms = Terms("flow.py:flow", None, None, lambda task: (), self.random.choice(self.lingers_ms))
        definition = self.flow.workflow.definition
        if row is None:
            process.engine.post(New(definition, RUN, "null", {}, terms, handle))
            self.drivers.append(Driver(process, handle, 1))
            return
        try:
            fence = process.leases.claim(row.id, process.owner.id)
        except SmithersError as error:
            self.say("refused", process.pid, error.code)
            self._die(process)
            self.resume_at = self.elapsed_ms + 5 * SECOND
            return
        self.count.resumes += 1
        self.count.takeovers += any(one.process.is_stopped for one in self.drivers)
        self.say("resume", process.pid, row.state.word)
        process.engine.post(Resume(definition, row, fence, terms, handle, self._again))
        self._again = ()
        self.drivers.append(Driver(process, handle, fence))

    def _born(self) -> SimulatedProcess:
        process = SimulatedProcess(
            len(self.processes) + 1, self.store, self._connections, self.clock,
            Random(self.random.random()), self.living, Sites(),
        )  # fmt: skip
        if not self.has_rivals:
            process._renew_ms = 1 << 62  # nobody else looks at its lease
        self.processes.append(process)
        (last_ms,) = self._look.execute(
            "SELECT max(f.at_ms + r.created_ms) FROM smithers_frames f JOIN smithers_runs r ON r.id = f.run"
        ).fetchone()
        self._steady_ms = max(self.clock.now_ms(), last_ms or 0)
        return process

    def _die(self, process: SimulatedProcess) -> None:
        self.say("dead", process.pid)
        process.die()
        for loop in process.loops:
            loop.close()

    # --- What must hold ---------------------------------------------------------------------------

    def waits(self) -> list[Wait]:
        """All there are, of all runs."""
        rows = self._look.execute(
            "SELECT w.run, n.text, s.text, w.iteration, w.generation, w.number, w.kind, w.state, w.opened_ms,"
            " w.due_ms, w.spec, w.result FROM smithers_waits w JOIN smithers_names n ON n.id = w.node"
            " JOIN smithers_names s ON s.id = w.scope"
        ).fetchall()
        return [
            Wait(run, WaitRef(NodeKey(*key), generation, number), *rest)
            for run, *key, generation, number, kind, state, opened_ms, due_ms, spec, result in rows
            for rest in [(kind, state, opened_ms, due_ms, spec, result)]
        ]

    def _wakeups(self) -> dict[tuple[int, NodeKey, str], int]:
        rows = self._look.execute(
            "SELECT w.run, n.text, s.text, w.iteration, w.kind, w.due_ms FROM smithers_wakeups w"
            " JOIN smithers_names n ON n.id = w.node JOIN smithers_names s ON s.id = w.scope"
        ).fetchall()
        return {(run, NodeKey(*key), kind): due_ms for run, *key, kind, due_ms in rows}

    def _check(self) -> None:
        """After each action: what has fired was due, and whoever waits has a wake-up."""
        wakeups, open_keys = self._wakeups(), set()
        for wait in self.waits():
            name = (wait.run, wait.ref)
            if wait.state in (1, 2):  # nobody has gone on by what was decided yet
                open_keys.add((wait.run, wait.ref.key))
            if wait.state == 1:
                if wakeups.get((wait.run, wait.ref.key, "wait")) != wait.due_ms:
                    raise Broken(f"{wait.ref} is due at {wait.due_ms}, and its wake-up is not: {wakeups}")
                span_ms = self.flow.spans.get(wait.ref.key.node)
                if span_ms is not None and wait.due_ms != wait.opened_ms + span_ms:
                    raise Broken(f"{wait.ref} is due {wait.due_ms} and was opened {wait.opened_ms}")
            if wait.state == 3 and name not in self._over:
                self._over.add(name)
                if wait.is_by_clock:
                    self._check_firing(wait)
        for run, key, kind in wakeups:
            if kind in ("wait", "reminder") and (run, key) not in open_keys:
                raise Broken(f"a wake-up ({kind}) of {key} is left, and nothing waits")

    def _check_firing(self, wait: Wait) -> None:
        self.count.firings += 1
        since_ms = self._due_since.pop((wait.run, wait.ref), self.elapsed_ms)
        self.count.latest_ms = max(self.count.latest_ms, self.elapsed_ms - since_ms)
        due_ms, now_ms = wait.due_ms or 0, self.clock.now_ms()
        self.say("fired", wait.ref.key, "late by", now_ms - due_ms)
        if wait.follows_wall and now_ms < due_ms:
            raise Broken(f"{wait.ref} fired {due_ms - now_ms} ms before its time")
        if not wait.follows_wall and self._steady_ms < due_ms:
            # Early, for a span: before it has passed by the better of the clocks of whoever drives.
            raise Broken(f"{wait.ref} fired {due_ms - self._steady_ms} ms before its span had passed")

    def _check_late(self) -> None:
        """Nobody has anything to do: no deadline has passed for long."""
        if self._driver() is None:
            self._due_since.clear()
            return
        due = {
            (wait.run, wait.ref): self._ahead_ms(wait)
            for wait in self.waits()
            if wait.state == 1 and wait.due_ms is not None and self._ahead_ms(wait) <= 0
        }
        for name, ahead_ms in due.items():
            passed_ms = self.elapsed_ms - self._due_since.setdefault(name, self.elapsed_ms)
            if passed_ms > LATE_MS:
                raise Broken(f"{name} is overdue by {-ahead_ms} ms, and was driven for {passed_ms} of them")
        for name in self._due_since.keys() - due.keys():
            del self._due_since[name]

    def _is_over(self) -> bool:
        row = self.row()
        if row is None or self.resume_at is not None:
            return False
        if row.state is RunState.FAILED and self._failures < 3 and self._driver() is None:
            self._failures += 1
            self.resume_at = self.elapsed_ms + SECOND
            return False
        if row.state is RunState.FINISHED and self._driver() is None and self._wants_again:
            self._wants_again = False
            own = sorted(wait.ref.key for wait in self.waits() if wait.run == row.id and wait.state == 3)
            self._again = (self.random.choice(own),)
            self.resume_at = self.elapsed_ms + SECOND
            return False
        return row.state.has_ended and self._driver() is None

    def _check_end(self) -> None:
        for (run,) in self._look.execute("SELECT id FROM smithers_runs").fetchall():
            self._check_events(run)
        if left := {name: at for name, at in self._wakeups().items() if name[2] in ("wait", "reminder")}:
            raise Broken(f"the run has ended, and there are wake-ups: {left}")
        if left := [wait for wait in self.waits() if wait.state in (1, 2)]:
            raise Broken(f"the run has ended, and there are waits: {left}")
        turns = self.count.turns
        (frames,) = self._look.execute("SELECT sum(frame) FROM smithers_runs").fetchone()
        allowed = 100 + 6 * (frames + self.count.jumps + self._resumes) + self.elapsed_ms // (30 * SECOND)
        if turns > allowed:
            raise Broken(f"{turns} turns of an engine for {frames} frames, and {allowed} would do")

    def _check_events(self, run: int) -> None:
        """Each wait was decided once, and each node finished once, in each generation."""
        events = self.reader.events(run, limit=100_000)
        self.count.reminders += sum(event.type is EventType.WAIT_REMINDED for event in events)
        told = Counter(event.key for event in events if event.type is EventType.WAIT_DECIDED)
        rows = Counter(wait.ref.key for wait in self.waits() if wait.run == run and wait.state == 3)
        if told != rows:
            raise Broken(f"waits were decided {dict(told)}, and stored as {dict(rows)}")
        finished = Counter(event.key for event in events if event.type is EventType.NODE_FINISHED)
        stored = Counter(
            NodeKey(*key)
            for key in self._look.execute(
                "SELECT n.text, s.text, x.iteration FROM smithers_nodes x JOIN smithers_names n"
                " ON n.id = x.node JOIN smithers_names s ON s.id = x.scope WHERE run = ? AND state = 3",
                (run,),
            )
        )
        if finished != stored:
            raise Broken(f"nodes finished {dict(finished)}, and are stored as {dict(stored)}")

    def row(self) -> RunRow | None:
        found = self._look.execute("SELECT id FROM smithers_runs WHERE name = ?", (RUN,)).fetchone()
        return None if found is None else self.reader.run_at(found[0])

    def say(self, *words: object) -> None:
        self.lines.append(f"{self.elapsed_ms / 1000:.3f} " + " ".join(map(str, words)))

    def _close(self) -> None:
        for process in self.processes:
            for loop in process.loops:
                loop.close()
            if not process.is_dead:
                process.die()
        stop_tape()
        self.last_row = self.row()
        self._look.close()
        self.reader.close()
        self.outsider.close()
        self._connections.close()
        self.store.close()
