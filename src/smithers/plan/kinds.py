"""The few kinds of node a plan is made of: the vocabulary lowers itself to these, the scheduler runs them.

Plan nodes are immutable values. `payload` is what the vocabulary wants back when a task is due (the `Task`
itself); nothing here or in the scheduler looks inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from smithers.errors import Place
    from smithers.ids import NodeKey

MAX_DEPTH = 200
"""Deeper nesting is an authoring error: the interpreter's own recursion ends soon after."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The task that carries it waits for `target`."""

    target: str
    """Id of a task or a loop."""
    needs_output: bool = False
    """False: any settlement will do. True (`deps`, `needs`): without an output the task is skipped."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A leaf: one piece of work."""

    id: str
    edges: tuple[Edge, ...] = ()
    continue_on_fail: bool = False
    payload: Any = None
    place: Place | None = None
    enters: bool = False
    """It begins by waiting, for somebody or for a time: it is entered, which takes no slot. What runs, if
    anything does, runs after that."""
    is_async: bool = False
    """Once it is entered, the sequence around it goes on."""


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """Children one after another; a child starts when the one before it has settled."""

    children: tuple[PlanNode, ...] = ()
    id: str | None = None
    payload: Any = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ParallelPlan:
    """Children side by side; settled when all of them are."""

    children: tuple[PlanNode, ...] = ()
    cap: int | None = None
    """How many children may be in flight, that is, have a running attempt somewhere below them."""
    cancel_on_failure: bool = False
    """An unhandled failure below cancels what else runs below; otherwise it ends by itself."""
    id: str | None = None
    payload: Any = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """A body, pass after pass, until its driver says so or `max_iterations` passes have ended."""

    id: str
    body: PlanNode
    max_iterations: int | None = 5
    """None: no limit. A loop always makes at least one pass."""
    fail_on_max: bool = False
    payload: Any = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class TryPlan:
    """A body whose failure stops nothing but itself.

    Its parts are regions: `body`; `catch`, when the body has failed; `finally_`, however it ended.
    """

    id: str
    body: PlanNode
    catch: PlanNode | None = None
    finally_: PlanNode | None = None
    catch_errors: tuple[str, ...] = ()
    """Which failures the catch takes, by a name that they go by; none: all."""
    tolerates: bool = False
    """A failure that leaves the block is tolerated: what needs its outputs is skipped, the rest goes on."""
    payload: Any = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of a saga, and what undoes it."""

    action: PlanNode
    compensation: PlanNode | None = None


@dataclass(frozen=True, slots=True)
class SagaPlan:
    """Steps one after another; when one fails, those that are done are undone, last first.

    Each action and each compensation is a region. After the compensations the failure leaves the saga.
    """

    id: str
    steps: tuple[StepPlan, ...] = ()
    compensates: bool = True
    """False: a failure undoes nothing."""
    tolerates: bool = False
    """What was undone without a fault counts as tolerated; otherwise the failure is unhandled."""
    payload: Any = None
    place: Place | None = None


BlockPlan: TypeAlias = TryPlan | SagaPlan
"""What makes regions."""


@dataclass(frozen=True, slots=True)
class HolePlan:
    """A body that is not known before it is reached: `expand(key)` makes it, once per pass.

    Args of `expand`: the hole's own key (its id, and the pass it stands in). The result is cached until the
    driver says that what it was made from has changed (`Schedule.refill`).
    """

    id: str
    expand: Callable[[NodeKey], PlanNode]
    payload: Any = None
    place: Place | None = None


class Calls(Protocol):
    """What a script has asked for in one scope, so far."""

    @property
    def plans(self) -> Sequence[PlanNode]:
        """In the order in which they were asked for; only ever grows."""
        ...

    @property
    def is_closed(self) -> bool:
        """Nothing more will be asked for."""
        ...


@dataclass(frozen=True, slots=True)
class ScopePlan:
    """A place in a script: what the script asks for stands in it, side by side, while the script goes on.

    Each child is a call: its failure is its caller's business and stops nothing else. The scope has settled
    when it is closed and all of them have.
    """

    id: str
    calls: Callable[[NodeKey], Calls]
    """What is asked for in it, by the scope's own key."""
    cap: int | None = None
    """As in `ParallelPlan`."""
    payload: Any = None
    place: Place | None = None


PlanNode: TypeAlias = (
    TaskPlan | SequencePlan | ParallelPlan | LoopPlan | TryPlan | SagaPlan | HolePlan | ScopePlan
)
