"""Owners that are stopped, lose their lease, and are woken when somebody else drives their run."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.chaos import checker
from tests.chaos.checker import Rows
from tests.chaos.harness import PATIENCE_S, Place, Up

LEASE_MS = 1500
FAILED = 1
_TABLES = (
    "runs", "frames", "nodes", "attempts", "outputs", "passes", "mounts", "wakeups", "events", "inbox",
    "names",
    "specs", "inputs",
)  # fmt: skip
"""All but the owners': a lease that is renewed, or given back, says nothing of a run."""


@dataclass
class Graveyard:
    """How a number of zombies went."""

    zombies: int = 0
    queued: int = 0
    """Those that were stopped while a commit of theirs waited for the lock."""
    rows_written: int = 0
    """Rows that differ from what they were when a zombie was woken."""
    trees: int = 0
    """Process trees of zombies that their heirs were to end."""
    left_ms: list[float] = field(default_factory=list)
    """From waking a zombie to its end."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.zombies} zombies, {self.queued} with a commit queued: {self.rows_written} rows written, "
            f"{self.trees} process trees gone before, "
            f"ms to leave p50 {median(self.left_ms):.0f} max {max(self.left_ms):.0f}, "
            f"wrong {len(self.violations)}"
        )


def raise_one(folder: Path, found: Graveyard, *, is_queued: bool) -> None:
    """Stop an owner, let another process take its run over, wake it, and see that it changes nothing.

    Args:
        is_queued: it is stopped in the middle of a commit, which waits for the write lock.
    """
    found.zombies += 1
    place = Place(folder / f"zombie-{found.zombies}", "guarded", world={"lease_ms": LEASE_MS})
    problems: list[str] = []
    try:
        _raise(place, found, problems, is_queued)
    except Exception as error:  # noqa: BLE001 - one of many: the others go on
        problems.append(repr(error))
    finally:
        place.close()
    found.violations += [
        f"zombie {found.zombies}, queued {is_queued}: {text} [{place.folder}]" for text in problems
    ]
    if not problems:
        shutil.rmtree(place.folder)


def _raise(place: Place, found: Graveyard, problems: list[str], is_queued: bool) -> None:
    zombie = place.start()
    place.wait_for("hold")
    tree = _await_tree(place)
    found.queued += _stop_in_commit(place, zombie) if is_queued else _stop(zombie)
    (place.folder / "open").unlink(missing_ok=True)
    asleep = _look(place, problems)
    time.sleep(LEASE_MS / 1000)  # its last renewal was at most at the moment it was stopped
    heir = place.resume()
    place.wait_for("hold", attempt=2)
    # With the zombie still stopped: what it has started is gone before its heir runs anything.
    problems += [f"P6 process {pid} of the zombie is there" for pid in tree if is_there(pid)]
    found.trees += 1
    _await_calm(place)
    taken, before = _look(place, problems), dump(place.database)
    if taken.run.fence != asleep.run.fence + 1:
        problems.append(f"I5 the fence went from {asleep.run.fence} to {taken.run.fence}")

    woken_ns = time.monotonic_ns()
    zombie.signal(signal.SIGCONT)
    code = zombie.wait()
    found.left_ms.append((time.monotonic_ns() - woken_ns) / 1e6)
    changed = before ^ dump(place.database)
    found.rows_written += len(changed)
    problems += [f"P2 the zombie wrote {row}" for row in sorted(map(str, changed))[:5]]
    if code != FAILED or "[LEASE_LOST]" not in zombie.said() or "Traceback" in zombie.said():
        problems.append(f"the zombie left with {code}, saying {zombie.said()!r}")

    (place.folder / "open").touch()
    if (code := heir.wait()) != 0:
        problems.append(f"the heir left with {code}, saying {heir.said()!r}")
    rows = _look(place, problems)
    problems += [
        *checker.check_history(asleep, taken),
        *checker.check_history(taken, rows, has_new_owner=False),
        *(f"I10 process {pid} is left" for pid in place.leftovers()),
    ]
    ran = [(line.key, line.attempt, line.pid) for line in place.lines() if line.what == "start"]
    wanted = [
        ("before", 1, zombie.pid),
        ("hold", 1, zombie.pid),
        ("hold", 2, heir.pid),
        ("behind", 1, heir.pid),
    ]
    if ran != wanted:
        problems.append(f"I4 there ran {ran}")
    if rows.run.state != checker.RUN_FINISHED:
        problems.append(f"I7 the run ended in state {rows.run.state}")


def _await_tree(place: Place) -> list[int]:
    """Pids of the process that the zombie has started, and of its child."""
    pids = place.folder / "pids"
    give_up_at = time.monotonic() + PATIENCE_S
    while not pids.exists() and time.monotonic() < give_up_at:
        time.sleep(0.005)
    return [int(pid) for pid in pids.read_text().split()]


def _await_calm(place: Place) -> None:
    """Until the heir has nothing going on but the task that holds: from then on it writes nothing either."""
    give_up_at = time.monotonic() + PATIENCE_S
    with closing(sqlite3.connect(place.database, timeout=PATIENCE_S)) as connection:
        open_attempts = "SELECT count(*) FROM smithers_attempts WHERE to_frame IS NULL"
        while connection.execute(open_attempts).fetchone() != (1,) and time.monotonic() < give_up_at:
            time.sleep(0.01)


def is_there(pid: int) -> bool:
    """Whether a process runs, or could."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _stop(zombie: Up) -> bool:
    """Stop it, and wait until it has: on its way it might still take the lock, and keep it in its sleep."""
    zombie.signal(signal.SIGSTOP)
    stat = Path(f"/proc/{zombie.pid}/stat")
    give_up_at = time.monotonic() + PATIENCE_S
    while stat.read_text().rpartition(")")[2].split()[0] != "T" and time.monotonic() < give_up_at:
        time.sleep(0.001)
    return False


def _stop_in_commit(place: Place, zombie: Up) -> bool:
    """Hold the write lock, let its task end, and stop it while the commit of that waits."""
    with closing(sqlite3.connect(place.database, isolation_level=None, timeout=5)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        (place.folder / "open").touch()
        place.wait_for("hold", what="end")
        _await_waiting_commit()
        _stop(zombie)
        holder.execute("ROLLBACK")
    return True


def _await_waiting_commit() -> None:
    """The task's last line is there; its engine asks for the lock within a few milliseconds of that."""
    time.sleep(0.05)


def _look(place: Place, problems: list[str]) -> Rows:
    rows = place.look()
    assert rows is not None
    problems += checker.check_rows(rows)
    return rows


def dump(database: Path) -> set[tuple[object, ...]]:
    """Every row of every table but the owners'."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as connection:
        return {
            (table, *row)
            for table in _TABLES
            for row in connection.execute(f"SELECT * FROM smithers_{table}")
        }
