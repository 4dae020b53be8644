"""Agents: what answers prompts. One port (`smithers.ports.Agent`), one adapter a file.

Each is imported when it is first used: a command that only looks for agents pays for none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smithers.agents.amp import Amp as Amp
    from smithers.agents.antigravity import Antigravity as Antigravity
    from smithers.agents.callable import CallableAgent as CallableAgent
    from smithers.agents.callable import as_agent as as_agent
    from smithers.agents.claude_code import ClaudeCode as ClaudeCode
    from smithers.agents.codex import Codex as Codex
    from smithers.agents.command import CommandAgent as CommandAgent
    from smithers.agents.forge import Forge as Forge
    from smithers.agents.gemini import Gemini as Gemini
    from smithers.agents.kimi import Kimi as Kimi
    from smithers.agents.opencode import OpenCode as OpenCode
    from smithers.agents.pi import Pi as Pi
    from smithers.agents.rehearsal import RehearsalAgent as RehearsalAgent
    from smithers.agents.sampler import sample as sample

_HOMES = {
    "Amp": "smithers.agents.amp",
    "Antigravity": "smithers.agents.antigravity",
    "CallableAgent": "smithers.agents.callable",
    "ClaudeCode": "smithers.agents.claude_code",
    "Codex": "smithers.agents.codex",
    "CommandAgent": "smithers.agents.command",
    "Forge": "smithers.agents.forge",
    "Gemini": "smithers.agents.gemini",
    "Kimi": "smithers.agents.kimi",
    "OpenCode": "smithers.agents.opencode",
    "Pi": "smithers.agents.pi",
    "RehearsalAgent": "smithers.agents.rehearsal",
    "as_agent": "smithers.agents.callable",
    "sample": "smithers.agents.sampler",
}
"""Where each public name lives. None is called like a module in here, or that would stand in its place."""

__all__ = [
    "Amp",
    "Antigravity",
    "CallableAgent",
    "ClaudeCode",
    "Codex",
    "CommandAgent",
    "Forge",
    "Gemini",
    "Kimi",
    "OpenCode",
    "Pi",
    "RehearsalAgent",
    "as_agent",
    "sample",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'smithers.agents' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
