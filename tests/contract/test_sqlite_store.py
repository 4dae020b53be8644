"""The contract on a real file, and what only a file can get wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from smithers.clock import SystemClock
from smithers.errors import RunOwned
from smithers.records import InboxKind, OwnerHealth, RunChange, RunFilter, RunState
from smithers.store import Store, open_store
from smithers.store.writer import SqliteWriter
from tests.contract.cache_contract import CacheContract
from tests.contract.store_contract import TTL_MS, FakeClock, Fault, StoreContract, World

RACERS = 8
ROOT = Path(__file__).parents[2]

# What one racer does: open the store (the first one makes it), say so, wait for the start, claim, report.
RACER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from smithers.clock import SystemClock
    from smithers.errors import RunOwned
    from smithers.store import open_store

    leases = open_store(Path(sys.argv[1]), clock=SystemClock(), durability="normal").leases()
    owner = leases.register_owner(60_000).id
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print("fence", leases.claim(int(sys.argv[2]), owner), flush=True)
    except RunOwned as error:
        print(error.code, flush=True)
    sys.stdin.readline()  # stay alive: a dead winner may be followed
    """
)

# Makes twenty fresh stores one after the other, at the same time as its rivals.
OPENER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from smithers.clock import SystemClock
    from smithers.store import open_store

    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(20):
        path = Path(sys.argv[1]) / str(n) / "smithers.db"
        leases = open_store(path, clock=SystemClock(), durability="normal").leases()
        leases.register_owner(60_000)
        leases.close()
    print("done", flush=True)
    sys.stdin.readline()
    """
)


def raised(name: str, message: str) -> sqlite3.OperationalError:
    """An error as the driver raises it."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorname = name
    return error


def failing(fault: Fault) -> type[sqlite3.Connection]:
    """A class of connections with a fault."""

    class Failing(sqlite3.Connection):
        is_armed = False

        def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
            if not self.is_armed:
                return super().execute(sql, values)
            fault.statement(sql, values)
            cursor = super().execute(sql, values)
            if sql == "COMMIT" and fault.after_commit is not None:
                error, fault.after_commit = fault.after_commit, None
                raise error
            return cursor

        def executemany(self, sql: str, values: Iterable[Any], /) -> sqlite3.Cursor:
            rows = list(values)
            if self.is_armed:
                fault.statement(sql, rows)
            return super().executemany(sql, rows)

    return Failing


class TestSqliteStore(CacheContract, StoreContract):
    def open(self, folder: Path, clock: FakeClock) -> Store:
        return open_store(folder / ".smithers" / "smithers.db", clock=clock, durability="normal")

    def failing_writer(self, store: Store, fault: Fault) -> SqliteWriter:
        writer = store.writer(failing(fault))
        writer._connection.is_armed = True  # type: ignore[attr-defined]  # from here on, not while opening
        return writer

    def abandon(self, writer: SqliteWriter) -> None:
        writer._connection.close()  # SQLite rolls back what was open

    def full_disk(self) -> Exception:
        return raised("SQLITE_FULL", "database or disk is full")

    def disk_error(self) -> Exception:
        return raised("SQLITE_IOERR_FSYNC", "disk I/O error")


@pytest.fixture
def world(tmp_path: Path) -> Iterable[World]:
    found = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock, durability="normal"))
    yield found
    found.close()


