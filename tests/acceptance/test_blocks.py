"""Try blocks and sagas through a kill and a cancel, as a user meets them."""

from __future__ import annotations

from contextlib import closing

from smithers.cli.halt import carry_out, order
from smithers.clock import SystemClock
from smithers.records import InboxKind
from smithers.store import open_store
from tests.acceptance.process import Project

SAGA = """
def does(name, fails=False, waits=False):
    def run():
        note(name)
        if waits:
            wait_for("go")
        if fails:
            raise ValueError(name + " does not work")
        note(name + ".")
        return Text(text=name)
    return run

def task(name, **options):
    return Task(name, Text, run=does(name, **options), retries=0)

@workflow
def flow(ctx):
    return Sequence(
        Saga(
            SagaStep(task("a"), task("ua")),
            SagaStep(task("b"), task("ub", waits=True)),
            SagaStep(task("c"), task("uc")),
            SagaStep(task("d", fails=True)),
            on_failure="compensate-and-fail",
        ),
        task("never"),
    )
"""

LAST = """
def work():
    note("work")
    wait_for("never")
    return Text()

def clean():
    note("clean")
    wait_for("go")
    note("cleaned")
    return Text()

@workflow
def flow(ctx):
    guarded = TryCatchFinally(Task("work", Text, run=work), finally_=Task("clean", Text, run=clean))
    return Sequence(guarded, Task("after", Text, value={}))
"""

IMPORTS = "from smithers import Saga, SagaStep, TryCatchFinally\n"


def test_a_kill_in_a_compensation_undoes_each_step_once(project: Project) -> None:
    project.write(IMPORTS + SAGA)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("ub")
    process.kill()
    process.wait()
    project.touch("go")
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 1, done.stderr
    assert project.executed() == [
        "a", "a.", "b", "b.", "c", "c.", "d", "uc", "uc.", "ub", "ub", "ub.", "ua", "ua.",
    ]  # fmt: skip
    assert project.states("r1")["never"] == "pending"


def test_a_cancelled_run_is_running_until_its_last_part_is_done(project: Project) -> None:
    project.write(IMPORTS + LAST)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("work")
    asked = project.start("cancel", "r1")
    project.await_executed("clean")
    assert project.document("inspect", "r1")["status"] == "running"
    project.touch("go")
    asked.communicate(timeout=30)
    process.communicate(timeout=30)
    assert (asked.returncode, process.returncode) == (0, 2)
    assert project.executed() == ["work", "clean", "cleaned"]
    assert project.states("r1")["after"] == "pending"


def test_a_cancel_that_waits_for_last_parts_says_so_and_how_to_cut_them_off(project: Project) -> None:
    project.write(IMPORTS + LAST)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("work")
    asked = project.start("cancel", "r1")
    project.await_executed("clean")
    # The command gives up after its patience: here with less of it.
    store = open_store(project.store, clock=SystemClock(), create=False)
    with closing(store.reader()) as reader:
        row = reader.run("r1")
    (halted,) = carry_out(store, [row], order(InboxKind.CANCEL), 300)
    assert not halted.is_done
    assert halted.text.startswith("is ending: it runs its last parts, clean (")
    assert dict(halted.commands()) == {
        "watch": "smithers logs r1 -f",
        "cut off": "smithers cancel r1 --now",
    }
    assert project.run("cancel", "r1", "--now").returncode == 0
    asked.communicate(timeout=30)
    process.communicate(timeout=30)
    assert project.executed() == ["work", "clean"]


def test_a_kill_in_the_last_part_of_a_cancelled_run_does_not_make_it_finished(project: Project) -> None:
    project.write(IMPORTS + LAST)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("work")
    asked = project.start("cancel", "r1")
    project.await_executed("clean")
    asked.kill()
    process.kill()
    asked.wait()
    process.wait()
    project.touch("go")
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 2, done.stderr
    assert project.executed() == ["work", "clean", "clean", "cleaned"]
    project.touch("never")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert project.executed()[4:] == ["work", "clean", "cleaned"]


def test_cancel_now_runs_no_last_part_and_a_resume_goes_on_in_the_body(project: Project) -> None:
    project.write(IMPORTS + LAST)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("work")
    assert project.run("cancel", "r1", "--now").returncode == 0
    process.communicate(timeout=30)
    assert project.executed() == ["work"]
    project.touch("never")
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert project.executed() == ["work", "work", "clean", "cleaned"]


def test_graph_tree_and_why_know_the_new_containers(project: Project) -> None:
    project.write(IMPORTS + SAGA)
    shown = project.run("graph", "flow.py").stdout
    assert "saga:a" in shown
    assert "saga" in shown
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1").returncode == 1
    assert "saga:a" in project.run("tree", "r1").stdout
    assert "block-ended saga:a  outcome=failed cause=d" in project.run("logs", "r1").stdout
    assert "d does not work" in project.run("why", "r1").stdout
