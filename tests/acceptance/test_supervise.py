"""`smithers supervise`: runs that nobody drives go on, each once, and those that should not do not."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from smithers.clock import SystemClock
from smithers.records import EventType, InboxKind, RunRow, RunState
from smithers.store import open_store
from tests.acceptance.process import STEPS, Project, wait_until

FLOW = """
def fetch():
    note("fetch")
    if (HERE / "up").exists():
        return Text(text="fetched")
    raise ConnectionError("refused")

@workflow
def flow(ctx):
    delay = (HERE / "delay").read_text() if (HERE / "delay").exists() else "1h"
    return Task("fetch", Text, run=fetch, retry_policy=RetryPolicy(initial_delay=delay, max_delay="2h"))
"""

PARK = """
import sys
import flow
from pathlib import Path
from smithers.engine.hosts import close_hosts, host_for
host = host_for(Path(sys.argv[1]))
handles = [flow.flow.start(host, run_id=f"r{n}", linger_ms=0) for n in range(int(sys.argv[2]))]
for handle in handles:
    handle.ended.result()
close_hosts()
"""

KILLER = (
    """
if (HERE / "kill").exists():
    os.kill(os.getpid(), signal.SIGKILL)
"""
    + STEPS
)


@pytest.fixture(autouse=True)
def no_host_is_left(project: Project) -> Iterator[None]:
    """What supervisors started goes on without them, and must end with the test."""
    yield
    for process in project.started:
        if process.poll() is None:
            process.kill()
            process.wait()
    for pid in hosts(project):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def hosts(project: Project) -> list[int]:
    """Processes that drive runs of this project for a supervisor."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"host" in words and str(project.store).encode() in words:
                found.append(int(process.name))
    return found


def park(project: Project, count: int = 1, flow: str = FLOW) -> None:
    """Leave runs `r0`, `r1`, … that wait for a retry in an hour."""
    project.write(flow)
    words = [sys.executable, "-c", PARK, str(project.store), str(count)]
    subprocess.run(words, cwd=project.folder, check=True, timeout=60)


def set_due(project: Project, at_ms: int | None = None, run: str | None = None) -> None:
    """Have everything, or one run, come due; default: now."""
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    which = "" if run is None else f" WHERE run = (SELECT id FROM smithers_runs WHERE name = '{run}')"
    with closing(sqlite3.connect(project.store, timeout=10)) as connection, connection:
        connection.execute(f"UPDATE smithers_wakeups SET due_ms = ?{which}", (at_ms,))


def run_row(project: Project, name: str = "r1") -> RunRow:
    return next(run for run in project.runs() if run.name == name)


def is_in(project: Project, state: RunState, name: str = "r1") -> bool:
    return run_row(project, name).state is state


def resumes(project: Project) -> dict[str, int]:
    """How often each run was resumed."""
    with closing(sqlite3.connect(project.store, timeout=10)) as connection:
        rows = connection.execute(
            "SELECT r.name, count(e.seq) FROM smithers_runs r "
            "LEFT JOIN smithers_events e ON e.run = r.id AND e.type = ? GROUP BY r.id",
            (int(EventType.RUN_RESUMED),),
        ).fetchall()
    return dict(rows)


def post(project: Project, kind: InboxKind, name: str = "r0") -> None:
    store = open_store(project.store, clock=SystemClock(), create=False)
    with closing(store.outsider()) as outsider:
        outsider.post(run_row(project, name).id, kind, "test")


