"""What reaches the engine's thread: the closed set of messages in its mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from smithers.errors import SmithersError
from smithers.ids import NodeKey
from smithers.records import RunRow, RunState

from .definition import Definition
from .job import ChildWord, Job, Outcome
from .terms import Terms

if TYPE_CHECKING:
    from .handle import Handle


@dataclass(frozen=True, slots=True)
class New:
    """Create a run and drive it."""

    definition: Definition
    name: str | None
    """None: choose a short one."""
    input: str
    config: Mapping[str, Any]
    terms: Terms
    handle: Handle
    job: Job | None = None
    """The attempt of another run that it is."""
    number: int = 1
    """Rises with each of its names that is taken."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Drive a run that this process has claimed; if it does not begin, the engine gives it back."""

    definition: Definition
    row: RunRow
    fence: int
    terms: Terms
    handle: Handle
    again: tuple[NodeKey, ...] = ()
    """Settled nodes that are to be executed again."""
    marks: Mapping[NodeKey, bytes] = field(default_factory=dict)
    """As in `ResumePlan`."""
    afresh: frozenset[NodeKey] = frozenset()
    """Those among them that do not go on with the run that they had."""
    job: Job | None = None
    """The attempt of another run that it is."""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """An attempt's work has ended, in whatever way."""

    job: Job
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ChildCall:
    """Word of a run that an attempt is, before it begins."""

    job: Job
    word: ChildWord


@dataclass(frozen=True, slots=True)
class Beat:
    """An attempt says that it goes on, with data worth storing."""

    job: Job


@dataclass(frozen=True, slots=True)
class ScriptMoved:
    """A script has moves for its run."""

    run: int


@dataclass(frozen=True, slots=True)
class StopRun:
    """Pause or cancel a run of this engine."""

    handle: Handle
    state: RunState


def _keep() -> None:
    """Nothing was installed."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Drive a run of this engine by another definition of its workflow, from its next frame on.

    If the run cannot go on by it, it stays with the one it has, and a warning is stored that says why.
    """

    handle: Handle
    definition: Definition
    changed: tuple[str, ...]
    """Files that were edited, as they are shown."""
    install: Callable[[], Callable[[], None]] = lambda: _keep
    """Makes its modules the ones that are found by their names; returns what takes that back."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """What was edited of a run's workflow cannot even be imported: have a warning stored."""

    handle: Handle
    error: SmithersError


@dataclass(frozen=True, slots=True)
class Lost:
    """This engine's lease is gone, and with it everything it held."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the engine's thread; runs it still drives stay resumable."""

    done: Callable[[], None]


Message: TypeAlias = (
    New | Resume | JobEnded | ChildCall | Beat | ScriptMoved | StopRun | Swap | Unfit | Lost | Close
)
