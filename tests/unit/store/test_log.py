"""A file and its log, parted."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from smithers.errors import StoreCorrupt
from smithers.store import open_store
from smithers.store.connection import open_readable
from smithers.store.log import check_log, has_log, log_of
from tests.contract.store_contract import FakeClock, World

CLOCK = FakeClock()


@pytest.fixture(name="crashed")
def _crashed(tmp_path: Path) -> Path:
    """A store with one run, as a process leaves it that is killed: with its log, and the log's index."""
    alive = tmp_path / "alive"
    world = World(lambda clock: open_store(alive / "smithers.db", clock=clock))
    world.create()
    shutil.copytree(alive, tmp_path / "crashed")
    world.close()
    path = tmp_path / "crashed" / "smithers.db"
    assert has_log(path)
    return path


def test_a_file_with_its_log_and_one_that_was_left_cleanly_are_fine(crashed: Path) -> None:
    check_log(crashed)
    sqlite3.connect(crashed).execute("SELECT 1 FROM smithers_runs").connection.close()
    assert not log_of(crashed).exists()
    check_log(crashed)
    check_log(crashed.with_name("none.db"))


def test_a_log_without_its_file_is_kept(crashed: Path) -> None:
    content = log_of(crashed).read_bytes()
    crashed.unlink()
    for open_it in (lambda: open_store(crashed, clock=CLOCK), lambda: open_readable(crashed, CLOCK)):
        with pytest.raises(StoreCorrupt, match="is gone"):
            open_it()
    crashed.touch()
    with pytest.raises(StoreCorrupt, match="is empty"):
        open_store(crashed, clock=CLOCK)
    assert log_of(crashed).read_bytes() == content


def test_a_file_without_its_log_is_not_taken_for_complete_unless_its_user_says_so(crashed: Path) -> None:
    log_of(crashed).unlink()
    with pytest.raises(StoreCorrupt, match=r"last commits \(\d+ pages\)") as caught:
        open_store(crashed, clock=CLOCK)
    assert "smithers.db-shm" in caught.value.hint
    crashed.with_name("smithers.db-shm").unlink()
    open_store(crashed, clock=CLOCK)


@pytest.mark.parametrize("content", [b"", b"short", bytes(32768)])
def test_an_index_that_says_nothing_is_no_reason_to_refuse(crashed: Path, content: bytes) -> None:
    log_of(crashed).unlink()
    crashed.with_name("smithers.db-shm").write_bytes(content)
    check_log(crashed)


def test_a_log_that_was_moved_into_the_file_is_not_missed(crashed: Path) -> None:
    connection = sqlite3.connect(crashed)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    copy = crashed.with_name("copy")
    shutil.copytree(crashed.parent, copy, ignore=shutil.ignore_patterns("copy"))
    connection.close()
    log_of(copy / "smithers.db").unlink()
    check_log(copy / "smithers.db")
