"""Turn plan nodes into vertices, and replace a part of the mounted plan by another."""

from __future__ import annotations

from typing import assert_never

from smithers.errors import DuplicateId, Place, TooDeep
from smithers.ids import NodeKey
from smithers.plan import (
    MAX_DEPTH,
    HolePlan,
    LoopPlan,
    ParallelPlan,
    PlanNode,
    SagaPlan,
    ScopePlan,
    SequencePlan,
    TaskPlan,
    TryPlan,
)

from .block import first_fact, parts_of, turn_of
from .facts import Facts, LoopFact, Running, Settled
from .vertex import (
    FALLEN,
    OPEN,
    AnyVertex,
    BlockVertex,
    Group,
    HoleVertex,
    Leaf,
    LoopVertex,
    ParallelVertex,
    Path,
    Region,
    ScopeVertex,
    SequenceVertex,
    Zone,
    is_call,
)


class Mounted:
    """What stands in the tree now, by id."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.by_id: dict[str, AnyVertex] = {}
        self.visited = 0
        self._failed: list[LoopVertex | BlockVertex | ScopeVertex] = []
        self._begun: list[BlockVertex] = []
        self._returned: list[AnyVertex] = []

    def mount(
        self, plan: PlanNode, path: Path, parent: Group | None, region: Region
    ) -> tuple[AnyVertex, list[Leaf]]:
        """Build the vertices of `plan`; what has settled by the facts is settled at once.

        Returns:
            The top vertex, and the leaves in document order.
        """
        top = self._make(plan, path, parent, region)
        leaves: list[Leaf] = []
        order: list[AnyVertex] = []
        stack: list[AnyVertex] = [top]
        while stack:
            vertex = stack.pop()
            order.append(vertex)
            if isinstance(vertex, Leaf):
                leaves.append(vertex)
            else:
                stack.extend(self._make_children(vertex))
        # Children come after their parent in `order`, so walking back settles from the leaves up.
        for vertex in reversed(order):
            self._settle_by_facts(vertex)
            if vertex.is_settled and is_call(vertex):
                self._returned.append(vertex)
        return top, leaves

    def take_failed(self) -> list[LoopVertex | BlockVertex | ScopeVertex]:
        """Loops, blocks and scripts mounted since the last call that have failed already."""
        found, self._failed = self._failed, []
        return found

    def take_begun(self) -> list[BlockVertex]:
        """Blocks mounted since the last call that have begun: these are reached wherever they are."""
        found, self._begun = self._begun, []
        return found

    def take_returned(self) -> list[AnyVertex]:
        """Calls mounted since the last call of this that have settled already."""
        found, self._returned = self._returned, []
        return found

    def unmount(self, vertices: list[AnyVertex]) -> None:
        """Take vertices out of the tree; facts stay."""
        for vertex in vertices:
            vertex.is_mounted = False
            name = vertex.key.node
            if self.by_id.get(name) is vertex:
                del self.by_id[name]

    def _make_children(self, group: Group) -> list[AnyVertex]:
        """Build the children of a fresh group; returned last first, ready to be stacked."""
        path = group.path
        match group:
            case (
                SequenceVertex(plan=SequencePlan(children=plans))
                | ParallelVertex(plan=ParallelPlan(children=plans))
            ):
                region = group.region
                group.children = [
                    self._make(child, (*path, index), group, region) for index, child in enumerate(plans)
                ]
            case ScopeVertex(calls=calls):
                group.children = [
                    self._make(child, (*path, index), group, group.region)
                    for index, child in enumerate(calls.plans)
                ]
            case LoopVertex(plan=loop):
                group.children = [self._make(loop.body, (*path, 0), group, group.region)]
            case BlockVertex(plan=block, regions=regions):
                group.children = [
                    self._make(part.plan, (*path, index), group, regions[index])
                    for index, part in enumerate(parts_of(block))
                ]
            case _:
                return []
        return group.children[::-1]

    def _make(self, plan: PlanNode, path: Path, parent: Group | None, region: Region) -> AnyVertex:
        self.visited += 1
        if len(path) > MAX_DEPTH:
            raise TooDeep(f"the tree is nested more than {MAX_DEPTH} levels deep", place=plan.place)
        loop, scope, iteration = None, "", 0
        if parent is not None:
            if isinstance(parent, LoopVertex):
                loop = parent
                scope, iteration = parent.inner_place()
            else:
                loop, scope, iteration = parent.loop, parent.key.scope, parent.key.iteration
        key = NodeKey(plan.id or "", scope, iteration)
        vertex: AnyVertex
        match plan:
            case TaskPlan():
                vertex = Leaf(plan, key, path, parent, region)
                vertex.is_passed = plan.is_async and key in self.facts.entered
            case SequencePlan():
                vertex = SequenceVertex(plan, key, path, parent, region)
            case ParallelPlan():
                vertex = ParallelVertex(plan, key, path, parent, region)
            case LoopPlan():
                fact = self.facts.loops.setdefault(key, LoopFact())
                vertex = LoopVertex(plan, key, path, parent, region, fact)
                if fact.failed:
                    self._failed.append(vertex)
            case TryPlan() | SagaPlan():
                vertex = BlockVertex(plan, key, path, parent, region)
            case ScopePlan():
                vertex = ScopeVertex(plan, key, path, parent, region)
                if self.facts.nodes.get(key) is Settled.FAILED:
                    self._failed.append(vertex)
            case HolePlan():
                vertex = HoleVertex(plan, key, path, parent, region)
            case _:
                assert_never(plan)
        vertex.loop = loop
        vertex.zone = self._zone_below(parent, path)
        if isinstance(vertex, BlockVertex) and (memory := self.facts.blocks.get(key)) is not None:
            vertex.done_at_mount = frozenset(memory.done)
            if memory.has_failed:
                self._failed.append(vertex)
            if not vertex.zone.is_closed:
                self._begun.append(vertex)
        if parent is not None:
            vertex.caps = parent.caps
            if isinstance(parent, ParallelVertex) and parent.cap is not None:
                vertex.caps = (*parent.caps, (parent, vertex))
        if plan.id is not None:
            self._register(vertex)
        return vertex

    def _zone_below(self, parent: Group | None, path: Path) -> Zone:
        match parent:
            case None:
                return OPEN
            case LoopVertex() if parent.fact.done:
                return parent.zone._replace(is_closed=True)
            case BlockVertex():
                return self._zone_of_part(parent, path[-1])
            case _:
                return parent.zone

    def _zone_of_part(self, block: BlockVertex, index: int) -> Zone:
        """A part's turn is over when it settled, or when that of a later one has come."""
        fact = self.facts.blocks.get(block.key) or first_fact(block.plan)
        if block.names[index] in block.done_at_mount:
            return block.zone._replace(is_closed=True, is_ended=True)
        return FALLEN if turn_of(block.names[index]) < turn_of(fact.at) else block.zone

    def _register(self, vertex: AnyVertex) -> None:
        other = self.by_id.setdefault(vertex.key.node, vertex)
        if other is not vertex:
            first, second = other.plan.place, vertex.plan.place
            raise DuplicateId(
                f"Duplicate Task id detected: {vertex.key.node}" + _both_places(first, second),
                place=second,
                id=vertex.key.node,
                places=[str(place) for place in (first, second) if place],
            )

    def _settle_by_facts(self, vertex: AnyVertex) -> None:
        """Settle what the facts say has settled, and all that stands in a block that ended by a failure."""
        zone = vertex.zone
        match vertex:
            case Leaf():
                fact = self.facts.nodes.get(vertex.key)
                if isinstance(fact, Settled):
                    vertex.is_settled = fact is not Settled.FAILED or zone.is_ended or is_call(vertex)
                else:
                    vertex.is_settled = zone.is_fallen and not isinstance(fact, Running)
            case LoopVertex(fact=fact):
                ended = fact.done and (zone.is_ended or not fact.failed)
                vertex.is_settled = ended or zone.is_fallen
            case BlockVertex():
                end = self.facts.blocks.get(vertex.key)
                handled = zone.is_ended or is_call(vertex)
                settled = end is not None and end.has_ended and (handled or not end.has_failed)
                vertex.is_settled = settled or zone.is_fallen
            case HoleVertex():
                vertex.is_settled = zone.is_fallen
            case ScopeVertex():
                vertex.open = sum(not child.is_settled for child in vertex.children)
                vertex.is_settled = (vertex.open == 0 and vertex.calls.is_closed) or zone.is_fallen
            case SequenceVertex() | ParallelVertex():
                vertex.open = sum(not child.is_settled for child in vertex.children)
                vertex.is_settled = vertex.open == 0 or zone.is_fallen
            case _:
                assert_never(vertex)


def _both_places(first: Place | None, second: Place | None) -> str:
    if first is None or second is None:
        return ""
    return f", at {first} and again"
