"""A database connection that fails, starves or dies at one chosen statement. Imports nothing of ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

Statement = Callable[[], sqlite3.Cursor]

DEATH = "death"
"""A fault's name that ends the process there and then, as SIGKILL does: nothing is flushed or closed."""
DIED = 99
"""Its exit code."""
NO_MEMORY = "memory"
"""A fault's name that raises what Python makes of SQLITE_NOMEM."""


@dataclass
class Fault:
    """Strikes at the `at`-th statement of its connections, counted from 1; 0: never."""

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
        if self.name == DEATH:
            os._exit(DIED)
        if self.name == NO_MEMORY:
            raise MemoryError
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


def all_connections_fail(fault: Fault) -> None:
    """Let the fault count, and hit, the statements of every connection that this process opens from now."""
    factory, connect = connection_that_fails(fault), sqlite3.connect

    def failing(*values: Any, **options: Any) -> sqlite3.Connection:
        return connect(*values, **{**options, "factory": factory})

    sqlite3.connect = failing  # type: ignore[assignment]


def cap_pages(pages: int) -> None:
    """Let no database grow beyond so many pages, as if its disk were full then."""
    connect = sqlite3.connect

    def capped(*values: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*values, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    sqlite3.connect = capped  # type: ignore[assignment]
