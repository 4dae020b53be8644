"""One attempt on its way: what the engine hands to the author's side, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from smithers.context import Context, Current, View, ambient, running_as
from smithers.errors import SmithersError
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.ports import Agent
from smithers.process import AttemptProcesses
from smithers.records import CallRow, FailureClass, RunRow

from .budgets import Reserved
from .cache import Caching
from .desk import Out
from .places import AgentPlaces, Place


@dataclass(frozen=True, slots=True)
class Done:
    """The attempt finished; `body` is the stored JSON text."""

    body: str
    agent: str | None = None
    prompt: bytes | None = None
    in_part: bool = False
    """It was a run of its own, which tolerated a failure."""
    suspect: str | None = None
    """Why its agent's answer looks like a placeholder; None: it does not."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed."""

    failure: FailureClass
    error: Mapping[str, Any]
    agent: str | None = None
    prompt: bytes | None = None
    is_running: bool = False
    """Its code is still going on: a thread cannot be ended from outside."""
    retry_at_ms: int | None = None
    """Wall clock before which another try is of no use; None: nobody knows of such a time."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """A callable read an output that is not there yet."""

    target: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The attempt was cancelled and does not count."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The attempt was a run of its own, which is paused, or waits for a time: the node is open again."""

    run: str
    """Its name; empty: it could not be driven, because of the store or of another owner."""
    due_ms: int | None = None
    """When to look at it again, by the clock that frames are stamped by; None: somebody has to resume it, or
    to answer."""
    is_waiting: bool = False
    """It waits for a time or for somebody, and was not paused."""
    error: Mapping[str, Any] | None = None
    """Why it is paused, if it has said so."""


Outcome: TypeAlias = Done | Failed | NotYet | Stopped | Parked


@dataclass(frozen=True, slots=True)
class Called:
    """The input of a run that is to begin, as it is stored."""

    input: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that is to go on is ours."""

    row: RunRow
    fence: int


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """A run that is to go on could not be taken over."""

    error: SmithersError


ChildWord: TypeAlias = Called | Claimed | NotClaimed
"""What is heard of the run of an attempt before it begins."""


@dataclass(slots=True, eq=False)
class Job:
    """One attempt in flight. The engine's thread owns every field that does not say otherwise."""

    run: int
    fence: int
    """Of the owner that began it."""
    task: Task[Any]
    model: type[Any] | None
    """What the output must fit; None: any JSON object."""
    key: NodeKey
    generation: int
    attempt: int
    view: View
    ctx: Context[Any]
    chain: tuple[Agent, ...]
    """Agents to try, best first; those that fail to sign in are passed over within the attempt."""
    last_heartbeat: Any
    base: Path | None
    """Folder of the workflow's file, for prompts."""
    project: Path | None
    report: Callable[[Job, Outcome], None]
    """Called once from any thread when the work has ended."""
    beat: Callable[[Job, str | None], None]
    started_ms: int = 0
    """Monotonic."""
    last_beat_ms: int = 0
    """Monotonic; written from the author's side."""
    handle: asyncio.Task[None] | None = None
    """The coroutine it runs as; set on the author's loop."""
    loop: asyncio.AbstractEventLoop | None = None
    is_begun: bool = False
    """A line of its coroutine has run, so no other loop may take it over; guarded by the author's lock."""
    timed_out: Failed | None = None
    """Its time is up: whatever it still returns is discarded."""
    is_cancelled: bool = False
    stored_beat_ms: int = 0
    """Monotonic: when heartbeat data was last sent to the engine; written from the author's side."""
    pending_beat: str | None = None
    """The newest heartbeat data, as JSON text; written from the author's side."""

    call: Callable[[Job, ChildWord], None] | None = None
    """Where word of its own run goes, from any thread; None: it is none."""
    child: int | None = None
    """Run that it goes on with."""
    retries_child: bool = False
    """That run finished in part, and is to try again what failed."""
    instead_of: int | None = None
    """Run of another workflow that the node had before."""
    begun: Callable[[Job], None] | None = None
    """Told before a line of its code has run; set when it is dispatched."""

    processes: AttemptProcesses | None = None
    """What it may start programs with; set when it is dispatched."""
    caching: Caching | None = None
    """The cache, for a task that has one; written from the author's side until the attempt is reported."""

    out: Out = field(default_factory=Out)
    policies: tuple[Callable[[Any], object], ...] = ()
    """Asked before it begins: those of the runs that its run is a child of, and its own."""
    explicit_tools: bool = False
    """A task that says nothing of its agent's tools gives it none."""
    reserved: dict[NodeKey, Reserved] = field(default_factory=dict)
    """What it has put aside, by budget."""
    place: Place | None = None
    """That of its first agent, in a pool; given back when it is reported."""
    places: AgentPlaces | None = None
    """Where the next ones of its chain get theirs."""
    had_bad_output: bool = False
    """An attempt before has failed for its answer."""
    is_rerun: bool = False
    """Somebody has asked to execute it again: it begins anew, whatever was there."""
    asks: int = 0
    """Questions of its agent that a person has not answered yet."""
    asked: int = 0
    """How many agents it has asked; written from the author's side."""
    calls: list[CallRow] = field(default_factory=list)
    """What was asked of agents; written from the author's side until the attempt is reported."""

    def tell_begun(self) -> None:
        """Tell whoever wants to know that a line of its code is about to run."""
        if self.begun is not None:
            self.begun(self)

    def enter(self) -> None:
        """Make `ctx` and `current()` mean this attempt, in this context."""
        ambient.set(self.view)
        running_as.set(
            Current(self.ctx, self.key, self.attempt, self.last_heartbeat, partial(self.beat, self))
        )

    @property
    def can_be_ended(self) -> bool:
        """Whether its code can be ended from outside: a thread cannot."""
        return self.loop is not None or self.processes is not None

    def __str__(self) -> str:
        return f"{self.key} attempt {self.attempt}"
