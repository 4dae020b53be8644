"""`python -m bench.supervise [--runs N] [--idle SECONDS] [--supervisors 1 3]`: a supervisor's speed and cost.

Parked runs that all come due at one moment: how long until each has been resumed, by how many engines, and
whether each was resumed once. Then the same runs with nothing due: the memory and the CPU of the process that
watches them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from smithers.records import EventType

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 120.0
FLOW = """
from smithers import Context, Node, Sequence, Task, Timer, workflow

@workflow
def flow(ctx: Context) -> Node:
    return Sequence(Timer("nap", duration="1d"), Task("after", str, value="awake"))
"""
PARK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import flow
from smithers.engine.hosts import close_hosts, host_for
store = Path(sys.argv[1]) / ".smithers" / "smithers.db"
host = host_for(store)
handles = [flow.flow.start(host, run_id=f"r{n}", linger_ms=0) for n in range(int(sys.argv[2]))]
for handle in handles:
    handle.ended.result()
close_hosts()
"""


def park(folder: Path, runs: int) -> Path:
    """Leave so many runs that wait for tomorrow; returns their store."""
    (folder / ".git").mkdir()
    (folder / "flow.py").write_text(FLOW)
    subprocess.run([sys.executable, "-c", PARK, str(folder), str(runs)], check=True, cwd=folder)
    return folder / ".smithers" / "smithers.db"


def set_due(store: Path, at_ms: int) -> None:
    """Have everything come due at one moment."""
    with closing(sqlite3.connect(store, timeout=10)) as connection, connection:
        connection.execute("UPDATE smithers_wakeups SET due_ms = ?", (at_ms,))
        connection.execute("UPDATE smithers_waits SET due_ms = ?", (at_ms,))


def resumed(store: Path) -> tuple[int, int, int]:
    """Runs that were resumed, how often at most, and owners that have driven one since."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM smithers_events WHERE type = ? GROUP BY run", (int(EventType.RUN_RESUMED),)
        ).fetchall()
        (left,) = connection.execute("SELECT count(*) FROM smithers_runs WHERE state <= 3").fetchone()
        return len(rows), max((count for (count,) in rows), default=0), left


def hosts_of(store: Path) -> set[int]:
    """Processes that hold the places of hosts."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"host" in words and str(store).encode() in words:
            found.add(int(process.name))
    return found


def start(store: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "smithers", "supervise", "--store", str(store)]
    return subprocess.Popen(words, cwd=store.parent.parent, stderr=subprocess.DEVNULL)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def wake(folder: Path, runs: int, supervisors: int) -> bool:
    """Time from the moment when all are due until all have been resumed, and have ended."""
    store = park(folder, runs)
    processes = [start(store) for _ in range(supervisors)]
    time.sleep(1.5)
    due_s = time.time() + 1.0
    set_due(store, int(due_s * 1000))
    engines: set[int] = set()
    all_resumed_s = None
    count = most = 0
    left = runs
    while time.time() - due_s < LONGEST_S and left:
        time.sleep(0.1)
        engines |= hosts_of(store)
        count, most, left = resumed(store)
        if count == runs and all_resumed_s is None:
            all_resumed_s = time.time() - due_s
    ended_s = time.time() - due_s
    end(processes)
    for pid in hosts_of(store):
        os.kill(pid, signal.SIGTERM)
    ok = all_resumed_s is not None and all_resumed_s < 60 and most == 1 and len(engines) <= 2 and not left
    shown = "never" if all_resumed_s is None else f"{all_resumed_s:5.1f} s"
    print(
        f"{runs:,} due at once, {supervisors} supervisors: all resumed after {shown}, all ended after "
        f"{ended_s:5.1f} s; {len(engines)} engines; at most {most} resumes a run  {'ok' if ok else 'MISS'}"
    )
    return ok


def idle(folder: Path, runs: int, seconds: float) -> bool:
    """Memory and CPU of a supervisor that has nothing to do."""
    store = park(folder, runs)
    process = start(store)
    time.sleep(3)
    before = cpu_s(process.pid)
    time.sleep(seconds)
    used = cpu_s(process.pid) - before
    status = (Path("/proc") / str(process.pid) / "status").read_text()
    rss_mb = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000
    end([process])
    ok = rss_mb <= 40 and used / seconds <= 0.005
    print(
        f"{runs:,} parked, nothing due, {seconds:.0f} s: {rss_mb:.1f} MB resident (≤ 40), "
        f"{used / seconds:.3%} CPU (≤ 0.5 %)  {'ok' if ok else 'MISS'}"
    )
    return ok


def cpu_s(pid: int) -> float:
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description="What a supervisor costs, and how fast it is.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=30, metavar="SECONDS", help="0: leave it out")
    parser.add_argument("--supervisors", type=int, nargs="*", default=[1, 3])
    given = parser.parse_args()
    found = []
    # On the file system of the checkout: a disk in memory syncs for nothing.
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    for number in given.supervisors:
        with tempfile.TemporaryDirectory(dir=cache, prefix="supervise-") as folder:
            found.append(wake(Path(folder), given.runs, number))
    if given.idle:
        with tempfile.TemporaryDirectory(dir=cache, prefix="supervise-") as folder:
            found.append(idle(Path(folder), given.runs, given.idle))
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
