"""The contract of agents, kept by Claude Code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from smithers.agents import ClaudeCode
from smithers.agents.cli import CliAgent
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ports import AgentReply
from smithers.records import Usage
from tests.contract import claude_words as claude
from tests.contract.agent_case import RECORDED_MS, Case, recorded
from tests.contract.agent_contract import SESSION, AgentContract

FIRST = "00000000-0000-4000-8000-000000000001"
IN_TWO_HOURS = {"resets_ms": RECORDED_MS + 7_200_000}


def _reply(text: str, output: Any = None, calls: int = 1) -> AgentReply:
    """What a recorded run of so many requests comes to."""
    cost = 0.00384 * calls
    usage = Usage(1200 * calls, 34 * calls, 100 * calls, 0, cost, "cli", "claude-sonnet-4-5")
    return AgentReply(text, output, FIRST, usage, Usage(cost_usd=cost, cost_source="cli"))


def _fails(case: str, error: type[AgentError], status: int | None = None, **details: Any) -> Case:
    details |= {} if status is None else {"status": status}
    return recorded("claude", case, error=error, details=details)


def _said(name: str, stdout: str, error: type[AgentError], status: int = 1, **more: Any) -> Case:
    return Case(name=name, stdout=stdout, status=status, error=error, **more)


_BANNER = "Claude usage limit reached. Your limit will reset at 2am (UTC)."
_GONE = f"No conversation found with session ID: {SESSION}"


class TestClaudeCode(AgentContract):
    agent: ClassVar[type[CliAgent]] = ClaudeCode
    success: ClassVar[Case] = recorded("claude", "write", reply=_reply('{"ok": true}', calls=2))
    structured: ClassVar[Case | None] = recorded(
        "claude", "structured", reply=_reply('{"ok":true,"n":1}', {"ok": True, "n": 1}, calls=2)
    )
    resumes: ClassVar[Sequence[str] | None] = ("--resume", SESSION)
    forks: ClassVar[Sequence[str] | None] = ("--resume", SESSION, "--fork-session")
    changes: ClassVar[Mapping[str, Any]] = {
        "effort": "high",
        "permission_mode": "plan",
        "allow_tools": ["Read", "Bash(git *)", "mcp__demo__say"],
        "deny_tools": ["WebSearch"],
        "add_dirs": ["/elsewhere"],
        "system_prompt": "You are a walrus.",
        "append_system_prompt": "And a carpenter.",
        "mcp_config": {"mcpServers": {"demo": {"command": "demo"}}},
        "max_turns": 7,
        "max_budget_usd": 1.5,
        "fallback_model": "haiku",
    }
    failures: ClassVar[Sequence[Case]] = (
        _fails("401", AgentAuth, 401),
        _fails("403", AgentAuth, 403),
        _fails("429", AgentThrottled, 429),
        _fails("429-retry-after", AgentThrottled, 429),
        _fails("429-quota", AgentQuota, 429),
        _fails("429-usage-limit", AgentQuota, 429, **IN_TWO_HOURS),
        _fails("500", AgentThrottled, 500),
        _fails("529", AgentThrottled, 529),
        _fails("cut", AgentThrottled),
        _fails("garbage", AgentThrottled),
        _fails("length", AgentError),
        _fails("empty", AgentError),
        _fails("hang", AgentError, 143),
        _fails("hang-after-first-event", AgentError, -9),
        recorded("claude", "unknown-session", asks={"session": FIRST}, error=AgentSessionLost),
        _said("unknown session, on stderr", "", AgentSessionLost, asks={"session": SESSION}, stderr=_GONE),
        _said("not signed in", claude.refused("Not logged in", "authentication_failed", None), AgentAuth),
        _said("no such model", claude.refused("There's an issue", "model_not_found", 404), AgentUnfit),
        _said("too long", claude.refused("Prompt is too long", "invalid_request", 413), AgentUnfit),
        _said("no credit", claude.refused("Credit balance is too low", "billing_error", 400), AgentQuota),
        _said(
            "a key that is tried again",
            claude.lines(claude.init(), claude.retry("authentication_failed", 401)),
            AgentAuth,
            details={"status": 401},
        ),
        _said(
            "a limit with every sign of success",
            claude.lines(claude.init(), claude.own(_BANNER), claude.result(_BANNER)),
            AgentQuota,
            status=0,
            details=IN_TWO_HOURS,
        ),
        _said(
            "too many turns",
            claude.lines(claude.init(), claude.result(None, subtype="error_max_turns", is_error=True)),
            AgentError,
            details={"reason": "error_max_turns"},
        ),
        _said(
            "too many turns, as older versions say it",
            claude.lines(claude.init(), claude.result(None, subtype="error_max_turns")),
            AgentError,
            details={"reason": "error_max_turns"},
        ),
        _said(
            "a refusal",
            claude.lines(claude.init(), claude.result("No.", is_error=True, stop_reason="refusal")),
            AgentRefusal,
        ),
        _said("interrupted", claude.lines(claude.init(), claude.said("I am done.")), AgentError, status=0),
        _said("a bad flag", "", AgentUnfit, stderr="error: unknown option '--wat'\n"),
    )
