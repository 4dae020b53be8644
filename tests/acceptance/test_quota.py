"""Waiting for the limit of an account as a user sees it: `up`, `ps`, `inspect`, `why` and `node` agree."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from smithers.records import RunState
from tests.acceptance.process import PATIENCE_S, Project, wait_until
from tests.acceptance.test_up import Screen
from tests.fixtures.stores.kept import dumps, load

FLOW = """
from smithers import AgentReply, Subflow
from smithers.errors import AgentAuth, AgentQuota

class Agent:
    def __init__(self, name, account=None):
        self.name = name
        if account:
            self.account = account

    async def call(self, request):
        note(self.name)
        path = HERE / f"limit-{self.name}"
        if path.exists():
            raise AgentQuota("5-hour limit reached", resets_ms=int(path.read_text()))
        if self.name == "gemini":
            raise AgentAuth("nobody has signed in")
        return AgentReply(output={"text": f"by {self.name}"})

claude, codex, gemini = Agent("claude-code"), Agent("codex", account="team"), Agent("gemini")

@workflow
def flow(ctx):
    return Task("draft", Text, agent=[claude, codex, gemini], prompt="Write.", retries=0)

@workflow
def alone(ctx):
    return Sequence(
        Task("draft", Text, agent=claude, prompt="Write."), Task("after", Text, agent=claude, prompt="Write.")
    )

@workflow
def outer(ctx):
    return Subflow("inner", flow, Text, input={})
"""


@pytest.fixture
def limited(project: Project) -> Project:
    """Both accounts are used up: one for twelve minutes, the other for an hour."""
    project.write(FLOW)
    use_up(project, "claude-code", 720)
    use_up(project, "codex", 3_600)
    return project


def use_up(project: Project, agent: str, seconds: float) -> None:
    (project.folder / f"limit-{agent}").write_text(str(int((time.time() + seconds) * 1000)))


def parked(project: Project, run: str = "r1") -> dict[str, Any]:
    """The run's line in `ps`, once it only waits for a limit."""

    def line() -> dict[str, Any] | None:
        found = project.document("ps", "-a")["runs"] if project.store.exists() else []
        return next((one for one in found if (one["run"], one["shown"]) == (run, "waiting-quota")), None)

    wait_until(lambda: line() is not None, "the run to wait for a limit")
    found = line()
    assert found is not None
    return found


def test_while_its_owner_counts_down_every_view_says_whose_limit_it_is_and_until_when(
    limited: Project,
) -> None:
    process = limited.start("up", "flow.py:flow", "-r", "r1")
    line = parked(limited)
    assert (line["status"], line["owner"]["pid"], line["command"]) == ("running", process.pid, None)
    [limit] = line["quota"]
    assert (limit["account"], limit["reason"], limit["tasks"]) == ("claude-code", "5-hour limit reached", 1)
    assert re.fullmatch(r"claude-code until .*, in 1[12]m.*", line["detail"])

    run = limited.document("inspect", "r1")
    assert (run["status"], run["shown"], run["quota"]) == ("running", "waiting-quota", line["quota"])
    quota = run["nodes"][0]["quota"]
    assert [(one["agent"], one["state"], one["account"]) for one in quota["agents"]] == [
        ("claude-code", "parked", "claude-code"),
        ("codex", "unknown", None),
        ("gemini", "unknown", None),
    ]
    why = limited.document("why", "r1")
    assert why["summary"].startswith("r1 only waits for a limit to be reset: claude-code until ")
    assert [(one["kind"], one["quota"], one["due_at"]) for one in why["blockers"]] == [
        ("quota", quota, limit["until"])
    ]
    node = limited.document("node", "r1", "draft")
    assert (node["state"], node["due_at"], node["quota"]) == ("waiting", limit["until"], quota)

    screens = [
        limited.run(*words).stdout for words in (["inspect", "r1"], ["why", "r1"], ["node", "r1", "draft"])
    ]
    for text in screens:
        assert "claude-code until " in text
        assert "5-hour limit reached" in text
        assert "wait for the reset, or give the task another agent" in text
    assert max(len(text) for screen in screens for text in screen.splitlines()) <= 80
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert re.search(r"◷ draft waits for claude-code until .*, in 1[12]m.*: 5-hour limit reached", err)
    assert "next in" not in err


def test_ps_filters_by_it(limited: Project) -> None:
    limited.run("up", "flow.py:flow", "-r", "r1", "--linger", "0s")
    (limited.folder / "limit-claude-code").unlink()
    limited.run("up", "flow.py:alone", "-r", "r2", "--rehearse")
    assert [run["run"] for run in limited.document("ps", "-s", "waiting-quota")["runs"]] == ["r1"]
    assert [run["run"] for run in limited.document("ps", "-s", "waiting")["runs"]] == ["r1"]
    assert limited.run("ps", "-s", "paused", "-s", "running").stdout.startswith("No run is paused or running")


