"""The contract of agents, kept by Codex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from smithers.agents import Codex
from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentSessionLost, AgentThrottled
from smithers.ports import AgentReply
from smithers.records import Usage
from tests.contract.agent_case import RECORDED_MS, Case, recorded
from tests.contract.agent_contract import AgentContract

FIRST = "00000000-0000-4000-8000-000000000001"
USAGE = Usage(2400, 68, 200)
"""Of two requests; its counters are those of the whole conversation."""


def _fails(case: str, error: type[AgentError], **details: Any) -> Case:
    return recorded("codex", case, error=error, details=details)


class TestCodex(AgentContract):
    agent: ClassVar[type[CliAgent]] = Codex
    success: ClassVar[Case] = recorded(
        "codex", "write", reply=AgentReply('{"ok": true}', None, FIRST, USAGE, USAGE)
    )
    structured: ClassVar[Case | None] = recorded(
        "codex",
        "structured",
        reply=AgentReply('{"ok": true, "n": 1}', {"ok": True, "n": 1}, FIRST, USAGE, USAGE),
    )
    session: ClassVar[str] = FIRST
    resumes: ClassVar[Sequence[str] | None] = ("resume", FIRST)
    resumed: ClassVar[Case | None] = recorded("codex", "resume")
    forks: ClassVar[Sequence[str] | None] = ("fork", FIRST)
    forked: ClassVar[Case | None] = recorded("codex", "fork")
    changes: ClassVar[Mapping[str, Any]] = {
        "effort": "high",
        "sandbox": "read-only",
        "dangerously_bypass_approvals_and_sandbox": True,
        "add_dirs": ["/elsewhere"],
        "developer_instructions": "You are a walrus.",
        "mcp_servers": {"demo": {"command": "demo"}},
        "profile": "work",
        "config": {"hide_agent_reasoning": True},
        "skip_git_repo_check": False,
    }
    failures: ClassVar[Sequence[Case]] = (
        _fails("401", AgentAuth, status=401),
        _fails("403", AgentAuth, status=403),
        _fails("429", AgentThrottled, status=429),
        _fails("429-retry-after", AgentThrottled, status=429),
        _fails("429-quota", AgentQuota),
        _fails("429-usage-limit", AgentQuota, resets_ms=RECORDED_MS + 7_200_000),
        _fails("500", AgentThrottled),
        _fails("529", AgentThrottled, status=529),
        _fails("cut", AgentThrottled),
        _fails("garbage", AgentThrottled),
        _fails("empty", AgentError),
        _fails("length", AgentError),
        _fails("hang", AgentError, status=-15),
        _fails("hang-after-first-event", AgentError, status=-9),
        recorded("codex", "unknown-session", asks={"session": FIRST}, error=AgentSessionLost),
    )
