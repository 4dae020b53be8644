"""One process of a trial: it does what the test asked for, tells the journal, and may be doomed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from smithers.authoring import RunResult, Workflow
from smithers.engine.host import Host
from smithers.engine.hosts import lend_host
from smithers.engine.job import Job
from smithers.records import FrameWrite, NodeState
from smithers.store import Store
from smithers.store.connection import open_writable
from smithers.store.writer import SqliteWriter
from smithers.testing.clock import HurriedClock
from smithers.testing.tape import CutOff, Tape, run_tape

from .doom import Doom, Site, doomed
from .journal import Journal, Line, calls_in


@dataclass(frozen=True, slots=True)
class Asked:
    """What a test asks for: to start a run, or to resume it."""

    flow: Workflow[Any, Any]
    store: Path
    run_id: str
    input: Any
    options: Mapping[str, Any]
    """Further arguments of `Workflow.run_sync`."""

    def carry_out(self) -> RunResult[Any]:
        return self.flow.run_sync(self.input, run_id=self.run_id, store=self.store, **self.options)

    def resumed(self) -> Asked:
        """What is asked for after a death: to go on, without any wish."""
        kept = {name: self.options[name] for name in ("max_concurrency", "rehearse") if name in self.options}
        return replace(self, input=None, options={**kept, "resume": True})


class TellingWriter(SqliteWriter):
    """A writer that tells of each task that its commit made finished."""

    tell: Callable[[FrameWrite], None]

    def commit(self, frames: Sequence[FrameWrite]) -> list[Exception | None]:
        results = super().commit(frames)
        for frame, refused in zip(frames, results, strict=True):
            if refused is None:
                self.tell(frame)
        return results


class TrialStore(Store):
    """The store of a trial's process: each operation counts, and each commit is told of."""

    def __init__(self, path: Path, doom: Doom, tell: Callable[[FrameWrite], None]) -> None:
        # What a power loss would take is not what is tried here, and an fsync takes longer than the rest.
        super().__init__(path, durability="normal", clock=HurriedClock(), factory=doomed(doom))
        self._tell = tell

    def writer(self, factory: type[sqlite3.Connection] | None = None) -> SqliteWriter:
        connection = open_writable(
            self.path, self.clock, durability="normal", create=False, factory=factory or self._factory
        )
        writer = TellingWriter(connection, self.path, self.clock)
        writer.tell = self._tell
        return writer


def live(
    asked: Asked,
    site: Site | None,
    journal: Journal,
    before: Sequence[Line] = (),
    cut_off: CutOff | None = None,
) -> None:
    """Be that process: called in a child, which ends with it.

    Args:
        site: where it dies.
        before: what the journal says of the process before it.
        cut_off: which attempts of that one came to nothing.
    """

    def begun(job: Job) -> None:
        journal.add(Line("begun", job.key, job.generation, job.attempt))

    def tell(frame: FrameWrite) -> None:
        for end in frame.settled:
            if end.state is NodeState.FINISHED:
                journal.add(Line("told", end.key, end.generation, end.attempt))

    doom = Doom(site, journal)
    store = TrialStore(asked.store, doom, tell)
    host = Host(asked.store, clock=store.clock, random=Random(0), store=store, begun=begun)
    lend_host(asked.store, asked.flow.definition.durability, host)
    run_tape(Tape(calls_in(list(before)), cut_off or (lambda key, attempt: False), journal.call))
    result = asked.carry_out()
    journal.add(Line("count", operation=doom.count, text=result.status, data=tuple(doom.commits)))
