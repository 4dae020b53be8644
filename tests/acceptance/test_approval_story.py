"""A run asks, leaves, and is answered a day and a boot later: the answer continues it, in another process."""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.process import Project, wait_until
from tests.acceptance.waiting import HEAD, await_rest, await_state, database, park, row, rows, votes

DAY_MS = 86_400_000
TRIES = int(os.environ.get("SMITHERS_TRIES", "8"))
"""How often somebody answers while the engine is shutting down; 50 take a minute."""

STORY = """
@workflow
def flow(ctx):
    plan = does("plan")
    gate = Approval("gate", title="Ship it?", summary="All of it.", expires_in="3d", depends_on=plan)
    return Sequence(plan, gate, does("ship"), does("tell"))
"""

BESIDE = """
@workflow
def flow(ctx):
    def beside():
        note("beside")
        wait_for("go")
        return Text()
    gate = Approval("gate", title="Ship it?")
    return Parallel(
        Sequence(does("plan"), gate, does("ship")), Task("beside", Text, run=beside)
    )
"""

MOMENT = """
from smithers.store.writer import SqliteWriter

store = SqliteWriter.commit

def commit(self, frames):
    changes = [frame.run_change for frame in frames if frame.run_change is not None]
    parks = any(change.state.word == "waiting" for change in changes) and not (HERE / "parking").exists()
    if parks and not AFTER:
        (HERE / "parking").touch()
        wait_for("decided")
    found = store(self, frames)
    if parks and AFTER:
        (HERE / "parking").touch()
        wait_for("decided")
    return found

SqliteWriter.commit = commit
"""
"""Holds the owner up at the commit by which it parks: before it, or after it and before it has left."""


@pytest.fixture
def stranger() -> Iterator[int]:
    """Pid of a program that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(0.1)  # whoever starts from now on starts in another tick of the kernel's clock
    yield process.pid
    process.kill()
    process.wait()


def a_day_passes(project: Project, pid: int | None = None) -> None:
    """Let the store be a day old and of another boot; whoever drove a run is another program by now."""
    with database(project) as connection:
        for table, columns in (
            ("smithers_waits", ("opened_ms", "due_ms")),
            ("smithers_wakeups", ("due_ms",)),
            ("smithers_runs", ("created_ms", "started_ms", "ended_ms")),
            ("smithers_owners", ("started_ms", "expires_wall_ms", "expires_monotonic_ms")),
            ("smithers_inbox", ("at_ms",)),
        ):
            moved = ", ".join(f"{column} = {column} - {DAY_MS}" for column in columns)
            connection.execute(f"UPDATE {table} SET {moved}")
        connection.execute(
            "UPDATE smithers_owners SET boot = 'the boot before', pid = coalesce(?, pid)", (pid,)
        )


def ours(project: Project) -> list[str]:
    """Command lines of processes that work in this project."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if str(project.folder) in line]


def test_a_run_is_approved_a_day_and_a_boot_later_and_goes_on_at_the_right_step(project: Project) -> None:
    done = park(project, STORY)
    assert "gate waits for a decision: Ship it?" in done.stderr
    assert "smithers approve r1 gate\n" in done.stderr
    assert "smithers deny r1 gate\n" in done.stderr
    assert ours(project) == []
    assert rows(project)["smithers_owners"] == []
    assert row(project).owner is None
    assert project.executed() == ["plan"]
    a_day_passes(project)

    (blocker,) = [
        one for one in project.document("why", "r1")["blockers"] if one["kind"] == "waiting-approval"
    ]
    assert "Ship it?" in blocker["text"]
    done = project.run("approve", "r1", "--by", "ann", "--note", "go ahead")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "approved gate of r1, in the name of ann\n"
    assert "r1 goes on in the background as process " in done.stderr
    assert await_rest(project) == "finished"
    assert project.executed() == ["plan", "ship", "tell"]
    decision = json.loads(project.run("output", "r1", "gate").stdout)
    assert (decision["approved"], decision["by"], decision["note"]) == (True, "ann", "go ahead")
    assert decision["at"]
    assert votes(project) == [("approve", "ann")]
    assert re.search(
        r"approved by ann, .*: go ahead", project.run("why", "r1", "gate").stdout.replace("\n", " ")
    )


