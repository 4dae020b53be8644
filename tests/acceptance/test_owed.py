"""Cancel of a run that nobody drives, and that owes last parts: a new owner is started to run them."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

import pytest

from smithers.records import RunState
from tests.acceptance.process import Project, wait_until

TREE = """
from smithers import Saga, SagaStep, TryCatchFinally

def does(name, *waits):
    def run():
        note(name)
        for file in waits:
            wait_for(file)
        note(name + ".")
        return Text(text=name)
    return Task(name, Text, run=run, retries=0)

@workflow
def flow(ctx):
    return Sequence(
        TryCatchFinally(
            does("lock"),
            Saga(
                SagaStep(does("a"), does("ua")),
                SagaStep(does("b"), does("ub", "undo")),
                SagaStep(does("c", "never")),
            ),
            finally_=[does("clean"), does("unlock")],
        ),
        does("after"),
    )
"""

SCRIPT = """
def does(name, *waits):
    def run():
        note(name)
        for file in waits:
            wait_for(file)
        note(name + ".")
        return Text(text=name)
    return Task(name, Text, run=run, retries=0)

@workflow
async def flow(ctx):
    async with ctx.finally_(does("outer")):
        await ctx.run(does("a"))
        async with ctx.finally_(does("early")):
            await ctx.run(does("b"))
        async for i in ctx.loop("again", max_iterations=3):
            async with ctx.finally_(does("inner", *["undo"] * i)):
                await ctx.run(does("c", *["never"] * i))
    await ctx.run(does("after"))
"""


def leave_behind(project: Project, flow: str, *, at: str = "c", times: int = 1) -> None:
    """Kill the owner of run `r1` when a task has begun so many times."""
    project.write(flow)
    process = project.start("up", "flow.py:flow", "-r", "r1")
    wait_until(lambda: project.executed().count(at) == times, f"{at} to begin")
    process.kill()
    process.wait()


def status(project: Project) -> RunState:
    (run,) = project.runs()
    return run.state


def owner(project: Project) -> int:
    (run,) = project.runs()
    assert run.owner is not None
    return run.owner.pid


def test_a_cancel_of_a_run_that_nobody_drives_runs_what_its_blocks_owe(project: Project) -> None:
    leave_behind(project, TREE)
    before = project.executed()
    project.touch("undo")
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "r1 is cancelled; what it owed was carried out first: ub, ua, clean and 1 more\n"
    ), done.stdout
    assert project.executed()[len(before) :] == [
        "ub", "ub.", "ua", "ua.", "clean", "clean.", "unlock", "unlock.",
    ]  # fmt: skip
    assert status(project) is RunState.CANCELLED
    assert project.states("r1")["after"] == "pending"
    again = project.run("cancel", "r1")
    assert (again.returncode, again.stdout) == (0, "r1 is cancelled already; nothing was changed\n")


def test_a_script_is_played_back_to_its_blocks_and_nothing_new_starts(project: Project) -> None:
    leave_behind(project, SCRIPT, times=2)
    before = project.executed()
    assert before == [
        "a", "a.", "b", "b.", "early", "early.", "c", "c.", "inner", "inner.", "c",
    ]  # fmt: skip
    project.touch("undo")
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "r1 is cancelled; what it owed was carried out first: inner[1], outer\n"
    assert project.executed()[len(before) :] == ["inner", "inner.", "outer", "outer."]
    assert status(project) is RunState.CANCELLED


@pytest.mark.parametrize(
    ("flow", "times", "held", "counts"),
    [
        (TREE, 1, "ub", {"ub": 2, "ub.": 1, "ua": 1, "clean": 1, "unlock": 1}),
        (SCRIPT, 2, "inner", {"early": 1, "inner": 3, "inner.": 2, "outer": 1, "outer.": 1}),
    ],
    ids=["tree", "script"],
)
def test_an_owner_that_dies_while_it_carries_a_cancel_out_is_followed_by_another(
    project: Project, flow: str, times: int, held: str, counts: dict[str, int]
) -> None:
    leave_behind(project, flow, times=times)
    asked = project.start("cancel", "r1")
    wait_until(lambda: project.executed().count(held) == times, f"{held} to begin")
    os.kill(owner(project), signal.SIGKILL)
    asked.communicate(timeout=30)
    assert asked.returncode == 1
    assert status(project) is RunState.RUNNING
    project.touch("undo")
    done = project.run("cancel", "r1")
    assert done.returncode == 0, done.stderr
    executed = Counter(project.executed())
    assert {name: executed[name] for name in counts} == counts
    assert "after" not in executed
    assert status(project) is RunState.CANCELLED


def test_a_resume_carries_out_what_a_cancel_began(project: Project) -> None:
    leave_behind(project, TREE)
    asked = project.start("cancel", "r1")
    project.await_executed("ub")
    asked.kill()
    asked.wait()
    os.kill(owner(project), signal.SIGKILL)
    project.touch("undo")
    assert project.run("pause", "r1").stdout == "r1 is paused (its owner was dead)\n"
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 2, done.stderr
    executed = Counter(project.executed())
    assert [executed[name] for name in ("ub", "ua", "clean", "unlock", "after")] == [2, 1, 1, 1, 0]


def test_a_second_cancel_joins_the_first(project: Project) -> None:
    leave_behind(project, TREE)
    first = project.start("cancel", "r1")
    project.await_executed("ub")
    second = project.start("cancel", "r1")
    pid = owner(project)
    wait_until(lambda: len(told(project)) == 2, "the second to be heard")
    project.touch("undo")
    out, err = second.communicate(timeout=30)
    assert (second.returncode, out, err) == (0, f"r1 was cancelled by its owner, process {pid}\n", "")
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert Counter(project.executed())["ub"] == 1


def told(project: Project) -> list[str]:
    """The requests that an owner has told of."""
    events = map(json.loads, project.run("events", "r1", "--json").stdout.splitlines())
    return [event["event"] for event in events if event["event"] == "cancel-requested"]


def test_a_workflow_that_is_gone_or_broken_is_owed_and_named(project: Project) -> None:
    leave_behind(project, TREE)
    project.touch("undo")
    file = project.folder / "flow.py"
    text = file.read_text()
    before = project.executed()
    owed = "it owes compensations of saga:a (ub, ua); finally of try:lock (clean, unlock)"
    for broken, why in (
        (None, "[WORKFLOW_NOT_FOUND]"),
        ("import nothing_like_it\n", "[WORKFLOW_LOAD_FAILED]"),
    ):
        file.unlink() if broken is None else file.write_text(broken)
        done = project.run("cancel", "r1")
        assert done.returncode == 1
        assert done.stdout == ""
        head, hint = done.stderr.splitlines()
        assert head.startswith("[LAST_PARTS_OWED] r1 is not cancelled: " + owed), head
        assert why in head
        assert "`smithers cancel r1`" in hint
        assert "`smithers cancel r1 --now`" in hint
        assert status(project) is RunState.RUNNING
    why = project.document("why", "r1")
    assert "asked to cancel it, and nobody does: cancel it again" in why["blockers"][0]["text"]
    assert why["commands"][0] == "smithers cancel r1"
    assert project.executed() == before
    file.write_text(text)
    assert project.run("cancel", "r1").returncode == 0
    assert project.executed()[-2:] == ["unlock", "unlock."]


def test_a_block_that_an_edit_took_away_is_owed_too(project: Project) -> None:
    leave_behind(project, TREE)
    file = project.folder / "flow.py"
    file.write_text(file.read_text().replace('does("lock"),', 'does("lock2"),'))
    found = project.document("cancel", "r1")
    assert found["error"]["code"] == "LAST_PARTS_OWED"
    assert "try:lock (clean, unlock)" in found["error"]["message"]
    done = project.run("cancel", "r1", "--now")
    assert (done.returncode, done.stdout) == (0, "r1 is cancelled\n")
    assert "clean" not in project.executed()


def test_cancel_now_of_a_run_that_nobody_drives_runs_nothing(project: Project) -> None:
    leave_behind(project, TREE)
    before = project.executed()
    done = project.run("cancel", "r1", "--now")
    assert (done.returncode, done.stdout) == (0, "r1 is cancelled (its owner was dead)\n")
    assert project.executed() == before


def test_a_paused_run_in_a_block_is_cancelled_by_its_last_parts(project: Project) -> None:
    project.write(TREE)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("c")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert status(project) is RunState.PAUSED
    project.touch("undo")
    assert project.run("cancel", "r1").returncode == 0
    assert project.executed()[-2:] == ["unlock", "unlock."]
    assert status(project) is RunState.CANCELLED


def test_a_run_that_was_cancelled_so_is_resumed_like_any_other(project: Project) -> None:
    leave_behind(project, SCRIPT, times=2)
    project.touch("undo")
    assert project.run("cancel", "r1").returncode == 0
    project.touch("never")
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 0, done.stderr
    executed = Counter(project.executed())
    assert [executed[name] for name in ("a", "b", "early", "after")] == [1, 1, 1, 1]


NESTED = """
from smithers import Saga, SagaStep, Subflow, TryCatchFinally

