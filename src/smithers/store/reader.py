"""What people and programs look at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from smithers.clock import Clock
from smithers.errors import RunAmbiguous, RunNotFound
from smithers.records import (
    AttemptRow,
    BlockRow,
    BudgetRow,
    CachePlace,
    CacheRow,
    CallRow,
    ChildRow,
    EventRow,
    FrameRow,
    History,
    InboxRow,
    MountRow,
    NodeRow,
    NoticeRow,
    OutputRow,
    OwnerHealth,
    ParkedAccount,
    PassRow,
    PlaceRow,
    ProcessRow,
    RunFilter,
    RunRow,
    SignalRow,
    Spending,
    UserTable,
    VoteRow,
    WaitRow,
    Wakeup,
)
from smithers.store.blob import Blobs
from smithers.store.call import account_rows, budget_rows, call_rows
from smithers.store.connection import roll_back
from smithers.store.fact import StoredFacts
from smithers.store.inbox import open_messages
from smithers.store.names import Names, Specs
from smithers.store.notice import notice_rows
from smithers.store.place import live_places
from smithers.store.process import open_rows, process_row
from smithers.store.queries import statements
from smithers.store.refusal import DISK_ERRORS, NONSENSE, damaged, refusal
from smithers.store.soundness import check_empty, check_sound
from smithers.store.spending import spent_by
from smithers.store.table import describe_table
from smithers.store.wait import open_wait_rows, signal_rows, vote_rows, wait_rows

_LAST_CHARACTER = "\U0010ffff"


class SqliteReader:
    """Implements `ports.Reader`. From one thread at a time; each call sees one moment and keeps nothing."""

    def __init__(self, connection: sqlite3.Connection, path: Path, clock: Clock) -> None:
        """Take over a connection of `open_readable`."""
        self._connection = connection
        self._path = path
        self._clock = clock
        blobs = Blobs(path.parent / "blobs")
        self._names = Names(connection)
        self._facts = StoredFacts(connection, self._names, Specs(connection), blobs, clock)

    def runs(self, where: RunFilter) -> list[RunRow]:
        """Newest first."""
        with self._moment():
            found = self._facts.runs(
                workflow=where.workflow, states=where.states, limit=where.limit, tops=where.tops
            )
            if not found and where.workflow is None and not where.states:
                check_empty(self._connection, self._path)
            return found

    def run(self, name: str) -> RunRow:
        """By exact id, else by unique prefix, where a run comes before its children and successors.

        Raises:
            RunNotFound: neither; the empty text is no prefix.
            RunAmbiguous: several runs begin like this; details name the first.
        """
        with self._moment():
            found = self._find(name)
            return self._facts.runs(low=found, high=found)[0]

    def nodes(self, run: int) -> list[NodeRow]:
        """Settled nodes, in their newest generation."""
        with self._moment():
            return self._facts.nodes(run, self._facts.raised(run))

    def attempts(self, run: int) -> list[AttemptRow]:
        """All attempts of all generations."""
        with self._moment():
            return self._facts.attempts(run)

    def outputs(self, run: int) -> list[OutputRow]:
        """Outputs of the newest generation, in `seq` order."""
        with self._moment():
            return self._facts.outputs(run, self._facts.raised(run))

    def passes(self, run: int) -> list[PassRow]:
        """Judged passes of loops."""
        with self._moment():
            return self._facts.passes(run)

    def blocks(self, run: int) -> list[BlockRow]:
        """What blocks remember, oldest first."""
        with self._moment():
            return self._facts.blocks(run)

    def frames(self, run: int) -> list[FrameRow]:
        """Frames, oldest first."""
        with self._moment():
            return self._facts.frames(run)

    def mounts(self, run: int, frame: int | None = None) -> list[MountRow]:
        """The tree at a frame (default: now), parents before children, siblings in order."""
        with self._moment():
            return self._facts.mounts_at(run, frame)

    def wakeups(self, run: int) -> list[Wakeup]:
        """Deadlines, the earliest first."""
        with self._moment():
            return self._facts.wakeups(run)

    def inbox(self, run: int) -> list[InboxRow]:
        """Messages that its owner has not obeyed yet, oldest first."""
        with self._moment():
            return open_messages(self._connection, [run]).get(run, [])

    def events(self, run: int, after: int = 0, limit: int = 1000) -> list[EventRow]:
        """Events with `seq > after`, in order."""
        with self._moment():
            return self._facts.events(run, after, limit)

    def table(self, name: str) -> UserTable:
        """What the database has under this name: a user's own table, or anything else."""
        with self._moment():
            return describe_table(self._connection, name, self._path)

    def cached(self, place: CachePlace, mark: bytes | None = None) -> list[CacheRow]:
        """The newest entries of a task in the cache; those under one key, if it is given."""
        with self._moment():
            return self._facts.cache.near(place, mark)

    def cached_value(self, place: CachePlace, row: CacheRow) -> str | None:
        """The JSON text that an entry stands for; None: the entry is gone, or its value is.

        Raises:
            StoreCorrupt: the value's file is missing or was changed.
        """
        with self._moment():
            return self._facts.cache.value(place, row)

    def cache_entries(
        self, workflow: str | None = None, node: str | None = None, limit: int | None = None
    ) -> list[CacheRow]:
        """Entries of the cache, newest first."""
        with self._moment():
            return self._facts.cache.entries(workflow, node, limit)

    def check(self) -> None:
        """Look over the whole file.

        Raises:
            StoreCorrupt: it is damaged.
        """
        with self._moment():
            check_sound(self._connection, self._path, at_any_size=True)

    def history(self, run: int) -> History:
        """All that a look at a run's next resume needs, as of one moment.

        Raises:
            RunNotFound: there is no such run.
        """
        with self._moment():
            return self._facts.history(run)

    def children(self, run: int) -> list[ChildRow]:
        """Runs that are what this run's nodes do: of every generation, the oldest first."""
        with self._moment():
            return self._facts.kin.children(run)

    def newest(self, run: int) -> RunRow:
        """The newest run of a run's lineage: itself, unless it went on as another one."""
        with self._moment():
            found = self._facts.kin.newest(run)
            return self._facts.runs(low=found, high=found)[0]

    def carried(self, run: int) -> str | None:
        """What the run before handed over, as JSON text; None: there was none before."""
        with self._moment():
            return self._facts.kin.carried(run)

    def calls(self, run: int) -> list[CallRow]:
        """What the attempts of a run have asked of agents, a node's in the order they were made."""
        with self._moment():
            if not self._has("smithers_calls"):
                return []
            return call_rows(self._connection.execute(statements("call")["of_run"], {"run": run}))

    def spent(self, runs: Sequence[int]) -> Mapping[int, Mapping[str, Spending]]:
        """What runs have cost in all: they, their children, and the runs before them in their lineages.

        Returns:
            By run, and by the agents' names; runs of which no agent has told anything are left out.
        """
        with self._moment():
            return spent_by(self._connection, runs) if self._has("smithers_calls") else {}

    def budgets(self, run: int) -> list[BudgetRow]:
        """What has been spent under the budgets of a run, and under `WHOLE_RUN` by all of it."""
        with self._moment():
            return budget_rows(self._connection, run)

    def places(self) -> tuple[list[PlaceRow], Mapping[str, int]]:
        """Places of agents that are at work; how many pools and accounts have, where somebody has said it."""
        with self._moment():
            return live_places(self._connection, self._clock) if self._has("smithers_places") else ([], {})

    def accounts(self) -> list[ParkedAccount]:
        """Accounts of agents that have met a limit, those whose time has passed too."""
        with self._moment():
            return account_rows(self._connection) if self._has("smithers_accounts") else []

    def notices(self, run: int | None, limit: int) -> list[NoticeRow]:
        """Notices of one run, or of all, the newest first."""
        with self._moment():
            return notice_rows(self._connection, run, limit) if self._has("smithers_notices") else []

    def processes(self, run: int) -> list[ProcessRow]:
        """Programs that were started for attempts of a run, oldest first."""
        with self._moment():
            if not self._has("smithers_processes"):
                return []
            rows = self._connection.execute(statements("process")["of_run"], {"run": run}).fetchall()
            return [process_row(row) for row in rows]

    def open_processes(self) -> list[tuple[ProcessRow, OwnerHealth]]:
        """Programs whose trees may still be there, of all runs, and what can be said of their owners."""
        with self._moment():
            return open_rows(self._connection, self._clock) if self._has("smithers_processes") else []

    def attempt_marked(self, mark: str) -> ProcessRow | None:
        """The program of an attempt that this mark is in the environment of; None: there is none."""
        with self._moment():
            if not self._has("smithers_processes"):
                return None
            row = self._connection.execute(statements("process")["marked"], (mark,)).fetchone()
            return None if row is None else process_row(row)

    def waits(self, run: int) -> list[WaitRow]:
        """Waits of a run, those that are over too, the oldest first."""
        with self._moment():
            if not self._has("smithers_waits"):
                return []
            return wait_rows(self._connection, self._names, run)

    def open_waits(self) -> list[WaitRow]:
        """Open waits of all runs that have not ended, the oldest first."""
        with self._moment():
            return open_wait_rows(self._connection, self._names) if self._has("smithers_waits") else []

    def votes(self, run: int) -> list[VoteRow]:
        """What was said to the waits of a run, the oldest first."""
        with self._moment():
            return vote_rows(self._connection, self._names, run) if self._has("smithers_waits") else []

    def signals(self, run: int) -> list[SignalRow]:
        """Signals that were sent to a run, taken or not, the oldest first."""
        with self._moment():
            return signal_rows(self._connection, run)

    def below(self, run: int) -> list[int]:
        """Numbers of the runs that belong to a run, however far down."""
        with self._moment():
            if not self._has("smithers_children"):
                return []
            rows = self._connection.execute(statements("wait")["descendants"], {"run": run}).fetchall()
            return [int(row[0]) for row in rows]

    def run_at(self, number: int) -> RunRow:
        """A run by its number.

        Raises:
            RunNotFound: there is none.
        """
        with self._moment():
            found = self._facts.runs(low=number, high=number)
            if not found:
                raise RunNotFound(f"no run with number {number}", run=number)
            return found[0]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _has(self, table: str) -> bool:
        """Whether there is such a table: a store from before that is only looked at stays without."""
        return self._connection.execute(statements("run")["has_table"], (table,)).fetchone() is not None

    def _find(self, name: str) -> int:
        sql, execute = statements("run"), self._connection.execute
        exact = execute(sql["run_named"], (name,)).fetchone()
        if exact is not None:
            return int(exact[0])
        rows = execute(sql["runs_named_like"], (name, name + _LAST_CHARACTER)).fetchall() if name else []
        if not rows:
            raise RunNotFound(
                f"no run named {name}" if name else "no run is named by an empty text", run=name
            )
        if len(rows) > 1:
            # A run's children and successors are named after it: they do not make its beginning ambiguous.
            heads = self._facts.kin.heads(name, name + _LAST_CHARACTER)
            if len(heads) == 1:
                return int(heads[0][0])
            names = [row[1] for row in rows]
            raise RunAmbiguous(
                f"several runs begin with {name}: {', '.join(names)}", run=name, candidates=names
            )
        return int(rows[0][0])

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """One read transaction, so that several statements agree with each other."""
        try:
            self._connection.execute("BEGIN")
            yield
        except DISK_ERRORS as error:
            raise refusal(error, self._path) from error
        except NONSENSE as error:
            raise damaged(error, self._path) from error
        finally:
            roll_back(self._connection)