def said(process: subprocess.Popen[str]) -> str:
    """End a supervisor and return what it told."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    return err


def planned(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.document("supervise", "--dry-run")["runs"]
    return found


# --- What goes on ---------------------------------------------------------------------------------


def test_a_run_whose_owner_was_killed_is_taken_over_and_finishes(project: Project) -> None:
    project.die_in_build()
    (row,) = planned(project)
    assert (row["run"], row["why"], row["state"], row["deaths"]) == ("r1", "owner-died", "running", 1)
    project.touch("go")
    supervisor = project.start("supervise")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")
    assert project.executed().count("plan") == 1
    assert resumes(project) == {"r1": 1}
    told = said(supervisor)
    assert "r1: its owner, process" in told
    assert "has died; given to host" in told


def test_a_run_in_the_background_whose_process_was_killed_goes_on(project: Project) -> None:
    project.write(STEPS)
    found = project.document("up", "flow.py", "-r", "r1", "-d")
    project.await_executed("build")
    os.kill(found["pid"], signal.SIGKILL)
    project.touch("go")
    done = project.run("supervise", "--once")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")


def test_a_parked_run_goes_on_when_it_is_due_and_not_before(project: Project) -> None:
    park(project, 2)
    project.touch("up")
    assert planned(project) == []
    supervisor = project.start("supervise")
    time.sleep(2)
    assert resumes(project) == {"r0": 0, "r1": 0}
    set_due(project, run="r1")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")
    assert is_in(project, RunState.WAITING, "r0")
    assert "r1: it was due; given to host" in said(supervisor)


def test_a_message_for_a_parked_run_is_heard(project: Project) -> None:
    park(project)
    post(project, InboxKind.CANCEL)
    (row,) = planned(project)
    assert row["why"] == "message"
    assert project.run("supervise", "--once").returncode == 0
    wait_until(lambda: is_in(project, RunState.CANCELLED, "r0"), "the cancel to be carried out")


def test_a_cancel_of_a_paused_run_is_carried_out(project: Project) -> None:
    park(project)
    assert project.run("pause", "r0").returncode == 0
    assert planned(project) == []
    post(project, InboxKind.CANCEL)
    assert [row["why"] for row in planned(project)] == ["cancel"]
    assert project.run("supervise", "--once").returncode == 0
    wait_until(lambda: is_in(project, RunState.CANCELLED, "r0"), "the cancel to be carried out")


def test_a_run_that_is_hosted_parks_again_and_its_host_leaves(project: Project) -> None:
    park(project)
    set_due(project)
    supervisor = project.start("supervise")
    wait_until(lambda: resumes(project) == {"r0": 1}, "the run to be resumed")
    wait_until(lambda: is_in(project, RunState.WAITING, "r0"), "it to be parked again")
    wait_until(lambda: not hosts(project), "the host to leave")
    time.sleep(1.5)  # it is looked for once a second
    assert "has left" in said(supervisor)
    assert resumes(project) == {"r0": 1}


# --- What is left alone ---------------------------------------------------------------------------


def test_a_run_of_a_living_owner_is_never_taken(project: Project) -> None:
    owner = project.reach_build()
    before = run_row(project)
    assert planned(project) == []
    refused = project.run("supervise", "--run", "r1")
    assert refused.returncode == 4
    assert "[RUN_OWNED]" in refused.stderr
    assert "hint: watch it with `smithers logs r1 -f`" in refused.stderr
    supervisor = project.start("supervise")
    time.sleep(3)
    assert run_row(project).fence == before.fence
    project.touch("go")
    owner.communicate(timeout=30)
    assert owner.returncode == 0
    assert said(supervisor).count("\n") == 2  # that it is there, and that it leaves


def test_what_was_paused_or_has_ended_is_left_alone(project: Project) -> None:
    park(project)
    project.run("pause", "r0")
    set_due(project)
    assert planned(project) == []
    refused = project.run("supervise", "--run", "r0", "--once")
    assert (refused.returncode, "[RUN_NOT_RESUMABLE]" in refused.stderr) == (4, True)
    assert "smithers up --resume r0" in refused.stderr
    done = project.run("supervise", "--once")
    assert (done.returncode, done.stdout) == (0, "Nothing to go on with.\n")
    assert is_in(project, RunState.PAUSED, "r0")
    project.run("cancel", "r0")
    assert project.run("supervise", "--run", "r0").returncode == 4


def test_a_file_that_cannot_be_loaded_keeps_no_other_from_going_on_and_is_told_once(project: Project) -> None:
    park(project, 2)
    project.write(FLOW, "broken.py")
    assert project.run("up", "broken.py", "-r", "b1", "--linger", "0").returncode == 3
    assert project.run("up", "broken.py", "-r", "b2", "--linger", "0").returncode == 3
    (project.folder / "broken.py").write_text("def (")
    project.touch("up")
    supervisor = project.start("supervise")
    set_due(project)
    wait_until(lambda: is_in(project, RunState.FINISHED), "the others to finish")
    wait_until(lambda: [row["deaths"] for row in planned(project)] == [3, 3], "three tries of what is broken")
    assert all(row["held_until"] for row in planned(project))
    time.sleep(2.5)
    told = said(supervisor)
    assert told.count("could not be resumed: [WORKFLOW_LOAD_FAILED] SyntaxError") == 2, told
    assert told.count("is left alone until") <= 2
    assert "by hand: smithers up --resume b" in told
    project.write(FLOW, "broken.py")
    done = project.run("up", "--resume", "b1")
    assert done.returncode == 0, done.stderr


def test_a_run_whose_owner_dies_three_times_is_left_alone_for_a_while(project: Project) -> None:
    project.die_in_build()
    project.write(KILLER)
    project.touch("kill")
    supervisor = project.start("supervise")
    wait_until(lambda: any(row["held_until"] for row in planned(project)), "it to be left alone")
    time.sleep(2.5)
    (row,) = planned(project)
    assert (row["deaths"], row["command"]) == (3, "smithers up --resume r1")
    told = said(supervisor)
    assert "r1 is left alone until" in told
    assert "lost its owner 3 times in a row, and nothing settled in between" in told
    assert told.count("(by hand: smithers up --resume r1)") == 1
    # Another one knows it too.
    assert "is left alone until" in project.run("supervise", "--dry-run").stdout
    assert project.run("supervise", "--once").returncode == 0
    assert not hosts(project)
    (project.folder / "kill").unlink()
    project.touch("go")
    done = project.run("up", "--resume", "r1")
    assert done.returncode == 0, done.stderr


def test_a_workflow_that_is_gone_is_named(project: Project) -> None:
    park(project)
    (project.folder / "flow.py").unlink()
    set_due(project)
    project.run("supervise", "--once")
    wait_until(lambda: bool(planned(project)[0]["error"]), "the reason")
    assert planned(project)[0]["error"].startswith("[WORKFLOW_NOT_FOUND] r0 is a run of flow.py")


INNOCENT = """
def first():
    note("first")
    time.sleep(1)
    return Text(text="first")