def race(program: str, *arguments: object) -> list[subprocess.Popen[str]]:
    """Start the racers and wait until all of them stand at the line."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(RACERS)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    return racers


def finish(racers: list[subprocess.Popen[str]]) -> None:
    for racer in racers:
        racer.communicate("\n")
        assert racer.returncode == 0


def answers(racers: list[subprocess.Popen[str]]) -> list[str]:
    """Send them off and read what each of them says."""
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    return [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]


def test_of_eight_processes_that_claim_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    store = open_store(path, clock=SystemClock(), durability="normal")
    world = World(lambda clock: store)
    drive = world.create()
    world.leases.end_owner(drive.owner)
    racers = race(RACER, path, drive.run)
    found = answers(racers)
    assert sorted(found) == ["RUN_OWNED"] * (RACERS - 1) + ["fence 2"]
    winner = racers[found.index("fence 2")]
    owner = world.row(drive.run).owner
    assert owner is not None
    assert owner.pid == winner.pid
    late = world.leases.register_owner(TTL_MS).id
    with pytest.raises(RunOwned):
        world.leases.claim(drive.run, late)
    winner.kill()
    # Not fetched yet: a zombie is dead already.
    while world.row(drive.run).health is OwnerHealth.ALIVE:
        pass
    assert world.leases.claim(drive.run, late) == 3
    racers.remove(winner)
    winner.communicate()
    finish(racers)
    world.close()


def test_many_processes_may_make_the_same_fresh_files_at_once(tmp_path: Path) -> None:
    racers = race(OPENER, tmp_path / ".smithers")
    assert answers(racers) == ["done"] * RACERS
    finish(racers)
    for n in range(20):
        path = tmp_path / ".smithers" / str(n) / "smithers.db"
        leases = open_store(path, clock=SystemClock(), create=False).leases()
        assert leases.register_owner(TTL_MS).id == RACERS + 1
        leases.close()
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from smithers.store import open_store
        from tests.contract.store_contract import World

        world = World(lambda clock: open_store(Path(sys.argv[1]), clock=clock, durability="normal"))
        drive = world.create(ids=tuple(f"t{n}" for n in range(2000)))
        for n in range(2000):
            drive.run_task(f"t{n}", str(n))
            print(n, flush=True)
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(40)]
    child.kill()
    said += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    acknowledged = [line.strip() for line in said if line.endswith("\n")]
    world = World(lambda clock: open_store(path, clock=clock))
    loaded = world.writer.load(1)
    bodies = [row.body for row in loaded.outputs]
    assert bodies[: len(acknowledged)] == acknowledged
    assert len(bodies) - len(acknowledged) <= 1
    assert [row.frame for row in world.reader.frames(1)] == list(range(1, loaded.run.frame + 1))
    assert loaded.run.health is OwnerHealth.DEAD
    world.close()


def test_after_a_clean_close_only_the_database_file_is_left(tmp_path: Path) -> None:
    world = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock))
    drive = world.create()
    drive.run_task("plan", "1")
    world.close()
    assert [path.name for path in tmp_path.iterdir()] == ["smithers.db"]


def test_a_reader_can_write_nothing_and_leaves_no_files_behind(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    store = open_store(path, clock=FakeClock())
    for _ in range(2):
        reader = store.reader()
        assert reader.runs(RunFilter()) == []
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM smithers_runs")
        reader.close()
        assert [file.name for file in tmp_path.iterdir()] == ["smithers.db"]


def test_a_reader_holds_nothing_that_stops_a_checkpoint(world: World, tmp_path: Path) -> None:
    drive = world.create()
    world.facts(drive.run)
    drive.run_task("plan", "1")
    checkpoint = world.writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert checkpoint[0] == 0
    assert (tmp_path / "smithers.db-wal").stat().st_size == 0


def test_an_outsider_gets_in_between_the_commits_of_a_busy_writer(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    world = World(lambda clock: open_store(path, clock=SystemClock(), durability="normal"))
    drive = world.create()
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from smithers.clock import SystemClock
        from smithers.records import InboxKind
        from smithers.store import open_store

        outsider = open_store(Path(sys.argv[1]), clock=SystemClock(), durability="normal").outsider()
        for n in range(20):
            outsider.post(1, InboxKind.PAUSE, f"outsider {n}")
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)])
    while child.poll() is None:
        drive.commit()
    assert child.returncode == 0
    assert len(world.writer.inbox([drive.run])[drive.run]) == 20
    drive.commit(run_change=RunChange(RunState.CANCELLED, release=True))
    assert world.outsider.post(drive.run, InboxKind.CANCEL, "late") == 21
    world.close()