def test_a_run_that_leaves_says_for_whom_it_waits_until_when_why_and_who_wakes_it(limited: Project) -> None:
    done = limited.run("up", "flow.py:flow", "-r", "r1", "--linger", "5m")
    assert (done.returncode, done.stdout) == (3, "")
    assert re.search(
        r"  waits:  for claude-code until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, in 1[12]m", done.stderr
    )
    assert "  reason: its limit is used up: 5-hour limit reached\n" in done.stderr
    assert "nothing wakes it by itself: resume it then" in done.stderr
    (run,) = limited.runs()
    assert (run.state, run.owner) == (RunState.WAITING, None)
    line = parked(limited)
    assert line["command"] == "smithers up --resume r1"
    assert "smithers up --resume r1" in limited.run("ps").stdout
    assert limited.run("logs", "r1", "-f", "-n", "0").stderr.startswith(
        "r1 is waiting-quota and nobody drives it"
    )


def test_json_of_a_run_that_leaves_names_the_account(limited: Project) -> None:
    found = limited.document("up", "flow.py:flow", "-r", "r1", "--linger", "0s")
    (wait,) = found["waits"]
    assert (found["status"], wait["kind"], wait["account"]) == ("waiting", "quota", "claude-code")
    assert wait["due_at"] == limited.document("inspect", "r1")["nodes"][0]["due_at"]


def test_a_task_that_could_not_begin_says_the_same(limited: Project) -> None:
    """The process knows of the limit when the task's turn comes: no attempt is made."""
    limited.write(
        FLOW.replace(
            'Task("draft", Text, agent=claude,', 'Task("draft", Text, agent=[claude, lambda prompt: {}],'
        )
    )
    done = limited.run("up", "flow.py:alone", "-r", "r1", "--linger", "0s")
    assert re.search(r"◷ after waits for claude-code until .*: 5-hour limit reached", done.stderr)
    after = limited.document("node", "r1", "after")
    assert (after["attempts"], after["state"], after["quota"]["account"]) == ([], "waiting", "claude-code")
    assert after["why"].startswith("after waits for claude-code until ")


def test_a_run_whose_own_run_waits_says_for_whom(limited: Project) -> None:
    done = limited.run("up", "flow.py:outer", "-r", "r1", "--linger", "0s")
    assert "  waits:  for claude-code until " in done.stderr
    assert parked(limited)["quota"] == parked(limited, "r1.inner")["quota"]
    assert limited.document("inspect", "r1")["shown"] == "waiting-quota"
    assert "r1 only waits for a limit to be reset: claude-code" in limited.run("why", "r1").stdout
    assert "waits for claude-code until" in limited.run("inspect", "r1").stdout


def test_after_the_reset_the_run_goes_on_and_nothing_of_it_is_left(project: Project) -> None:
    project.write(FLOW)
    use_up(project, "claude-code", 1.5)
    process = project.start("up", "flow.py:alone", "-r", "r1")
    parked(project)
    (project.folder / "limit-claude-code").unlink()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    (line,) = project.document("ps")["runs"]
    assert (line["shown"], line["quota"]) == ("finished", [])


def test_the_live_tree_counts_down_to_the_reset(limited: Project) -> None:
    screen = Screen(limited, "up", "flow.py:flow", "-r", "r1", "--linger", "1h", columns=80)
    screen.read_until("1 waiting for quota · claude-code until ")
    assert re.search(r"◷ draft +waiting +claude-code until [^\r\n]*, in 1[12]m", screen.plain)
    assert "retrying" not in screen.plain
    limited.run("pause", "r1")
    assert screen.end() == 3


def test_a_store_from_before_there_were_accounts_is_shown_as_ever(tmp_path: Path, project: Project) -> None:
    for dump in dumps():
        store = tmp_path / f"{dump.stem}.db"
        load(dump, store)
        before = store.read_bytes()
        for words in (["ps"], ["inspect", "sequence"], ["why", "sequence"], ["node", "sequence", "publish"]):
            done = project.run(*words, "--store", str(store), "--json")
            assert (done.returncode, done.stderr) == (0, ""), (dump.stem, words)
        costs = [
            run["cost"]
            for run in json.loads(project.run("ps", "-a", "--store", str(store), "--json").stdout)["runs"]
        ]
        assert set(costs) == {None}
        assert store.read_bytes() == before
