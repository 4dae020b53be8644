"""One thing after another."""

from __future__ import annotations

from smithers.ids import check_node_id
from smithers.plan import PlanNode, SequencePlan

from .node import Child, Lowering, Node, children_of, first_of, here, targets_of


class Sequence(Node):
    """Children one after another: each starts when the one before it has settled.

    Args:
        children: nodes, `None` or `False` for absent ones, or iterables of nodes.
        id: shown to people; default: `sequence:` and the first task inside.
    """

    __slots__ = ("children", "id")

    def __init__(self, *children: Child, id: str | None = None) -> None:
        self.place = here()
        self.children = children_of(children, self.place)
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        name = self.id or lowering.name("sequence", self.first_id())
        lowered = tuple(child.lower(lowering) for child in self.children)
        return SequencePlan(lowered, name, self, self.place)

    def first_id(self) -> str | None:
        return first_of(self.children)

    def targets(self) -> tuple[str, ...] | None:
        return targets_of(self.children)
