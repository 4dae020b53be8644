"""What a run is driven under, how it reaches the engine, and how it left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smithers.clock import Clock
from smithers.nodes import Task
from smithers.ports import Agent
from smithers.records import NoticeKind, RunState, Wakeup

from .budgets import Outer
from .cache_reader import CacheReader
from .definition import Definition
from .job import ChildWord, Job, Outcome
from .places import AgentPlaces
from .table import FindTable


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run was started with."""

    source: str
    limit: int | None
    project: Path | None
    agents: Callable[[Task[Any]], tuple[Agent, ...]]
    """The chain of a task; a rehearsal answers with one agent for all."""
    linger_ms: int | None = None
    """How long the run is kept here while it only waits for a time; None: for ever, unless it waits for a
    person or a message as well."""
    find_table: FindTable | None = None
    """Looks for a table of the user's in the run's database; None: there is none to look at."""
    parked_until_ms: Callable[[str], int | None] = lambda account: None
    """Wall clock at which an account may be asked again, as far as is known; None: now."""
    places: AgentPlaces | None = None
    """What gives places to agents; None: as many as you like."""
    strict: bool = False
    """Every render is made twice, and must give the same."""
    cache: CacheReader | None = None
    """What tasks with a cache look into; None: they neither look nor store, as in a rehearsal."""
    is_leaving: bool = False
    """The process ends when the run leaves it: a script is dropped then, and no line of it runs any more."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """As it is stored with the run: what its children and successors inherit."""
    policies: tuple[Callable[[Any], object], ...] = ()
    """Of the runs that it is a child of: they have a word in it, too."""
    outer: Outer | None = None
    """Where it stands as a child run."""
    notices: frozenset[NoticeKind] = frozenset()
    """What somebody wants to be told of."""
    ancestors: tuple[str, ...] = ()
    """Workflows of the runs that it is a child of, outermost first."""
    stays: bool = False
    """It is kept here while it waits for people and messages, too."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run left its owner."""

    state: RunState
    error: Mapping[str, Any] | None
    asked_by: str | None = None
    """Whose message paused or cancelled it."""
    waits: tuple[Wakeup, ...] = ()
    """Of a parked run: its deadlines, the earliest first."""
    due_ms: int | None = None
    """Of a parked run: when to look again, by the clock that frames are stamped by; None: when somebody has
    answered."""
    carried: str | None = None
    """Of a run that goes on as another: what it hands over, as JSON text."""


@dataclass(frozen=True, slots=True)
class Wires:
    """How an attempt reaches the engine, from any thread."""

    report: Callable[[Job, Outcome], None]
    beat: Callable[[Job, str | None], None]
    moved: Callable[[int], None]
    """A script of this run has moves for the engine."""
    clock: Clock
    """What frames are stamped by."""
    wall: Clock
    """The machine's own, which may be set back."""
    call: Callable[[Job, ChildWord], None]


def policies_of(definition: Definition, terms: Terms) -> tuple[Callable[[Any], object], ...]:
    """Who is asked before an attempt of a run begins."""
    own = definition.policy
    return terms.policies if own is None else (*terms.policies, own)
