"""`up --hot`: files are edited while a run goes on, as a process sees it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from smithers.clock import SystemClock
from smithers.records import EventRow, EventType
from smithers.store import open_store
from tests.acceptance.process import Project, wait_until

FLOW = """
CODE = "v1"

def work(name, gate=None):
    def run():
        note(f"{name}-{CODE}")
        if gate is not None:
            wait_for(gate)
        return Text(text=f"{name} by {CODE}")
    return run

@workflow
def flow(ctx):
    first = Task("first", Text, run=work("first"))
    second = Task("second", Text, run=work("second", "go"))
    third = Task("third", Text, run=work("third", "end"))
    return Sequence(first, second, third)
"""


def events(project: Project, kind: EventType) -> list[EventRow]:
    with closing(open_store(project.store, clock=SystemClock(), create=False).reader()) as reader:
        return [row for row in reader.events(reader.run("r1").id, limit=10_000) if row.type is kind]


def reloads(project: Project) -> list[list[str]]:
    """Which files each swap has taken over."""
    return [json.loads(row.data or "{}")["changed"] for row in events(project, EventType.RUN_RELOADED)]


def warnings(project: Project) -> list[str]:
    return [json.loads(row.data or "{}")["message"] for row in events(project, EventType.RUN_WARNING)]


def await_reload(project: Project, count: int = 1) -> None:
    wait_until(lambda: len(reloads(project)) == count, f"reload {count}")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def outputs(project: Project) -> dict[str, Any]:
    with closing(open_store(project.store, clock=SystemClock(), create=False).reader()) as reader:
        return {str(row.key): json.loads(row.body) for row in reader.outputs(reader.run("r1").id)}


def test_an_edit_keeps_what_is_done_lets_go_on_what_runs_and_changes_what_is_to_come(
    project: Project,
) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    await_reload(project)
    project.touch("go")
    project.touch("end")
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["first-v1", "second-v1", "third-v2"]
    assert [body["text"] for body in outputs(project).values()] == [
        "first by v1",
        "second by v1",
        "third by v2",
    ]
    assert "hot: watching flow.py\n" in told
    (row,) = events(project, EventType.RUN_RELOADED)
    frame = json.loads(row.data or "{}")["frame"]
    assert f"! reloaded flow.py: rendered anew at frame {frame}\n" in told
    assert "run-reloaded" in project.run("events", "r1").stdout


def test_a_broken_edit_is_told_with_its_line_and_the_mended_one_is_taken_over(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    flow = project.folder / "flow.py"
    replace(flow, "@workflow\ndef flow(ctx):", "@workflow\ndef flow(ctx:")
    wait_until(lambda: len(warnings(project)) == 1, "the mistake to be told")
    line = project.line("def flow(ctx:")
    assert warnings(project) == [f"not reloaded: flow.py:{line}: SyntaxError: '(' was never closed"]
    replace(flow, "def flow(ctx:", "def flow(ctx):")
    replace(flow, '"v1"', '"v2"')
    wait_until(lambda: ["flow.py"] in reloads(project), "the mended file")
    project.touch("go")
    project.touch("end")
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["first-v1", "second-v1", "third-v2"]
    assert f"! not reloaded: flow.py:{line}: SyntaxError" in told


def test_a_tree_that_the_scheduler_refuses_leaves_the_run_as_it_was(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", 'Task("third"', 'Task("first"')
    wait_until(lambda: len(warnings(project)) == 1, "the refusal")
    assert "not reloaded: " in warnings(project)[0]
    assert "first" in warnings(project)[0]
    project.touch("go")
    project.touch("end")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["first-v1", "second-v1", "third-v1"]


def test_an_edit_of_an_imported_module_by_an_editor_that_renames(project: Project) -> None:
    (project.folder / "lib").mkdir()
    helper = project.folder / "lib" / "words.py"
    helper.write_text('CODE = "v1"\n')
    project.write(FLOW.replace('CODE = "v1"', "from lib.words import CODE"))
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    saved = project.folder / "lib" / ".words.py.swp"
    saved.write_text('CODE = "v2"\n')
    saved.replace(helper)
    await_reload(project)
    assert reloads(project) == [["lib/words.py"]]
    project.touch("go")
    project.touch("end")
    process.communicate(timeout=30)
    assert project.executed() == ["first-v1", "second-v1", "third-v2"]


def test_an_edit_of_a_prompt_file(project: Project) -> None:
    (project.folder / "ask.md").write_text("the {% include 'word.md' %} question")
    (project.folder / "word.md").write_text("old")
    project.write("""
    from smithers import Prompt
    from smithers.testing import ScriptedAgent

    def answer(request):
        note(request.prompt.replace(" ", "-"))
        if request.task.node == "first":
            wait_for("go")
        return {"text": request.prompt}

    @workflow
    def flow(ctx):
        agent = ScriptedAgent(answer, last=True)
        return Sequence(*(Task(id, Text, agent=agent, prompt=Prompt("ask.md")) for id in ("first", "second")))
    """)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("the-old-question")
    (project.folder / "word.md").write_text("new")
    await_reload(project)
    assert reloads(project) == [["word.md"]]
    project.touch("go")
    process.communicate(timeout=30)
    assert project.executed() == ["the-old-question", "the-new-question"]
    assert outputs(project)["first"] == {"text": "the old question"}


def test_an_edit_that_removes_a_running_task_keeps_its_output(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", "Sequence(first, second, third)", "Sequence(first, third)")
    await_reload(project)
    project.await_executed("third-v1")
    project.touch("end")
    wait_until(lambda: "third" in outputs(project), "the third task")
    assert process.poll() is None, "the run is not finished while the second task runs"
    project.touch("go")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["first-v1", "second-v1", "third-v1"]
    assert outputs(project)["second"] == {"text": "second by v1"}


def test_a_task_that_fails_again_and_again_is_mended_without_a_resume(project: Project) -> None:
    project.write("""
    def work():
        note("work")
        raise OSError("not yet")

    @workflow
    def flow(ctx):
        return Task("work", Text, run=work, retry_policy=RetryPolicy(initial_delay=0.2, max_delay=0.2))
    """)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("work")
    replace(project.folder / "flow.py", 'raise OSError("not yet")', 'return Text(text="mended")')
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert outputs(project) == {"work": {"text": "mended"}}


def test_functions_in_processes_of_their_own_are_of_the_new_code_too(project: Project) -> None:
    project.write("""
    CODE = "v1"

    def first():
        note(f"first-{CODE}")
        wait_for("go")
        return Text()

    def second():
        note(f"second-{CODE}")
        return Text()

    @workflow
    def flow(ctx):
        return Sequence(
            Task("first", Text, run=first, run_in="process"),
            Task("second", Text, run=second, run_in="process"),
        )
    """)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("first-v1")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    await_reload(project)
    project.touch("go")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["first-v1", "second-v2"]


def test_a_script_runs_again_by_the_new_code(project: Project) -> None:
    project.write("""
    CODE = "v1"

    def work(name, gate=None):
        def run():
            note(f"{name}-{CODE}")
            if gate is not None:
                wait_for(gate)
            return Text(text=f"{name} by {CODE}")
        return Task(name, Text, run=run)

    @workflow
    async def flow(ctx):
        note(f"script-{CODE}")
        first = await ctx.run(work("first"))
        second = await ctx.run(work("second", "go"))
        return Text(text=f"{first.text}, {second.text}, told by {CODE}")
    """)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    project.await_executed("script-v2")
    project.touch("go")
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["script-v1", "first-v1", "second-v1", "script-v2"]
    assert json.loads(told) == {"text": "first by v1, second by v1, told by v2"}


def test_a_save_that_changes_nothing_does_nothing(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    flow = project.folder / "flow.py"
    flow.write_text(flow.read_text())
    replace(flow, '"v1"', '"v2"')
    await_reload(project)
    project.touch("go")
    project.touch("end")
    process.communicate(timeout=30)
    assert len(reloads(project)) == 1


def test_a_resume_knows_by_which_code_each_task_was_executed(project: Project) -> None:
    # A list is not a constant: what a function sees of it is how the file assigns it.
    project.write(FLOW.replace('CODE = "v1"', 'CODES = ["v1"]').replace("{CODE}", "{CODES[0]}"))
    process = project.start("up", "flow.py", "-r", "r1", "--hot")
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    await_reload(project)
    replace(
        project.folder / "flow.py",
        "first, second, third)",
        'first, second, third, Task("last", Text, run=work("last", "x")))',
    )
    await_reload(project, 2)
    project.touch("go")
    project.touch("end")
    project.await_executed("last-v2")
    process.kill()
    process.wait()
    plan = project.document("up", "flow.py", "-r", "r1", "--resume", "--plan")
    assert {task["node"]: task["verdict"] for task in plan["tasks"]} == {
        "first": "changed",
        "second": "changed",
        "third": "keep",
        "last": "run",
    }
    project.touch("x")
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert done.returncode == 0, done.stderr
    assert project.executed() == ["first-v1", "second-v1", "third-v2", "last-v2", "last-v2"]


def test_a_detached_run_is_hot_too(project: Project) -> None:
    project.write(FLOW)
    done = project.run("up", "flow.py", "-r", "r1", "-d", "--hot")
    assert done.returncode == 0, done.stderr
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    await_reload(project)
    project.touch("go")
    project.touch("end")
    wait_until(lambda: project.runs()[0].state.has_ended, "the run to end")
    assert project.executed() == ["first-v1", "second-v1", "third-v2"]
    log = project.folder / ".smithers" / "logs" / "r1.log"
    assert "reloaded flow.py: rendered anew at frame" in log.read_text()


def test_a_resumed_run_is_hot_too(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("second-v1")
    process.kill()
    process.wait()
    process = project.start("up", "flow.py", "-r", "r1", "--resume", "--hot")
    wait_until(lambda: project.executed().count("second-v1") == 2, "the second task to begin again")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    await_reload(project)
    project.touch("go")
    project.touch("end")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert project.executed() == ["first-v1", "second-v1", "second-v1", "third-v2"]


def test_without_hot_an_edit_waits_for_the_next_resume(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("second-v1")
    replace(project.folder / "flow.py", '"v1"', '"v2"')
    project.touch("go")
    project.touch("end")
    process.communicate(timeout=30)
    assert project.executed() == ["first-v1", "second-v1", "third-v1"]


def test_hot_means_nothing_where_nothing_runs(project: Project) -> None:
    project.write(FLOW)
    done = project.run("up", "flow.py", "--resume", "--plan", "--hot")
    assert done.returncode == 4
    assert "--plan only looks; there is nothing to reload" in done.stderr
