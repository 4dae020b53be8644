"""The store without a file: the same schema and the same statements, gone with its last connection.

For tests and simulators. It is real SQLite, locks and all, so that nothing can hold here that does not hold
in a file; only outputs above 1 MiB, which would need a folder, are refused.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from smithers.clock import Clock
from smithers.store.call import SqliteCalls
from smithers.store.connection import APPLICATION_ID, Durability
from smithers.store.identity import Identity
from smithers.store.inbox import SqliteOutsider
from smithers.store.lease import SqliteLeases
from smithers.store.migration import migrate
from smithers.store.place import SqlitePlaces
from smithers.store.process import SqliteLedger
from smithers.store.reader import SqliteReader
from smithers.store.writer import SqliteWriter

_numbers = itertools.count(1)
_NOWHERE: Final = Path("/dev/null/store-in-memory")
"""A path at which no file can be, nor a folder beside it."""


class MemoryStore:
    """What `Store` is to a file.

    Args:
        connect: makes a connection, given SQLite's URI; a test passes one that makes faulty ones.
        pause: sleeps, in seconds, while the database is busy.
    """

    path = _NOWHERE
    durability: Durability = "full"

    def __init__(
        self,
        clock: Clock,
        *,
        connect: Callable[[str], sqlite3.Connection] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.clock = clock
        self._make = connect or _plain_connection
        self._pause = pause
        self._uri = f"file:/smithers-{next(_numbers)}?vfs=memdb"
        # Held open: the database lives as long as somebody has it open.
        self._anchor = _plain_connection(self._uri)
        migrate(self._anchor, APPLICATION_ID)

    def connect(self) -> sqlite3.Connection:
        """A plain connection, to look at what is stored."""
        return _plain_connection(self._uri)

    def writer(self) -> SqliteWriter:
        return SqliteWriter(self._make(self._uri), self.path, self.clock, is_file=False, pause=self._pause)

    def reader(self) -> SqliteReader:
        return SqliteReader(self._make(self._uri), self.path, self.clock)

    def leases(self, here: Identity | None = None) -> SqliteLeases:
        return SqliteLeases(self._make(self._uri), self.path, self.clock, here=here, pause=self._pause)

    def ledger(self, here: Identity | None = None) -> SqliteLedger:
        connection = self._make(self._uri)
        return SqliteLedger(connection, self.path, self.clock, here=here, store="memory", pause=self._pause)

    def calls(self) -> SqliteCalls:
        return SqliteCalls(self._make(self._uri), self.path, self.clock, pause=self._pause)

    def places(self, here: Identity | None = None) -> SqlitePlaces:
        return SqlitePlaces(self._make(self._uri), self.path, self.clock, here=here, pause=self._pause)

    def outsider(self) -> SqliteOutsider:
        return SqliteOutsider(self._make(self._uri), self.path, self.clock, pause=self._pause)

    def empty(self) -> None:
        """Forget everything that is stored, but for the views; connections stay open."""
        tables = self._anchor.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._anchor.execute("BEGIN IMMEDIATE")
        for (table,) in tables:
            if table == "smithers_views":
                continue  # it says which views there are; to make them anew takes longer than a run
            kept = " WHERE id != 0" if table == "smithers_names" else ""
            self._anchor.execute(f'DELETE FROM "{table}"{kept}')
        self._anchor.execute("COMMIT")

    def close(self) -> None:
        self._anchor.close()


def _plain_connection(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
