"""Where failures stop: a body with a catch and a last part, and steps that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Literal, TypeAlias

from smithers.errors import InvalidNode
from smithers.ids import NodeKey, check_node_id
from smithers.plan import HolePlan, PlanNode, SagaPlan, StepPlan, TryPlan

from .node import Child, Lowering, Node, children_of, first_of, here


@dataclass(frozen=True, slots=True)
class Caught:
    """The failure that a catch is about."""

    code: str
    """What it goes by, such as `TASK_TIMEOUT`, or the name of an exception."""
    message: str
    node: str
    """Id of the task or loop that failed."""
    place: str | None = None
    """File and line, where they are known."""


class TryCatchFinally(Node):
    """A body whose failure stops nothing but itself.

    A failure that no retry follows ends the body: what runs in it ends by itself, nothing new starts. Then
    `catch` runs, and what stands after the block goes on; without one that takes it the block fails.
    `finally_` runs however the body ended, also when the run fails elsewhere or is cancelled.

    Args:
        body: children, as a sequence.
        catch: what to do about a failure: children, or a function of the failure that returns them.
        catch_errors: codes of the failures that the catch takes, or their classes (`timeout`, `crash`, …);
            default: all.
        finally_: what to do last.
        id: the block's memory goes by it; default: `try:` and the first task inside.
    """

    __slots__ = ("body", "catch", "catch_errors", "finally_", "id")

    def __init__(
        self,
        *body: Child,
        catch: Child | Callable[[Caught], Child] = None,
        catch_errors: SequenceOf[str] = (),
        finally_: Child = None,
        id: str | None = None,
    ) -> None:
        self.place = here()
        self.body = children_of(body, self.place)
        self.catch = catch if callable(catch) else children_of((catch,), self.place)
        self.finally_ = children_of((finally_,), self.place)
        if isinstance(catch_errors, str) or not all(isinstance(code, str) and code for code in catch_errors):
            raise InvalidNode(
                f"catch_errors={catch_errors!r} is not a list of codes",
                hint='write catch_errors=["TASK_TIMEOUT"]',
                place=self.place,
            )
        self.catch_errors = tuple(catch_errors)
        if self.catch_errors and not self.catch:
            raise InvalidNode(
                f"catch_errors={list(self.catch_errors)!r} without a catch",
                hint="say what is to be done about them: catch=Task(...)",
                place=self.place,
            )
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        name = self.id or lowering.name("try", first_of(self.body))
        body = lowering.tree(self.body, self.place)
        catch = self._catch(lowering, name)
        last = lowering.tree(self.finally_, self.place) if self.finally_ else None
        return TryPlan(name, body, catch, last, self.catch_errors, payload=self, place=self.place)

    def _catch(self, lowering: Lowering, name: str) -> PlanNode | None:
        catch = self.catch
        if not callable(catch):
            return lowering.tree(catch, self.place) if catch else None

        def expand(key: NodeKey) -> PlanNode:
            block = NodeKey(name, key.scope, key.iteration)
            return lowering.expand(lambda: catch(lowering.bodies.caught(block)), key, self.place)

        return HolePlan(f"{name}:catch", expand, self, self.place)

    def first_id(self) -> str | None:
        return self.id or first_of(self.body)

    def targets(self) -> tuple[str, ...] | None:
        # By its own id only: its tasks have settled before its last part has.
        return None if self.id is None else (self.id,)


class SagaStep:
    """One step of a saga.

    Args:
        action: what it does: a child, or a list of children as a sequence.
        compensation: what undoes it, when a later step fails; None: nothing does.
    """

    __slots__ = ("action", "compensation", "place")

    def __init__(self, action: Child, compensation: Child = None) -> None:
        self.place = here()
        self.action = children_of((action,), self.place)
        self.compensation = children_of((compensation,), self.place)
        if not self.action:
            raise InvalidNode(
                "a step of a saga without an action",
                hint="leave the whole step out: `SagaStep(...) if cond else None`",
                place=self.place,
            )


Step: TypeAlias = SagaStep | Literal[False] | None


class Saga(Node):
    """Steps one after another; when one fails, those before it are undone, last first.

    A step is done when its action has settled. The failed step itself is not undone. A compensation that
    fails is recorded and the rest still run, and then the saga fails. What has begun is undone also when
    the run fails elsewhere or is cancelled.

    Args:
        steps: `SagaStep`s, `None` or `False` for absent ones, or iterables of them.
        on_failure: `"compensate"` goes on after the saga, and the run ends partial; `"compensate-and-fail"`
            fails when all is undone; `"fail"` fails at once and undoes nothing.
        id: the saga's memory goes by it; default: `saga:` and the first task inside.
    """

    __slots__ = ("id", "on_failure", "steps")

    def __init__(
        self,
        *steps: Step | Iterable[Step],
        on_failure: Literal["compensate", "compensate-and-fail", "fail"] = "compensate",
        id: str | None = None,
    ) -> None:
        self.place = here()
        if on_failure not in ("compensate", "compensate-and-fail", "fail"):
            raise InvalidNode(
                f'on_failure={on_failure!r} is not "compensate", "compensate-and-fail" or "fail"',
                place=self.place,
            )
        found: list[SagaStep] = []
        for one in steps:
            several = isinstance(one, Iterable) and not isinstance(one, str)
            for step in one if several else (one,):  # type: ignore[union-attr]
                if isinstance(step, SagaStep):
                    found.append(step)
                elif step is not None and step is not False:
                    raise InvalidNode(
                        f"{type(step).__name__} is not a step of a saga",
                        hint="write SagaStep(action, compensation)",
                        place=self.place,
                    )
        self.steps = tuple(found)
        self.on_failure = on_failure
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        name = self.id or lowering.name("saga", self._first())
        steps = tuple(
            StepPlan(
                lowering.tree(step.action, step.place),
                lowering.tree(step.compensation, step.place) if step.compensation else None,
            )
            for step in self.steps
        )
        compensates, tolerates = self.on_failure != "fail", self.on_failure == "compensate"
        return SagaPlan(name, steps, compensates, tolerates, self, self.place)

    def _first(self) -> str | None:
        return first_of(tuple(node for step in self.steps for node in step.action))

    def first_id(self) -> str | None:
        return self.id or self._first()

    def targets(self) -> tuple[str, ...] | None:
        return None if self.id is None else (self.id,)
