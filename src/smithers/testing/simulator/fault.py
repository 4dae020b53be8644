"""What can go wrong at the store, and connections that let it go wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Crash(BaseException):
    """The simulated process ends here, in the middle of whatever it was doing."""


class Kind(Enum):
    """What happens at a store operation."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    FULL = "disk full"
    IOERR = "I/O error"
    UNKNOWN = "I/O error after the commit"


@dataclass(slots=True)
class StoreFault:
    """One fault, at a store operation of a process."""

    kind: Kind
    site: int
    """Which operation it meets, counted from the process' first."""
    lasts: int = 1
    """How many operations in a row it meets; an error that lasts is a full disk or a dead one."""


class Sites:
    """The store operations of one process: statements and commits, counted over all its connections."""

    def __init__(self, faults: tuple[StoreFault, ...] = ()) -> None:
        self.count = 0
        self.is_dead = False
        self._faults = faults
        self.met: list[str] = []
        """What went wrong, in words."""

    def carry_out(self, sql: str, act: Callable[[], Any]) -> Any:
        """Do one operation, or what goes wrong with it."""
        if sql == "ROLLBACK":
            return act()  # what is never stored anyway: the system does it for whoever dies
        if self.is_dead:
            raise Crash
        site = self.count
        self.count += 1
        for fault in self._faults:
            if fault.site <= site < fault.site + fault.lasts:
                return self._go_wrong(fault, site, sql, act)
        return act()

    def _go_wrong(self, fault: StoreFault, site: int, sql: str, act: Callable[[], Any]) -> Any:
        self.met.append(f"{fault.kind.value} at operation {site}: {sql.split(maxsplit=3)[:3]}")
        match fault.kind:
            case Kind.CRASH_BEFORE:
                self.is_dead = True
                raise Crash
            case Kind.CRASH_AFTER:
                act()
                self.is_dead = True
                raise Crash
            case Kind.FULL:
                raise _error("database or disk is full", sqlite3.SQLITE_FULL, "SQLITE_FULL")
            case Kind.IOERR:
                raise _error("disk I/O error", sqlite3.SQLITE_IOERR, "SQLITE_IOERR_WRITE")
            case Kind.UNKNOWN:
                act()
                raise _error("disk I/O error", sqlite3.SQLITE_IOERR, "SQLITE_IOERR_FSYNC")


def _error(text: str, code: int, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


class FaultyConnection(sqlite3.Connection):
    """A connection whose statements are counted, and may go wrong. Without `sites` it is an ordinary one."""

    sites: Sites | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.sites is None:
            return super().execute(sql, parameters)
        plain = super().execute
        cursor: sqlite3.Cursor = self.sites.carry_out(sql, lambda: plain(sql, parameters))
        return cursor

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        if self.sites is None:
            return super().executemany(sql, parameters)
        plain = super().executemany
        cursor: sqlite3.Cursor = self.sites.carry_out(sql, lambda: plain(sql, parameters))
        return cursor
