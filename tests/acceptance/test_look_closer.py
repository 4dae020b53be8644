"""`events`, `node` and `tree`: what a run did, one node in full, and the tree at any frame."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.process import Project

FLOW = """
class Verdict(BaseModel):
    n: int

tries = []

def plan():
    tries.append(1)
    current().heartbeat({"step": len(tries)})
    if len(tries) == 1:
        raise ConnectionError("refused")
    return Text(text="the plan")

def review():
    note("review")
    return Verdict(n=len((HERE / "executed").read_text().split()))

@workflow
def flow(ctx):
    verdict = ctx.latest(Verdict, "review")
    first = Task("plan", Text, run=plan, timeout="1m", retry_policy=RetryPolicy(initial_delay=0.01))
    return Sequence(
        first,
        Loop(
            Task("draft", Text, value=Text(text="draft")),
            Task("review", Verdict, run=review),
            until=verdict is not None and verdict.n >= 2,
            max_iterations=5,
        ),
        Task("extra", Text, value=Text(text="extra")) if verdict else None,
    )
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run `r1` with a retry, two passes, and a task that came later."""
    project = Project(tmp_path_factory.mktemp("ended"))
    project.write(FLOW)
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 0, done.stderr
    return project


def events(project: Project, *words: str) -> list[dict[str, Any]]:
    done = project.run("events", "r1", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(project: Project, *words: str) -> dict[str, dict[str, Any]]:
    return {row["node"]: row for row in project.document("tree", "r1", *words)["nodes"]}


# --- events -------------------------------------------------------------------------------------


def test_events_without_a_condition_are_those_of_logs(ended: Project) -> None:
    assert ended.run("events", "r1").stdout == ended.run("logs", "r1").stdout
    assert ended.run("events", "r1", "--json").stdout == ended.run("logs", "r1", "--json").stdout


def test_events_of_one_node_of_one_pass_and_of_one_type(ended: Project) -> None:
    assert [e["event"] for e in events(ended, "--node", "plan")] == [
        *("node-started", "node-retrying", "node-started", "node-finished"),
    ]
    assert {e["iteration"] for e in events(ended, "--node", "review")} == {0, 1}
    assert [e["iteration"] for e in events(ended, "--node", "review[1]")] == [1, 1]
    assert [e["event"] for e in events(ended, "--node", "loop:draft")] == ["pass-ended", "loop-done"]
    kinds = {e["event"] for e in events(ended, "-t", "run-started", "-t", "run-finished")}
    assert kinds == {"run-started", "run-finished"}


def test_events_come_in_pages_that_meet_without_a_gap_or_a_repetition(ended: Project) -> None:
    for command in ("events", "logs"):
        whole = ended.run(command, "r1").stdout
        pages, after = "", 0
        while True:
            done = ended.run(command, "r1", "--after", str(after), "--limit", "3")
            pages += done.stdout
            if not done.stderr:
                break
            assert done.stderr.startswith(f"more: smithers {command} r1 --limit 3")
            after = int(done.stderr.split("--after ")[1])
        assert pages == whole


def test_a_page_of_some_events_says_how_to_go_on_with_the_same_ones(ended: Project) -> None:
    done = ended.run("events", "r1", "--node", "review[1]", "-t", "node-started", "--limit", "1")
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")
    done = ended.run("events", "r1", "--node", "review", "-t", "node-started", "--limit", "1")
    assert "--node review --type node-started --after " in done.stderr


def test_events_can_be_cut_by_time_and_by_count(ended: Project) -> None:
    assert events(ended, "--since", "1d") == events(ended)
    assert events(ended, "--since", "0s") == []
    assert [e["attempt"] for e in events(ended, "-n", "2", "--node", "plan")] == [2, 2]
    assert events(ended, "-n", "2", "--node", "plan") == events(ended, "--node", "plan")[-2:]


def test_following_events_ends_with_the_run(ended: Project) -> None:
    done = ended.run("events", "r1", "-f", "-t", "run-finished")
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "r1 finished\n")


# --- node ---------------------------------------------------------------------------------------


def test_a_node_is_shown_with_its_state_attempts_failures_limits_heartbeat_and_output(
    ended: Project,
) -> None:
    text = ended.run("node", "r1", "plan").stdout
    assert "plan of r1, which is finished" in text
    assert "plan finished" in text
    assert "Makes     Text, by run" in text
    assert "Limits    1m an attempt" in text
    assert 'Heartbeat {"step": 2}' in text
    assert 'Output    {"text":"the plan"}' in text
    attempts = [line.split() for line in text.splitlines() if line.startswith("      ")]
    assert [line[:2] for line in attempts[:1]] == [["1", "failed"]]
    assert "[ConnectionError] refused" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_node_in_json_has_all_of_inspect_and_what_is_only_shown_here(ended: Project) -> None:
    found = ended.document("node", "r1", "plan")
    (inspected,) = [node for node in ended.document("inspect", "r1")["nodes"] if node["node"] == "plan"]
    assert {name: found[name] for name in inspected} == inspected
    assert (found["status"], found["run"], found["mode"]) == ("finished", "r1", "run")
    assert (found["timeout_ms"], found["timeout_at"]) == (60_000, None)
    assert [a["failure"] for a in found["attempts"]] == ["crash", None]
    assert found["why"].startswith("plan finished")


def test_a_node_in_a_loop_is_its_latest_pass_or_the_one_that_is_named(ended: Project) -> None:
    assert ended.document("node", "r1", "review")["output"] == {"n": 2}
    assert ended.document("node", "r1", "review[0]")["output"] == {"n": 1}
    found = ended.document("node", "r1", "review", "--iteration", "0")
    assert (found["iteration"], found["output"]) == (0, {"n": 1})
    assert [one["iteration"] for one in found["passes"]] == [0, 1]


def test_a_container_is_no_node_to_look_into_and_says_what_is_in_it(ended: Project) -> None:
    done = ended.run("node", "r1", "loop:draft")
    assert done.returncode == 4
    assert "loop:draft is a loop, not a task; in it are draft, review" in done.stderr


def test_a_prompt_is_shown_by_its_hash(project: Project) -> None:
    project.write("""
        from smithers.agents import RehearsalAgent

        @workflow
        def flow(ctx):
            return Task("ask", Text, agent=RehearsalAgent(), prompt="hello")
    """)
    project.run("up", "flow.py", "-r", "r1")
    prompt = project.document("node", "r1", "ask")["attempts"][0]["prompt"]
    assert len(bytes.fromhex(prompt)) == 16
    assert f"Prompt    {prompt}" in project.run("node", "r1", "ask").stdout


def test_a_running_attempt_says_when_its_time_is_up(project: Project) -> None:
    project.reach_build("""
        @workflow
        def flow(ctx):
            return Task("build", Text, run=build, timeout="10m", heartbeat_timeout="5m")

        def build():
            note("build")
            wait_for("go")
            return Text()
    """)
    assert project.document("node", "r1", "build")["timeout_at"] is not None
    text = project.run("node", "r1", "build").stdout
    assert "Limits    10m an attempt, this one ends in " in text
    assert "5m without a heartbeat" in text


# --- tree ---------------------------------------------------------------------------------------


def test_the_tree_at_a_frame_has_the_states_of_that_moment(ended: Project) -> None:
    first = rows(ended, "--frame", "1")
    assert {node: row["state"] for node, row in first.items() if row["state"]} == {
        "plan": "running",
        "draft": "pending",
        "review": "pending",
    }
    assert "extra" not in first
    assert first["plan"]["ended"] is None
    second = rows(ended, "--frame", "2")
    assert (second["plan"]["state"], second["plan"]["tries"]) == ("waiting", 1)
    third = rows(ended, "--frame", "3")
    assert (third["plan"]["state"], third["plan"]["tries"]) == ("running", 2)


def test_every_row_says_in_which_frame_it_began_and_ended(ended: Project) -> None:
    now = rows(ended)
    assert {row["state"] for row in now.values() if row["kind"] == "task"} == {"finished"}
    assert (now["plan"]["began"], now["plan"]["ended"]) == (1, 4)
    # A loop began with its first pass; its tasks are shown in their last.
    assert now["loop:draft"]["began"] < now["draft"]["began"]
    assert (now["loop:draft"]["pass"], now["loop:draft"]["verdict"]) == (1, "until")
    assert now["extra"]["mounted_from"] > now["plan"]["mounted_from"] == 1
    for frame in range(1, ended.runs()[0].frame + 1):
        for row in rows(ended, "--frame", str(frame)).values():
            assert row["began"] is None or row["began"] <= frame
            assert row["ended"] is None or row["began"] <= row["ended"] <= frame


def test_the_tree_of_now_says_what_inspect_says(ended: Project) -> None:
    now = {node: row["state"] for node, row in rows(ended).items() if row["kind"] == "task"}
    assert now == ended.states("r1")
    found = ended.document("tree", "r1")
    assert (found["status"], found["frame"], found["frames"]) == (
        "finished",
        found["frames"],
        found["frames"],
    )


def test_a_tree_on_the_screen_has_a_line_a_node_and_says_what_was_before(ended: Project) -> None:
    lines = ended.run("tree", "r1").stdout.splitlines()
    assert lines[0].startswith("r1, frame ")
    lines = lines[lines.index("") + 1 :]
    assert lines[0].split() == ["NODE", "STATE", "BEGAN", "ENDED", "TREE"]
    assert lines[1].split() == ["✓", "plan", "finished", "1", "4", "1-"]
    assert lines[2].split()[:5] == ["↻", "loop:draft", "done", "in", "2"]
    assert lines[-1].startswith("earlier: smithers tree r1 --frame ")
    assert max(map(len, lines)) <= 80


def test_a_task_of_a_dead_process_is_interrupted_in_the_tree_of_now_and_ran_in_earlier_ones(
    project: Project,
) -> None:
    project.die_in_build()
    frame = project.runs()[0].frame
    assert "◌ build  interrupted" in project.run("tree", "r1").stdout
    assert "◌ build  interrupted" in project.run("tree", "r1", "--frame", str(frame)).stdout
    assert "◐ plan   running" in project.run("tree", "r1", "--frame", "1").stdout


def test_a_frame_that_is_not_there_is_refused_and_says_which_are(ended: Project) -> None:
    done = ended.run("tree", "r1", "--frame", "999")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("[FRAME_NOT_FOUND] r1 has no frame 999; they count from 1 to ")
