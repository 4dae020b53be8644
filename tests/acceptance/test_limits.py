"""Processes with little to live on, and streams that close: what is stored stays true, exit codes say so."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import sqlite3
import subprocess
import termios
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.acceptance.broken import limit
from tests.acceptance.process import SMITHERS, Project, environment

QUICK = """
def work():
    note("work")
    return Text(text="done")

@workflow
def flow(ctx):
    return Sequence([Task(f"work:{n}", Text, run=work) for n in range(3)])
"""


def run(project: Project, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SMITHERS, *words],
        check=False, cwd=project.folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        **{"env": environment(), **options},  # type: ignore[call-overload]
    )  # fmt: skip


# --- Little to live on ----------------------------------------------------------------------------


@pytest.mark.slow
def test_with_few_file_descriptors_a_command_works_or_says_so(project: Project) -> None:
    project.die_in_build()
    project.touch("go")
    assert project.run("ps").returncode == 0
    ended = set()
    # Below six Python itself does not start.
    for number in (6, 7, 8, 9, 10, 12, 16):
        before = limit(resource.RLIMIT_NOFILE, number)
        look = run(project, "ps", preexec_fn=before)
        said = f"{number}: {look.stdout}{look.stderr}"
        if look.returncode == 0:
            assert "orphaned" in look.stdout, said
        else:
            assert look.returncode == 1, said
            assert "[OUT_OF_RESOURCES]" in look.stderr, said
            assert "ulimit -n" in look.stderr, said
            assert look.stdout == "", said
        made = run(project, "up", "flow.py", "-r", f"n{number}", preexec_fn=before)
        said = f"{number}: {made.stdout}{made.stderr}"
        assert made.returncode in (0, 1), said
        assert made.returncode == 0 or "[OUT_OF_RESOURCES]" in made.stderr, said
        ended.add(made.returncode)
    assert ended == {0, 1}
    assert run(project, "up", "flow.py", "-r", "r1", "--resume").returncode == 0


@pytest.mark.slow
def test_with_little_memory_a_run_ends_by_name_and_continues_with_more(project: Project) -> None:
    project.write("""
    def eat():
        hog = bytearray(3 << 30)
        return Text(text="full")

    def rest():
        return Text(text="rested")

    @workflow
    def flow(ctx):
        return Sequence(
            Task("eat", Text, run=rest if (HERE / "fed").exists() else eat, retries=0),
            Task("rest", Text, run=rest),
        )
    """)
    hungry = run(project, "up", "flow.py", "-r", "r1", preexec_fn=limit(resource.RLIMIT_AS, 2 << 30))
    assert hungry.returncode == 1, hungry.stderr
    assert "MemoryError" in hungry.stderr
    project.touch("fed")
    fed = run(project, "up", "flow.py", "-r", "r1", "--resume", preexec_fn=limit(resource.RLIMIT_AS, 2 << 30))
    assert fed.returncode == 0, fed.stderr


# --- Streams that close ---------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1), (0, 1, 2)])
def test_a_process_without_streams_runs_and_prints_into_no_file_of_ours(
    project: Project, closed: tuple[int, ...]
) -> None:
    project.write(
        QUICK.replace('note("work")', 'note("work"); print("chatter"); os.write(1, b"more chatter")')
    )
    done = run(
        project, "up", "flow.py", "-r", "r1",
        preexec_fn=lambda: [os.close(descriptor) for descriptor in closed],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert project.run("ps").stdout.count("finished") == 1
    with closing(sqlite3.connect(project.store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for file in project.store.parent.iterdir():
        assert b"chatter" not in file.read_bytes()


def test_a_reader_of_the_progress_that_leaves_does_not_end_the_run(project: Project) -> None:
    process = project.reach_build()
    assert process.stderr is not None
    process.stderr.close()  # `2>&1 | head -1`
    project.touch("go")
    assert process.wait(30) == 0
    assert json.loads(process.stdout.read() if process.stdout else "") == {"text": "built"}
    assert project.executed() == ["plan", "build"]


def test_a_refusal_that_nobody_reads_has_its_own_exit_code(project: Project) -> None:
    process = project.start("inspect", "r1")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(30) == 4


def test_a_list_whose_reader_leaves_ends_as_by_sigpipe(project: Project) -> None:
    project.write(QUICK)
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0
    for words in (("ps",), ("logs", "r1"), ("inspect", "r1"), ("output", "r1"), ("why", "r1")):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [SMITHERS, *words],
            check=False,
            cwd=project.folder,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (141, ""), words


def test_a_full_disk_behind_stdout_is_said_and_the_run_stays_finished(project: Project) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    project.write(QUICK)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [SMITHERS, "up", "flow.py", "-r", "r1"],
            check=False, cwd=project.folder, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write the output: No space left on device" in done.stderr
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert project.executed() == ["work"] * 3


# --- Signals --------------------------------------------------------------------------------------


def test_a_hangup_pauses_a_run_which_resumes(project: Project) -> None:
    process = project.reach_build()
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 128 + signal.SIGHUP
    assert [row.state.word for row in project.runs()] == ["paused"]
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert project.executed() == ["plan", "build", "build"]


def test_who_ignores_hangups_goes_on(project: Project) -> None:
    project.write(STEPS_AFTER_HANGUP)
    process = subprocess.Popen(
        ["nohup", SMITHERS, "up", "flow.py", "-r", "r1"],
        cwd=project.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    project.started.append(process)
    project.await_executed("build")
    process.send_signal(signal.SIGHUP)
    project.touch("go")
    assert process.wait(30) == 0


STEPS_AFTER_HANGUP = """
def build():
    note("build")
    wait_for("go")
    return Text(text="built")

