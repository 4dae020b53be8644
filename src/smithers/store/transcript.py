"""Transcripts in an SQLite file of their own, beside the store.

What agents say is much, and no run depends on it: so it is no part of any commit. When the power fails, its
last moments may be lost, and only then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from smithers.clock import Clock
from smithers.errors import NotAStore, StoreCorrupt, StoreError, StoreNotFound, StoreTooNew
from smithers.ids import NodeKey
from smithers.records.transcript import Batch, Conversation, EntryKind, EntryRow
from smithers.store.connection import PATIENCE_MS, begin, patiently, roll_back
from smithers.store.log import has_log
from smithers.store.migration import split
from smithers.store.queries import statements
from smithers.store.refusal import DISK_ERRORS, NONSENSE, damaged, family, refusal

T = TypeVar("T")

TRANSCRIPTS_ID: Final = 0x536D7454
"""In the file's header (`SmtT`)."""

SCHEMA: Final = 1
"""Number of the newest migration in `sql/transcripts`."""

FILE_LIMIT_BYTES: Final = 1 << 30
"""When more than this is kept, the oldest runs' conversations go."""

_ROOM: Final = 16
"""A sixteenth of the limit is made free in one go, so that it is not done for every batch."""
_REMOVED: Final = 64
"""Conversations that are deleted in one transaction: others wait for it."""
_JOURNAL_LIMIT_BYTES: Final = 8 << 20
_PAGE_BYTES: Final = 16 << 10
"""Of a new file. What tools say is often some KB long: a smaller page holds one such row, half empty."""
_TOGETHER: Final = 64
"""Entries in one statement: between two steps of SQLite another thread of ours may take its turn."""
_HINT: Final = "move the file away: the next run begins a new one, and runs do not depend on it"


def transcripts_path(store: Path) -> Path:
    """Where a store's transcripts are: `smithers-transcripts.db` beside `smithers.db`."""
    return store.with_name(f"{store.stem}-transcripts{store.suffix}")


class SqliteTranscripts:
    """Implements `ports.Transcripts`. Makes the file (0600) where there is none; its folder is there.

    Args:
        path: of the transcripts.
        limit_bytes: the file does not grow much beyond this.
        factory: class of the connection; a test passes one that fails.
    Raises:
        StoreError: the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        limit_bytes: int = FILE_LIMIT_BYTES,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._unchecked_bytes = limit_bytes  # looked at with the first batch
        with _named(path):
            is_new = not path.exists()
            self._connection = _connect(path, "mode=rwc", factory)
            try:
                if is_new:
                    path.chmod(0o600)  # before its `-wal` and `-shm` are made: they take their mode from it
                patiently(partial(_prepare, self._connection, path), clock)
                found = path.stat()
            except BaseException:
                self._connection.close()
                raise
        self._place = (found.st_dev, found.st_ino)

    def add(self, batch: Batch) -> None:
        """Store entries, all or none of them."""
        connection = self._connection
        begun: dict[Conversation, int] = {}
        rows: list[tuple[Any, ...]] = []
        with _named(self._path), _transaction(connection):
            self._check_place()
            for conversation, entries in batch:
                if conversation not in begun:
                    begun[conversation] = self._begin(conversation)
                number, began_ms = begun[conversation], conversation.began_ms
                rows += [
                    (number, serial, turn, kind, at_ms - began_ms, text, data)
                    for serial, turn, kind, at_ms, text, data in entries
                ]
            many = len(rows) - len(rows) % _TOGETHER
            for at in range(0, many, _TOGETHER):
                connection.execute(_add_entries(_TOGETHER), [*chain.from_iterable(rows[at : at + _TOGETHER])])
            connection.executemany(_add_entries(1), rows[many:])
        for conversation, number in begun.items():
            conversation.id = number
        self._unchecked_bytes += sum(len(row[5]) + len(row[6]) for row in rows)
        with suppress(StoreError):  # these are stored; whatever is wrong, the next batch meets it
            self._make_room()

    def close(self) -> None:
        """Close the connection; the file is complete by itself then."""
        with _named(self._path):
            self._connection.close()

    def _begin(self, one: Conversation) -> int:
        """The number of a conversation in this file."""
        sql, key = statements("transcript"), one.key
        row = (one.run, *key, one.generation, one.attempt, one.agent, one.began_ms)
        if one.id and self._connection.execute(sql["has_conversation"], (one.id, *row)).fetchone():
            return one.id
        number = self._connection.execute(sql["add_conversation"], row).lastrowid
        assert number is not None  # an INSERT always has a rowid
        return number

    def _check_place(self) -> None:
        """Refuse to write into a file that nobody can read any more: SQLite would, and say nothing."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._place:
            raise StoreNotFound(f"{self._path} was removed or replaced", path=str(self._path))

    def _make_room(self) -> None:
        """Delete what is oldest, if too much is kept. Its pages are used again; the file does not shrink."""
        room = self._limit_bytes // _ROOM
        if self._unchecked_bytes < room // 2:
            return
        self._unchecked_bytes = 0
        if self._used_bytes() <= self._limit_bytes:
            return
        while self._used_bytes() > self._limit_bytes - room and self._remove_oldest():
            pass

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {one}").fetchone()[0]
            for one in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _remove_oldest(self) -> bool:
        sql, connection = statements("transcript"), self._connection
        with _named(self._path), _transaction(connection):
            oldest = [row[0] for row in connection.execute(sql["oldest"], (_REMOVED,)).fetchall()]
            for name in ("remove_entries", "remove_conversations"):
                connection.execute(sql[name], (json.dumps(oldest),))
        return bool(oldest)


