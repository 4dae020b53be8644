"""`up --linger`: how long a run that only waits for a time keeps its process."""

from __future__ import annotations

import json

from smithers.records import RunState
from tests.acceptance.process import Project, wait_until

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

@workflow
def beside(ctx):
    return Parallel(
        Task("fetch", Text, run=fetch, retry_policy=RetryPolicy(initial_delay="1h", max_delay="2h")),
        Task("slow", Text, run=slow),
    )

def slow():
    note("slow")
    wait_for("go")
    return Text(text="slow")
"""


def events(project: Project) -> list[str]:
    out = project.run("logs", "r1", "--json").stdout
    return [json.loads(line)["event"] for line in out.splitlines()]


def test_a_run_that_waits_longer_is_parked_with_3_and_says_for_what_until_when_and_who_wakes_it(
    project: Project,
) -> None:
    project.write(FLOW)
    done = project.run("up", "flow.py:flow", "-r", "r1", "--linger", "30m")
    assert (done.returncode, done.stdout) == (3, "")
    assert "waiting r1" in done.stderr
    assert "waits:  to try fetch again at " in done.stderr
    assert "nothing wakes it by itself" in done.stderr
    assert "resume: smithers up flow.py:flow --run-id r1 --resume" in done.stderr
    (run,) = project.runs()
    assert (run.state, run.owner) == (RunState.WAITING, None)
    assert events(project)[-1] == "run-waiting"
    assert "smithers up --resume r1" in project.run("ps").stdout


def test_a_run_that_is_parked_beside_a_supervisor_says_who_wakes_it(project: Project) -> None:
    project.write(FLOW)
    project.run("up", "flow.py:flow", "-r", "r1", "--linger", "0")
    supervisor = project.start("supervise", "--json")
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    done = project.run("up", "flow.py:flow", "-r", "r2", "--linger", "0")
    assert f"process {supervisor.pid} (`smithers supervise`) wakes it then" in done.stderr


def test_a_run_that_waits_no_longer_stays_and_goes_on(project: Project) -> None:
    project.write(FLOW)
    (project.folder / "delay").write_text("300ms")
    process = project.start("up", "flow.py:flow", "-r", "r1", "--linger", "10s")
    wait_until(lambda: project.executed().count("fetch") > 1, "a second try")
    project.touch("up")
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, '{"text": "fetched"}\n')
    assert "run-waiting" not in events(project)


def test_a_run_is_not_parked_while_a_task_runs(project: Project) -> None:
    project.write(FLOW)
    process = project.start("up", "flow.py:beside", "-r", "r1", "--linger", "0s")
    wait_until(
        lambda: bool(project.runs()) and project.states("r1") == {"fetch": "waiting", "slow": "running"},
        "one to wait and one to run",
    )
    project.touch("go")
    process.communicate(timeout=30)
    assert process.returncode == 3
    assert project.states("r1") == {"fetch": "waiting", "slow": "finished"}


def test_a_resume_waits_on_and_consumes_no_try(project: Project) -> None:
    project.write(FLOW)
    project.run("up", "flow.py:flow", "-r", "r1", "--linger", "0s")
    (before,) = project.document("inspect", "r1")["nodes"]
    found = project.document("up", "--resume", "r1", "--linger", "10m")
    assert found["status"] == "waiting"
    (after,) = project.document("inspect", "r1")["nodes"]
    assert (after["due_at"], len(after["attempts"])) == (before["due_at"], 1)
    assert project.executed() == ["fetch"]


def test_a_resume_does_at_once_what_has_come_due(project: Project) -> None:
    project.write(FLOW)
    (project.folder / "delay").write_text("200ms")
    assert project.run("up", "flow.py:flow", "-r", "r1", "--linger", "0s").returncode == 3
    project.touch("up")
    done = project.run("up", "--resume", "r1", "--linger", "5s")
    assert (done.returncode, done.stdout) == (0, '{"text": "fetched"}\n')
    (node,) = project.document("inspect", "r1")["nodes"]
    assert [a["state"] for a in node["attempts"]] == ["failed", "finished"]


def test_json_says_what_a_parked_run_waits_for(project: Project) -> None:
    project.write(FLOW)
    found = project.document("up", "flow.py:flow", "-r", "r1", "--linger", "1m")
    (wait,) = found["waits"]
    assert (found["status"], wait["kind"], wait["node"]) == ("waiting", "retry", "fetch")
    assert wait["due_at"] == project.document("inspect", "r1")["nodes"][0]["due_at"]


def test_a_run_in_the_background_lingers_as_long(project: Project) -> None:
    project.write(FLOW)
    done = project.run("up", "flow.py:flow", "-r", "r1", "-d", "--linger", "1m")
    assert done.returncode == 0
    wait_until(lambda: project.runs()[0].state is RunState.WAITING, "the run to be parked")
    log = project.store.parent / "logs" / "r1.log"
    wait_until(lambda: "waits:  to try fetch again" in log.read_text(), "its last words")


def test_what_is_no_span_is_refused(project: Project) -> None:
    project.write(FLOW)
    done = project.run("up", "flow.py:flow", "--linger", "soon")
    assert (done.returncode, project.runs()) == (4, [])
    assert "write seconds, or text such as 30s" in done.stderr
