"""What errors of SQLite and of the file system mean: the one place where their codes are read."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from smithers.errors import (
    BugError,
    NotAStore,
    OutOfResources,
    SmithersError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
)

DISK_ERRORS: Final = (sqlite3.Error, MemoryError, UnicodeDecodeError)
"""What a statement may raise: SQLite's own; what Python makes of `SQLITE_NOMEM`, and of a message that quotes
a damaged schema."""

NONSENSE: Final = (ValueError, KeyError, TypeError, IndexError, OverflowError)
"""What reading a damaged row raises: JSON that is none, a number that stands for nothing."""

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LEAVE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_NO_ROOM_WORDS: Final = tuple(os.strerror(number) for number in _NO_ROOM)
"""The loader of shared objects hands on the system's words without its number."""
_SMALLEST_BYTES: Final = 1 << 16
"""Less room than the index of a log takes."""
ENVIRONMENT: Final = frozenset({*_NO_SPACE, *_NO_LEAVE, *_NO_ROOM, errno.EIO})
"""Numbers of the system's errors that are the machine's fault, and not ours."""


def refusal(error: Exception, path: Path) -> SmithersError:
    """Why something was not stored: ours as it is, SQLite's as its family, anything else as our own fault."""
    if isinstance(error, SmithersError):
        return error
    if isinstance(error, DISK_ERRORS):
        return store_error(error, path)
    if isinstance(error, OSError):
        return os_error(error, path)
    found = BugError(f"a frame that cannot be stored: {error!r}")
    found.__cause__ = error
    return found


def store_error(error: sqlite3.Error | MemoryError | UnicodeDecodeError, path: Path) -> SmithersError:
    """What an error of SQLite means for a user."""
    kind: type[SmithersError]
    if isinstance(error, MemoryError):
        exhausted = OutOfResources(f"no memory left for {path}", path=str(path), reason="SQLITE_NOMEM")
        exhausted.__cause__ = error
        return exhausted
    if isinstance(error, UnicodeDecodeError):
        return damaged(error, path)
    match family(error):
        case "FULL":
            kind, what = StoreFull, "no space left for"
        case "READONLY":
            kind, what = StoreReadOnly, "cannot write to"
        case "BUSY" | "LOCKED" | "PROTOCOL":
            kind, what = StoreBusy, "another process holds"
        case "CORRUPT":
            kind, what = StoreCorrupt, "damaged database:"
        case "NOTADB":
            kind, what = NotAStore, "not a database:"
        case "NOMEM":
            kind, what = OutOfResources, "no memory left for"
        case "CANTOPEN" if not _has_free_descriptors():
            kind, what = OutOfResources, "no file descriptor left for"
        case "CANTOPEN" if not os.access(path.parent, os.W_OK):
            kind, what = StoreReadOnly, "cannot write beside"
        case "CANTOPEN":
            kind, what = StoreError, "cannot open"
        case "IOERR" if _is_full(path.parent):
            kind, what = StoreFull, "no space left for"
        case "IOERR" | "INTERRUPT" | "PERM" | "AUTH" | "NOLFS":
            kind, what = StoreError, "cannot use"
        case "ERROR" if str(error).startswith(("unsupported file format", "no such ")):  # our SQL is tested
            kind, what = StoreCorrupt, "damaged database:"
        case "" if "decode to UTF-8" in str(error):
            kind, what = StoreCorrupt, "damaged database:"
        case _:  # constraints, misuse, SQL that does not fit the schema
            kind, what = BugError, "unexpected answer from"
    found = kind(f"{what} {path}: {error}", path=str(path), reason=sqlite_name(error))
    found.__cause__ = error
    return found


def os_error(error: OSError, path: Path, doing: str = "write") -> StoreError:
    """The same for a file beside the database.

    Args:
        doing: what could not be done with it.
    """
    kind: type[StoreError] = StoreError
    if error.errno in _NO_SPACE:
        kind = StoreFull
    elif error.errno in _NO_LEAVE:
        kind = StoreReadOnly
    elif error.errno in _NO_ROOM:
        kind = OutOfResources
    found = kind(f"cannot {doing} {path}: {error.strerror or error}", path=str(path))
    found.__cause__ = error
    return found


def machine_error(error: BaseException) -> StoreError | None:
    """What the machine did not give, wherever it was asked for; None: it is not the machine's fault."""
    if isinstance(error, MemoryError):
        return OutOfResources("no memory left")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return OutOfResources("no further thread can be started")
    if isinstance(error, ImportError) and str(error).endswith(_NO_ROOM_WORDS):
        return OutOfResources(f"a module cannot be loaded: {error}")
    if isinstance(error, OSError) and error.errno in ENVIRONMENT:
        return os_error(error, Path(error.filename or "a file"), "use")
    return None


def damaged(error: Exception, path: Path) -> StoreCorrupt:
    """What a stored row says that makes no sense: a state that there is none of, JSON that is none."""
    found = StoreCorrupt(f"damaged database: {path}: a row makes no sense ({error!r})", path=str(path))
    found.__cause__ = error
    return found


def sqlite_name(error: Exception) -> str:
    """SQLite's name for it, such as `SQLITE_IOERR_WRITE`; empty for errors of the Python module itself."""
    return getattr(error, "sqlite_errorname", None) or ""


def family(error: Exception) -> str:
    """The second word of its name: `IOERR`."""
    return sqlite_name(error).removeprefix("SQLITE_").partition("_")[0]


_STORE_FAULTS = frozenset(
    ("FULL", "READONLY", "BUSY", "LOCKED", "CORRUPT", "NOTADB", "CANTOPEN", "IOERR", "NOMEM", "INTERRUPT",
     "PERM", "AUTH", "NOLFS", "PROTOCOL")
)  # fmt: skip


def is_store_fault(error: sqlite3.Error) -> bool:
    """Whether the database itself cannot be used; else the statement does not fit what is in it."""
    return family(error) in _STORE_FAULTS


def _is_full(folder: Path) -> bool:
    """Whether a disk has no room: the files beside the database say only that they could not be made."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    free = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return free * found.f_frsize < _SMALLEST_BYTES


def _has_free_descriptors() -> bool:
    """SQLite says only that it cannot open a file; whether this process may open any is found by trying.

    It needs three, for the file, its log and the log's index, and has given back what it had.
    """
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(3))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True
