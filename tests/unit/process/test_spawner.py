"""Programs: started behind a go-pipe, in a session of their own, ended with all that they have started."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smithers.errors import ProcessCrashed, ProgramNotFound, SpawnFailed
from smithers.ports import Child, Program
from smithers.process import ProcessSpawner
from tests.unit.process.family import DEAF, FAMILY, NAMES, lives, pids, start, until

SHELL = "/bin/sh"
SLEEP = Program(["sleep", "100"])


def script(text: str, **options: object) -> Program:
    return Program([SHELL, "-c", text], **options)  # type: ignore[arg-type]


def said(child: Child) -> str:
    assert child.stdout is not None
    return child.stdout.read().decode()


def finish(child: Child) -> None:
    child.end(0)
    child.close_streams()


# --- The go-pipe --------------------------------------------------------------------------------


def test_nothing_of_a_program_runs_before_its_go(spawner: ProcessSpawner, tmp_path: Path) -> None:
    child = spawner.spawn(script(f"touch {tmp_path}/ran"), "m")
    assert lives(child.trace.pid)
    child.drop()
    assert child.ended.result(timeout=10).status == 125
    assert list(tmp_path.iterdir()) == []
    child.close_streams()


def test_an_end_before_the_go_ends_the_stub_and_the_go_is_refused(
    spawner: ProcessSpawner, tmp_path: Path
) -> None:
    child = spawner.spawn(script(f"touch {tmp_path}/ran"), "m")
    child.end(0.1)
    with pytest.raises(ProcessCrashed, match="before it began"):
        child.go(lambda _: None)
    assert list(tmp_path.iterdir()) == []
    child.close_streams()


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_kill_of_ours_ends_what_waits_for_its_go_and_what_runs(tmp_path: Path, is_recorded: bool) -> None:
    go = "child.go(lambda _: None)" if is_recorded else ""
    program = (
        "import sys, time\n"
        "from smithers.ports import Program\n"
        "from smithers.process import ProcessSpawner\n"
        f"program = Program(['/bin/sh', '-c', 'touch {tmp_path}/ran; sleep 100'])\n"
        "child = ProcessSpawner().spawn(program, 'm')\n"
        f"{go}\n"
        "print(child.trace.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        pid = int(ours.stdout.readline())
        if is_recorded:
            until((tmp_path / "ran").exists)
        assert lives(pid)
        ours.kill()
        until(lambda: not lives(pid))
    assert (tmp_path / "ran").exists() == is_recorded


def test_the_end_of_the_thread_that_asked_is_no_end_of_the_program(spawner: ProcessSpawner) -> None:
    children: list[Child] = []
    thread = threading.Thread(target=lambda: children.append(start(spawner, SLEEP)[0]))
    thread.start()
    thread.join()
    assert spawner.survivors([children[0].trace]) == [children[0].trace.pid]
    finish(children[0])


# --- What a program sees ------------------------------------------------------------------------


def test_a_program_has_a_session_its_mark_and_nothing_of_ours(
    spawner: ProcessSpawner, tmp_path: Path
) -> None:
    look = (
        "import json, os, signal\n"
        "print(json.dumps({'pid': os.getpid(), 'session': os.getsid(0), 'group': os.getpgid(0),"
        " 'cwd': os.getcwd(),"
        " 'env': dict(os.environ), 'files': sorted(map(int, os.listdir('/proc/self/fd')))[:-1],"
        " 'ignored': [s for s in ('SIGINT', 'SIGTERM', 'SIGHUP')"
        " if signal.getsignal(getattr(signal, s)) is signal.SIG_IGN]}))"
    )
    open_here = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(open_here, True)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONHOME": "", "A": "ü"}
    try:
        child, gone = start(spawner, Program([sys.executable, "-c", look], cwd=tmp_path, env=env), "a:b:1")
        seen = json.loads(said(child))
    finally:
        os.close(open_here)
    assert child.ended.result(timeout=10).status == 0
    assert gone == [child.ended.result()]
    assert seen["pid"] == seen["session"] == seen["group"] == child.trace.pid
    assert seen["cwd"] == str(tmp_path)
    assert seen["files"] == [0, 1, 2]
    assert seen["ignored"] == []
    assert seen["env"].pop("LC_CTYPE", None) in (None, "C.UTF-8")  # its own Python's doing
    assert {**env, "SMITHERS_ATTEMPT": "a:b:1"}.items() <= seen["env"].items()
    finish(child)


def test_signals_that_python_ignores_are_not_ignored_in_a_program(spawner: ProcessSpawner) -> None:
    child, _ = start(spawner, script("grep SigIgn /proc/self/status"))
    assert int(said(child).split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0
    finish(child)


@pytest.mark.parametrize("locale", [None, "C", "de_DE.UTF-8"])
def test_the_locale_is_the_one_that_was_given(spawner: ProcessSpawner, locale: str | None) -> None:
    env = {"PATH": os.environ["PATH"]} | ({} if locale is None else {"LC_CTYPE": locale})
    child, _ = start(spawner, script("env | grep LC_CTYPE", env=env))
    assert said(child) == ("" if locale is None else f"LC_CTYPE={locale}\n")
    finish(child)


def test_streams_carry_megabytes_both_ways(spawner: ProcessSpawner) -> None:
    child, _ = start(spawner, Program(["cat"], stdin="pipe"))
    data = os.urandom(1 << 20) * 8
    assert child.stdin is not None
    assert child.stdout is not None

    def write() -> None:
        assert child.stdin is not None
        with child.stdin as stdin:
            stdin.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    assert child.stdout.read() == data
    writer.join()
    assert child.ended.result(timeout=10).status == 0
    child.close_streams()


def test_an_exit_says_its_status_or_its_signal(spawner: ProcessSpawner) -> None:
    for text, status, words in (
        ("exit 3", 3, "left with status 3"),
        ("kill -SEGV $$", -signal.SIGSEGV, "was ended by SIGSEGV"),
    ):
        child, _ = start(spawner, script(text))
        found = child.ended.result(timeout=10)
        assert (found.status, str(found)) == (status, words)
        child.close_streams()


def test_an_event_loop_can_await_it_without_a_watcher(spawner: ProcessSpawner) -> None:
    async def wait() -> int | None:
        child, _ = await asyncio.to_thread(start, spawner, script("exit 7"))
        found = await asyncio.wrap_future(child.ended)
        child.close_streams()
        return found.status

    assert asyncio.run(wait()) == 7


# --- Ending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hearing", ["hears", "deaf"])
def test_an_end_leaves_nothing_of_a_tree(spawner: ProcessSpawner, tmp_path: Path, hearing: str) -> None:
    child, gone = start(spawner, Program([sys.executable, "-c", FAMILY, str(tmp_path), hearing]))
    until(lambda: len(pids(tmp_path)) == len(NAMES))
    family = pids(tmp_path)
    assert set(spawner.survivors([child.trace])) == set(family.values())
    asked_at = time.monotonic()
    child.end(20.0 if hearing == "hears" else 0.2)
    assert time.monotonic() - asked_at < 10  # also what is stopped hears, once it is woken
    assert [name for name, pid in family.items() if lives(pid)] == []
    assert child.ended.done()
    wanted = -signal.SIGTERM if hearing == "hears" else -signal.SIGKILL
    assert [found.status for found in gone] == [wanted]
    child.close_streams()


def test_what_a_program_leaves_behind_ends_with_it(spawner: ProcessSpawner, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    left = f"(setsid {SHELL} -c 'echo $$ > {pid}; exec sleep 100' &)"
    child, _ = start(spawner, script(f"{left}; while [ ! -s {pid} ]; do :; done"))
    assert child.ended.result(timeout=10).status == 0
    assert not lives(int(pid.read_text()))
    child.close_streams()


def test_a_stopped_program_that_is_deaf_ends_too(spawner: ProcessSpawner) -> None:
    child, _ = start(spawner, script(DEAF + "kill -STOP $$; sleep 100"))
    until(lambda: "T" in Path(f"/proc/{child.trace.pid}/stat").read_text().rpartition(")")[2])
    child.end(0.05)
    assert child.ended.result().status == -signal.SIGKILL
    child.close_streams()


def test_a_program_that_ends_by_itself_within_the_grace_is_not_killed(spawner: ProcessSpawner) -> None:
    child, _ = start(spawner, script("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"))
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.end(20)
    assert child.ended.result().status == 9
    child.close_streams()


def test_two_may_end_the_same_program(spawner: ProcessSpawner) -> None:
    child, gone = start(spawner, script("sleep 100"))
    threads = [threading.Thread(target=child.end, args=(0.1,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gone) == 1
    child.close_streams()


def test_closing_ends_what_still_runs() -> None:
    spawner = ProcessSpawner()
    children = [start(spawner, script(DEAF + "sleep 100"), f"m{n}")[0] for n in range(3)]
    spawner.close()
    assert [child.ended.result().status for child in children] == [-signal.SIGKILL] * 3
    for child in children:
        child.close_streams()


# --- What cannot be started ---------------------------------------------------------------------


def test_what_cannot_be_started_is_named(spawner: ProcessSpawner, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    for program, words in (
        (Program(["no-such-program"]), "no program no-such-program"),
        (Program([str(broken)]), "cannot be executed: No such file"),
        (Program(["true"], cwd=tmp_path / "gone"), "cannot be started in .*gone"),
    ):
        with pytest.raises(ProgramNotFound, match=words):
            _refused(spawner, program)
    with pytest.raises(SpawnFailed, match="Argument list too long") as found:
        _refused(spawner, Program(["true", "x" * 10_000_000]))
    assert found.value.details["errno"] == "E2BIG"


def _refused(spawner: ProcessSpawner, program: Program) -> None:
    child = spawner.spawn(program, "m")
    try:
        child.go(lambda _: None)
    finally:
        child.end(0)
        child.close_streams()


def test_no_descriptors_left_is_a_named_error_and_leaves_nothing(spawner: ProcessSpawner) -> None:
    first, _ = start(spawner, script("exit 0"))
    first.ended.result(timeout=10)
    first.close_streams()
    before = _descriptors()
    with _limit(resource.RLIMIT_NOFILE, 3), pytest.raises(SpawnFailed, match="open files"):
        spawner.spawn(script("exit 0"), "m")
    assert _descriptors() == before


def test_a_program_ends_although_no_descriptor_is_left(spawner: ProcessSpawner) -> None:
    child, _ = start(spawner, script(DEAF + "sleep 100"))
    ending = threading.Thread(target=child.end, args=(0.1,))
    with _limit(resource.RLIMIT_NOFILE, 3):
        ending.start()
        pid, status = os.P_PID, os.WEXITED | os.WNOWAIT
        assert os.waitid(pid, child.trace.pid, status) is not None
    ending.join(timeout=20)
    assert child.ended.result(timeout=0).status == -signal.SIGKILL
    child.close_streams()


def test_no_room_for_a_process_is_a_named_error() -> None:
    # As a user of no privileges with no process left to it: the superuser knows no such limit.
    program = (
        "import os, resource, sys\n"
        "from smithers.ports import Program\n"
        "from smithers.process import ProcessSpawner\n"
        "from smithers.errors import SpawnFailed\n"
        "import asyncio, subprocess\n"
        "spawner = ProcessSpawner()\n"
        "spawner.spawn(Program(['true']), 'm').end(0)\n"  # its threads are there
        "if os.geteuid() == 0: os.setuid(54321)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n"
        "try: spawner.spawn(Program(['true']), 'm')\n"
        "except SpawnFailed as error: print(error.details.get('errno'), error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("EAGAIN true could not be started"), done.stderr


# --- Over time ----------------------------------------------------------------------------------


def test_hundreds_of_programs_leave_no_descriptor_and_no_thread(spawner: ProcessSpawner) -> None:
    def round_of(count: int) -> None:
        children = [start(spawner, script("exit 0"))[0] for _ in range(count)]
        for child in children:
            child.ended.result(timeout=30)
            child.close_streams()

    round_of(8)
    descriptors, threads = _descriptors(), threading.active_count()
    for _ in range(24):
        round_of(8)
    assert _descriptors() == descriptors
    assert threading.active_count() <= threads + 8


def _descriptors() -> list[int]:
    # Not the one that the listing itself is read by.
    return sorted(int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists())


@contextmanager
def _limit(kind: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)
