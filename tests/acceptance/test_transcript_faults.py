"""What becomes of transcripts, and of who records them, when the file, the disk or the process fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smithers.clock import SystemClock
from smithers.records.transcript import EntryKind, EntryRow
from smithers.store.transcript import SqliteTranscriptReader, SqliteTranscripts
from tests.acceptance.process import environment

PATIENCE_S = 30.0

PROGRAM = """
import logging, resource, sys, time
from functools import partial
from pathlib import Path
from smithers.clock import SystemClock
from smithers.engine.moments import Limits
from smithers.engine.transcript import TranscriptRecorder
from smithers.ids import NodeKey
from smithers.ports import NoticeEvent
from smithers.store.transcript import SqliteTranscripts

logging.basicConfig(format="%(levelname)s %(message)s")
path, count, largest = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if largest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
clock = SystemClock()
recorder = TranscriptRecorder(
    partial(SqliteTranscripts, path, clock), clock, limits=Limits(batch_s=0.01, retry_ms=50)
)
talk = recorder.attempt(1, NodeKey("a"), 0, 1, "codex")
for number in range(1, count + 1):
    talk.event(NoticeEvent(f"{number} " + "x" * 500))
    if number % 50 == 0:
        time.sleep(0.005)
        print(number, flush=True)
print("closed", recorder.close(30), flush=True)
"""


def start(path: Path, count: int, largest: int = 0) -> subprocess.Popen[str]:
    """A process that records so many notices; `largest`: no file of it may have more bytes."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(count), str(largest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def entries(path: Path) -> list[EntryRow]:
    with closing(SqliteTranscriptReader(path, SystemClock())) as reader:
        (conversation,) = reader.conversations(1)
        return reader.entries(conversation.id, limit=100_000)


def numbers(found: list[EntryRow]) -> Iterator[int]:
    """Of the notices; those that are counted as left out are skipped."""
    return (int(entry.text.partition(" ")[0]) for entry in found if entry.kind is EntryKind.NOTICE)


@pytest.mark.parametrize("largest", [1, 30_000, 200_000])
def test_who_records_goes_on_where_no_file_may_grow_and_says_so_once(tmp_path: Path, largest: int) -> None:
    path = tmp_path / "t.db"
    out, err = start(path, 1_000, largest).communicate(timeout=60)
    assert out.splitlines()[-1] == "closed True"
    assert len(err.splitlines()) == 1, err
    assert err.startswith("WARNING what agents say is not recorded, runs go on: ")
    if largest > 100_000:
        found = entries(path)
        kept = list(numbers(found))
        assert kept == sorted(set(kept))
        assert 0 < len(kept) < 1_000


def test_who_records_waits_for_another_process_that_writes(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(SqliteTranscripts(path, SystemClock())) as other:
        other._connection.execute("BEGIN IMMEDIATE")  # nobody else may write
        process = start(path, 100)
        assert process.stdout is not None
        process.stdout.readline()
        other._connection.execute("ROLLBACK")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(numbers(entries(path))) == [*range(1, 101)]


@pytest.mark.parametrize("how", ["overwritten", "replaced", "removed"])
def test_who_records_goes_on_when_the_file_is_spoiled(tmp_path: Path, how: str) -> None:
    path = tmp_path / "t.db"
    process = start(path, 3_000)
    assert process.stdout is not None
    until_written(path, 100)
    if how == "overwritten":
        path.write_bytes(b"# notes\n" * 8_192)
    else:
        path.unlink()
    if how == "replaced":
        path.write_bytes(b"# notes\n" * 8_192)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "closed True"
    # What is overwritten may be whole again: all of it may have stood in the log.
    assert how == "overwritten" or len(err.splitlines()) == 1, err
    assert not err or err.startswith("WARNING what agents say is not recorded, runs go on: ")
    if how == "removed":  # and a new one was begun
        found = entries(path)
        assert json.loads(found[0].data)["why"] == "store"
        assert list(numbers(found))[-1] == 3_000


def test_a_process_that_is_killed_leaves_all_that_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    for least in (1, 400, 1_500):
        path.unlink(missing_ok=True)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        process = start(path, 1_000_000)
        seen = until_written(path, least)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = entries(path)
        assert list(numbers(found)) == [*range(1, len(found) + 1)]
        assert [entry.serial for entry in found] == [*range(1, len(found) + 1)]
        assert len(found) >= seen
    # The next process writes on in the same file.
    assert start(path, 10).communicate(timeout=60)[0].splitlines() == ["closed True"]
    with closing(SqliteTranscriptReader(path, SystemClock())) as reader:
        first, second = reader.conversations(1)
        assert list(numbers(reader.entries(second.id))) == [*range(1, 11)]
        assert len(reader.entries(first.id)) >= 1


def until_written(path: Path, count: int) -> int:
    """Wait until a file holds so many entries; how many it holds then."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if path.exists() and path.stat().st_size:
            try:
                found = len(entries(path))
            except Exception:  # noqa: BLE001 - it is being made at this moment
                found = 0
            if found >= count:
                return found
        time.sleep(0.01)
    raise AssertionError(f"{path} never held {count} entries")
