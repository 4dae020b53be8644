"""Connections to the database file: how they are opened, what is refused, and what their errors mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from urllib.parse import quote

from smithers.clock import Clock
from smithers.errors import (
    CommitUnknown,
    NotAStore,
    StoreError,
    StoreNotFound,
    StoreTooNew,
)
from smithers.store.filesystem import MOUNT_TABLE, network_file_system
from smithers.store.log import check_log, has_log
from smithers.store.migration import SCHEMA_VERSION, migrate
from smithers.store.refusal import DISK_ERRORS, family, os_error, sqlite_name, store_error

if TYPE_CHECKING:
    from random import Random

Durability = Literal["full", "normal"]
T = TypeVar("T")

APPLICATION_ID: Final = 0x536D7468
"""In the file's header (`Smth`): tells our databases from other people's."""

PATIENCE_MS: Final = 10_000
"""How long anybody waits for the write lock before `StoreBusy`."""

_JOURNAL_LIMIT_BYTES: Final = 8 << 20


# --- Opening ------------------------------------------------------------------------------------


def open_writable(
    path: Path,
    clock: Clock,
    *,
    durability: Durability = "full",
    create: bool = True,
    busy_timeout_ms: int = PATIENCE_MS,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """Open a store for writing, and bring it to the present schema.

    Args:
        durability: `full` survives a power loss; `normal` may lose the last commits then, never the file.
        create: whether a missing file is made (mode 0600; its folder too, 0700).
        busy_timeout_ms: how long SQLite itself waits for the write lock; 0 for those who retry by themselves.
        factory: the connection's class.
    Raises:
        StoreError: the family says why it cannot be used.
    """
    _check_place(path)
    is_new = not path.exists()
    if is_new and not create:
        raise StoreNotFound(f"no database at {path}", path=str(path))
    if is_new:
        _make_folder(path.parent)
    connection = _connect(path, "mode=rwc" if create else "mode=rw", busy_timeout_ms, factory)
    if is_new:
        # Before its `-wal` and `-shm` are made: they take their mode from it. By name, because closing a
        # handle of our own would drop the locks that other connections of this process hold on the file.
        path.chmod(0o600)
    try:
        # Any of it may meet a lock that SQLite's own timeout does not wait for: somebody makes the file,
        # changes its mode, or was the last to leave and tidies up.
        patiently(lambda: _prepare(connection, path, durability), clock)
    except BaseException as error:
        connection.close()
        if isinstance(error, DISK_ERRORS):
            raise store_error(error, path) from error
        raise
    return connection


def open_readable(path: Path, clock: Clock) -> sqlite3.Connection:
    """Open a store for looking at it; nothing can be written through this connection.

    SQLite's own read-only mode leaves `-shm` and `-wal` files behind, so an ordinary connection that refuses
    to write is tried first. Where the folder is not ours to write in, those files cannot be made: then the
    read-only mode, and at last, if the log beside the file holds nothing and it is complete, the file alone.

    Raises:
        StoreError: the family says why it cannot be used.
    """
    _check_place(path)
    if not path.is_file():
        raise StoreNotFound(f"no database at {path}", path=str(path))
    modes = ["mode=rw", "mode=ro"]
    if not has_log(path):
        modes.append("mode=ro&immutable=1")
    for mode in modes:
        connection = _connect(path, mode, PATIENCE_MS)
        try:
            connection.execute("PRAGMA query_only = ON")
            if not patiently(partial(_check_header, connection, path), clock):
                raise StoreNotFound(f"{path} is empty: nothing has been stored in it yet", path=str(path))
        except DISK_ERRORS as error:
            connection.close()
            if mode == modes[-1] or not _wants_less(error):
                raise store_error(error, path) from error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("unreachable: the last mode returns or raises")


def _wants_less(error: Exception) -> bool:
    """Whether a mode that makes no files may do: those beside the database cannot be made."""
    name = sqlite_name(error)
    return family(error) in ("CANTOPEN", "READONLY", "FULL") or name.startswith("SQLITE_IOERR_SHM")


def _connect(
    path: Path, mode: str, busy_timeout_ms: int, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            f"file:{quote(str(path))}?{mode}",
            uri=True,
            # `timeout` is the busy timeout, set before any statement: `journal_mode` itself may meet a lock.
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=factory,
        )
    except DISK_ERRORS as error:
        raise store_error(error, path) from error


def _check_place(path: Path, mount_table: Path = MOUNT_TABLE) -> None:
    kind = network_file_system(path.resolve(), mount_table)
    if kind is not None:
        raise StoreError(
            f"{path} lies on a network file system ({kind}), where SQLite cannot share a database safely",
            hint="pass --store PATH on a local disk",
            path=str(path),
        )
    if path.is_dir():
        raise NotAStore(f"{path} is a folder", path=str(path))
    check_log(path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error


def _check_header(connection: sqlite3.Connection, path: Path) -> bool:
    """Refuse other people's databases, those of a later version of ours, and damaged ones.

    Returns:
        False: it holds nothing yet: it is being made right now, or whoever made it has died at once.
    """
    try:
        # Reads the whole schema, so that damage there is found before anything is written.
        is_empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    except sqlite3.DatabaseError as error:
        if family(error) == "NOTADB":
            raise NotAStore(f"{path} is not a database", path=str(path)) from error
        raise
    if is_empty:
        return False
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise NotAStore(f"{path} is a database of another program", path=str(path))
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path} was written by a newer version (schema {version}; this one knows {SCHEMA_VERSION})",
            path=str(path),
            schema=version,
        )
    return True


def _prepare(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    _check_header(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode not in ("wal", "memory"):  # it answers with what it stays at, and raises nothing
        raise StoreError(
            f"{path} lies on a file system that SQLite cannot share memory on (journal mode {mode})",
            hint="pass --store PATH on a local disk",
            path=str(path),
        )
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT_BYTES}")
    # Some systems build SQLite to overwrite freed space with zeros, which costs a commit a tenth.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    migrate(connection, APPLICATION_ID)


# --- Transactions -------------------------------------------------------------------------------


def begin(connection: sqlite3.Connection) -> None:
    """Begin a write transaction: the lock is taken now, so that nothing in it can meet another writer."""
    if connection.in_transaction:
        roll_back(connection)  # an earlier ROLLBACK itself failed
    connection.execute("BEGIN IMMEDIATE")


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction without its rows, if one is open: a full disk makes SQLite do it by itself."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except DISK_ERRORS:
            pass  # whatever broke it is being reported already; `begin` tries again


def commit(connection: sqlite3.Connection, path: Path) -> None:
    """Commit.

    Args:
        path: of the file, for the error's message.

    Raises:
        CommitUnknown: it raised, and so its rows may or may not be there.
    """
    try:
        connection.execute("COMMIT")
    except DISK_ERRORS as error:
        roll_back(connection)
        unknown = CommitUnknown(
            f"the commit failed, and may have been stored all the same: {error}", reason=sqlite_name(error)
        )
        unknown.because = store_error(error, path)
        raise unknown from error


def patiently(
    attempt: Callable[[], T],
    clock: Clock,
    *,
    random: Random | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """Call `attempt` until the file is free, for at most `PATIENCE_MS`.

    SQLite's own busy handler backs off up to 100 ms and so never meets the gaps that a busy writer leaves;
    this one asks again every 0.5 to 2 ms. It also covers the locks that SQLite's handler is not asked about,
    such as the change of a fresh file's journal mode.

    Args:
        pause: sleeps, in seconds.
    Raises:
        sqlite3.OperationalError: still busy; or any other error of `attempt`, at once.
    """
    give_up_at = clock.monotonic_ms() + PATIENCE_MS
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if family(error) not in ("BUSY", "LOCKED", "PROTOCOL") or clock.monotonic_ms() >= give_up_at:
                raise
        if random is None:
            from random import Random  # brings hashlib and OpenSSL along: 4 ms, for those who must wait

            random = Random()
        pause(random.uniform(0.0005, 0.002))
