"""One seed, one world: a machine with processes, a store, a clock, and things that go wrong.

Everything happens on one thread, one action at a time, in an order that the seed decides: an engine's turn,
a callback of the author's loop, a function on a worker, a renewal, a message from outside. Time passes only
when nobody has anything to do. The engine, the scheduler, the statements and SQLite are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from smithers.engine.handle import Handle
from smithers.engine.job import Job
from smithers.engine.message import New, Resume, Swap
from smithers.errors import RunNotFound, SmithersError
from smithers.ids import NodeKey
from smithers.records import InboxKind, RunRow, RunState
from smithers.store.memory import MemoryStore
from smithers.testing.clock import FakeClock

from .ending import Ending
from .eye import Eye
from .fault import Crash, Kind, Sites, StoreFault
from .process import Connections, SimulatedProcess
from .story import Tell

RUN = "r"
LONGEST_ACTIONS = 20_000
AFTERWARDS = 30
"""Actions that follow a run's end."""
LONGEST_MS = 3 * 3_600_000
"""A run that takes three simulated hours waits for something that nobody will do."""


class Violation(AssertionError):
    """A promise that was not kept."""


@dataclass(slots=True)
class Plan:
    """What goes wrong in one world."""

    store_faults: list[tuple[StoreFault, ...]]
    """For each process in the order of their births; those after them have none."""
    stops: list[tuple[int, int]]
    """(action, ms): stop whoever drives at this action, for so long."""
    messages: list[tuple[int, InboxKind]]
    """(action, kind): somebody else writes to the run."""
    rivals: list[int]
    """Actions at which another process tries to take the run over."""
    jumps: list[tuple[int, int]]
    """(action, ms): somebody sets the wall clock."""
    swaps: list[int]
    """Actions at which whoever drives is given the workflow's code anew."""

    @property
    def size(self) -> int:
        parts = (self.stops, self.messages, self.rivals, self.jumps, self.swaps)
        return sum(map(len, (*self.store_faults, *parts)))


def plan_of(random: Random) -> Plan:
    """A few things to go wrong; often one, sometimes none."""
    plan = Plan([], [], [], [], [], [])
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3))):
        what = random.random()
        action = random.randint(1, 60)
        if what < 0.5:
            kind = random.choice(list(Kind))
            lasts = random.choice((1, 1, 3, 40)) if kind in (Kind.FULL, Kind.IOERR) else 1
            plan.store_faults.append((StoreFault(kind, random.randint(0, 150), lasts),))
        elif what < 0.75:
            plan.stops.append((random.randint(1, 40), random.choice((3_000, 16_000, 20_000, 60_000))))
        elif what < 0.85:
            plan.messages.append((action, random.choice((InboxKind.PAUSE, InboxKind.CANCEL))))
        elif what < 0.95:
            plan.rivals.append(action)
        else:
            plan.jumps.append((action, random.choice((-3_600_000, 3_600_000, 400 * 86_400_000))))
    if random.random() < 0.2:
        plan.swaps = [random.randint(1, 60) for _ in range(random.choice((1, 3, 10)))]
    return plan


@dataclass(frozen=True, slots=True)
class Driver:
    """A process that drives the run, and what it waits for."""

    process: SimulatedProcess
    handle: Handle