def does(name, *waits):
    def run():
        note(name)
        for file in waits:
            wait_for(file)
        note(name + ".")
        return Text(text=name)
    return Task(name, Text, run=run, retries=0)

@workflow(output=Text)
def inner(ctx: Context):
    work = does("work", "never")
    return TryCatchFinally(work, finally_=does("clean")) if BLOCK else work

@workflow
def flow(ctx):
    return TryCatchFinally(Subflow("part", inner, input={}), finally_=does("last"))
"""


def test_a_run_within_it_ends_with_a_run_whose_last_parts_are_run(project: Project) -> None:
    leave_behind(project, NESTED.replace("if BLOCK", "if False"), at="work")
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stderr) == (0, "")
    assert project.executed() == ["work", "last", "last."]
    assert {run.state for run in project.runs()} == {RunState.CANCELLED}


def test_a_run_within_it_that_owes_last_parts_is_named_and_nothing_is_lost(project: Project) -> None:
    leave_behind(project, NESTED.replace("if BLOCK", "if True"), at="work")
    done = project.run("cancel", "r1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "a run within it owes last parts" in done.stderr
    assert "finally of try:work (clean)" in done.stderr
    assert {run.state for run in project.runs()} == {RunState.RUNNING}
    process = project.start("up", "flow.py:flow", "-r", "r1", "--resume")
    wait_until(lambda: project.executed().count("work") == 2, "it to go on")
    assert project.run("cancel", "r1").returncode == 0
    process.communicate(timeout=30)
    assert project.executed()[2:] == ["clean", "clean.", "last", "last."]
    assert {run.state for run in project.runs()} == {RunState.CANCELLED}
