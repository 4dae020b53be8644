"""Agents: what answers prompts. One port (`smithers.ports.Agent`), one adapter a file."""

from smithers.agents.amp import Amp as Amp
from smithers.agents.callable import CallableAgent as CallableAgent
from smithers.agents.callable import as_agent as as_agent
from smithers.agents.claude_code import ClaudeCode as ClaudeCode
from smithers.agents.forge import Forge as Forge
from smithers.agents.kimi import Kimi as Kimi
from smithers.agents.opencode import OpenCode as OpenCode
from smithers.agents.pi import Pi as Pi
from smithers.agents.rehearsal import RehearsalAgent as RehearsalAgent
from smithers.agents.sample import sample as sample

__all__ = [
    "Amp",
    "CallableAgent",
    "ClaudeCode",
    "Forge",
    "Kimi",
    "OpenCode",
    "Pi",
    "RehearsalAgent",
    "as_agent",
    "sample",
]
