"""Agents: a request goes in; events come out while it is worked on, and at last one reply or one error.

    AgentRequest ──► Agent.call ──► AgentEvent … ──► AgentReply
                                                └──► AgentError, which says what kind of failure it is

An agent is added by writing a file with a class that has `name` and `call`;
`tests/contract/agent_contract.py` says what it must keep. What else an agent may have is looked for by name:

    identity   Mapping: what its answers depend on; a resume and the cache compare it with the name
    account    str: whose limits it uses up; agents of one account are parked together. Default: `name`
    pool       str: which agents share places; None: as many run at once as the run allows. Default: None
    check      (AgentTools) -> None: raises `AgentUnfit` if it cannot keep to what a task says of its tools
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from smithers.errors import OutsideTask
from smithers.records import NOTHING, Usage

from .process import Child, Program

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from smithers.ids import NodeKey


# --- What happens meanwhile ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextEvent:
    """The agent said something; texts of one call joined are all that it said."""

    text: str
    is_reasoning: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallEvent:
    """It calls a tool."""

    id: str
    """Tells the calls of one conversation apart; its result carries the same. Empty: unknown."""
    name: str
    input: Any = None
    """JSON."""


@dataclass(frozen=True, slots=True)
class ToolResultEvent:
    """A tool has answered."""

    id: str
    text: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """What this call has cost so far; a later one stands for all of it."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """By which name this conversation can be continued: told as soon as it is known."""

    session: str


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """The agent's program tries a request again by itself."""

    reason: Literal["quota", "throttle", "auth", "server", "network", "other"]
    text: str = ""
    attempt: int = 0
    """Of its own; counts from 1."""
    delay_s: float | None = None
    """How long it waits before that."""


@dataclass(frozen=True, slots=True)
class NoticeEvent:
    """Anything else worth keeping: a warning, a denied permission, a line that is no event."""

    text: str


AgentEvent: TypeAlias = (
    TextEvent | ToolCallEvent | ToolResultEvent | UsageEvent | SessionEvent | RetryEvent | NoticeEvent
)
"""One sign of life of a working agent."""


# --- What is asked ------------------------------------------------------------------------------


class AgentTools(NamedTuple):
    """What a task says of the tools of its agent."""

    allow: tuple[str, ...] | None = None
    """These and no others, by the agent's own names; empty: none at all; None: as the agent is set up."""
    explicit_only: bool = False
    """The run was started so that a list that nobody wrote means none."""


ANY_TOOLS: Final = AgentTools()
"""Nothing is said of them."""


def _no_programs(program: Program) -> Child:
    raise OutsideTask(f"{program.argv[0]} was asked for outside a running attempt")


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What one call asks of an agent."""

    prompt: str
    schema: type[BaseModel] | None
    """Model the answer must validate against; None: plain text."""
    task: NodeKey
    run_id: str
    attempt: int
    """Counts from 1."""
    session: str | None = None
    """Conversation to continue, as an earlier event or reply named it."""
    forks: bool = False
    """Continue a copy of it, and leave it as it is."""
    counted: Usage = NOTHING
    """Where the counters of that conversation stood: for agents that count over all of it."""
    tools: AgentTools = ANY_TOOLS
    cwd: Path | None = None
    """Folder to work in; None: the agent's own, else where this process stands."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables for its program, beside what it would have."""
    now_ms: Callable[[], int] = lambda: int(time.time() * 1000)
    """Wall clock, for what is said of resets."""
    emit: Callable[[AgentEvent], None] = lambda event: None
    """Called for every sign of life; any event counts as a heartbeat. Safe from any thread."""
    options: Mapping[str, Any] = field(default_factory=dict)
    is_asking: Callable[[], bool] = lambda: False
    """Whether it has asked a person something, and has no answer yet: its silence means nothing then."""
    spawn: Callable[[Program], Child] = _no_programs
    """Start a program for this attempt. It blocks for some milliseconds: call it on a thread.

    Its whole tree ends with the attempt at the latest. Safe from any thread.
    """


@dataclass(frozen=True, slots=True)
class AgentReply:
    """One call's answer: `output` (structured) if the agent has it, else `text`."""

    text: str = ""
    output: Any = None
    """The model, or anything it validates; None: look into `text`."""
    session: str | None = None
    """Name by which this conversation can be continued."""
    usage: Usage | None = None
    """What this call has cost; None: as its last `UsageEvent` said, if there was one."""
    counted: Usage | None = None
    """Where the counters of the conversation stand, of an agent that counts over all of it."""


@runtime_checkable
class Agent(Protocol):
    """Anything that answers prompts. Add one by writing a class with these two members."""

    @property
    def name(self) -> str:
        """Short, stable, shown to people and stored with each attempt: `claude-code`, `rehearsal`."""
        ...

    def call(self, request: AgentRequest) -> Awaitable[AgentReply]:
        """Answer one request.

        Raises:
            AgentError: classified; any other exception counts as a crash of the agent.
        """
        ...
