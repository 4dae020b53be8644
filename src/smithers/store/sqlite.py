"""The store in one SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.clock import Clock
from smithers.store.connection import Durability, open_readable, open_writable
from smithers.store.reader import SqliteReader

if TYPE_CHECKING:
    from smithers.store.call import SqliteCalls
    from smithers.store.identity import Identity
    from smithers.store.inbox import SqliteOutsider
    from smithers.store.lease import SqliteLeases
    from smithers.store.notice import SqliteNotices
    from smithers.store.place import SqlitePlaces
    from smithers.store.process import SqliteLedger
    from smithers.store.revival import SqliteRevivals
    from smithers.store.writer import SqliteWriter


class Store:
    """A database file and the things that can be done with it, each on a connection of its own."""

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability,
        clock: Clock,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        """Describe a store that is there.

        Args:
            factory: class of the connections that write; a test passes one that fails, counts or dies.
        """
        self.path = path
        """Absolute."""
        self.durability: Durability = durability
        self.clock = clock
        self._factory = factory

    def writer(self, factory: type[sqlite3.Connection] | None = None) -> SqliteWriter:
        """The engine's writer. One thread uses it.

        Args:
            factory: class of this connection alone.
        """
        from smithers.store.writer import SqliteWriter  # late, as below: who only reads pays for the reader

        connection = open_writable(
            self.path, self.clock, durability=self.durability, create=False, factory=factory or self._factory
        )
        return SqliteWriter(connection, self.path, self.clock)

    def reader(self) -> SqliteReader:
        """A reader; it can change nothing."""
        return SqliteReader(open_readable(self.path, self.clock), self.path, self.clock)

    def leases(self, here: Identity | None = None) -> SqliteLeases:
        """The leases of a process, which is this one unless a test says otherwise."""
        from smithers.store.lease import SqliteLeases

        return SqliteLeases(self._patient_connection(), self.path, self.clock, here=here)

    def ledger(self, here: Identity | None = None) -> SqliteLedger:
        """The ledger of the programs that this process starts, or that others have left."""
        from smithers.store.process import SqliteLedger

        connection = open_writable(
            self.path,
            self.clock,
            durability="normal",
            create=False,
            busy_timeout_ms=0,
            factory=self._factory,
        )
        return SqliteLedger(connection, self.path, self.clock, here=here)

    def calls(self) -> SqliteCalls:
        """What agents were asked, and whose limits are used up."""
        from smithers.store.call import SqliteCalls

        connection = open_writable(
            self.path,
            self.clock,
            durability="normal",
            create=False,
            busy_timeout_ms=0,
            factory=self._factory,
        )
        return SqliteCalls(connection, self.path, self.clock)

    def places(self, here: Identity | None = None) -> SqlitePlaces:
        """What gives places to agents that are at work."""
        from smithers.store.place import SqlitePlaces

        connection = open_writable(
            self.path,
            self.clock,
            durability="normal",
            create=False,
            busy_timeout_ms=0,
            factory=self._factory,
        )
        return SqlitePlaces(connection, self.path, self.clock, here=here)

    def notices(self) -> SqliteNotices:
        """The outbox."""
        from smithers.store.notice import SqliteNotices

        connection = open_writable(
            self.path,
            self.clock,
            durability="normal",
            create=False,
            busy_timeout_ms=0,
            factory=self._factory,
        )
        return SqliteNotices(connection, self.path, self.clock)

    def revivals(self) -> SqliteRevivals:
        """What finds the runs that nobody drives."""
        from smithers.store.revival import SqliteRevivals

        return SqliteRevivals(open_readable(self.path, self.clock), self.path, self.clock)

    def outsider(self) -> SqliteOutsider:
        """What a process that does not own a run may do to it."""
        from smithers.store.inbox import SqliteOutsider

        return SqliteOutsider(self._patient_connection(), self.path, self.clock)

    def _patient_connection(self) -> sqlite3.Connection:
        """A connection for those who wait for the busy writer's gaps by themselves."""
        return open_writable(
            self.path,
            self.clock,
            durability=self.durability,
            create=False,
            busy_timeout_ms=0,
            factory=self._factory,
        )


def open_store(path: Path, *, durability: Durability = "full", clock: Clock, create: bool = True) -> Store:
    """Find or make the database file and bring it to the present schema.

    Args:
        path: of the file; its folder is made too.
        durability: `full`: an acknowledged frame survives a power loss; `normal`: it survives our own death.
        create: False: a missing file is an error, and an older one is still brought up to date.
    Raises:
        StoreError: the family says why it cannot be used: `StoreNotFound`, `NotAStore`, `StoreTooNew`,
            `StoreReadOnly`, `StoreCorrupt`, …
    """
    path = path.absolute()
    open_writable(path, clock, durability=durability, create=create).close()
    return Store(path, durability=durability, clock=clock)