class SqliteTranscriptReader:
    """Implements `ports.TranscriptReader`. From one thread; it can change nothing.

    Raises:
        StoreNotFound: there is no file, or nothing has been stored in it yet.
        StoreError: the file cannot be used.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._connection = _open_readable(path, clock)
        self._data_version = -1

    def conversations(self, run: int) -> list[Conversation]:
        """Those of a run, in the order they began."""
        return self._read(
            "conversations",
            (run,),
            lambda row: Conversation(row[0], NodeKey(*row[1:4]), *row[4:]),
        )

    def entries(self, conversation: int, after: int = 0, limit: int = 1000) -> list[EntryRow]:
        """Entries of a conversation with a higher `id`, in order."""
        return self._read("entries", (conversation, after, limit), _entry)

    def newer(self, run: int, after: int, limit: int = 1000) -> list[EntryRow]:
        """Entries of a run with a higher `id`, as they came, of whichever conversation."""
        return self._read("newer", (after, run, limit), _entry)

    def before_last(self, conversations: Collection[int], count: int) -> int:
        """The `id` after which the last `count` entries of these conversations stand."""
        if count == 0:
            return self.newest()
        found = self._read("last", (json.dumps([*conversations]), count), lambda row: int(row[0]))
        return found[-1] - 1 if found else 0

    def newest(self) -> int:
        """The highest `id` there is."""
        return self._read("newest", (), lambda row: int(row[0]))[0]

    def has_changed(self) -> bool:
        """Whether anything was stored since the last call; True the first time."""
        with _named(self._path):
            before = self._data_version
            (self._data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return before != self._data_version

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _read(self, name: str, values: tuple[Any, ...], make: Callable[[tuple[Any, ...]], T]) -> list[T]:
        try:
            with _named(self._path):
                return [make(row) for row in self._connection.execute(statements("transcript")[name], values)]
        except NONSENSE as error:
            raise damaged(error, self._path) from error


@cache
def _add_entries(count: int) -> str:
    """The statement that adds so many entries."""
    into, values, row = statements("transcript")["add_entry"].partition("VALUES ")
    return into + values + ", ".join([row] * count)


def _entry(row: tuple[Any, ...]) -> EntryRow:
    number, conversation, serial, turn, kind, at_ms, text, data = row
    return EntryRow(number, conversation, serial, turn, EntryKind(kind), at_ms, text, data)


# --- Connections --------------------------------------------------------------------------------


def _connect(path: Path, mode: str, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{mode}",
        uri=True,
        timeout=PATIENCE_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _check_header(connection, path)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # a file that has pages keeps those it has
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode not in ("wal", "memory"):
        raise StoreError(f"{path} lies on a file system that SQLite cannot share memory on", path=str(path))
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT_BYTES}")
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_JOURNAL_LIMIT_BYTES // page_bytes}")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    _migrate(connection)


def _check_header(connection: sqlite3.Connection, path: Path) -> bool:
    """Refuse what is not ours, and what a later version of ours has made.

    Returns:
        False: it holds nothing yet.
    """
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
        return False
    if connection.execute("PRAGMA application_id").fetchone()[0] != TRANSCRIPTS_ID:
        raise NotAStore(f"{path} holds no transcripts", hint=_HINT, path=str(path))
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise StoreTooNew(
            f"{path} was written by a newer version (schema {version}; this one knows {SCHEMA})",
            path=str(path),
        )
    return True


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) >= SCHEMA:
        return
    for file in sorted(Path(__file__).with_name("sql").glob("transcripts/[0-9][0-9][0-9][0-9]_*.sql")):
        number = int(file.name[:4])
        with _transaction(connection):
            if _version(connection) < number:  # under the lock: another process may have done it meanwhile
                for statement in split(file.read_text(encoding="utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {TRANSCRIPTS_ID}")
                connection.execute(f"PRAGMA user_version = {number}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _open_readable(path: Path, clock: Clock) -> sqlite3.Connection:
    """As the store is opened: reading must make no files where it cannot, and must change none."""
    if not path.is_file():
        raise StoreNotFound(f"no transcripts at {path}", path=str(path))
    modes = ["mode=rw", "mode=ro", *([] if has_log(path) else ["mode=ro&immutable=1"])]
    with _named(path):
        for mode in modes:
            connection = _connect(path, mode, sqlite3.Connection)
            try:
                connection.execute("PRAGMA query_only = ON")
                is_there = patiently(partial(_check_header, connection, path), clock)
            except sqlite3.Error as error:
                connection.close()
                if mode == modes[-1] or family(error) not in ("CANTOPEN", "READONLY", "FULL", "IOERR"):
                    raise
                continue
            except BaseException:
                connection.close()
                raise
            if is_there:
                return connection
            connection.close()
            break
    raise StoreNotFound(f"{path} is empty: nothing has been stored in it yet", path=str(path))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    begin(connection)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file system by our names."""
    try:
        yield
    except (*DISK_ERRORS, OSError) as error:
        found = refusal(error, path)
        if isinstance(found, (StoreCorrupt, NotAStore)):
            found.hint = _HINT
        raise found from error
