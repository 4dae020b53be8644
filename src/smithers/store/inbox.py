"""Messages from outside: how anybody leaves one, and how the owner reads them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.clock import Clock
from smithers.errors import RunNotFound
from smithers.records import InboxKind, InboxRow
from smithers.store.patient import Patient
from smithers.store.queries import statements

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
