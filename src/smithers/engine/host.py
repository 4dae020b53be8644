"""This process as an owner of runs: the store it opened, the leases it holds, the engine it may start.

Claiming a run needs no workflow: a loser of a race is refused before it has imported anything of the
author's. That is why `Host` and `Engine` are two things.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from smithers.clock import Clock, SystemClock
from smithers.errors import InputChanged, RunNotFound, RunNotResumable
from smithers.notify.setting import load_settings
from smithers.ports import Spawner
from smithers.process import Processes, ProcessSpawner, reap_dead, reap_run
from smithers.records import NoticeKind, Owner, RunFilter, RunRow, RunState
from smithers.store import Durability, Store, open_store, project_root
from smithers.store.transcript import SqliteTranscripts, transcripts_path

from .cache_reader import CacheReader
from .desk import Desk
from .lease import LEASE_MS
from .places import AgentPlaces
from .transcript import TranscriptRecorder

if TYPE_CHECKING:
    from smithers.notify.courier import Courier
    from smithers.store.lease import SqliteLeases
    from smithers.store.notice import Backlog

    from .engine import Engine
    from .job import Job

_log = logging.getLogger("smithers")


STORE_VARIABLE = "SMITHERS_STORE"
"""Names the database to programs of attempts: `smithers ask-human` finds its run by it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A stored run that this process may drive."""

    row: RunRow
    """As it stood before the claim."""
    fence: int


class Host:
    """Opens a store for owning runs. Register first, import the workflow later.

    Args:
        clock: where all time comes from.
        random: where jitter and the names of runs come from.
        spawner: where the programs of attempts come from.
        store: what is used instead of opening the file at `path`.
        begun: told of every attempt, from its own thread, before a line of its code has run.
        notifies: tells people what they want to be told of; tests, and who only looks, do not.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = "full",
        clock: Clock | None = None,
        random: Random | None = None,
        spawner: Spawner | None = None,
        ends_process: bool = False,
        store: Store | None = None,
        begun: Callable[[Job], None] | None = None,
        notifies: bool = False,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random = random or Random()
        self.spawner = spawner
        self.store: Store = store or open_store(path, durability=durability, clock=self.clock)
        self._begun = begun
        self.ends_process = ends_process
        """The process ends when its runs have left it."""
        self.project = project_root(self.store.path)
        # Runs are started from many threads: there must be one owner, and one engine, all the same.
        self._lock = threading.RLock()
        self._leases: SqliteLeases | None = None
        self._owner: Owner | None = None
        self._engine: Engine | None = None
        self._processes: Processes | None = None
        self._cache: CacheReader | None = None
        self._desk: Desk | None = None
        self._places: AgentPlaces | None = None
        self._courier: Courier | None = None
        self._has_settings = notifies
        """Whether anybody wants to be told of anything, as far as is known."""

    def _register(self) -> tuple[SqliteLeases, Owner]:
        with self._lock:
            if self._engine is not None and self._engine.has_lost:
                self._leave()
            if self._leases is None or self._owner is None:
                self._leases = self.store.leases()
                self._owner = self._leases.register_owner(LEASE_MS)
                reap_dead(self.processes.spawner, self.processes.ledger)
            return self._leases, self._owner

    @property
    def processes(self) -> Processes:
        """What attempts of this process start programs with."""
        with self._lock:
            if self._processes is None:
                self._processes = Processes(
                    self.spawner or ProcessSpawner(),
                    self.store.ledger,
                    {STORE_VARIABLE: str(self.store.path.absolute())},
                )
            return self._processes

    @property
    def desk(self) -> Desk:
        """What the agents of this process have in common."""
        with self._lock:
            if self._desk is None:
                recorder = TranscriptRecorder(self._open_transcripts, self.clock)
                self._desk = Desk(self.clock, self.store.calls, recorder)
            return self._desk

    def _open_transcripts(self) -> SqliteTranscripts:
        return SqliteTranscripts(transcripts_path(self.store.path), self.clock)

    @property
    def places(self) -> AgentPlaces:
        """What gives places to the agents of this process."""
        with self._lock:
            if self._places is None:
                self._places = AgentPlaces(self.clock, lambda: self._register()[1].id, self.store.places)
            return self._places

    @property
    def cache(self) -> CacheReader:
        """What tasks of this process look into."""
        with self._lock:
            if self._cache is None:
                self._cache = CacheReader(self.store.reader, self.clock.now_ms)
            return self._cache

    def keep_durability(self, row: RunRow) -> None:
        """Commit as the run was started to commit; before the engine is first asked for."""
        if row.config.get("durability") == "normal":
            self.store.durability = "normal"

    def claim(self, row: RunRow) -> Claim:
        """Take a run over, and end what its former owner has left running.

        Raises:
            RunOwned: somebody alive drives it.
            RunNotResumable: it belongs to a node of another run, which drives it.
            ProcessStuck: a process of its former owner cannot be ended; the run was given back.
        """
        check_top(row)
        leases, owner = self._register()
        claim = Claim(row, leases.claim(row.id, owner.id))
        try:
            # Behind the new fence: the former owner, if it wakes up, can start nothing any more.
            self._reap(row.id, row.name)
        except BaseException:
            self.release(claim)
            raise
        return claim

    def _reap(self, run: int, name: str) -> None:
        reap_run(self.processes.spawner, self.processes.ledger, run, name)

    def release(self, claim: Claim) -> None:
        """Give a claimed run back, unchanged."""
        leases, _ = self._register()
        leases.release(claim.row.id, claim.fence)

    @property
    def courier(self) -> Courier | None:
        """What tells people of this process' runs; None: nobody wants to be told of anything.

        Raises:
            NotifyInvalid: what is configured cannot be meant.
        """
        with self._lock:
            if self._courier is None and self._has_settings:
                settings = load_settings(self.store.path)
                self._has_settings = settings is not None
                if settings is not None:
                    from smithers.notify.courier import Courier

                    self._courier = Courier(settings, self.store.notices, self.store.path, self.clock)
            return self._courier

    @property
    def notices(self) -> frozenset[NoticeKind]:
        """What people want to be told of."""
        courier = self.courier
        return frozenset() if courier is None else courier.kinds

    @property
    def engine(self) -> Engine:
        """The engine of this store in this process; started when first asked for."""
        with self._lock:
            if self._engine is not None and self._engine.has_lost:
                self._leave()  # a new owner, under a new lease
            if self._engine is None:
                from .author import Author
                from .effects import Effects
                from .engine import Engine

                courier = self.courier
                leases, owner = self._register()
                author = Author(self.processes, begun=self._begun, desk=self.desk)
                effects = Effects(
                    self.store.writer(), leases, owner, self.clock, self.random, self.processes, author,
                    self._reap, self.desk.look_again, courier.wake if courier is not None else _nobody,
                )  # fmt: skip
                self._engine = Engine(effects).start()
                if courier is not None:
                    courier.start()
            return self._engine

    def close(self) -> None:
        """Leave: end the engine, forget the owner, deliver what people are to be told now."""
        try:
            self._leave()
        finally:
            with self._lock:
                courier, self._courier = self._courier, None
            if courier is not None and (left := courier.close()) is not None:
                _log.warning("%s", _left_line(left))

    def _leave(self) -> None:
        """End the engine, forget the owner."""
        if self._engine is not None:
            if not self._engine.close():
                if self._processes is not None:
                    self._processes.end_all()
                if self._desk is not None:
                    self._desk.close()  # what agents have said is written, whatever still runs
                return  # its lease goes on until it is done
        elif self._leases is not None and self._owner is not None:
            self._leases.end_owner(self._owner.id)
        if self._leases is not None:
            self._leases.close()
        if self._processes is not None:
            self._processes.close()
        if self._cache is not None:
            self._cache.close()
        if self._desk is not None:
            self._desk.close()
        if self._places is not None:
            self._places.close()
        self._engine = self._leases = self._owner = self._processes = self._cache = self._desk = (
            self._places
        ) = None


