"""Agents: what answers prompts. One port (`smithers.ports.Agent`), one adapter a file."""

from smithers.agents.antigravity import Antigravity as Antigravity
from smithers.agents.callable import CallableAgent as CallableAgent
from smithers.agents.callable import as_agent as as_agent
from smithers.agents.claude_code import ClaudeCode as ClaudeCode
from smithers.agents.codex import Codex as Codex
from smithers.agents.command import CommandAgent as CommandAgent
from smithers.agents.gemini import Gemini as Gemini
from smithers.agents.rehearsal import RehearsalAgent as RehearsalAgent
from smithers.agents.sample import sample as sample

__all__ = [
    "Antigravity",
    "CallableAgent",
    "ClaudeCode",
    "Codex",
    "CommandAgent",
    "Gemini",
    "RehearsalAgent",
    "as_agent",
    "sample",
]
