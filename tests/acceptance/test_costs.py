"""What agents have cost as a user sees it: by attempt, task, agent and run, in every view the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.process import Project

FLOW = """
from smithers import AgentReply, Subflow
from smithers.errors import AgentError
from smithers.ports import SessionEvent
from smithers.records import Usage

class Agent:
    def __init__(self, name, usage):
        self.name, self.usage = name, usage

    async def call(self, request):
        note(self.name)
        if (HERE / "broken").exists():
            # What it has spent until then it told while it worked.
            from smithers.ports import UsageEvent
            request.emit(UsageEvent(self.usage))
            raise AgentError("it broke")
        return AgentReply(output={"text": self.name}, usage=self.usage, session=f"{self.name}-7")

claude = Agent("claude-code", Usage(100_000, 20_000, 60_000, 0, 0.42, "cli", "opus"))
codex = Agent("codex", Usage(9_300, 700, 0, 0, 0.031, "prices", "gpt"))
pi = Agent("pi", Usage(4_000, 100))

@workflow
def flow(ctx):
    return Sequence(
        Task("plan", Text, agent=claude, prompt="Plan."),
        Task("check", Text, agent=codex, prompt="Check."),
        Task("read", Text, agent=pi, prompt="Read."),
        Task("count", Text, agent=lambda prompt: {"text": "3"}, prompt="Count."),
        Task("end", Text, value={"text": "done"}),
    )

@workflow
def cheap(ctx):
    return Task("plan", Text, agent=claude, prompt="Plan.", retries=0)

@workflow
def outer(ctx):
    return Sequence(
        Task("before", Text, agent=claude, prompt="Plan."), Subflow("inner", cheap, Text, input={})
    )

@workflow
def silent(ctx):
    return Task("count", Text, agent=lambda prompt: {"text": "3"}, prompt="Count.")
"""


@pytest.fixture
def priced(project: Project) -> Project:
    project.write(FLOW)
    return project


def cost(project: Project, run: str = "r1") -> dict[str, Any]:
    """What `ps`, `inspect` and `up` have agreed on."""
    line = next(one for one in project.document("ps", "-a")["runs"] if one["run"] == run)
    found: dict[str, Any] = line["cost"]
    assert project.document("inspect", run)["cost"] == found
    return found


def test_the_last_lines_of_up_and_its_json_say_what_was_spent(priced: Project) -> None:
    done = priced.run("up", "flow.py:flow", "-r", "r1")
    assert done.stderr.splitlines()[-2:] == [
        "finished r1",
        "  spent:  at least $0.45 by list prices, 134k tokens",
    ]
    again = priced.document("up", "--resume", "r1")
    assert again["cost"] == priced.document("up", "flow.py:flow", "-r", "r2")["cost"] == cost(priced)
    assert (again["cost"]["usd"], again["cost"]["source"], again["cost"]["priced"]) == (0.451, "prices", 2)


def test_nothing_is_said_of_costs_where_no_agent_told_of_any(priced: Project) -> None:
    done = priced.run("up", "flow.py:silent", "-r", "r1")
    assert done.stderr.splitlines()[-1] == "finished r1"
    assert "spent" not in done.stderr
    for words in (["ps"], ["inspect", "r1"], ["node", "r1", "count"]):
        text = priced.run(*words).stdout
        assert not any(word in text for word in ("COST", "TOKENS", "Spent"))
    assert cost(priced) is None


def test_inspect_has_it_by_task_by_agent_and_in_all_and_fits_eighty_columns(priced: Project) -> None:
    priced.run("up", "flow.py:flow", "-r", "r1")
    lines = priced.run("inspect", "r1").stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("Spent"))
    assert [line[10:] for line in lines[at : at + 5]] == [
        "at least $0.45 by list prices, 134k tokens",
        "113k in (60k from a cache), 20k out",
        "claude-code: $0.42, 120k tokens",
        "codex: $0.03 by list prices, 10k tokens",
        "pi: cost unknown, 4.1k tokens",
    ]
    rows = {line.split()[1]: line.split()[5:] for line in lines if line.startswith("✓")}
    assert rows == {
        "plan": ["120k", "$0.42", "claude-code"],
        "check": ["10k", "~$0.03", "codex"],
        "read": ["4.1k", "—", "pi"],
        "count": ["—", "—", "lambda"],
        "end": [],
    }
    assert max(map(len, lines)) <= 80


def test_node_has_it_by_attempt_with_the_conversation_and_all_attempts_count(priced: Project) -> None:
    priced.touch("broken")
    assert priced.run("up", "flow.py:cheap", "-r", "r1").returncode == 1
    (priced.folder / "broken").unlink()
    assert "spent:  $0.84, 240k tokens" in priced.run("up", "flow.py:cheap", "-r", "r1", "--resume").stderr
    assert cost(priced)["usd"] == 0.84
    node = priced.document("node", "r1", "plan")
    assert [one["cost"]["usd"] for one in node["attempts"]] == [0.42, 0.42]
    (call,) = node["attempts"][1]["calls"]
    assert (call["agent"], call["model"], call["session"]) == ("claude-code", "opus", "claude-code-7")
    lines = priced.run("node", "r1", "plan").stdout.splitlines()
    at = lines.index("Spent     $0.84, 240k tokens")
    assert lines[at + 1].strip() == "200k in (120k from a cache), 40k out"
    assert "    claude-code (opus), conversation claude-code-7" in lines
    assert sum("120k  $0.42" in line for line in lines) == 2
    assert max(map(len, lines)) <= 80


def test_ps_has_a_column_only_if_any_run_has_a_price(priced: Project) -> None:
    priced.run("up", "flow.py:silent", "-r", "r1")
    assert "COST" not in priced.run("ps").stdout
    priced.run("up", "flow.py:flow", "-r", "r2")
    head, first, second = priced.run("ps").stdout.splitlines()
    assert head.split()[-1] == "COST"
    assert first.split()[-1] == "~$0.45+"
    assert second.endswith(("s", "ms"))


def test_a_run_has_cost_what_its_own_runs_have(priced: Project) -> None:
    done = priced.run("up", "flow.py:outer", "-r", "r1")
    assert "  spent:  $0.84, 240k tokens" in done.stderr
    assert (cost(priced)["usd"], cost(priced, "r1.inner")["usd"]) == (0.84, 0.42)
    nodes = {node["node"]: node["cost"]["usd"] for node in priced.document("inspect", "r1")["nodes"]}
    assert nodes == {"before": 0.42, "inner": 0.42}


def test_a_call_is_a_row_for_anybody_with_sql(priced: Project) -> None:
    priced.run("up", "flow.py:flow", "-r", "r1")
    with closing(sqlite3.connect(priced.store)) as plain:
        rows = plain.execute(
            "SELECT node, agent, model, session, input_tokens, output_tokens, usd, cost_source"
            " FROM call_overview WHERE run = 'r1' ORDER BY told_at, node"
        ).fetchall()
        (total,) = plain.execute("SELECT sum(usd) FROM call_overview").fetchone()
    assert rows == [
        ("plan", "claude-code", "opus", "claude-code-7", 100_000, 20_000, 0.42, "cli"),
        ("check", "codex", "gpt", "codex-7", 9_300, 700, 0.031, "prices"),
        ("read", "pi", None, "pi-7", 4_000, 100, None, None),
    ]
    assert total == pytest.approx(0.451)
