"""Messages from outside: how anybody leaves one, and how the owner reads them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smithers.clock import Clock
from smithers.errors import NotWaiting, RunNotFound
from smithers.records import InboxKind, InboxRow, RunState, Vote, Voted
from smithers.store.patient import Patient
from smithers.store.queries import statements
from smithers.store.wait import cast_vote, wake_above

if TYPE_CHECKING:
    from random import Random


class SqliteOutsider:
    """Implements `ports.Outsider`. From any thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        random: Random | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection whose busy timeout is 0: waiting is done here."""
        self._patient = Patient(connection, path, clock, random=random, pause=pause)
        self._clock = clock
        sql = statements("run")
        self._has_run, self._post = sql["has_run"], sql["post"]

    def post(self, run: int, kind: InboxKind, by: str, data: str | None = None) -> int:
        """Leave a message for the owner; returns its id.

        Look at the run again afterwards: if it has no owner then, nobody is there to read the message.

        Raises:
            RunNotFound: there is no such run.
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        with self._patient.transaction() as execute:
            if execute(self._has_run, (run,)).fetchone() is None:
                raise RunNotFound(f"no run with number {run}", run=run)
            message = execute(self._post, (run, int(kind), data, self._clock.now_ms(), by)).lastrowid
        assert message is not None  # an INSERT always has a rowid
        return message

    def signal(self, run: int, name: str, payload: Any, correlation: str | None, by: str) -> int:
        """Send a signal to a run, and wake those it belongs to; returns its id.

        Raises:
            RunNotFound: there is no such run.
            NotWaiting: it has ended.
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        data = {"name": name, "correlation": correlation, "payload": payload}
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        now_ms = self._clock.now_ms()
        with self._patient.transaction() as execute:
            found = execute(statements("wait")["run_state"], (run,)).fetchone()
            if found is None:
                raise RunNotFound(f"no run with number {run}", run=run)
            if RunState(found[0]).has_ended:
                raise NotWaiting(f"{found[1]} has ended ({RunState(found[0]).word})", run=found[1])
            values = (run, int(InboxKind.SIGNAL), text, now_ms, by)
            message = execute(self._post, values).lastrowid
            wake_above(execute, run, now_ms, by)
        assert message is not None  # an INSERT always has a rowid
        return message

    def vote(self, vote: Vote) -> Voted:
        """Say something to an open wait; the word that decides it wakes its run, and those it belongs to.

        Raises:
            NotWaiting: there is no such wait, or it was withdrawn.
            AlreadyDecided: somebody has decided it, or the link was used; nothing was changed.
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        with self._patient.transaction() as execute:
            return cast_vote(execute, self._patient.connection, vote, self._clock.now_ms())

    def clear_cache(self, workflow: str | None = None, node: str | None = None) -> int:
        """Forget entries of the cache; returns how many. What runs have stored stays.

        Args:
            workflow, node: only those of this workflow, of this task; None: of all.
        Raises:
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        with self._patient.transaction() as execute:
            return execute(statements("cache")["clear"], {"workflow": workflow, "node": node}).rowcount

    def close(self) -> None:
        """Close the connection."""
        self._patient.close()


def open_messages(connection: sqlite3.Connection, runs: Collection[int]) -> dict[int, list[InboxRow]]:
    """Messages of these runs that nobody has taken, oldest first; runs without any are left out."""
    found: dict[int, list[InboxRow]] = {}
    rows: list[tuple[int, int, int, str | None, int, str]]
    rows = connection.execute(statements("run")["open_messages"], (json.dumps(list(runs)),)).fetchall()
    for run, message, kind, data, at_ms, by in rows:
        found.setdefault(run, []).append(InboxRow(message, InboxKind(kind), data, at_ms, by))
    return found