@workflow
def flow(ctx):
    return Task("first", Text, run=first)

def kill():
    note("kill")
    os.kill(os.getpid(), signal.SIGKILL)

@workflow
def killer(ctx):
    return Task("kill", Text, run=kill)
"""


def test_a_run_that_kills_its_process_does_not_take_others_with_it_for_ever(project: Project) -> None:
    park(project, 4)
    project.write(FLOW.replace("def flow", "def killer"), "killer.py")
    assert project.run("up", "killer.py", "-r", "k", "--linger", "0").returncode == 3
    project.write(INNOCENT)
    project.write(INNOCENT.replace("def flow", "def unused"), "killer.py")
    set_due(project)
    supervisor = project.start("supervise")
    names = [f"r{number}" for number in range(4)]
    wait_until(lambda: all(is_in(project, RunState.FINISHED, name) for name in names), "the others to finish")
    wait_until(lambda: any(row["held_until"] for row in planned(project)), "it to be left alone")
    (row,) = planned(project)
    assert (row["run"], row["deaths"]) == ("k", 3)
    time.sleep(2)  # the dry run may have seen it first: the supervisor looks once a second
    assert "k is left alone until" in said(supervisor)


def test_a_task_that_fails_again_and_again_is_tried_as_often_as_it_asks_for(project: Project) -> None:
    (project.folder / "delay").write_text("11s")  # longer than a host lets it linger
    park(project)
    project.start("supervise")
    for number in range(2, 6):
        # As if the time had passed: each is another deadline than the one before.
        set_due(project)
        wait_until(lambda number=number: project.executed().count("fetch") == number, f"try {number}")
        wait_until(lambda: is_in(project, RunState.WAITING, "r0"), "it to be parked again")


def test_a_deadline_that_means_nothing_keeps_nobody_busy(project: Project) -> None:
    park(project)
    with closing(sqlite3.connect(project.store)) as connection, connection:
        connection.execute("INSERT INTO smithers_wakeups SELECT id, 1, 1, 7, 'retry', 1 FROM smithers_runs")
    supervisor = project.start("supervise")
    wait_until(lambda: resumes(project)["r0"] > 1, "it to be resumed in vain")
    time.sleep(6)
    assert resumes(project)["r0"] <= 4
    said(supervisor)


def test_down_pauses_what_a_host_drives_and_it_stays_so(project: Project) -> None:
    project.die_in_build()
    project.start("supervise")
    wait_until(lambda: project.executed().count("build") == 2, "the run to be taken over")
    done = project.run("down", "--now")
    assert done.returncode == 0, done.stderr
    time.sleep(2)
    assert is_in(project, RunState.PAUSED)
    wait_until(lambda: not hosts(project), "the host to leave")


@pytest.mark.slow
def test_while_a_host_is_stuck_in_an_import_another_one_goes_on(project: Project) -> None:
    park(project, 2)
    project.write(FLOW, "slow.py")
    assert project.run("up", "slow.py", "-r", "s1", "--linger", "0").returncode == 3
    project.write('wait_for("never")\n' + FLOW, "slow.py")
    project.touch("up")
    supervisor = project.start("supervise")
    set_due(project, run="s1")
    wait_until(lambda: run_row(project, "s1").owner is not None, "the import to begin")
    begun = time.monotonic()
    set_due(project, run="r0")
    wait_until(lambda: is_in(project, RunState.FINISHED, "r0"), "the other to finish")
    assert len(hosts(project)) == 2
    # Longer than a lease lasts: who is stuck is not silent, and what it imports is not given to the next.
    time.sleep(max(0.0, 20 - (time.monotonic() - begun)))
    set_due(project, run="r1")
    wait_until(lambda: is_in(project, RunState.FINISHED, "r1"), "what came later")
    assert "has taken nothing over for 15 s; another gets what comes" in said(supervisor)


IMPATIENT = """
import sys
from pathlib import Path
from smithers.cli import hosting
hosting.IMPORT_S = 1.0
sys.exit(hosting.Hosting(Path(sys.argv[1]), 0).serve())
"""


def test_an_import_that_takes_too_long_is_given_up_with_its_process(project: Project) -> None:
    park(project, 1)
    project.write('wait_for("never")\n' + FLOW)
    set_due(project)
    words = [sys.executable, "-c", IMPATIENT, str(project.store)]
    done = subprocess.run(words, cwd=project.folder, input="r0\n", text=True, check=False, timeout=60)
    assert done.returncode == 1
    (row,) = planned(project)
    assert (row["deaths"], row["owner"], row["state"]) == (1, None, "waiting")
    assert "the import of flow.py:flow takes longer than 1 s" in row["error"]


QUEUE = """
class Slow:
    name = "slow-agent"
    pool = "slow"
    async def call(self, request):
        from smithers import AgentReply
        note(request.task.node)
        while not (HERE / "go").exists():
            await asyncio.sleep(0.02)
        return AgentReply(output={"text": "x"})

