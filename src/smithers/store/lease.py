"""Leases: who drives what, for how long, and who may take over."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.clock import Clock
from smithers.errors import CommitUnknown, LeaseLost, RunNotFound, RunOwned, plain
from smithers.records import Owner, OwnerHealth
from smithers.store.identity import Identity, health, this_process
from smithers.store.patient import Patient
from smithers.store.queries import statements

if TYPE_CHECKING:
    from random import Random


class SqliteLeases:
    """Implements `ports.Leases`. From any thread: the one that renews is not the one that claims."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        here: Identity | None = None,
        random: Random | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection whose busy timeout is 0: waiting is done here.

        Args:
            here: the process that leases are for; the default is this one.
        """
        self._patient = Patient(connection, path, clock, random=random, pause=pause)
        self._clock = clock
        self._here = here
        self._doubtful: set[int] = set()
        """Runs whose claim failed with an unknown outcome; a renewal gives them back."""
        self._sql = statements("owner")

    def register_owner(self, ttl_ms: int) -> Owner:
        """Insert this process as an owner whose lease ends in `ttl_ms`."""
        here = self._here or this_process()
        now, wall, monotonic = self._clock.now_ms(), *self._ends(ttl_ms)
        values = (here.host, here.boot, here.namespace, here.pid, here.ticks, now, wall, monotonic)
        with self._patient.transaction() as execute:
            for row in execute(self._sql["idle_owners"]).fetchall():
                # A process that was killed before it drove anything left its row for nobody to remove.
                if health(Owner(*row), self._clock, self._here) is OwnerHealth.DEAD:
                    execute(self._sql["remove_owner"], (row[0],))
            owner = execute(self._sql["add_owner"], values).lastrowid
        assert owner is not None  # an INSERT always has a rowid
        return Owner(owner, *values)

    def renew_owner(self, owner: int, ttl_ms: int) -> bool:
        """Move the lease's end; False: the row is gone, and so is everything it held."""
        with self._patient.transaction() as execute:
            for run in self._doubtful:
                execute(self._sql["disown_run"], (run, owner))
            self._doubtful.clear()
            # Read under the lock: a wait for it must not shorten the lease.
            return execute(self._sql["renew_owner"], (*self._ends(ttl_ms), owner)).rowcount == 1

    def end_owner(self, owner: int) -> None:
        """Forget an owner that leaves cleanly; runs it still held have no owner then."""
        with self._patient.transaction() as execute:
            execute(self._sql["disown_runs"], (owner,))
            execute(self._sql["remove_owner"], (owner,))

    def claim(self, run: int, owner: int) -> int:
        """Take a run over and return its new fence. The run's state stays as it is.

        Raises:
            RunOwned: a live owner's lease has not ended; says which and since when.
            LeaseLost: `owner` itself is no longer on record.
            RunNotFound: there is no such run.
        """
        for is_last in (False, True):
            try:
                return self._claim(run, owner)
            except CommitUnknown as error:
                # It may have been stored: then the run counts as ours, and nobody else could take it.
                self._doubtful.add(run)
                if is_last:
                    raise plain(error) from error
        raise AssertionError("unreachable: the last try returns or raises")

    def _claim(self, run: int, owner: int) -> int:
        with self._patient.transaction(knows_doubt=True) as execute:
            found = execute(self._sql["holder"], (run,)).fetchone()
            if found is None:
                raise RunNotFound(f"no run with number {run}", run=run)
            name, since_ms, *row = found
            holder = Owner(*row) if row[0] is not None else None
            is_ours = holder is not None and holder.id == owner and run in self._doubtful
            if not is_ours and health(holder, self._clock, self._here) is OwnerHealth.ALIVE:
                assert holder is not None  # nobody is not alive
                raise _owned(name, holder, since_ms, self._clock.now_ms())
            if execute(self._sql["has_owner"], (owner,)).fetchone() is None:
                raise LeaseLost("this process' lease was taken over", owner=owner)
            claimed = execute(self._sql["claim"], (owner, self._clock.now_ms(), run)).fetchall()
            self._doubtful.discard(run)
            if holder is not None and holder.id != owner:
                execute(self._sql["remove_idle_owner"], {"owner": holder.id})
            return int(claimed[0][0])

    def release(self, run: int, fence: int) -> None:
        """Give a claimed run back, unchanged; silently nothing if a newer owner has it."""
        with self._patient.transaction() as execute:
            execute(self._sql["release"], (run, fence))

    def close(self) -> None:
        """Close the connection; what is held stays held until its lease ends."""
        self._patient.close()

    def _ends(self, ttl_ms: int) -> tuple[int, int]:
        return self._clock.now_ms() + ttl_ms, self._clock.monotonic_ms() + ttl_ms


def _owned(run: str, holder: Owner, since_ms: int, now_ms: int) -> RunOwned:
    age_ms = max(0, now_ms - since_ms)
    since = (
        datetime.fromtimestamp(since_ms / 1000, UTC)
        .astimezone()
        .strftime("%H:%M:%S" if age_ms < 86_400_000 else "%Y-%m-%d %H:%M")
    )
    return RunOwned(
        f"{run} is driven by process {holder.pid} on {holder.host} since {since} ({_span(age_ms)})",
        hint=f"watch it with `smithers logs {run} -f`, or end it with `smithers cancel {run}`",
        pid=holder.pid,
        host=holder.host,
        age_ms=age_ms,
    )


def _span(span_ms: int) -> str:
    """`4 s`, `12 min`, `3 h`, `2 d`: the two largest units would say more than anybody asks."""
    seconds = span_ms // 1000
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
