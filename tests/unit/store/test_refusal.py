"""SQLite's codes and ours."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

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
from smithers.store.refusal import machine_error, os_error, refusal, store_error

PATH = Path("/nowhere/at/all/smithers.db")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", StoreFull),
        ("SQLITE_READONLY", StoreReadOnly),
        ("SQLITE_READONLY_DBMOVED", StoreReadOnly),
        ("SQLITE_BUSY", StoreBusy),
        ("SQLITE_BUSY_SNAPSHOT", StoreBusy),
        ("SQLITE_LOCKED", StoreBusy),
        ("SQLITE_CORRUPT", StoreCorrupt),
        ("SQLITE_CORRUPT_INDEX", StoreCorrupt),
        ("SQLITE_NOTADB", NotAStore),
        ("SQLITE_IOERR_FSYNC", StoreError),
        ("SQLITE_PROTOCOL", StoreBusy),
        ("SQLITE_NOMEM", OutOfResources),
        ("SQLITE_CANTOPEN", StoreReadOnly),
        ("SQLITE_CONSTRAINT_PRIMARYKEY", BugError),
        ("SQLITE_ERROR", BugError),
    ],
)
def test_each_code_has_its_family(name: str, kind: type[SmithersError]) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorname = name
    found = store_error(error, PATH)
    assert type(found) is kind
    assert "what SQLite says" in str(found)
    assert found.details == {"path": str(PATH), "reason": name}
    assert found.__cause__ is error


def test_a_file_that_cannot_be_opened_in_a_writable_folder_is_not_read_only(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorname = "SQLITE_CANTOPEN"
    assert type(store_error(error, tmp_path / "smithers.db")) is StoreError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EROFS, StoreReadOnly),
        (errno.EACCES, StoreReadOnly),
        (errno.EIO, StoreError),
        (errno.EMFILE, OutOfResources),
        (errno.EFBIG, StoreFull),
    ],
)
def test_errors_of_files_beside_the_database_have_the_same_families(
    code: int, kind: type[StoreError]
) -> None:
    assert type(os_error(OSError(code, "what the system says"), PATH)) is kind
    assert type(refusal(OSError(code, "what the system says"), PATH)) is kind


def test_ours_pass_and_the_rest_is_our_fault() -> None:
    ours = StoreFull("no space")
    assert refusal(ours, PATH) is ours
    cause = OverflowError("int too large")
    found = refusal(cause, PATH)
    assert type(found) is BugError
    assert found.__cause__ is cause


def test_want_of_memory_is_named_wherever_it_shows() -> None:
    assert type(refusal(MemoryError(), PATH)) is OutOfResources
    assert type(machine_error(MemoryError())) is OutOfResources
    assert type(machine_error(RuntimeError("can't start new thread"))) is OutOfResources
    assert type(machine_error(OSError(errno.EMFILE, "too many", "a.sql"))) is OutOfResources
    no_object = "unicodedata.so: cannot open shared object file: Too many open files"
    assert type(machine_error(ImportError(no_object))) is OutOfResources
    assert machine_error(ImportError("No module named 'nowhere'")) is None
    assert machine_error(RuntimeError("another")) is None
    assert machine_error(OSError(errno.ENOENT, "none", "a.sql")) is None


def test_text_that_is_not_utf8_is_damage() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    assert type(store_error(caught.value, PATH)) is StoreCorrupt
    connection.close()