@workflow
def flow(ctx):
    return Task("ask", Text, agent=Slow(), prompt="Go.")
"""


def test_a_run_that_waits_for_a_place_of_its_agent_is_not_parked(project: Project) -> None:
    project.write(QUEUE)
    assert project.run("agents", "pool", "slow", "1").returncode == 0
    processes = [project.start("up", "flow.py", "-r", f"q{n}", "--linger", "0") for n in range(2)]
    project.await_executed("ask")
    time.sleep(2)
    assert [process.poll() for process in processes] == [None, None]
    project.touch("go")
    assert [process.wait(30) for process in processes] == [0, 0]


@pytest.mark.slow
def test_a_run_of_an_owner_that_was_stopped_is_taken_over_when_its_lease_has_ended(project: Project) -> None:
    owner = project.reach_build()
    owner.send_signal(signal.SIGSTOP)
    project.start("supervise")
    time.sleep(5)
    assert project.executed().count("build") == 1
    wait_until(lambda: project.executed().count("build") == 2, "the run to be taken over")
    owner.send_signal(signal.SIGCONT)
    project.touch("go")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")
    assert resumes(project) == {"r1": 1}


# --- Several of them ------------------------------------------------------------------------------


def test_three_supervisors_resume_each_of_sixty_runs_once_with_two_hosts_at_most(project: Project) -> None:
    park(project, 60)
    project.touch("up")
    supervisors = [project.start("supervise") for _ in range(3)]
    set_due(project)
    seen: set[int] = set()

    def all_done() -> bool:
        seen.update(hosts(project))
        return all(run.state is RunState.FINISHED for run in project.runs())

    wait_until(all_done, "all to finish")
    assert set(resumes(project).values()) == {1}
    assert 1 <= len(seen) <= 2
    told = [said(process) for process in supervisors]
    assert sum("supervising" in text for text in told) >= 1
    assert sum("standing by" in text for text in told) >= 1


def test_who_stands_by_takes_over_from_one_that_was_killed_and_finds_its_host(project: Project) -> None:
    project.die_in_build()
    first = project.start("supervise", "--json")
    wait_until(lambda: project.executed().count("build") == 2, "the run to be taken over")
    (host,) = hosts(project)
    second = project.start("supervise", "--json")
    assert second.stdout is not None
    standing = json.loads(second.stdout.readline())
    assert (standing["event"], standing["active"]) == ("standing-by", first.pid)
    first.kill()
    first.wait()
    active = json.loads(second.stdout.readline())
    assert (active["event"], active["hosts"]) == ("active", [host])
    # What comes now is given to the host of the one that was killed.
    project.write(FLOW, "later.py")
    project.touch("up")
    (project.folder / "delay").write_text("100ms")
    (project.folder / "up").unlink()
    assert project.run("up", "later.py", "-r", "l1", "--linger", "0").returncode == 3
    project.touch("up")
    wait_until(lambda: is_in(project, RunState.FINISHED, "l1"), "what was due to go on")
    assert hosts(project) == [host]
    project.touch("go")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")
    assert resumes(project) == {"r1": 1, "l1": 1}


def test_once_beside_an_active_one_leaves_it_to_that(project: Project) -> None:
    park(project)
    active = project.start("supervise", "--json")
    assert active.stdout is not None
    assert json.loads(active.stdout.readline())["event"] == "active"
    done = project.run("supervise", "--once")
    assert (done.returncode, done.stdout) == (
        0,
        f"Nothing to do: process {active.pid} supervises this store.\n",
    )


# --- Leaving --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_and_its_host_goes_on(
    project: Project, number: signal.Signals, code: int
) -> None:
    project.die_in_build()
    supervisor = project.start("supervise")
    wait_until(lambda: project.executed().count("build") == 2, "the run to be taken over")
    (host,) = hosts(project)
    begun = time.monotonic()
    supervisor.send_signal(number)
    _, err = supervisor.communicate(timeout=30)
    assert time.monotonic() - begun < 3
    assert supervisor.returncode == code
    assert f"leaving; host {host} goes on with its runs" in err
    project.touch("go")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")
    wait_until(lambda: not hosts(project), "the host to leave by itself")


def test_a_host_that_is_ended_leaves_its_runs_to_the_next(project: Project) -> None:
    project.die_in_build()
    project.start("supervise")
    wait_until(lambda: project.executed().count("build") == 2, "the run to be taken over")
    (host,) = hosts(project)
    os.kill(host, signal.SIGTERM)
    wait_until(lambda: project.executed().count("build") == 3, "it to be taken over again")
    project.touch("go")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the run to finish")


def test_one_run_is_seen_to_until_it_ends(project: Project) -> None:
    park(project, 2)
    project.touch("up")
    supervisor = project.start("supervise", "--run", "r0")
    set_due(project)
    _, err = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0, err
    assert (is_in(project, RunState.FINISHED, "r0"), is_in(project, RunState.WAITING)) == (True, True)


# --- What is printed ------------------------------------------------------------------------------


def test_once_waits_until_all_are_taken_over_and_tells_it_as_json(project: Project) -> None:
    park(project, 3)
    project.touch("up")
    set_due(project)
    found = project.document("supervise", "--once")
    assert found["status"] == "ok"
    assert [(row["run"], row["why"], row["taken"]) for row in found["runs"]] == [
        (f"r{number}", "due", True) for number in range(3)
    ]
    assert set(resumes(project).values()) == {1}


def test_a_dry_run_changes_nothing(project: Project) -> None:
    project.die_in_build()
    before = run_row(project)
    done = project.run("supervise", "--dry-run")
    assert done.returncode == 0
    assert "RUN" in done.stdout
    assert "has died: would go on" in done.stdout
    assert run_row(project) == before
    assert not hosts(project)


def test_without_a_store_there_is_nothing_to_supervise(project: Project) -> None:
    refused = project.run("supervise")
    assert (refused.returncode, "[RUN_NOT_FOUND]" in refused.stderr) == (4, True)
    assert project.document("supervise", "--dry-run") == {"status": "ok", "runs": []}


def test_ways_that_exclude_each_other_are_refused(project: Project) -> None:
    assert project.run("supervise", "--once", "--dry-run").returncode == 4


def test_a_host_survives_the_end_of_its_input_and_leaves_when_its_runs_have(project: Project) -> None:
    park(project, 3)
    project.touch("up")
    set_due(project)
    done = project.run("host", given="r0\nr2 1\nr1 99\nnobody\n\n")
    assert done.returncode == 0, done.stderr
    # One without a fence, one under the fence that it has; one has moved since it was chosen.
    states = {run.name: run.state for run in project.runs()}
    assert states == {"r0": RunState.FINISHED, "r1": RunState.WAITING, "r2": RunState.FINISHED}


def test_commands_name_the_store_that_was_named(project: Project) -> None:
    project.die_in_build()
    (row,) = project.document("supervise", "--dry-run", "--store", ".smithers/smithers.db")["runs"]
    assert row["command"] == "smithers up --resume r1 --store .smithers/smithers.db"


# --- As a service ---------------------------------------------------------------------------------


def test_it_is_installed_as_a_service_and_removed(project: Project) -> None:
    park(project)
    programs = project.folder / "programs"
    programs.mkdir()
    systemctl = programs / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$*" >> "$HOME/calls"\n')
    systemctl.chmod(0o755)
    home = {"HOME": str(project.folder / "home"), "PATH": f"{programs}:/usr/bin:/bin", "XDG_CONFIG_HOME": ""}
    (project.folder / "home").mkdir()
    done = project.run("supervise", "--install", "--system", "systemd", **home)
    assert done.returncode == 0, done.stderr
    (unit,) = (project.folder / "home").glob(".config/systemd/user/*.service")
    assert f'"--store" "{project.store}"' in unit.read_text()
    assert f"enable {unit.name}" in (project.folder / "home" / "calls").read_text()
    assert "remove: smithers supervise --uninstall" in done.stdout
    done = project.run("supervise", "--uninstall", "--system", "systemd", **home)
    assert done.returncode == 0, done.stderr
    assert not unit.exists()


def test_without_a_service_manager_that_is_refused_and_the_unit_can_be_printed(project: Project) -> None:
    park(project)
    where = {"HOME": str(project.folder), "PATH": "/nowhere"}
    refused = project.run("supervise", "--install", **where)
    assert (refused.returncode, "[SERVICE_UNAVAILABLE]" in refused.stderr) == (4, True)
    assert "smithers supervise --print-unit" in refused.stderr
    printed = project.run("supervise", "--print-unit", "--system", "systemd")
    assert (printed.returncode, "KillMode=process" in printed.stdout) == (0, True)
    printed = project.run("supervise", "--print-unit", "--system", "launchd")
    assert "<key>AbandonProcessGroup</key>" in printed.stdout


# --- Workflows in one process ---------------------------------------------------------------------

BORROWS = """
import helper

