"""Messages from outside: how anybody leaves one, and how the owner reads them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.clock import Clock
from smithers.errors import CommitUnknown, RunNotFound, plain
from smithers.records import InboxKind, InboxRow
from smithers.store.connection import begin, commit, patiently, roll_back
from smithers.store.queries import statements
from smithers.store.refusal import DISK_ERRORS, refusal

if TYPE_CHECKING:
    from random import Random


class SqliteOutsider:
    """Implements `ports.Outsider`. From one thread at a time."""

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
        self._connection = connection
        self._path = path
        self._clock = clock
        self._random = random
        self._pause = pause
        sql = statements("run")
        self._has_run, self._post = sql["has_run"], sql["post"]

    def post(self, run: int, kind: InboxKind, by: str, data: str | None = None) -> int:
        """Leave a message for the owner; returns its id.

        Look at the run again afterwards: if it has no owner then, nobody is there to read the message.

        Raises:
            RunNotFound: there is no such run.
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        connection = self._connection
        try:
            patiently(lambda: begin(connection), self._clock, random=self._random, pause=self._pause)
            if connection.execute(self._has_run, (run,)).fetchone() is None:
                raise RunNotFound(f"no run with number {run}", run=run)
            row = (run, int(kind), data, self._clock.now_ms(), by)
            message = connection.execute(self._post, row).lastrowid
            commit(connection, self._path)
        except BaseException as error:
            roll_back(connection)
            if isinstance(error, (*DISK_ERRORS, CommitUnknown)):
                raise plain(refusal(error, self._path)) from error
            raise
        assert message is not None  # an INSERT always has a rowid
        return message

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_messages(connection: sqlite3.Connection, runs: Collection[int]) -> dict[int, list[InboxRow]]:
    """Messages of these runs that nobody has taken, oldest first; runs without any are left out."""
    found: dict[int, list[InboxRow]] = {}
    rows: list[tuple[int, int, int, str | None, int, str]]
    rows = connection.execute(statements("run")["open_messages"], (json.dumps(list(runs)),)).fetchall()
    for run, message, kind, data, at_ms, by in rows:
        found.setdefault(run, []).append(InboxRow(message, InboxKind(kind), data, at_ms, by))
    return found