@dataclass(slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    actions: int
    faults: int
    """Planned."""
    trace: str
    """Hash of all that happened, in order: equal for equal seeds."""
    violation: str | None = None
    lines: list[str] = field(default_factory=list)
    """What happened, for whoever looks for the reason."""
    ending: Ending | None = None
    """None: a promise was broken before there was one."""


class World:
    """Simulates one run from its start to its end."""

    def __init__(
        self,
        seed: int,
        store: MemoryStore,
        connections: Connections,
        eye: Eye,
        tell: Tell,
        *,
        is_disturbed: bool = True,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = store.clock = FakeClock()
        self.store = store
        self.connections = connections
        self.eye = eye
        self.plan = plan_of(self.random) if is_disturbed else Plan([], [], [], [], [], [])
        self.story = tell(self.random)
        self.definition = self.story.definition
        self.terms = self.story.terms(self.random)
        self.processes: list[SimulatedProcess] = []
        self.living: set[int] = set()
        self.actions = 0
        self.lines: list[str] = []
        self.drivers: list[Driver] = []
        """All that ever drove the run, the newest last."""
        self.fences: dict[int, int] = {}
        """By pid: the newest fence under which a process drives, or drove, the run."""
        self._acting: SimulatedProcess | None = None
        self._executed: set[tuple[int, NodeKey, int, int, int]] = set()
        self._next_try_ms = 0
        """When somebody next tries to start or resume the run; 0: it is driven."""
        self._found: str | None = None
        """What was wrong when a task's code began."""
        self._ended_at: int | None = None
        """The action after which the run had ended by itself."""
        self._began_ms = self.clock.monotonic_ms()

    # --- One action after the other ----------------------------------------------------------------------

    def run(self) -> Outcome:
        """Let it happen; what is wrong is in the outcome."""
        violation, ending = None, None
        self.story.begin(self._is_cut_off)
        try:
            while not self._is_over():
                self._act()
            ending = self._check_end()
        except Violation as error:
            violation = str(error)
        finally:
            self._close()
            self.story.end()
        trace = blake2b("\n".join(self.lines).encode(), digest_size=8).hexdigest()
        return Outcome(self.seed, self.actions, self.plan.size, trace, violation, self.lines, ending)

    def _act(self) -> None:
        self.actions += 1
        if self._found is not None:
            raise Violation(self._found)
        if self.actions > LONGEST_ACTIONS:
            raise Violation(f"no end after {LONGEST_ACTIONS} actions")
        self._from_outside()
        choices: list[tuple[SimulatedProcess | None, Callable[[], None]]] = [
            (process, action) for process in self.processes for action in process.actions()
        ]
        if self._ended_at is None and self._wants_driver():
            choices.append((None, self._drive))
        if not choices:
            self._pass_time()
            return
        process, action = choices[self.random.randrange(len(choices))] if len(choices) > 1 else choices[0]
        if process is None:
            action()
            return
        self._do(process, action)

    def _do(self, process: SimulatedProcess, action: Callable[[], None]) -> None:
        """Let a process act; it may die of it, and if it has lost the run it must change nothing."""
        self._acting = process
        fence = self.fences.get(process.pid)
        row = self.eye.row(RUN)
        is_stale = row is not None and fence is not None and fence < row.fence
        try:
            action()
        except Crash:
            pass
        finally:
            self._acting = None
        if process.sites.is_dead and not process.is_dead:
            self._die(process)
        self.say(process.pid, action.__name__.strip("_<>"), *process.sites.met)
        process.sites.met.clear()
        after = self.eye.row(RUN)
        if is_stale and row is not None and after is not None and after != row and after.fence == row.fence:
            raise Violation(f"process {process.pid} wrote under fence {fence}, the run has {row.fence}")
        if row != after:
            for other in self.processes:
                other.has_mail = other.has_mail or other is not process

    def _pass_time(self) -> None:
        now_ms = self.clock.monotonic_ms()
        due = [at_ms for process in self.processes if (at_ms := process.next_ms()) is not None]
        if self._next_try_ms:
            due.append(self._next_try_ms)
        ahead_ms = max(1, min(due, default=now_ms) - now_ms)
        if self._ended_at is None and now_ms + ahead_ms - self._began_ms > LONGEST_MS:
            raise Violation("the run waits for something that nobody will do")
        self.clock.advance(ahead_ms / 1000)

    def _from_outside(self) -> None:
        """What is planned for this action."""
        plan, now = self.plan, self.actions
        for action, span_ms in plan.stops:
            if action == now and (driver := self._driver()) is not None:
                driver.process.stopped_until_ms = self.clock.monotonic_ms() + span_ms
                self.say("stop", driver.process.pid, span_ms)
        for action, kind in plan.messages:
            row = self.eye.row(RUN)
            if action == now and row is not None:
                self.say("post", kind.name)
                self.eye.outsider.post(row.number, kind, "somebody")
                for process in self.processes:
                    process.has_mail = True
        for action in plan.rivals:
            if action == now:
                self.say("rival")
                self._claim_and_resume(self._born())
        if now in plan.swaps and (driver := self._driver()) is not None:
            self.say("swap", driver.process.pid)
            driver.process.engine.post(Swap(driver.handle, self.definition, ("story.py",)))
        for action, jump_ms in plan.jumps:
            if action == now:
                self.clock.set_wall(self.clock.now_ms() + jump_ms)

    # --- Whoever wants the run to end ----------------------------------------------------------------------

    def _driver(self) -> Driver | None:
        """Who drives the run now, and is not stopped."""
        if not self.drivers:
            return None
        driver = self.drivers[-1]
        process = driver.process
        if process.is_dead or process.is_stopped or driver.handle.ended.done():
            return None
        return driver

    def _wants_driver(self) -> bool:
        if self._driver() is not None:
            self._next_try_ms = 0
            return False
        now_ms = self.clock.monotonic_ms()
        if not self._next_try_ms:
            self._next_try_ms = now_ms + self.random.choice((0, 1_000, 20_000))
        return now_ms >= self._next_try_ms

    def _drive(self) -> None:
        """Start the run, or resume it, in a process that is there or in a new one."""
        there = [one for one in self.processes if not one.is_dead and not one.is_stopped]
        process = self.random.choice(there) if there and self.random.random() < 0.3 else self._born()
        self._claim_and_resume(process)

    def _claim_and_resume(self, process: SimulatedProcess | None) -> None:
        self._next_try_ms = self.clock.monotonic_ms() + 5_000
        if process is None:
            return
        try:
            row = self.eye.reader.run(RUN)
        except RunNotFound:
            self._start(process)
            return
        if _is_over(row):
            return
        self._do(process, lambda: self._take_over(process, row))

    def _born(self) -> SimulatedProcess | None:
        number = len(self.processes) + 1
        faults = self.plan.store_faults
        sites = Sites(faults[number - 1] if number <= len(faults) else ())
        random = Random(self.random.random())
        try:
            process = SimulatedProcess(
                number, self.store, self.connections, self.clock, random, self.living, sites, self._begun
            )
        except (Crash, SmithersError) as error:
            self.say("stillborn", number, type(error).__name__)
            faults[:number] = [()] * number
            self.living.discard(number)
            self.connections.take_back(self.connections.lent)
            self.connections.sites, self.connections.lent = None, []
            return None
        self.processes.append(process)
        self.say("born", number)
        return process

    def _start(self, process: SimulatedProcess) -> None:
        handle = process.engine.handle()
        process.engine.post(New(self.definition, RUN, self.story.input, {}, self.terms, handle))
        self.fences[process.pid] = 1
        self.drivers.append(Driver(process, handle))

    def _take_over(self, process: SimulatedProcess, row: RunRow) -> None:
        try:
            fence = process.leases.claim(row.id, process.owner.id)
        except SmithersError as error:
            self.say("refused", process.pid, error.code)
            if process.engine.has_lost:
                self._die(process)
            return
        handle = process.engine.handle()
        process.engine.post(Resume(self.definition, row, fence, self.terms, handle))
        self.fences[process.pid] = fence
        self.drivers.append(Driver(process, handle))

    def _die(self, process: SimulatedProcess) -> None:
        process.die()
        self.say("dead", process.pid)

    # --- What must hold ------------------------------------------------------------------------------------

    def _begun(self, job: Job) -> None:
        """A task's code begins: it must be stored as running, once, and not be finished."""
        wrong = self._wrong_with(job.key, job.generation, job.attempt)
        # Not raised: this is the author's code, and what it raises is a failure of its task.
        self._found = self._found or wrong

    def _wrong_with(self, key: NodeKey, generation: int, attempt: int) -> str | None:
        process, row = self._acting, self.eye.row(RUN)
        if process is None or row is None:
            return f"{key} runs although nobody stored it"
        fence = self.fences.get(process.pid, 0)
        if fence < row.fence:
            return None  # a process that was frozen goes on for a moment: nothing of it can be stored
        self.say("begun", str(key), *([f"generation {generation}"] if generation else []), attempt)
        mark = (process.pid, key, generation, attempt, fence)
        if mark in self._executed:
            return f"{key} attempt {attempt} was dispatched twice"
        self._executed.add(mark)
        if self.eye.is_finished(key, generation):
            return f"{key} runs again although it is stored as finished"
        if not self.eye.is_running(key, generation, attempt):
            return f"{key} attempt {attempt} runs and is not stored as running"
        return None

    def _is_cut_off(self, key: NodeKey, attempt: int) -> bool:
        return self.eye.is_cut_off(key, attempt)

    def _is_over(self) -> bool:
        """The run has ended, and those who may still think that they drive it have had time to be wrong."""
        if self._ended_at is None:
            row = self.eye.row(RUN)
            if row is None or not row.has_ended or not _is_over(self.eye.reader.run(RUN)):
                return False
            self._ended_at = self.actions
        return self.actions > self._ended_at + AFTERWARDS

    def _check_end(self) -> Ending:
        reader = self.eye.reader
        row = reader.run(RUN)
        ending = Ending(
            row.state,
            row.error,
            {one.key: one.state for one in reader.nodes(row.id)},
            {one.key: one.body for one in reader.outputs(row.id)},
            reader.attempts(row.id),
        )
        if (wrong := self.story.wrong_with(ending)) is not None:
            raise Violation(wrong)
        events = reader.events(row.id, limit=100_000)
        if [event.seq for event in events] != list(range(1, row.seq + 1)):
            raise Violation("events have gaps")
        running = [str(one.key) for one in ending.attempts if one.to_frame is None]
        if running:
            raise Violation(f"the run has ended, and {running} run")
        return ending

    def _close(self) -> None:
        self.say("end", self.clock.monotonic_ms() - self._began_ms)
        self._acting = None
        for process in self.processes:
            for loop in process.loops:
                loop.close()
            if not process.is_dead:
                process.die()

    def say(self, *words: object) -> None:
        self.lines.append(" ".join(map(str, words)))


def _is_over(row: RunRow) -> bool:
    """Ended by itself: whoever was asked to pause or cancel is resumed until then."""
    if row.error and "CRASH_LOOP" in json.dumps(dict(row.error)):
        return False  # cut off three times in a row: somebody looks, and resumes it
    return row.state in (RunState.FINISHED, RunState.PARTIAL, RunState.FAILED)
