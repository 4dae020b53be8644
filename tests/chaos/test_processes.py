"""Process trees under kill -9 and under takeovers: none is joined by a second one, and none is left."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.process import Project, wait_until

KILLS = 30
TAKEOVERS = 10

FLOW = """
import random

def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

def work():
    # Whoever of an earlier attempt of this task is still there would work on the same files now.
    own = HERE / "pids" / current().node
    own.mkdir(parents=True, exist_ok=True)
    second = [path.name for path in own.iterdir() if alive(path.name)]
    if second:
        note(f"joined:{current().node}:{','.join(second)}")
    (own / str(os.getpid())).touch()
    for leave in (lambda: None, os.setsid, lambda: os.fork() and os._exit(0)):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            leave()
            (own / str(os.getpid())).touch()
            while True:
                time.sleep(100)
    time.sleep(random.uniform(0, 0.3))
    note(f"done:{current().node}")
    return Text(text=current().node)

@workflow
def flow(ctx):
    tasks = [Task(f"t{n}", Text, run=work, run_in="process", timeout=30) for n in range(24)]
    return Parallel(*tasks, max_concurrency=4)
"""


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Iterator[Project]:
    found = Project(tmp_path)
    yield found
    found.close()
    for pid in marked(found):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def marked(project: Project) -> list[int]:
    """Whatever is alive with a mark of this project's store, read without our own code."""
    if not project.store.exists():
        return []
    found = project.store.stat()
    mark = f"SMITHERS_ATTEMPT={found.st_dev:x}-{found.st_ino:x}:".encode()
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_over = (path / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            # A stub that waits for its go has run nothing, and never will without a row in the ledger.
            is_over |= b"stub.py" in (path / "cmdline").read_bytes()
            if not is_over and any(e.startswith(mark) for e in (path / "environ").read_bytes().split(b"\0")):
                pids.append(int(path.name))
    return pids


def up(project: Project, *, is_first: bool) -> subprocess.Popen[str]:
    return project.start("up", "flow.py", "-r", "r1", *([] if is_first else ["--resume"]))


def has_begun(project: Project, owner: subprocess.Popen[str]) -> bool:
    """Whether it drives the run and has started something, or has left."""
    if owner.poll() is not None:
        return True
    driver = project.runs()[0].owner if project.runs() else None
    return driver is not None and driver.pid == owner.pid and bool(marked(project))


def expire(project: Project) -> None:
    """As if every owner had slept for longer than its lease."""
    with closing(sqlite3.connect(project.store, timeout=30)) as store:
        store.execute("UPDATE smithers_owners SET expires_monotonic_ms = 0, expires_wall_ms = 0")
        store.commit()


def check(project: Project) -> None:
    executed = project.executed()
    assert [line for line in executed if line.startswith("joined")] == []
    # A task that ended its process after its last line may run once more; its first output stands.
    assert {line for line in executed if line.startswith("done")} == {f"done:t{n}" for n in range(24)}
    assert marked(project) == []
    with closing(sqlite3.connect(project.store)) as store:
        (left,) = store.execute("SELECT count(*) FROM smithers_processes WHERE ended_ms IS NULL").fetchone()
        (outputs,) = store.execute("SELECT count(*) FROM smithers_outputs").fetchone()
    assert (left, outputs) == (0, 24)


def test_after_any_kill_no_tree_is_joined_by_a_second_one(
    project: Project, request: pytest.FixtureRequest
) -> None:
    seed = int(request.config.getoption("--first-seed"))
    random = Random(seed)
    project.write(FLOW)
    kills = 0
    starts = 0
    for starts in range(1, KILLS + 1):  # noqa: B007 - told below
        process = up(project, is_first=not project.store.exists() or not project.runs())
        try:
            process.wait(timeout=random.uniform(0.2, 1.6))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        if process.returncode == 0:
            break
    if project.runs()[0].state.word != "finished":
        done = project.run("up", "flow.py", "-r", "r1", "--resume")
        if "cut off 3 times" in done.stderr:  # by the last three kills; a resume gives it a fresh start
            done = project.run("up", "flow.py", "-r", "r1", "--resume")
        assert done.returncode == 0, done.stderr
    print(f"\nprocesses: seed {seed}: {kills} kills in {starts} starts")
    check(project)


def test_a_sleeper_that_wakes_after_a_takeover_finds_its_trees_gone(
    project: Project, request: pytest.FixtureRequest
) -> None:
    seed = int(request.config.getoption("--first-seed"))
    random = Random(seed)
    project.write(FLOW)
    sleepers: list[subprocess.Popen[str]] = []
    owner = up(project, is_first=True)
    while len(sleepers) < TAKEOVERS or owner.poll() != 0:
        wait_until(partial(has_begun, project, owner), "a process of the new owner's")
        if owner.poll() == 0:
            break
        if owner.poll() is not None:
            assert owner.stderr is not None
            assert "cut off 3 times" in owner.stderr.read()  # a resume gives it a fresh start
        elif len(sleepers) < TAKEOVERS:
            time.sleep(random.uniform(0, 0.6))
            if owner.poll() is not None:
                continue
            owner.send_signal(signal.SIGSTOP)
            sleepers.append(owner)
            expire(project)
        else:
            owner.wait(timeout=60)
            continue
        owner = up(project, is_first=False)
    assert marked(project) == []
    before = rows(project)
    for sleeper in sleepers:
        sleeper.send_signal(signal.SIGCONT)
    for sleeper in sleepers:
        _, told = sleeper.communicate(timeout=60)
        assert sleeper.returncode == 1, told
        assert "LEASE_LOST" in told
    assert rows(project) == before
    print(f"\nprocesses: seed {seed}: {len(sleepers)} sleepers")
    check(project)


def rows(project: Project) -> list[object]:
    with closing(sqlite3.connect(project.store)) as store:
        tables = ("runs", "frames", "events", "attempts", "nodes", "outputs", "processes")
        return [store.execute(f"SELECT * FROM smithers_{table}").fetchall() for table in tables]
