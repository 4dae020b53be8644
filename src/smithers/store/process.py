"""The ledger of processes: which programs were started for which attempts, and which may still be there."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smithers.clock import Clock
from smithers.errors import LeaseLost
from smithers.ids import NodeKey
from smithers.records import Owner, OwnerHealth, ProcessRow, ProcessStart
from smithers.store.identity import Identity, health, this_process
from smithers.store.patient import Patient
from smithers.store.queries import statements

if TYPE_CHECKING:
    from random import Random


class SqliteLedger:
    """Implements `ports.Ledger`. From any thread.

    On a connection of its own, and without a sync of the disk: a start must not wait for the engine's thread,
    nor a frame's commit for a start. A power loss may take rows, but it ends what they are about, too.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        here: Identity | None = None,
        store: str | None = None,
        random: Random | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection whose busy timeout is 0: waiting is done here.

        Args:
            here: the process that starts programs; the default is this one.
            store: names the store; the default is made from the file.
        """
        self._patient = Patient(connection, path, clock, random=random, pause=pause)
        self._clock = clock
        self._here = here
        self._sql = statements("process")
        self.store_id = store or store_id(path)
        # A checkpoint syncs the disk: that is the writer's affair.
        with self._patient.looking():
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def open(self, start: ProcessStart) -> int:
        """Record a program that waits for its go; returns the number of its row.

        Raises:
            LeaseLost: a newer owner drives the run, or the attempt has ended: it must not start.
            StoreError: nothing was recorded: it must not start either.
        """
        here = self._here or this_process()
        values = {
            **start._asdict(),
            "node": start.key.node,
            "scope": start.key.scope,
            "iteration": start.key.iteration,
            "boot": here.boot,
            "namespace": here.namespace,
            "now": self._clock.now_ms(),
        }
        del values["key"]
        with self._patient.transaction() as execute:
            cursor = execute(self._sql["open"], values)
            if cursor.rowcount != 1 or cursor.lastrowid is None:
                raise LeaseLost(f"{start.key} attempt {start.attempt} is not ours to start programs for")
            return cursor.lastrowid

    def close_row(self, row: int, status: int | None) -> None:
        """Record that a tree is gone; nothing, if that is on record already.

        Args:
            status: of its root; None: nobody saw it.
        """
        with self._patient.transaction() as execute:
            execute(self._sql["close"], (self._clock.now_ms(), status, row))

    def open_rows(self, run: int | None = None) -> list[tuple[ProcessRow, OwnerHealth]]:
        """Programs that may still be there, of one run or of all, and what can be said of their owners."""
        with self._patient.looking() as connection:
            return open_rows(connection, self._clock, run, self._here)

    def close(self) -> None:
        """Close the connection."""
        self._patient.close()


def store_id(path: Path) -> str:
    """Names a database file: the same wherever it is moved to, another one for a copy.

    Only compared within one boot of one machine, where a file keeps its number.
    """
    found = path.stat()
    return f"{found.st_dev:x}-{found.st_ino:x}"


def open_rows(
    connection: sqlite3.Connection, clock: Clock, run: int | None = None, here: Identity | None = None
) -> list[tuple[ProcessRow, OwnerHealth]]:
    """As `SqliteLedger.open_rows`, on any connection."""
    rows = connection.execute(statements("process")["open_rows"], {"run": run}).fetchall()
    found = []
    for row in rows:
        owner = Owner(*row[17:]) if row[17] is not None else None
        found.append((process_row(row[:17]), health(owner, clock, here)))
    return found


def process_row(row: tuple[Any, ...]) -> ProcessRow:
    """A row of the ledger, as its statements give it."""
    number, run, node, scope, iteration, *rest = row
    return ProcessRow(number, run, NodeKey(node, scope, iteration), *rest)
