"""`cancel`: whoever drives the run, and whatever it does."""

from __future__ import annotations

import signal
import time

from smithers.clock import SystemClock
from smithers.engine.order import Order
from smithers.engine.undriven import obey_undriven
from smithers.records import InboxKind
from smithers.store import open_store
from tests.acceptance.process import STEPS, Project, wait_until

RETRIES = """
def fetch():
    note("fetch")
    raise ConnectionError("refused")

@workflow
def flow(ctx):
    return Task("fetch", Text, run=fetch, retry_policy=RetryPolicy(initial_delay="1h", max_delay="1h"))
"""


def state(project: Project) -> str:
    (run,) = project.runs()
    return run.state.word


def test_a_live_owner_ends_the_run_and_leaves_with_2(project: Project) -> None:
    process = project.reach_build()
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"r1 was cancelled by its owner, process {process.pid}\n"
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert "cancelled r1" in err
    assert "smithers up flow.py --run-id r1 --resume" in err
    assert state(project) == "cancelled"


def test_cancel_ends_a_coroutine_where_it_awaits(project: Project) -> None:
    project.write("""
        async def work():
            note("work")
            try:
                await asyncio.sleep(60)
            finally:
                note("cleaned")

        @workflow
        def flow(ctx):
            return Task("work", Text, run=work)
    """)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("work")
    assert project.run("cancel", "r1").returncode == 0
    process.communicate(timeout=20)
    assert process.returncode == 2
    assert project.executed() == ["work", "cleaned"]


def test_a_run_in_back_off_is_cancelled_at_once(project: Project) -> None:
    project.write(RETRIES)
    process = project.start("up", "flow.py", "-r", "r1")
    wait_until(lambda: bool(project.runs()) and project.states("r1") == {"fetch": "waiting"}, "the back-off")
    began = time.monotonic()
    assert project.run("cancel", "r1").returncode == 0
    process.communicate(timeout=20)
    assert process.returncode == 2
    assert time.monotonic() - began < 10
    assert state(project) == "cancelled"


def test_a_run_whose_owner_has_died_is_ended_by_the_command_itself(project: Project) -> None:
    project.die_in_build()
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stdout) == (0, "r1 is cancelled (its owner was dead)\n")
    assert state(project) == "cancelled"
    assert project.runs()[0].owner is None


def test_a_paused_run_is_cancelled(project: Project) -> None:
    process = project.reach_build()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stdout) == (0, "r1 is cancelled\n")
    assert state(project) == "cancelled"


def test_cancelling_twice_is_no_error_and_changes_nothing(project: Project) -> None:
    project.die_in_build()
    project.run("cancel", "r1")
    seq = project.runs()[0].seq
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stdout) == (0, "r1 is cancelled already; nothing was changed\n")
    assert project.runs()[0].seq == seq


def test_a_finished_run_stays_finished(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    project.run("up", "flow.py", "-r", "r1")
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stdout) == (0, "r1 is finished already; nothing was changed\n")
    assert state(project) == "finished"


def test_json_has_the_run_and_its_status(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    project.run("up", "flow.py", "-r", "r1")
    found = project.document("cancel", "r1")
    assert (found["status"], found["run"]) == ("finished", "r1")


def test_an_unknown_run_is_refused(project: Project) -> None:
    done = project.run("cancel", "nothing")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("[RUN_NOT_FOUND]")


def test_a_cancelled_run_resumes_and_keeps_what_was_finished(project: Project) -> None:
    process = project.reach_build()
    project.run("cancel", "r1")
    process.communicate(timeout=20)
    project.touch("go")
    done = project.run("up", "--resume", "r1")
    assert (done.returncode, done.stdout) == (0, '{"text": "built"}\n')
    assert project.executed() == ["plan", "build", "build"]


def test_what_a_thread_returns_after_the_cancel_is_discarded(project: Project) -> None:
    process = project.reach_build(STEPS.replace('wait_for("go")', 'wait_for("go"); note("returned")'))
    project.run("cancel", "r1")
    project.touch("go")
    process.communicate(timeout=20)
    assert process.returncode == 2
    assert project.run("output", "r1", "build").returncode == 4


def test_the_other_runs_of_a_project_go_on(project: Project) -> None:
    project.write(STEPS)
    first = project.start("up", "flow.py", "-r", "r1")
    second = project.start("up", "flow.py", "-r", "r2")
    wait_until(lambda: project.executed().count("build") == 2, "both runs to build")
    project.run("cancel", "r1")
    first.communicate(timeout=20)
    project.touch("go")
    out, _ = second.communicate(timeout=20)
    assert (first.returncode, second.returncode, out) == (2, 0, '{"text": "built"}\n')


def test_a_run_that_has_finished_since_it_was_looked_at_stays_finished(project: Project) -> None:
    process = project.reach_build()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    store = open_store(project.store, clock=SystemClock(), create=False)
    (paused,) = project.runs()
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    (finished,) = project.runs()
    assert not obey_undriven(store, paused, Order(InboxKind.CANCEL, "somebody"))
    assert state(project) == "finished"
    (run,) = project.runs()
    assert (run.owner, run.ended_ms) == (None, finished.ended_ms)
