"""What errors of SQLite and of the file system mean: the one place where their codes are read."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from smithers.errors import (
    BugError,
    NotAStore,
    SmithersError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
)


def refusal(error: Exception, path: Path) -> SmithersError:
    """Why something was not stored: ours as it is, SQLite's as its family, anything else as our own fault."""
    if isinstance(error, SmithersError):
        return error
    if isinstance(error, sqlite3.Error):
        return store_error(error, path)
    if isinstance(error, OSError):
        return os_error(error, path)
    found = BugError(f"a frame that cannot be stored: {error!r}")
    found.__cause__ = error
    return found


def store_error(error: sqlite3.Error, path: Path) -> SmithersError:
    """What an error of SQLite means for a user."""
    kind: type[SmithersError]
    match family(error):
        case "FULL":
            kind, what = StoreFull, "no space left for"
        case "READONLY":
            kind, what = StoreReadOnly, "cannot write to"
        case "BUSY" | "LOCKED":
            kind, what = StoreBusy, "another process holds"
        case "CORRUPT":
            kind, what = StoreCorrupt, "damaged database:"
        case "NOTADB":
            kind, what = NotAStore, "not a database:"
        case "CANTOPEN" if not os.access(path.parent, os.W_OK):
            kind, what = StoreReadOnly, "cannot write beside"
        case "CANTOPEN":
            kind, what = StoreError, "cannot open"
        case "IOERR" | "NOMEM" | "INTERRUPT" | "PERM" | "AUTH" | "NOLFS" | "PROTOCOL":
            kind, what = StoreError, "cannot use"
        case _:  # constraints, misuse, SQL that does not fit the schema
            kind, what = BugError, "unexpected answer from"
    found = kind(f"{what} {path}: {error}", path=str(path), reason=sqlite_name(error))
    found.__cause__ = error
    return found


def os_error(error: OSError, path: Path) -> StoreError:
    """The same for a file beside the database."""
    kind: type[StoreError] = StoreError
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        kind = StoreFull
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        kind = StoreReadOnly
    found = kind(f"cannot write {path}: {error.strerror or error}", path=str(path))
    found.__cause__ = error
    return found


def sqlite_name(error: sqlite3.Error) -> str:
    """SQLite's name for it, such as `SQLITE_IOERR_WRITE`; empty for errors of the Python module itself."""
    return getattr(error, "sqlite_errorname", None) or ""


def family(error: sqlite3.Error) -> str:
    """The second word of its name: `IOERR`."""
    return sqlite_name(error).removeprefix("SQLITE_").partition("_")[0]


_STORE_FAULTS = frozenset(
    ("FULL", "READONLY", "BUSY", "LOCKED", "CORRUPT", "NOTADB", "CANTOPEN", "IOERR", "NOMEM", "INTERRUPT",
     "PERM", "AUTH", "NOLFS", "PROTOCOL")
)  # fmt: skip


def is_store_fault(error: sqlite3.Error) -> bool:
    """Whether the database itself cannot be used; else the statement does not fit what is in it."""
    return family(error) in _STORE_FAULTS
