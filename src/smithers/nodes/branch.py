"""One of two."""

from __future__ import annotations

from collections.abc import Callable

from smithers.errors import InvalidNode
from smithers.ids import check_node_id
from smithers.plan import HolePlan, PlanNode

from .node import Child, Lowering, Node, children_of, first_of, here, targets_of


class Branch(Node):
    """`then` if the condition holds, else `else_`; the other side does not exist.

    Args:
        condition: a bool, known as the tree is made; or a function, called when this place is reached.
        then: a child, or a function that returns one.
        else_: the same, for when the condition does not hold.
        id: shown to people; default: `branch:` and the first task inside.
    """

    __slots__ = ("condition", "else_", "id", "then")

    def __init__(
        self,
        condition: bool | Callable[[], bool],
        then: Child | Callable[[], Child],
        else_: Child | Callable[[], Child] = None,
        *,
        id: str | None = None,
    ) -> None:
        self.place = here()
        if not isinstance(condition, bool) and not callable(condition):
            raise InvalidNode(f"condition={condition!r} is neither a bool nor a function", place=self.place)
        self.condition = condition
        self.then = then if callable(then) else children_of((then,), self.place)
        self.else_ = else_ if callable(else_) else children_of((else_,), self.place)
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        if isinstance(self.condition, bool):
            side = self.then if self.condition else self.else_
            if not callable(side):
                return lowering.tree(side, self.place)
        name = self.id or lowering.name("branch", self.first_id())

        def make() -> object:
            holds = self.condition if isinstance(self.condition, bool) else self.condition()
            side = self.then if holds else self.else_
            return side() if callable(side) else side

        return HolePlan(name, lambda key: lowering.expand(make, key, self.place), self, self.place)

    def targets(self) -> tuple[str, ...] | None:
        side = (self.then if self.condition else self.else_) if isinstance(self.condition, bool) else None
        return targets_of(side) if isinstance(side, tuple) else None

    def first_id(self) -> str | None:
        for side in (self.then, self.else_):
            if not callable(side) and (name := first_of(side)) is not None:
                return name
        return None