def fetch():
    note(helper.NAME)
    return Text(text=helper.NAME)

@workflow
def flow(ctx):
    return Task("wait", Text, run=lambda: (_ for _ in ()).throw(ConnectionError("down")),
                retry_policy=RetryPolicy(initial_delay="1h", max_delay="2h")) if not (
                HERE.parent / "up").exists() else Task("fetch", Text, run=fetch)
"""


def test_files_of_one_name_in_two_folders_are_two_workflows(project: Project) -> None:
    for name in ("one", "two"):
        (project.folder / name).mkdir()
        project.write(BORROWS, f"{name}/flow.py")
        (project.folder / name / "helper.py").write_text(f"NAME = {name!r}\n")
        assert project.run("up", f"{name}/flow.py", "-r", name, "--linger", "0").returncode == 3
    project.touch("up")
    set_due(project)
    assert project.run("supervise", "--once").returncode == 0
    for name in ("one", "two"):
        wait_until(lambda name=name: is_in(project, RunState.FINISHED, name), f"{name} to finish")
        assert (project.folder / name / "executed").read_text() == f"{name}\n"


def test_an_edit_counts_although_the_host_has_imported_the_file_before(project: Project) -> None:
    park(project, 2)
    project.start("supervise")
    set_due(project, run="r0")
    wait_until(lambda: resumes(project)["r0"] == 1, "the first to be resumed")
    wait_until(lambda: is_in(project, RunState.WAITING, "r0"), "it to be parked again")
    (host,) = hosts(project)
    project.write(FLOW.replace('note("fetch")', 'note("edited")'))
    project.touch("up")
    set_due(project, run="r1")
    wait_until(lambda: is_in(project, RunState.FINISHED), "the second to finish")
    assert hosts(project) == [host]
    assert project.executed()[-1] == "edited"
