"""What opening a store refuses, and how it waits."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from smithers.clock import SystemClock
from smithers.errors import (
    NotAStore,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreNotFound,
    StoreReadOnly,
    StoreTooNew,
)
from smithers.records import FrameWrite, InboxKind, RunFilter
from smithers.store import open_store
from smithers.store.connection import APPLICATION_ID, _connect, open_readable, open_writable
from smithers.store.inbox import SqliteOutsider
from smithers.store.writer import SqliteWriter
from tests.contract.store_contract import FakeClock, World

CLOCK = FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with one run."""
    world = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock))
    world.create()
    world.close()
    return tmp_path / "smithers.db"


def test_a_missing_file_is_made_or_named_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "smithers.db"
    with pytest.raises(StoreNotFound, match=r"new/smithers\.db"):
        open_store(path, clock=CLOCK, create=False)
    with pytest.raises(StoreNotFound):
        open_readable(path, CLOCK)
    assert not path.parent.exists()
    open_store(path, clock=CLOCK)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_log_and_shared_memory_are_as_private_as_the_file(path: Path) -> None:
    connection = open_writable(path, CLOCK)
    connection.execute("CREATE TABLE t (x)")
    for ending in ("-wal", "-shm"):
        assert path.with_name(path.name + ending).stat().st_mode & 0o777 == 0o600
    connection.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_a_connection_is_set_up_for_its_durability(path: Path, durability: str, synchronous: int) -> None:
    connection = open_writable(path, CLOCK, durability=durability)  # type: ignore[arg-type]
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "busy_timeout", "application_id", "secure_delete")
    }
    assert found == {
        "journal_mode": "wal", "synchronous": synchronous, "busy_timeout": 10_000,
        "application_id": APPLICATION_ID, "secure_delete": 0,
    }  # fmt: skip
    assert connection.execute("PRAGMA journal_size_limit").fetchone()[0] > 0
    connection.close()


def test_text_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    path.write_text("# notes\n" * 200)
    for open_it in (lambda: open_store(path, clock=CLOCK), lambda: open_readable(path, CLOCK)):
        with pytest.raises(NotAStore, match="is not a database"):
            open_it()
    assert path.read_text() == "# notes\n" * 200


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE photos (name)")
    other.close()
    before = path.read_bytes()
    for open_it in (lambda: open_store(path, clock=CLOCK), lambda: open_readable(path, CLOCK)):
        with pytest.raises(NotAStore, match="another program"):
            open_it()
    assert path.read_bytes() == before


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(NotAStore, match="is a folder"):
        open_store(tmp_path, clock=CLOCK)


def test_a_newer_schema_is_refused_by_writers_and_readers(path: Path) -> None:
    connection = open_writable(path, CLOCK)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for open_it in (lambda: open_store(path, clock=CLOCK), lambda: open_readable(path, CLOCK)):
        with pytest.raises(StoreTooNew, match="99") as caught:
            open_it()
        assert "upgrade" in caught.value.hint


def test_a_damaged_file_is_named_as_such_and_not_written_to(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)
    for open_it in (lambda: open_store(path, clock=CLOCK), lambda: open_readable(path, CLOCK)):
        with pytest.raises(StoreCorrupt):
            open_it()
    assert path.read_bytes() == content