@workflow
def flow(ctx):
    return Task("build", Text, run=build)
"""


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_a_paused_run(project: Project) -> None:
    project.write(STEPS_AFTER_HANGUP)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        os.execvpe(SMITHERS, [str(SMITHERS), "up", "flow.py", "-r", "r1"], environment(TERM="xterm"))
    drain = threading.Thread(target=_drain, args=(master,), daemon=True)
    drain.start()
    project.await_executed("build")
    # The kernel sends SIGHUP to the session's leader when the other side of its terminal is closed.
    fcntl.ioctl(master, termios.TIOCSWINSZ, b"\0" * 8)
    os.close(master)
    until = time.monotonic() + 30
    code = None
    while code is None and time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
        time.sleep(0.02)
    assert code == 128 + signal.SIGHUP
    assert [row.state.word for row in project.runs()] == ["paused"]
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0


def _drain(master: int) -> None:
    with suppress(OSError):
        while os.read(master, 4096):
            pass


# --- Others that hold the file --------------------------------------------------------------------


def test_a_lock_held_for_a_few_seconds_delays_commands_and_fails_none(project: Project) -> None:
    project.die_in_build()
    project.touch("go")
    with closing(sqlite3.connect(project.store, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        started = [
            project.start("up", "flow.py", "-r", "r1", "--resume"),
            project.start("up", "flow.py", "-r", "r2"),
        ]
        assert project.run("ps").returncode == 0  # who looks does not wait
        assert [process.poll() for process in started] == [None, None]
        time.sleep(HELD_S)
        holder.execute("ROLLBACK")
    for process in started:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert sorted(project.executed()) == ["build", "build", "build", "plan", "plan"]


HELD_S = 3.0


@pytest.mark.slow
def test_a_lock_held_beyond_all_patience_is_named_and_nothing_is_lost(project: Project) -> None:
    process = project.reach_build()
    project.write(QUICK, "other.py")
    with closing(sqlite3.connect(project.store, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        project.touch("go")  # the owner's next commit waits, and so does everybody else
        others = [project.start("up", "other.py", "-r", "r2"), project.start("cancel", "r1")]
        for one in (process, *others):
            _, err = one.communicate(timeout=60)
            assert one.returncode == 1, err
            assert "[STORE_BUSY]" in err
            assert "Traceback" not in err
        holder.execute("ROLLBACK")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    # What had not been stored is not finished: it runs again. What had is not.
    assert project.executed() == ["plan", "build", "build"]


OPEN = """
import sys
from pathlib import Path
from smithers.clock import SystemClock
from smithers.records import RunFilter
from smithers.store import open_store
store = open_store(Path(sys.argv[1]), clock=SystemClock())
leases = store.leases()
leases.register_owner(60_000)
with_reader = store.reader()
assert with_reader.runs(RunFilter()) == []
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_fifty_processes_open_a_store_that_is_not_there_yet_at_once(tmp_path: Path) -> None:
    import sys

    path = tmp_path / "store" / "smithers.db"
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(50)
    ]  # fmt: skip
    try:
        said = [opener.stdout.readline() for opener in openers if opener.stdout]
        assert said == ["open\n"] * 50
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM smithers_owners").fetchone() == (50,)
    finally:
        for opener in openers:
            _, err = opener.communicate("\n", timeout=60)
            assert err == ""
