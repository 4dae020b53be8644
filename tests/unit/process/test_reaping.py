"""What dead owners have left behind: found, ended, and nothing else touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from smithers.errors import ProcessStuck
from smithers.ports import Trace
from smithers.process import ProcessSpawner, reap_dead, reap_run, survivors, tree
from smithers.process.table import look
from smithers.store import open_store, this_process
from smithers.store.process import SqliteLedger
from tests.contract.store_contract import Drive, World
from tests.unit.process.family import lives


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock, durability="normal"))
    yield found
    found.close()


@pytest.fixture
def ledger(world: World) -> Iterator[SqliteLedger]:
    with closing(world.store.ledger()) as found:
        yield found


@pytest.fixture
def drive(world: World) -> Drive:
    """A run with an open attempt; its owner leaves at once."""
    made = world.create()
    made.commit(started=[made.start("plan")])
    return made


class Left:
    """A process that somebody left behind, in a session of its own."""

    def __init__(self, mark: str | None = None) -> None:
        environment = {**os.environ} | ({} if mark is None else {"SMITHERS_ATTEMPT": mark})
        self.process = subprocess.Popen(["sleep", "100"], env=environment, start_new_session=True)
        # Between the fork and the exec it has our own environment.
        while b"sleep" not in Path(f"/proc/{self.process.pid}/cmdline").read_bytes():
            pass
        seen = look(self.process.pid)
        assert seen is not None
        self.pid, self.ticks = seen.pid, seen.ticks

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def left(ledger: SqliteLedger) -> Iterator[Left]:
    found = Left(f"{ledger.store_id}:r1:plan:1")
    yield found
    found.close()


def record(ledger: SqliteLedger, drive: Drive, left: Left, *, age: int = 0) -> int:
    """Record a process as started by the present owner; `age`: ticks that its row is older than it."""
    mark = f"{ledger.store_id}:r1:plan:1"
    return ledger.open(drive.program("plan")._replace(pid=left.pid, ticks=left.ticks - age, mark=mark))


def test_a_new_owner_ends_what_the_former_one_started_even_if_that_lives(
    ledger: SqliteLedger, drive: Drive, left: Left, spawner: ProcessSpawner
) -> None:
    record(ledger, drive, left)
    reap_dead(spawner, ledger)
    assert lives(left.pid)  # its owner lives: it is for a takeover of the run to end it
    reap_run(spawner, ledger, drive.run, "r1")
    assert not lives(left.pid)
    assert ledger.open_rows() == []


def test_what_a_dead_owner_started_is_found_and_then_ended(
    world: World, ledger: SqliteLedger, drive: Drive, left: Left, spawner: ProcessSpawner
) -> None:
    record(ledger, drive, left)
    assert survivors(world.store) == []
    world.leases.end_owner(drive.owner)
    ((row, pids),) = survivors(world.store)
    assert (row.run, pids) == (drive.run, [left.pid])
    assert lives(left.pid)
    reap_dead(spawner, ledger)
    assert not lives(left.pid)
    assert survivors(world.store) == []
    assert ledger.open_rows() == []


def test_a_pid_that_means_another_process_by_now_is_left_alone(
    ledger: SqliteLedger, drive: Drive, spawner: ProcessSpawner
) -> None:
    stranger = Left()
    record(ledger, drive, stranger, age=1)
    reap_run(spawner, ledger, drive.run, "r1")
    assert lives(stranger.pid)
    assert ledger.open_rows() == []
    stranger.close()


def test_a_child_of_a_dead_root_is_found_by_its_mark(
    ledger: SqliteLedger, drive: Drive, left: Left, spawner: ProcessSpawner
) -> None:
    start = drive.program("plan")
    ledger.open(start._replace(pid=2**22 - 1, ticks=left.ticks - 1, mark=f"{ledger.store_id}:r1:plan:1"))
    reap_run(spawner, ledger, drive.run, "r1")
    assert not lives(left.pid)


@pytest.mark.parametrize("what", ["boot", "namespace"])
def test_where_pids_mean_something_else_nothing_is_ended(
    world: World, drive: Drive, left: Left, spawner: ProcessSpawner, what: str
) -> None:
    elsewhere = replace(this_process(), **{what: "another"})
    with closing(world.store.ledger(here=elsewhere)) as theirs:
        record(theirs, drive, left)
    with closing(world.store.ledger()) as ledger:
        reap_run(spawner, ledger, drive.run, "r1")
        assert lives(left.pid)
        # Nothing outlives a boot; of another namespace nobody here can tell.
        assert len(ledger.open_rows()) == (0 if what == "boot" else 1)


def test_ourselves_and_what_is_older_than_the_root_are_never_taken(spawner: ProcessSpawner) -> None:
    program = (
        "import os, sys\n"
        "from smithers.ports import Trace\n"
        "from smithers.process import tree\n"
        "from smithers.process.table import look\n"
        "me = look(os.getpid())\n"
        "assert tree.members([Trace(me.pid, me.ticks, 'a:b')]) == []\n"
        "tree.end([Trace(me.pid, me.ticks, 'a:b')], 0)\n"
        "print('still here')\n"
    )
    environment = {**os.environ, "SMITHERS_ATTEMPT": "a:b"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "still here\n", done.stderr


def test_a_forged_mark_of_another_user_is_no_proof(left: Left, ledger: SqliteLedger) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    mark = f"{ledger.store_id}:r1:plan:1"
    stranger = subprocess.Popen(
        ["sleep", "100"], env={**os.environ, "SMITHERS_ATTEMPT": mark}, user=54321, start_new_session=True
    )
    try:
        while b"sleep" not in Path(f"/proc/{stranger.pid}/cmdline").read_bytes():
            pass
        found = tree.members([Trace(2**22 - 1, left.ticks, mark)])
        assert [seen.pid for seen in found] == [left.pid]
    finally:
        stranger.kill()
        stranger.wait()


def test_what_cannot_be_ended_stops_a_takeover(
    ledger: SqliteLedger, drive: Drive, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(ledger, drive, left)
    monkeypatch.setattr(tree, "send", lambda seen, number: False)  # as for what has become another user's
    with pytest.raises(ProcessStuck, match=str(left.pid)):
        reap_run(ProcessSpawner(), ledger, drive.run, "r1")
    assert len(ledger.open_rows()) == 1
