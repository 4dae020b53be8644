"""One look at a store for `smithers doctor`: everything that could be wrong with it, and nothing written."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smithers.clock import Clock
from smithers.errors import StoreError
from smithers.records import Owner, RunFilter, RunState
from smithers.records.examination import Examination, OpenRun, OwnerExamination
from smithers.store.connection import open_readable
from smithers.store.filesystem import MOUNT_TABLE, file_system_of, network_file_system
from smithers.store.identity import health, is_stopped
from smithers.store.migration import SCHEMA_VERSION
from smithers.store.queries import statements
from smithers.store.reader import SqliteReader

_DAMAGES: Final = 20
"""Places of damage that are named; one is enough to know."""

_OPEN = (RunState.RUNNING, RunState.WAITING, RunState.PAUSED)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is known of a store that opens."""

    problem: dict[str, Any] | None = None
    schema: int | None = None
    damage: tuple[str, ...] = ()
    owners: tuple[OwnerExamination, ...] = ()
    runs: tuple[OpenRun, ...] = ()


def examine(path: Path, clock: Clock) -> Examination:
    """Look at a store.

    Args:
        path: of its file, which is there.
    Raises:
        StoreError: the file cannot even be looked at from outside.
    """
    path = path.absolute()
    try:
        stat, free = path.stat(), shutil.disk_usage(path.parent).free
    except OSError as error:
        raise StoreError(f"cannot look at {path}: {error.strerror or error}", path=str(path)) from error
    inside = _look_inside(path, clock)
    return Examination(
        now_ms=clock.now_ms(),
        path=str(path),
        size_bytes=stat.st_size,
        log_bytes=_size(path.with_name(f"{path.name}-wal")),
        mode=stat.st_mode & 0o777,
        is_writable=os.access(path, os.W_OK) and os.access(path.parent, os.W_OK),
        file_system=_file_system(path.resolve()),
        is_network=network_file_system(path.resolve()) is not None,
        free_bytes=free,
        problem=inside.problem,
        schema=inside.schema,
        newest_schema=SCHEMA_VERSION,
        damage=inside.damage,
        owners=inside.owners,
        runs=inside.runs,
    )


def _look_inside(path: Path, clock: Clock) -> _Inside:
    try:
        with closing(open_readable(path, clock)) as connection:
            schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
            damage = _damage(connection)
            if damage:
                # Its rows may be anything.
                return _Inside(schema=schema, damage=damage)
            runs = _runs(SqliteReader(connection, path, clock))
            return _Inside(None, schema, (), _owners(connection, clock, runs), runs)
    except StoreError as error:
        return _Inside(problem=error.payload())


def _damage(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        rows = connection.execute(f"PRAGMA quick_check({_DAMAGES})").fetchall()
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return tuple(str(row[0]) for row in rows if row[0] != "ok")


def _owners(
    connection: sqlite3.Connection, clock: Clock, runs: tuple[OpenRun, ...]
) -> tuple[OwnerExamination, ...]:
    held: dict[int, list[str]] = {}
    for one in runs:
        if one.run.owner is not None:
            held.setdefault(one.run.owner.id, []).append(one.run.name)
    owners = [Owner(*row) for row in connection.execute(statements("owner")["owners"]).fetchall()]
    return tuple(
        OwnerExamination(owner, health(owner, clock), is_stopped(owner), tuple(held.get(owner.id, ())))
        for owner in owners
    )


def _runs(reader: SqliteReader) -> tuple[OpenRun, ...]:
    found = []
    for run in reader.runs(RunFilter(states=_OPEN, tops=True)):
        wakeups = reader.wakeups(run.id)
        found.append(OpenRun(run, wakeups[0].due_ms if wakeups else None))
    return tuple(found)


def _file_system(path: Path) -> str | None:
    try:
        table = MOUNT_TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return file_system_of(path, table)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