@pytest.mark.parametrize("lease", ["old", "kept"])
def test_a_killed_owner_of_another_boot_whose_pid_is_a_strangers_is_taken_over(
    project: Project, stranger: int, lease: str
) -> None:
    project.write(HEAD + BESIDE)
    owner = project.start("up", "flow.py:flow", "-r", "r1")
    wait_until(
        lambda: bool(project.runs()) and bool(project.document("inbox")["waits"]), "the gate to be open"
    )
    project.await_executed("beside")
    owner.kill()
    owner.wait()
    if lease == "old":
        a_day_passes(project, stranger)
    else:  # the same boot: the pid is somebody else's all the same
        with database(project) as connection:
            connection.execute("UPDATE smithers_owners SET pid = ?", (stranger,))
    project.touch("go")
    done = project.run("approve", "r1", "gate", "--by", "ann")
    assert done.returncode == 0, done.stderr
    assert await_rest(project) == "finished"
    os.kill(stranger, 0)
    assert Counter(project.executed()) == {"plan": 1, "ship": 1, "beside": 2}


@pytest.mark.parametrize("is_after", [False, True])
def test_an_answer_while_the_engine_parks_is_heard_by_it_or_by_the_next(
    project: Project, is_after: bool
) -> None:
    project.write(HEAD + f"AFTER = {is_after}\n" + MOMENT + BESIDE)
    owner = project.start("up", "flow.py:flow", "-r", "r1")
    wait_until(
        lambda: bool(project.runs()) and bool(project.document("inbox")["waits"]), "the gate to be open"
    )
    project.touch("go")
    wait_until((project.folder / "parking").exists, "the run to park")
    approve = project.start("approve", "r1", "--by", "ann")
    wait_until(lambda: bool(votes(project)), "the decision")
    if is_after:
        await_state(project, "finished")
    project.touch("decided")
    out, err = approve.communicate(timeout=30)
    assert (approve.returncode, out) == (0, "approved gate of r1, in the name of ann\n"), err
    assert owner.wait(timeout=30) == (3 if is_after else 0)
    assert await_rest(project) == "finished"
    assert Counter(project.executed()) == {"plan": 1, "beside": 1, "ship": 1}
    assert votes(project) == [("approve", "ann")]


def test_whenever_an_answer_comes_the_run_ends_and_one_decision_stands(project: Project) -> None:
    project.write(HEAD + BESIDE)
    drawn, orders = random.Random(6), Counter[int]()
    for number in range(TRIES):
        name = f"r{number}"
        (project.folder / "go").unlink(missing_ok=True)
        owner = project.start("up", "flow.py:flow", "-r", name)
        wait_until(lambda name=name: is_open(project, name), "the gate to be open")  # type: ignore[misc]
        approve = project.start("approve", name, "--by", "ann")
        time.sleep(drawn.uniform(0.1, 0.5))  # about as long as the command takes to come to its decision
        project.touch("go")
        out, err = approve.communicate(timeout=30)
        assert (approve.returncode, out) == (0, f"approved gate of {name}, in the name of ann\n"), err
        orders[owner.wait(timeout=30)] += 1
        assert await_rest(project, name) == "finished"
    assert votes(project) == [("approve", "ann")] * TRIES
    assert Counter(project.executed()) == {"plan": TRIES, "beside": TRIES, "ship": TRIES}
    assert orders.keys() <= {0, 3}, orders
    print("by its exit code, the first owner:", orders)


def is_open(project: Project, run: str) -> bool:
    if not project.store.exists():
        return False
    with database(project) as connection:
        try:
            found = connection.execute(
                "SELECT 1 FROM smithers_waits w JOIN smithers_runs r ON r.id = w.run"
                " WHERE r.name = ? AND w.state = 1",
                (run,),
            ).fetchone()
        except sqlite3.OperationalError:  # the tables are being made
            return False
    return found is not None


def test_twenty_gates_are_answered_in_any_order_by_twenty_processes(project: Project) -> None:
    park(
        project,
        """
@workflow
def flow(ctx):
    pairs = [Sequence(Approval(f"g{n}"), does(f"t{n}")) for n in range(20)]
    return Sequence(Parallel(*pairs), does("last"))
""",
    )
    names = [f"g{n}" for n in range(20)]
    random.Random(20).shuffle(names)

    def approve(name: str) -> subprocess.CompletedProcess[str]:
        return project.run("approve", "r1", name, "--by", f"by-{name}")

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(approve, names))
    assert [one.stderr for one in done if one.returncode] == []
    assert await_rest(project) == "finished"
    assert Counter(project.executed()) == Counter({f"t{n}": 1 for n in range(20)} | {"last": 1})
    assert sorted(votes(project)) == sorted(("approve", f"by-{name}") for name in names)
