"""Runs with children and successors, in processes that die where they are told to."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from smithers import Workflow, current
from smithers.engine.message import New, Resume
from smithers.engine.terms import Terms
from smithers.errors import SmithersError
from smithers.records import RunFilter, RunRow, RunState
from smithers.store.memory import MemoryStore
from smithers.store.reader import SqliteReader
from smithers.testing.clock import FakeClock
from smithers.testing.simulator.fault import Crash, Kind, Sites, StoreFault
from smithers.testing.simulator.process import Connections, SimulatedProcess

TERMS = Terms("flow.py:flow", 16, None, lambda task: ())
EVERY = {Kind.CRASH_BEFORE: 3, Kind.CRASH_AFTER: 1, Kind.FULL: 3, Kind.IOERR: 5, Kind.UNKNOWN: 2}
"""Each so-manieth operation meets such a fault: a death before one is a death after the one before it.
`SMITHERS_EVERY=1` lets every operation meet everything."""
if os.environ.get("SMITHERS_EVERY"):
    EVERY = dict.fromkeys(EVERY, int(os.environ["SMITHERS_EVERY"]))
_ENDED = (RunState.FINISHED, RunState.PARTIAL, RunState.FAILED)
GIVEN_UP = 40
"""Processes that may be needed to bring a run to its end."""


@dataclass
class Family:
    """One store, and processes that drive the runs in it one after the other."""

    workflow: Workflow[Any, Any]
    executed: Counter[str] = field(default_factory=Counter)
    """How often each task's code has begun, by run and key."""

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.again: list[str] = []
        """Finished tasks whose code has begun once more."""
        self.connections = Connections()
        self.store = MemoryStore(self.clock, connect=self.connections.connect)
        self.living: set[int] = set()
        self.processes: list[SimulatedProcess] = []
        self._look = self.store.connect()
        self.reader = SqliteReader(self._look, self.store.path, self.clock)

    def work(self, text: str, delay_s: float = 0.1) -> Callable[..., Any]:
        """A task's code: counts that it has begun."""

        async def run(*_: object) -> str:
            here = current()
            name = f"{here.run_id} {here.key}"
            if name in self.finished():
                self.again.append(name)
            self.executed[name] += 1
            await asyncio.sleep(delay_s)
            return text

        return run

    # --- Processes ------------------------------------------------------------------------------

    def born(self, *faults: StoreFault) -> SimulatedProcess | None:
        """A new process; None: it died, or the store failed, before it stood."""
        sites = Sites(faults)
        number = len(self.processes) + 1
        try:
            process = SimulatedProcess(
                number, self.store, self.connections, self.clock, Random(number), self.living, sites
            )
        except (Crash, SmithersError):
            self.connections.take_back(self.connections.lent)
            self.connections.sites, self.connections.lent = None, []
            self.living.discard(number)
            return None
        self.processes.append(process)
        return process

    def drive(self, *faults: StoreFault) -> int:
        """Start the run, or resume it, in a process of its own; how many store operations that took."""
        process = self.born(*faults)
        if process is None:
            return 0
        try:
            self._begin(process)
            self.go(process)
        except (Crash, SmithersError):
            pass
        if not process.is_dead:
            process.die()
        return process.sites.count

    def _begin(self, process: SimulatedProcess) -> None:
        row = self.newest()
        handle = process.engine.handle()
        if row is None:
            process.engine.post(New(self.workflow.definition, "r", "{}", {}, TERMS, handle))
            return
        if row.state in _ENDED:
            return  # whoever resumes it is told so, and claims nothing
        fence = process.leases.claim(row.id, process.owner.id)
        process.engine.post(Resume(self.workflow.definition, row, fence, TERMS, handle))

    def go(self, process: SimulatedProcess, until_s: float = 3_600) -> None:
        """Let a process do all that it does, as time passes."""
        end_ms = self.clock.monotonic_ms() + until_s * 1000
        while (not process.sites.is_dead and process.engine.fleet) or process.actions():
            for action in process.actions()[:1]:
                action()
            if not process.actions():
                if not process.engine.fleet or self.clock.monotonic_ms() > end_ms:
                    return
                ahead_ms = max(1, (process.next_ms() or 0) - self.clock.monotonic_ms())
                self.clock.advance(ahead_ms / 1000)

    def finish(self) -> RunRow:
        """Resume until the run has ended by itself."""
        for _ in range(GIVEN_UP):
            row = self.newest()
            if row is not None and row.state in _ENDED:
                return row
            self.drive()
        raise AssertionError("it does not come to its end")

    # --- What is stored -------------------------------------------------------------------------

    def newest(self) -> RunRow | None:
        """The newest run of the lineage of `r`."""
        first = next((row for row in self.reader.runs(RunFilter()) if row.name == "r"), None)
        return None if first is None else self.reader.newest(first.id)

    def finished(self) -> set[str]:
        """Tasks that are stored as finished, by run and key."""
        return {
            f"{run.name} {node.key}"
            for run in self.reader.runs(RunFilter())
            for node in self.reader.nodes(run.id)
            if node.state.word == "finished"
        }

    def end(self) -> dict[str, Any]:
        """All runs as they stand: state, outputs, whose they are."""
        return {
            run.name: (
                run.state.word,
                {str(row.key): json.loads(row.body) for row in self.reader.outputs(run.id)},
                run.kin.parent and (run.kin.parent.name, str(run.kin.parent.key)),
                run.kin.previous,
                run.owner,
            )
            for run in self.reader.runs(RunFilter())
        }

    def close(self) -> None:
        for process in self.processes:
            for loop in process.loops:
                loop.close()
        self._look.close()
        self.connections.close()
        self.store.close()


@contextmanager
def family(make: Callable[[Family], Workflow[Any, Any]]) -> Iterator[Family]:
    """Args: make: the workflow, whose tasks count themselves by `Family.work`."""
    found = Family.__new__(Family)
    found.executed = Counter()
    found.workflow = make(found)
    found.__post_init__()
    try:
        yield found
    finally:
        found.close()
