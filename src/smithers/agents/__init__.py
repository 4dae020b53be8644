"""Agents: what answers prompts. One port (`smithers.ports.Agent`), one adapter a file."""

from smithers.agents.callable import CallableAgent as CallableAgent
from smithers.agents.callable import as_agent as as_agent
from smithers.agents.claude_code import ClaudeCode as ClaudeCode
from smithers.agents.rehearsal import RehearsalAgent as RehearsalAgent
from smithers.agents.sample import sample as sample

__all__ = ["CallableAgent", "ClaudeCode", "RehearsalAgent", "as_agent", "sample"]