def test_a_damaged_page_is_found_when_it_is_read(path: Path) -> None:
    connection = open_writable(path, CLOCK)
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'smithers_runs'"
    at = 4096 * (connection.execute(query).fetchone()[0] - 1)
    connection.close()
    content = bytearray(path.read_bytes())
    content[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    reader = open_store(path, clock=CLOCK).reader()
    with pytest.raises(StoreCorrupt, match=r"smithers\.db"):
        reader.runs(RunFilter())
    reader.close()


def test_a_writer_on_a_file_that_cannot_be_written_says_read_only(path: Path) -> None:
    world = World(lambda clock: open_store(path, clock=clock))
    row = world.reader.run("r1")
    writer = SqliteWriter(_connect(path, "mode=ro", 100), path, CLOCK)
    frame = FrameWrite(row.id, row.fence, row.frame + 1, row.frame, row.seq, 0, 1)
    (result,) = writer.commit([frame])
    assert isinstance(result, StoreReadOnly)
    results = writer.commit([frame, frame])
    assert [type(result) for result in results] == [StoreReadOnly, StoreReadOnly]
    writer.close()
    world.close()


# Modes do not stop root: the child becomes nobody once it has loaded what it needs.
LOOK_AND_TRY = """
import os
import sys
from pathlib import Path
from smithers.clock import SystemClock
from smithers.errors import StoreReadOnly
from smithers.records import RunFilter
from smithers.store import Store, open_store, this_process
from smithers.store.queries import statements

path, clock = Path(sys.argv[1]), SystemClock()
for noun in ("fact", "name", "run"):
    statements(noun)
this_process()
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
reader = Store(path, durability="full", clock=clock).reader()
print([row.name for row in reader.runs(RunFilter())])
for name in ("smithers.db", "other.db"):
    try:
        open_store(path.with_name(name), clock=clock)
    except StoreReadOnly as error:
        print(error.code)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users may look into: pytest's own are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_in_a_folder_that_cannot_be_written_readers_work_and_writers_are_refused(public_folder: Path) -> None:
    world = World(lambda clock: open_store(public_folder / "smithers.db", clock=clock))
    world.create("r1")
    world.close()
    (public_folder / "smithers.db").chmod(0o444)
    public_folder.chmod(0o555)
    child = subprocess.run(
        [sys.executable, "-c", LOOK_AND_TRY, str(public_folder / "smithers.db")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert child.stderr == ""
    assert child.stdout.split("\n") == ["['r1']", "STORE_READ_ONLY", "STORE_READ_ONLY", ""]


def test_an_outsider_asks_again_every_half_to_two_milliseconds(path: Path) -> None:
    holder = open_writable(path, CLOCK)
    holder.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 50:
            holder.execute("COMMIT")

    connection = open_writable(path, CLOCK, busy_timeout_ms=0)
    outsider = SqliteOutsider(connection, path, CLOCK, random=Random(1), pause=pause)
    assert outsider.post(1, InboxKind.CANCEL, "cli") == 1
    assert len(pauses) == 50
    assert min(pauses) >= 0.0005
    assert max(pauses) <= 0.002
    assert len(set(pauses)) > 40
    outsider.close()
    holder.close()


def test_an_outsider_gives_up_after_ten_seconds_and_says_why(path: Path) -> None:
    clock = FakeClock()
    holder = open_writable(path, CLOCK)
    holder.execute("BEGIN IMMEDIATE")
    connection = open_writable(path, CLOCK, busy_timeout_ms=0)
    outsider = SqliteOutsider(connection, path, clock, pause=lambda seconds: clock.advance(1_000))
    before = clock.monotonic_ms()
    with pytest.raises(StoreBusy):
        outsider.post(1, InboxKind.CANCEL, "cli")
    assert clock.monotonic_ms() - before == 10_000
    holder.execute("ROLLBACK")
    assert outsider.post(1, InboxKind.CANCEL, "cli") == 1
    outsider.close()
    holder.close()


def test_a_writer_that_gets_no_lock_says_so_once_for_the_whole_group(path: Path) -> None:
    holder = open_writable(path, CLOCK)
    holder.execute("BEGIN IMMEDIATE")
    writer = SqliteWriter(open_writable(path, CLOCK, busy_timeout_ms=50), path, CLOCK)
    started = SystemClock().monotonic_ms()
    results = writer.commit([FrameWrite(1, 1, 2, 1, 1, 0, 1)] * 20)
    assert [type(result) for result in results] == [StoreBusy] * 20
    assert SystemClock().monotonic_ms() - started < 20 * 50
    holder.close()
    writer.close()


def test_opening_a_store_again_keeps_the_locks_of_its_open_connections(path: Path) -> None:
    # Closing any handle of a file drops all of the process' locks on it; another process that is the last to
    # leave, as it thinks, would then take the log away.
    writer = open_store(path, clock=CLOCK).writer()
    open_store(path, clock=CLOCK).reader().close()
    program = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=False, capture_output=True, text=True
    )
    assert "database is locked" in child.stderr
    writer.close()


def test_a_closed_file_is_our_own_fault_and_not_the_disks(path: Path) -> None:
    reader = open_store(path, clock=CLOCK).reader()
    reader.close()
    with pytest.raises(Exception, match="closed") as caught:
        reader.runs(RunFilter())
    assert not isinstance(caught.value, StoreError)
