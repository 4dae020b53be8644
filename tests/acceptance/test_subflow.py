"""Sub-workflows and continued runs through kills and commands, as a user meets them."""

from __future__ import annotations

import json
import signal

from tests.acceptance.process import Project, wait_until

IMPORTS = "from smithers import ContinueAsNew, Subflow\n"

FAMILY = """
def does(name, waits=False):
    def run():
        note(name)
        if waits:
            wait_for("go")
        return Text(text=name)
    return Task(name, Text, run=run, retries=0)

@workflow(output=Text)
def child(ctx):
    return Sequence(does("first"), does("second", waits=True), does("third"))

@workflow(output=Text)
def flow(ctx):
    return Sequence(does("before"), Subflow("sub", child), does("after"))
"""

LONG = """
def does(step):
    def run():
        note(f"step-{step}")
        wait_for(f"go-{step}")
        return Text(text=str(step))
    return Task(f"step-{step}", Text, run=run)

@workflow(output=Text)
def child(ctx):
    return Sequence(*(does(step) for step in range(5)))

@workflow(output=Text)
def flow(ctx):
    return Subflow("sub", child)
"""

NIGHTLY = """
@workflow(output=Text)
def flow(ctx):
    done = ctx.state() or 0
    def run():
        note(f"step-{done}")
        if done == 2:
            wait_for("go")
        return Text(text=f"step {done}")
    step = Task("step", Text, run=run)
    return Sequence(step, ContinueAsNew(done + 1) if done < 4 else None)
"""

RETRYING = """
def fails():
    raise ConnectionError("no answer")

@workflow(output=Text)
def child(ctx):
    return Task("ask", Text, run=fails, retry_policy=RetryPolicy(initial_delay="2h"))

@workflow(output=Text)
def flow(ctx):
    return Subflow("sub", child)
"""


def states(project: Project) -> dict[str, str]:
    return {run.name: run.state.word for run in project.runs()}


def die_in_the_child(project: Project) -> None:
    project.write(IMPORTS + FAMILY)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("second")
    process.kill()
    process.wait()


# --- Children -----------------------------------------------------------------------------------


def test_a_kill_in_a_child_is_followed_by_a_resume_of_the_same_child(project: Project) -> None:
    die_in_the_child(project)
    assert states(project) == {"r1": "running", "r1.sub": "running"}
    listed = project.document("ps")["runs"]
    assert [(run["run"], run["shown"]) for run in listed] == [("r1", "orphaned")]

    project.touch("go")
    done = project.run("up", "--resume", "r1")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"text": "after"}
    assert project.executed() == ["before", "first", "second", "second", "third", "after"]
    assert states(project) == {"r1": "finished", "r1.sub": "finished"}


def test_many_kills_in_a_child_do_not_make_a_crash_loop_of_its_node(project: Project) -> None:
    project.write(IMPORTS + LONG)
    for step in range(5):
        process = project.start("up", "flow.py", "-r", "r1", *(["--resume"] if step else []))
        project.await_executed(f"step-{step}")
        process.kill()
        process.wait()
        project.touch(f"go-{step}")
    done = project.run("up", "--resume", "r1")
    assert done.returncode == 0, done.stderr
    assert project.executed() == [f"step-{step}" for step in (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)]
    (node,) = project.document("inspect", "r1")["nodes"]
    assert [one["state"] for one in node["attempts"]] == ["lost"] * 5 + ["finished"]
    assert node["child"] == "r1.sub"


def test_a_child_is_not_resumed_without_its_parent(project: Project) -> None:
    die_in_the_child(project)
    refused = project.run("up", "--resume", "r1.sub")
    assert refused.returncode == 4
    assert "r1.sub belongs to node sub of r1" in refused.stderr
    assert "smithers up --resume r1" in refused.stderr


def test_parent_and_child_lead_to_each_other(project: Project) -> None:
    project.write(IMPORTS + FAMILY)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("second")

    assert "sub: second" in project.run("ps").stdout
    assert "r1.sub" not in [run["run"] for run in project.document("ps")["runs"]]
    assert "r1.sub" in [run["run"] for run in project.document("ps", "-a")["runs"]]
    why = project.run("why", "r1").stdout
    assert "sub is run r1.sub" in why
    assert "second" in why
    assert "smithers why r1.sub" in project.run("why", "r1", "sub").stdout
    assert "r1.sub, running" in project.run("inspect", "r1").stdout
    assert "Parent    r1, node sub" in project.run("inspect", "r1.sub").stdout
    assert "sub = r1.sub" in project.run("tree", "r1").stdout
    assert "it is node sub of r1" in " ".join(project.run("tree", "r1.sub").stdout.split())
    assert "r1.sub, running" in project.run("node", "r1", "sub").stdout
    assert "run=r1.sub" in project.run("logs", "r1").stdout
    assert project.document("inspect", "r1.sub")["parent"]["run"] == "r1"
    # The beginning of the parent's name means the parent.
    assert project.document("inspect", "r")["run"] == "r1"

    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert states(project) == {"r1": "paused", "r1.sub": "paused"}