def _nobody() -> None:
    """Nobody wants to be told of anything."""


def _left_line(left: Backlog) -> str:
    """What is said of notices that could not be delivered yet."""
    what = "1 notice is" if left.left == 1 else f"{left.left} notices are"
    why = f": {left.error}" if left.error else ""
    return (
        f"{what} not delivered yet{why}; the next `smithers up` here tries again, or `smithers notify send`"
    )


def find_resumable(store: Store, run_id: str | None, source: str | None) -> RunRow:
    """The run that a resume means.

    Args:
        run_id: exact id or unique prefix, which means the newest run of its lineage; None: the newest
            unfinished run of `source`.
        source: as stored, `flow.py:name`, or only its file part.
    Raises:
        RunNotFound: there is none; says which exist.
        RunNotResumable: it is resumed by the run that it belongs to.
    """
    reader = store.reader()
    try:
        if run_id is not None:
            row = reader.newest(reader.run(run_id).id)
        else:
            row = _newest_unfinished(reader.runs(RunFilter(tops=True)), source)
    finally:
        reader.close()
    if row.state is not RunState.FINISHED:
        check_top(row)
    return row


def check_top(row: RunRow) -> None:
    """Refuse to drive a run by itself that belongs to a node of another one.

    Its parent is told what becomes of it, and nobody else: driven alone it would end for nobody.

    Raises:
        RunNotResumable: it does.
    """
    parent = row.kin.parent
    if parent is None:
        return
    retry = f" --retry {parent.key.node}" if row.state is RunState.PARTIAL else ""
    raise RunNotResumable(
        f"{row.name} belongs to node {parent.key} of {parent.name}",
        hint=f"a resume of that one goes on with it: `smithers up --resume {parent.name}{retry}`",
        run=row.name,
        parent=parent.name,
    )


def _newest_unfinished(rows: list[RunRow], source: str | None) -> RunRow:
    for row in rows:
        own = source is None or row.source == source or row.source.rpartition(":")[0] == source
        if own and row.state not in (RunState.FINISHED, RunState.CONTINUED):
            return row
    raise RunNotFound(
        f"no unfinished run of {source}" if source else "no unfinished run",
        hint="list the runs with `smithers ps -a`, or start one without --resume",
    )


def mark_of_input(given: Any) -> str:
    """Tells one input from another, as it was given: 16 bytes in hexadecimal."""
    text = json.dumps(given, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def check_same_input(row: RunRow, given: Any) -> None:
    """Refuse a resume with another input, before anything else is looked at.

    Raises:
        InputChanged: the run was started with another one.
    """
    if mark_of_input(given) != row.config.get("input_mark"):
        raise InputChanged(
            f"{row.name} was started with another input: {row.input[:200]}",
            hint=f"resume it without --input, or start a new run without --resume {row.name}",
        )


def config_of(given: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a resume must know of how the run was started."""
    return {"input_mark": mark_of_input(given), **extra}
