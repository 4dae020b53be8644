"""The contract of agents, kept by Gemini CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from smithers.agents import Gemini
from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentSessionLost, AgentThrottled
from smithers.ports import AgentReply
from smithers.records import Usage
from tests.contract.agent_case import RECORDED_MS, Case, recorded
from tests.contract.agent_contract import SESSION, AgentContract

FIRST = "00000000-0000-4000-8000-000000000001"


def _fails(case: str, error: type[AgentError], **details: Any) -> Case:
    return recorded("gemini", case, error=error, details=details)


class TestGemini(AgentContract):
    agent: ClassVar[type[CliAgent]] = Gemini
    success: ClassVar[Case] = recorded(
        "gemini",
        "write",
        reply=AgentReply('{"ok": true}', None, FIRST, Usage(2400, 68, 200, model="gemini-2.5-pro")),
    )
    resumes: ClassVar[Sequence[str] | None] = ("--resume", SESSION)
    changes: ClassVar[Mapping[str, Any]] = {
        "approval_mode": "plan",
        "allow_tools": ["read_file"],
        "include_directories": ["/elsewhere"],
        "system_prompt": "You are a walrus.",
    }
    failures: ClassVar[Sequence[Case]] = (
        _fails("401", AgentAuth, status=401),
        _fails("403", AgentAuth, status=403),
        _fails("429", AgentThrottled, status=429),
        _fails("429-retry-after", AgentThrottled, status=429),
        _fails("429-quota", AgentQuota, status=429),
        _fails("429-usage-limit", AgentQuota, status=429, resets_ms=RECORDED_MS + 7_200_000),
        _fails("500", AgentThrottled, status=500),
        _fails("529", AgentThrottled, status=529),
        _fails("cut", AgentThrottled),
        _fails("garbage", AgentThrottled),
        _fails("empty", AgentError),
        _fails("hang", AgentError),
        _fails("hang-after-first-event", AgentError, status=-9),
        recorded("gemini", "unknown-session", asks={"session": SESSION}, error=AgentSessionLost),
    )
