"""The protocols that travel between rooms: programs, agents, and where facts are kept."""

from __future__ import annotations

from .agent import Agent as Agent
from .agent import AgentEvent as AgentEvent
from .agent import AgentReply as AgentReply
from .agent import AgentRequest as AgentRequest
from .agent import AgentTools as AgentTools
from .agent import NoticeEvent as NoticeEvent
from .agent import RetryEvent as RetryEvent
from .agent import SessionEvent as SessionEvent
from .agent import TextEvent as TextEvent
from .agent import ToolCallEvent as ToolCallEvent
from .agent import ToolResultEvent as ToolResultEvent
from .agent import UsageEvent as UsageEvent
from .process import Child as Child
from .process import Exit as Exit
from .process import Ledger as Ledger
from .process import Program as Program
from .process import Spawner as Spawner
from .process import Trace as Trace
from .process import WaitingChild as WaitingChild
from .store import Calls as Calls
from .store import Leases as Leases
from .store import Outsider as Outsider
from .store import Places as Places
from .store import Reader as Reader
from .store import Store as Store
from .store import Writer as Writer

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentReply",
    "AgentRequest",
    "AgentTools",
    "Calls",
    "Child",
    "Exit",
    "Leases",
    "Ledger",
    "NoticeEvent",
    "Outsider",
    "Places",
    "Program",
    "Reader",
    "RetryEvent",
    "SessionEvent",
    "Spawner",
    "Store",
    "TextEvent",
    "ToolCallEvent",
    "ToolResultEvent",
    "Trace",
    "UsageEvent",
    "WaitingChild",
    "Writer",
]
