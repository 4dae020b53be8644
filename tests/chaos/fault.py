"""A database connection that fails at one chosen statement, and an engine that has to live with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from smithers.engine.host import Host
from smithers.store import Store
from smithers.store.writer import SqliteWriter

Statement = Callable[[], sqlite3.Cursor]


@dataclass
class Fault:
    """Raises at the `at`-th statement of the writer's connection, counted from 1; 0: never."""

    at: int = 0
    only: str = ""
    """Counts, and hits, only statements that begin so."""
    moment: Literal["before", "after"] = "before"
    """Before the statement took effect, or after: then it reports an error and has been done all the same."""
    name: str = "SQLITE_IOERR"
    lasts: bool = False
    """Every later statement that writes fails too, until `heal`."""
    count: int = 0
    is_over: bool = False
    hit: str | None = None
    """The statement it hit first."""

    def heal(self) -> None:
        self.is_over = True

    def through(self, sql: str, statement: Statement) -> sqlite3.Cursor:
        # Statements of files come with the comment that explains them.
        line = next(line for line in sql.strip().splitlines() if not line.startswith("--"))
        if not line.startswith(self.only):
            return statement()
        self.count += 1
        if self.at == 0 or self.is_over or not self._is_due(line):
            return statement()
        self.hit = self.hit or line
        if self.moment == "after":
            statement()
        error = sqlite3.OperationalError("made to fail")
        error.sqlite_errorname = self.name
        raise error

    def _is_due(self, sql: str) -> bool:
        if self.count == self.at:
            return True
        return self.lasts and self.count > self.at and not sql.startswith(("SELECT", "PRAGMA", "ROLLBACK"))


def connection_that_fails(fault: Fault) -> type[sqlite3.Connection]:
    """A class of connections whose statements all pass through `fault`."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            return fault.through(sql, partial(super().execute, sql, *values))

        def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
            return fault.through(sql, partial(super().executemany, sql, *values))

    return Connection


class FaultyStore(Store):
    """A store whose writer fails."""

    def __init__(self, sound: Store, fault: Fault) -> None:
        super().__init__(sound.path, durability=sound.durability, clock=sound.clock)
        self._fault = fault

    def writer(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> SqliteWriter:
        return super().writer(connection_that_fails(self._fault))


@contextmanager
def host_with(path: Path, fault: Fault) -> Iterator[Host]:
    """An owner of runs whose engine writes through a connection that fails; left at the end in any case."""
    host = Host(path)
    host.store = FaultyStore(host.store, fault)
    try:
        yield host
    finally:
        fault.heal()
        host.close()
