"""What tasks start does not outlive them, nor us: cancels, kills, takeovers, seen from outside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.acceptance.process import Project, wait_until
from tests.unit.process.family import lives

FAMILY = """
DEAF = {deaf}

def pid(name):
    (HERE / "pids").mkdir(exist_ok=True)
    draft = HERE / f"{{name}}.new"
    draft.write_text(str(os.getpid()))
    draft.rename(HERE / "pids" / name)

def child(name, *calls):
    if os.fork() == 0:
        for call in calls:
            call()
        pid(name)
        while True:
            time.sleep(100)

def fork_away():
    if os.fork():
        os._exit(0)

def alive():
    def lives(one):
        try:
            return Path(f"/proc/{{one}}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False
    return [path.name for path in sorted((HERE / "pids").iterdir()) if lives(path.read_text())]

def family():
    if current().attempt > 1 or (HERE / "again").exists():
        return Text(text=",".join(alive()))
    if DEAF:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child("plain")
    child("session", os.setsid)
    child("away", os.setsid, fork_away)
    child("stopped", os.setsid, lambda: pid("stopped"), lambda: os.kill(os.getpid(), signal.SIGSTOP))
    pid("root")
    note("family")
    while True:
        time.sleep(100)

def look():
    note("look")
    return Text(text=",".join(alive()))

@workflow
def flow(ctx):
    # `look` begins beside `family`: the first thing that a new owner runs must not find anything.
    first = Task("first", Text, run=look)
    again = Task("family", Text, run=family, run_in="process")
    return Parallel(first, again)
"""
NAMES = {"root", "plain", "session", "away", "stopped"}


@pytest.fixture(autouse=True)
def _no_leftovers(project: Project) -> object:
    yield
    for pid in pids(project).values():
        if lives(pid):
            os.kill(pid, signal.SIGKILL)


def pids(project: Project) -> dict[str, int]:
    return {path.name: int(path.read_text()) for path in (project.folder / "pids").glob("*")}


def survivors(project: Project) -> set[str]:
    return {name for name, pid in pids(project).items() if lives(pid)}


def begin(project: Project, *, deaf: bool = True) -> subprocess.Popen[str]:
    """Start run `r1`, and wait until the whole family is there."""
    project.write(FAMILY.format(deaf=deaf))
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("family")
    wait_until(lambda: set(pids(project)) == NAMES, "the family")
    assert survivors(project) == NAMES
    return process


def open_rows(project: Project) -> int:
    with closing(sqlite3.connect(project.store)) as store:
        return int(
            store.execute("SELECT count(*) FROM smithers_processes WHERE ended_ms IS NULL").fetchone()[0]
        )


# --- A hard kill of ours ------------------------------------------------------------------------


def test_a_resume_after_a_kill_ends_what_is_left_before_it_runs_anything(project: Project) -> None:
    owner = begin(project)
    owner.kill()
    owner.wait()
    wait_until(lambda: "root" not in survivors(project), "the root to follow its owner")
    assert survivors(project) == NAMES - {"root"}
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"text": ""}\n'
    assert survivors(project) == set()
    assert open_rows(project) == 0


def test_a_takeover_from_an_owner_that_sleeps_ends_its_trees_before_its_own_first_frame(
    project: Project,
) -> None:
    sleeper = begin(project)
    sleeper.send_signal(signal.SIGSTOP)
    with closing(sqlite3.connect(project.store)) as store:
        # As if it had slept for longer than its lease.
        store.execute("UPDATE smithers_owners SET expires_monotonic_ms = 0, expires_wall_ms = 0")
        store.commit()
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 0, done.stderr
    assert survivors(project) == set()
    rows = _rows(project)
    sleeper.send_signal(signal.SIGCONT)
    _, told = sleeper.communicate(timeout=30)
    assert sleeper.returncode == 1
    assert "LEASE_LOST" in told
    assert _rows(project) == rows
    with closing(sqlite3.connect(project.store)) as store:
        (gone_ms,) = store.execute(
            "SELECT max(ended_ms) FROM smithers_processes WHERE attempt = 1"
        ).fetchone()
        (first_ms,) = store.execute(
            "SELECT r.created_ms + min(e.at_ms) FROM smithers_runs r JOIN smithers_events e ON e.run = r.id "
            "WHERE e.type = 2"
        ).fetchone()
    assert gone_ms <= first_ms


def _rows(project: Project) -> list[object]:
    with closing(sqlite3.connect(project.store)) as store:
        tables = ("runs", "frames", "events", "attempts", "nodes", "outputs", "processes")
        return [store.execute(f"SELECT * FROM smithers_{table}").fetchall() for table in tables]


def test_any_next_start_in_the_store_ends_what_is_left(project: Project) -> None:
    owner = begin(project)
    owner.kill()
    owner.wait()
    project.touch("again")
    done = project.run("up", "flow.py", "-r", "r2")
    assert done.returncode == 0, done.stderr
    assert (survivors(project), open_rows(project)) == (set(), 0)


def test_a_cancel_of_a_run_without_an_owner_ends_what_is_left(project: Project) -> None:
    owner = begin(project)
    owner.kill()
    owner.wait()
    assert project.run("cancel", "r1").returncode == 0
    assert (survivors(project), open_rows(project)) == (set(), 0)


def test_a_copy_of_the_store_ends_nobodys_processes(project: Project) -> None:
    begin(project)
    copy = project.folder / "copy" / "smithers.db"
    copy.parent.mkdir()
    with closing(sqlite3.connect(project.store)) as store, closing(sqlite3.connect(copy)) as other:
        store.backup(other)
        other.execute("UPDATE smithers_owners SET expires_monotonic_ms = 0, expires_wall_ms = 0")
        other.commit()
    project.touch("again")
    done = project.run("up", "flow.py", "-r", "r1", "--resume", "--store", str(copy))
    assert done.returncode == 0, done.stderr
    assert survivors(project) == NAMES


def test_a_kill_before_the_row_is_committed_runs_nothing(project: Project) -> None:
    project.write(
        """
        def quick():
            note("quick")
            return Text()

        def never():
            note("never")
            return Text()

        @workflow
        def flow(ctx):
            return Sequence(Task("quick", Text, run=quick), Task("never", Text, run=never, run_in="process"))
        """
    )
    assert project.run("up", "flow.py", "-r", "r0").returncode == 0
    executed = project.executed()
    _hold_the_ledger(
        project, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    )
    owner = project.start("up", "flow.py", "-r", "r1")
    wait_until(lambda: len(_marked(project)) == 1, "the stub")
    (stub,) = _marked(project)
    owner.kill()
    owner.wait()
    wait_until(lambda: not lives(stub), "the stub to follow its owner")
    assert project.executed() == [*executed, "quick"]
    with closing(sqlite3.connect(project.store)) as store:
        store.execute("DROP TRIGGER hold")
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 0, done.stderr
    assert project.executed() == [*executed, "quick", "never"]


def test_what_cannot_be_recorded_does_not_run(project: Project) -> None:
    project.write(
        """
        def never():
            note("never")
            return Text()

        @workflow
        def flow(ctx):
            return Task("never", Text, run=never, run_in="process", retries=0)
        """
    )
    assert project.run("up", "flow.py", "-r", "r0").returncode == 0
    _hold_the_ledger(project, "SELECT RAISE(ABORT, 'no room')")
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 1
    assert "no room" in done.stderr
    assert project.executed() == ["never"]
    assert _marked(project) == []


def _hold_the_ledger(project: Project, statement: str) -> None:
    with closing(sqlite3.connect(project.store)) as store:
        store.execute(f"CREATE TRIGGER hold BEFORE INSERT ON smithers_processes BEGIN {statement}; END")


def _marked(project: Project) -> list[int]:
    """Processes with a mark of this project's store in their environment."""
    found = project.store.stat()
    mark = f"SMITHERS_ATTEMPT={found.st_dev:x}-{found.st_ino:x}:".encode()
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if any(entry.startswith(mark) for entry in path.read_bytes().split(b"\0")):
                pids.append(int(path.parent.name))
    return [pid for pid in pids if lives(pid)]


# --- Ends that we see ---------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True])
def test_a_cancel_ends_the_whole_tree_before_it_is_told(project: Project, deaf: bool) -> None:
    owner = begin(project, deaf=deaf)
    asked_at = time.monotonic()
    done = project.run("cancel", "r1")
    assert done.returncode == 0
    assert "was cancelled by its owner" in done.stdout
    assert survivors(project) == set()
    assert time.monotonic() - asked_at < 8
    assert owner.wait() == 2
    assert open_rows(project) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_whole_tree_and_pauses(project: Project, number: signal.Signals) -> None:
    owner = begin(project, deaf=False)
    owner.send_signal(number)
    assert owner.wait() == 128 + number
    assert (survivors(project), open_rows(project)) == (set(), 0)
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0


def test_a_second_interrupt_leaves_at_once_and_leaves_nothing(project: Project) -> None:
    owner = begin(project)
    owner.send_signal(signal.SIGINT)
    assert owner.stderr is not None
    while "pausing" not in owner.stderr.readline():
        pass
    asked_at = time.monotonic()
    owner.send_signal(signal.SIGINT)
    assert owner.wait() == 130
    assert time.monotonic() - asked_at < 1.5
    assert survivors(project) == set()
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 0, done.stderr
    assert open_rows(project) == 0


def test_a_task_that_finishes_leaves_nothing_behind(project: Project) -> None:
    project.write(
        FAMILY.format(deaf=True).replace(
            "while True:\n        time.sleep(100)\n\ndef look", "return Text()\n\ndef look"
        )
    )
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 0, done.stderr
    assert set(pids(project)) == NAMES
    assert (survivors(project), open_rows(project)) == (set(), 0)


# --- What it prints -----------------------------------------------------------------------------


def test_what_a_process_prints_goes_to_our_stderr_and_to_the_log_of_a_detached_run(project: Project) -> None:
    project.write(
        """
        def speak():
            print("from the process")
            os.system("echo from its program; echo and its error >&2")
            return Text(text="done")

        @workflow
        def flow(ctx):
            return Task("speak", Text, run=speak, run_in="process")
        """
    )
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.stdout == '{"text": "done"}\n'
    for words in ("from the process", "from its program", "and its error"):
        assert words in done.stderr
    assert project.run("up", "flow.py", "-r", "r2", "-d").returncode == 0
    log = project.store.parent / "logs" / "r2.log"
    wait_until(lambda: "from its program" in log.read_text(), "the log")


def test_a_function_of_another_module_and_one_of_a_file_with_a_taken_name_are_found(project: Project) -> None:
    (project.folder / "helper.py").write_text("def help() -> str:\n    return 'helped'\n")
    project.write(
        """
        import helper

        def own() -> str:
            return "own"

        @workflow
        def flow(ctx):
            first = Task("first", run=helper.help, run_in="process")
            return Sequence(first, Task("own", run=own, run_in="process"))
        """,
        name="json.py",
    )
    done = project.run("up", "json.py")
    assert done.returncode == 0, done.stderr
    assert '"own"' in done.stdout


def test_a_function_that_cannot_be_found_is_refused_before_anything_runs(project: Project) -> None:
    project.write(
        """
        @workflow
        def flow(ctx):
            return Task("a", Text, run=lambda: Text(), run_in="process")
        """
    )
    done = project.run("up", "flow.py")
    assert done.returncode == 4
    assert "NOT_IMPORTABLE" in done.stderr
    assert "flow.py:" in done.stderr
    assert project.runs() == []


def test_a_file_that_runs_its_workflow_when_imported_does_not_do_so_for_ever(project: Project) -> None:
    project.write(
        """
        def work():
            return Text(text="done")

        @workflow
        def flow(ctx):
            return Task("a", Text, run=work, run_in="process", retries=0)

        note("imported")
        flow.run_sync({})
        """
    )
    done = project.run("up", "flow.py")
    assert "runs a workflow while it is imported" in done.stderr + done.stdout or done.returncode in (1, 4)
    assert len(project.executed()) < 5


def test_doctor_names_what_a_dead_owner_left_running_and_down_ends_it(project: Project) -> None:
    owner = begin(project)
    owner.kill()
    owner.wait()
    wait_until(lambda: "root" not in survivors(project), "the root to follow its owner")
    done = project.run("doctor")
    assert done.returncode == 1
    assert "of family in r1 runs on, its owner is gone" in done.stdout
    (orphan,) = project.document("doctor")["store"]["orphans"]
    assert (orphan["run"], orphan["node"]) == ("r1", "family")
    down = project.run("down")
    assert down.returncode == 0
    assert survivors(project) == set()
    assert "processes   none was left behind" in project.run("doctor").stdout


DETACHES = """
import subprocess

def other():
    done = subprocess.run([sys.executable, "-m", "smithers", "up", "slow.py", "-d", "-r", "slow"], cwd=HERE)
    return Text(text=str(done.returncode))

@workflow
def flow(ctx):
    return Task("other", Text, run=other, run_in="process")
"""
SLOW = """
def slow():
    wait_for("go")
    return Text(text="slow")

@workflow
def slowly(ctx):
    return Task("slow", Text, run=slow)
"""


def test_a_run_that_a_task_starts_in_the_background_outlives_the_task(project: Project) -> None:
    project.write(SLOW, "slow.py")
    project.write(DETACHES)
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0
    project.touch("go")
    wait_until(
        lambda: {run.name: run.state.word for run in project.runs()}["slow"] == "finished", "it to finish"
    )
