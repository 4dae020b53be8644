"""One simulated process that owns runs: the real engine, and all that it touches simulated."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from smithers.engine.author import Author
from smithers.engine.effects import Effects
from smithers.engine.engine import POLL_MS, Engine
from smithers.engine.job import Job
from smithers.engine.lease import LEASE_MS, RENEW_EVERY_MS
from smithers.records import Owner
from smithers.store.identity import Identity
from smithers.store.memory import MemoryStore
from smithers.testing.clock import FakeClock
from smithers.workers import Workers

from .fault import FaultyConnection, Sites
from .loop import SimulatedLoop
from .program import no_programs

LONGEST_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class SimulatedIdentity(Identity):
    """A process of the simulated machine, which knows who lives on it."""

    living: frozenset[int] | set[int] = frozenset()

    def sees(self, owner: Owner) -> bool | None:
        return owner.pid in self.living


class SimulatedWorkers(Workers):
    """Threads that are none: what they are given waits until the simulation runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[Callable[[], None]] = deque()

    def submit(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)


class LastingConnection(FaultyConnection):
    """A connection that survives the process it was lent to."""

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()

    def really_close(self) -> None:
        """Close it after all."""
        super().close()


class Connections:
    """Connections to one store, used again by the next process: their prepared statements stay warm."""

    def __init__(self) -> None:
        self._free: list[LastingConnection] = []
        self.lent: list[LastingConnection] = []
        self.sites: Sites | None = None

    def connect(self, uri: str) -> sqlite3.Connection:
        if self._free:
            found = self._free.pop()
        else:
            found = sqlite3.connect(
                uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False,
                cached_statements=256, factory=LastingConnection,
            )  # fmt: skip
        found.sites = self.sites
        self.lent.append(found)
        return found

    def take_back(self, connections: list[LastingConnection]) -> None:
        """What the end of a process does to its connections."""
        for one in connections:
            one.sites = None
            if one.in_transaction:
                one.rollback()
        self._free += connections

    def close(self) -> None:
        for one in self._free:
            one.really_close()


class SimulatedProcess:
    """A process: alive, stopped (as by SIGSTOP) until a time, or dead."""

    def __init__(
        self,
        pid: int,
        store: MemoryStore,
        connections: Connections,
        clock: FakeClock,
        random: Random,
        living: set[int],
        sites: Sites,
        begun: Callable[[Job], None] | None = None,
    ) -> None:
        self.pid = pid
        self.sites = sites
        self.stopped_until_ms = 0
        self.is_dead = False
        self.has_mail = False
        """Somebody else has written to the store since its last turn."""
        self._clock = clock
        self._living = living
        self._connections = connections
        connections.sites, connections.lent = sites, []
        living.add(pid)
        identity = SimulatedIdentity("machine", "boot", "", pid, pid, living)
        self.workers = SimulatedWorkers()
        self.loops: list[SimulatedLoop] = []
        self.leases = store.leases(identity)
        self.owner = self.leases.register_owner(LEASE_MS)
        processes = no_programs()
        author = Author(processes, self.workers, self._new_loop, begun)
        self.engine = Engine(
            Effects(store.writer(), self.leases, self.owner, clock, random, processes, author)
        )
        self._held = connections.lent
        connections.sites, connections.lent = None, []
        self._renew_ms = clock.monotonic_ms() + RENEW_EVERY_MS
        self._turn_ms = 0

    @property
    def is_stopped(self) -> bool:
        return self._clock.monotonic_ms() < self.stopped_until_ms

    def actions(self) -> list[Callable[[], None]]:
        """What this process could do now."""
        if self.is_dead or self.is_stopped:
            return []
        now_ms = self._clock.monotonic_ms()
        found: list[Callable[[], None]] = []
        if self._turn_due_ms(now_ms) <= now_ms:
            found.append(self.turn)
        found += [loop.step for loop in self.loops if loop.is_ready]
        if self.workers.waiting:
            found.append(self._work)
        if self._renew_ms <= now_ms and not self.engine.has_lost:
            found.append(self._renew)
        return found

    def next_ms(self) -> int | None:
        """When it has something to do next, on the monotonic clock; None: never."""
        if self.is_dead:
            return None
        now_ms = self._clock.monotonic_ms()
        due = [self._turn_due_ms(now_ms)]
        due += [at_ms for loop in self.loops if (at_ms := loop.next_ms()) is not None]
        if not self.engine.has_lost:
            due.append(self._renew_ms)
        return max(min(due), self.stopped_until_ms)

    def turn(self) -> None:
        """One round of its engine."""
        self.has_mail = False
        self._turn_ms = self._clock.monotonic_ms()
        self.engine.turn()

    def die(self) -> None:
        """End, with nothing tidied up."""
        self.is_dead = True
        self.sites.is_dead = True
        self._living.discard(self.pid)
        self._connections.take_back(self._held)
        self._held = []

    def _turn_due_ms(self, now_ms: int) -> int:
        wait_ms = self.engine.wait_ms(LONGEST_MS)
        due_ms = now_ms + (LONGEST_MS if wait_ms is None else wait_ms)
        polls = self.has_mail or bool(self.engine.fleet.releases)
        return min(due_ms, max(now_ms, self._turn_ms + POLL_MS)) if polls else due_ms

    def _new_loop(self) -> SimulatedLoop:
        loop = SimulatedLoop(self._clock)  # type: ignore[abstract] # what asyncio never asks is left out
        self.loops.append(loop)
        return loop

    def _work(self) -> None:
        self.workers.waiting.popleft()()

    def _renew(self) -> None:
        self._renew_ms = self._clock.monotonic_ms() + RENEW_EVERY_MS
        self.engine.keeper.renew()
