"""Scripts through the command line: kills, interrupts, cancels, and what people see."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.process import Project, wait_until

STEPS = """
def step(name, waits=False):
    async def run():
        note(name)
        while waits and not (HERE / "go").exists():
            await asyncio.sleep(0.01)
        return Text(text=name)
    return Task(name, Text, run=run)

@workflow
async def flow(ctx):
    note("top")
    first = await ctx.run(step("plan"))
    try:
        async with ctx.finally_(step("tidy")):
            await ctx.run(step("build", waits=True))
    finally:
        (HERE / "closed").touch()
    async for i in ctx.loop("polish", max_iterations=2):
        await ctx.run(step("wax"))
    return first.text
"""


def start(project: Project) -> None:
    project.write(STEPS)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("build")
    process.kill()
    process.wait()


def test_a_killed_script_goes_on_and_executes_nothing_finished_again(project: Project) -> None:
    start(project)
    project.touch("go")
    done = project.run("up", "flow.py", "--resume", "r1")
    assert (done.returncode, done.stdout) == (0, '{"text": "plan"}\n')
    assert project.executed() == ["top", "plan", "build", "top", "build", "tidy", "wax", "wax"]


def test_an_interrupted_command_drops_its_script_without_another_line_of_it(project: Project) -> None:
    project.write(STEPS)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("build")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not (project.folder / "closed").exists()
    assert project.runs()[0].state.word == "paused"
    project.touch("go")
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    assert project.executed()[-5:] == ["top", "build", "tidy", "wax", "wax"]


def test_a_cancel_runs_what_the_script_has_left_for_the_end(project: Project) -> None:
    project.write(STEPS)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("build")
    assert project.run("cancel", "r1").returncode == 0
    assert process.wait(30) == 2
    assert project.executed()[:4] == ["top", "plan", "build", "tidy"]
    assert "wax" not in project.executed()
    assert not (project.folder / "closed").exists()


@pytest.mark.parametrize("command", ["tree", "inspect", "why", "logs", "events", "output"])
def test_looking_at_a_script_works_while_it_runs_and_afterwards(project: Project, command: str) -> None:
    start(project)
    assert project.run(command, "r1").returncode in (0, 4)
    project.touch("go")
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    done = project.run(command, "r1")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: project.runs()[0].state.word == "finished", "the end")


def test_a_graph_and_a_plan_of_a_script_execute_nothing(project: Project) -> None:
    project.write(STEPS)
    graph = project.document("graph", "flow.py")
    assert [child["id"] for child in graph["tree"]["children"]] == ["plan"]
    start(project)
    before = project.executed()
    plan = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert {task["node"]: task["verdict"] for task in plan["tasks"]} == {
        "plan": "keep",
        "build": "run",
        "tidy": "run",
    }
    assert [name for name in project.executed() if name != "top"] == [
        name for name in before if name != "top"
    ]
    assert not (project.folder / "closed").exists()