def test_a_cancel_of_a_parent_that_has_died_cancels_its_child(project: Project) -> None:
    die_in_the_child(project)
    assert project.run("cancel", "r1").returncode == 0
    assert states(project) == {"r1": "cancelled", "r1.sub": "cancelled"}
    project.touch("go")
    assert project.run("up", "--resume", "r1").returncode == 0
    assert project.executed() == ["before", "first", "second", "second", "third", "after"]


def test_down_pauses_both_and_lists_the_parent(project: Project) -> None:
    project.write(IMPORTS + FAMILY)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("second")
    document = project.document("down", "--now")
    assert [run["run"] for run in document["runs"]] == ["r1"]
    assert process.wait() == 3
    assert states(project) == {"r1": "paused", "r1.sub": "paused"}


def test_a_cancelled_child_of_a_paused_parent_fails_its_node(project: Project) -> None:
    die_in_the_child(project)
    assert project.run("pause", "r1").returncode == 0
    assert states(project) == {"r1": "paused", "r1.sub": "paused"}
    assert project.run("cancel", "r1.sub").returncode == 0
    project.touch("go")
    failed = project.run("up", "--resume", "r1")
    assert failed.returncode == 1
    assert "its run r1.sub was cancelled by" in failed.stderr
    assert project.run("up", "--resume", "r1").returncode == 0
    assert project.executed() == ["before", "first", "second", "second", "third", "after"]


def test_the_wait_of_a_child_is_the_wait_of_its_parent(project: Project) -> None:
    project.write(IMPORTS + RETRYING)
    left = project.run("up", "flow.py", "-r", "r1", "--linger", "1s")
    assert left.returncode == 3, left.stderr
    assert "waits:  to go on with sub at" in left.stderr
    assert states(project) == {"r1": "waiting", "r1.sub": "waiting"}

    assert "sub goes on in" in project.run("ps").stdout
    assert "waits to go on with sub" in project.run("why", "r1").stdout

    # Whoever resumes the one looks at the other: only that knows what its deadline is counted by.
    process = project.start("up", "--resume", "r1", "--linger", "5h")
    wait_until(lambda: states(project) == {"r1": "running", "r1.sub": "running"}, "both to go on")
    assert "sub: retries ask in" in project.run("ps").stdout
    process.kill()


def test_ps_and_why_count_down_to_the_retry_of_a_child(project: Project) -> None:
    project.write(IMPORTS + RETRYING)
    process = project.start("up", "flow.py", "-r", "r1", "--linger", "5h")
    wait_until(lambda: "sub: retries ask in" in project.run("ps").stdout, "the child to wait")
    assert "retries ask in" in project.run("why", "r1").stdout
    process.kill()


# --- Continued runs -----------------------------------------------------------------------------


def test_a_lineage_is_followed_by_every_command(project: Project) -> None:
    project.write(IMPORTS + NIGHTLY)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("step-2")
    assert states(project) == {"r1": "continued", "r1-2": "continued", "r1-3": "running"}

    listed = project.run("ps").stdout
    assert "r1-3" in listed
    assert "run 3 of its lineage" in listed
    assert "r1-2 " not in listed
    assert "r1 went on as r1-2; the newest of its lineage is r1-3" in " ".join(
        project.run(
            "why",
            "r1",
        )
        .stdout.replace("\n", " ")
        .split()
    ).replace(" just now", "")
    assert "it went on as r1-2; the newest is r1-3" in project.run("inspect", "r1").stdout
    assert "r1-2 went on as this one, run 3 of its lineage" in project.run("inspect", "r1-3").stdout
    refused = project.run("output", "r1")
    assert refused.returncode == 4
    assert "r1 went on as r1-2" in refused.stderr
    assert "smithers output r1-3" in refused.stderr
    assert "r1 went on as r1-2" in project.run("logs", "r1").stderr

    paused = project.run("pause", "r1", "--now")
    assert paused.returncode == 0
    assert "r1-3" in paused.stdout
    assert process.wait() == 3
    project.touch("go")
    done = project.run("up", "--resume", "r1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"text": "step 4"}
    assert "→ goes on as r1-4" in done.stderr
    assert "finished r1-5" in done.stderr
    assert project.executed() == ["step-0", "step-1", "step-2", "step-2", "step-3", "step-4"]


def test_a_kill_in_a_later_run_leaves_one_that_is_resumed(project: Project) -> None:
    project.write(IMPORTS + NIGHTLY)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("step-2")
    process.kill()
    process.wait()
    project.touch("go")
    assert project.run("up", "flow.py", "--resume").returncode == 0
    assert project.executed() == ["step-0", "step-1", "step-2", "step-2", "step-3", "step-4"]
    assert [word for word in states(project).values() if word != "continued"] == ["finished"]


def test_state_that_is_no_json_is_refused_with_its_line(project: Project) -> None:
    project.write(IMPORTS + "\n@workflow\ndef flow(ctx):\n    return ContinueAsNew({'at': {1, 2}})\n")
    refused = project.run("up", "flow.py", "-r", "r1")
    assert refused.returncode == 4
    assert "STATE_INVALID" in refused.stderr
    assert f"flow.py:{project.line('ContinueAsNew({')}" in refused.stderr
    assert project.runs() == []
