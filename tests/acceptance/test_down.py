"""`down`: every run of the project that somebody drives, or drove until it died."""

from __future__ import annotations

import json

from tests.acceptance.process import STEPS, Project, wait_until

WAITS = """
def fetch():
    raise ConnectionError("refused")

@workflow
def flow(ctx):
    return Task("fetch", Text, run=fetch, retry_policy=RetryPolicy(initial_delay="1h", max_delay="1h"))
"""


def build(project: Project, *runs: str) -> list[int]:
    """Start runs, wait until all are in their second task; returns the pids."""
    project.write(STEPS)
    before = project.executed().count("build")
    started = [project.start("up", "flow.py", "-r", run) for run in runs]
    wait_until(lambda: project.executed().count("build") == before + len(runs), "all to build")
    return [process.pid for process in started]


def test_live_and_dead_owners_are_seen_to_and_all_else_is_left_alone(project: Project) -> None:
    project.write(WAITS, "waits.py")
    project.run("up", "waits.py", "-r", "parked", "--linger", "0s")
    live, dead = build(project, "live", "dead")
    project.started[-1].kill()
    project.started[-1].wait()
    done = project.run("down", "--now", COLUMNS="120")
    assert done.returncode == 0
    head, *lines = done.stdout.splitlines()
    first, second = sorted(lines)  # they began at the same time
    assert head.split() == ["RUN", "OWNER", "WHAT", "HAPPENED"]
    assert first.startswith("dead  process ")
    assert first.endswith("is paused (its owner was dead)")
    assert f"process {dead} on" in first
    assert second.startswith("live  process ")
    assert second.endswith(f"was paused by its owner, process {live}")
    assert {run.name: run.state.word for run in project.runs()} == {
        "parked": "waiting",
        "live": "paused",
        "dead": "paused",
    }
    project.touch("go")
    assert project.run("up", "--resume", "live").returncode == 0


def test_what_still_runs_is_named_and_the_exit_code_says_that_it_is_not_done(project: Project) -> None:
    build(project, "r1", "r2")
    done = project.run("down", "--wait", "0.3s")
    assert done.returncode == 1
    assert done.stdout.count("is draining: nothing new starts, build (") == 2
    assert "cut off: smithers down --now" in done.stderr
    project.touch("go")
    assert project.run("down", "--wait", "30s").returncode == 0
    assert {run.state.word for run in project.runs()} == {"finished"}


def test_nothing_to_do_says_so(project: Project) -> None:
    done = project.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing to pause")
    assert not project.store.exists()
    project.write(STEPS)
    project.touch("go")
    project.run("up", "flow.py")
    assert project.run("down").stdout.startswith("Nothing to pause")


def test_json_has_a_line_a_run(project: Project) -> None:
    (pid,) = build(project, "r1")
    done = project.run("down", "--now", "--json")
    found = json.loads(done.stdout)
    assert (found["status"], len(found["runs"])) == ("ok", 1)
    (run,) = found["runs"]
    assert {name: run[name] for name in ("run", "status", "did", "asked_pid", "running")} == {
        "run": "r1",
        "status": "paused",
        "did": "owner",
        "asked_pid": pid,
        "running": [],
    }
