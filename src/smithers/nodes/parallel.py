"""Things side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from smithers.errors import InvalidNode
from smithers.ids import NodeKey, check_node_id
from smithers.plan import HolePlan, ParallelPlan, PlanNode, TryPlan

from .node import Child, Lowering, Node, children_of, first_of, here, targets_of
from .option import check_limit


class Parallel(Node):
    """Children side by side; settled when all of them are.

    Args:
        children: nodes, `None` or `False` for absent ones, or iterables of nodes. Or one function that
            returns them: it is called when this place is reached, as a render of its own.
        max_concurrency: how many children may be in flight at once; None: as many as the run allows. A child
            is in flight while an attempt runs in it; waits and back-off hold no slot.
        on_failure: what an unhandled failure below does to the others: `"wait"` lets what runs end by itself,
            `"cancel"` cancels it.
        failure_policy: whom a failure below concerns: `"fail"` all that stands around it, `"quarantine"` only
            the child it is in: who needs its outputs is skipped, the rest goes on, the run ends partial.
        id: shown to people; default: `parallel:` and the first task inside.
    """

    __slots__ = ("body", "children", "failure_policy", "id", "max_concurrency", "on_failure")

    def __init__(
        self,
        *children: Child | Callable[[], Child],
        max_concurrency: int | None = None,
        on_failure: Literal["wait", "cancel"] = "wait",
        failure_policy: Literal["fail", "quarantine"] = "fail",
        id: str | None = None,
    ) -> None:
        self.place = here()
        self.body: Callable[[], Child] | None = None
        first = children[0] if children else None
        if callable(first) and len(children) == 1:
            self.body, children = first, ()
        self.children = children_of(children, self.place)
        check_limit(max_concurrency, "max_concurrency", self.place)
        if on_failure not in ("wait", "cancel"):
            raise InvalidNode(f'on_failure={on_failure!r} is not "wait" or "cancel"', place=self.place)
        if failure_policy not in ("fail", "quarantine"):
            raise InvalidNode(
                f'failure_policy={failure_policy!r} is not "fail" or "quarantine"', place=self.place
            )
        if failure_policy == "quarantine" and on_failure == "cancel":
            raise InvalidNode(
                'on_failure="cancel" has nothing to cancel with failure_policy="quarantine"',
                hint="choose one of them",
                place=self.place,
            )
        self.failure_policy = failure_policy
        self.max_concurrency = max_concurrency
        self.on_failure = on_failure
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        if self.body is None:
            name = self.id or lowering.name("parallel", self.first_id())
            return self._plan(tuple(child.lower(lowering) for child in self.children), name)
        body = self.body
        name = self.id or lowering.name("parallel", getattr(body, "__name__", None))

        def expand(key: NodeKey) -> PlanNode:
            made = lowering.expand_children(body, key, self.place)
            return self._plan(made, f"{name}:all")

        return HolePlan(name, expand, self, self.place)

    def _plan(self, children: tuple[PlanNode, ...], name: str) -> PlanNode:
        if self.failure_policy == "quarantine":
            children = tuple(
                TryPlan(f"{name}/{child.id or index}", child, tolerates=True, payload=self, place=child.place)
                for index, child in enumerate(children)
            )
        return ParallelPlan(
            children, self.max_concurrency, self.on_failure == "cancel", name, self, self.place
        )

    def first_id(self) -> str | None:
        return first_of(self.children)

    def targets(self) -> tuple[str, ...] | None:
        return targets_of(self.children) if self.body is None else None
