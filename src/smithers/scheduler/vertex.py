"""The mounted plan: one mutable vertex per plan node, in the current pass of every loop around it."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

from smithers.ids import NodeKey
from smithers.plan import (
    BlockPlan,
    Calls,
    Edge,
    HolePlan,
    LoopPlan,
    ParallelPlan,
    ScopePlan,
    SequencePlan,
    TaskPlan,
)

from .block import parts_of
from .facts import LoopFact

Path: TypeAlias = tuple[int, ...]
"""Child indexes from the root: compares in document order, and survives a subtree being replaced."""


class Zone(NamedTuple):
    """What has already been decided about the surroundings of a vertex when it was mounted."""

    is_closed: bool = False
    """In a done loop or a part of a block that is over: nothing here starts, ends or is judged any more."""
    is_ended: bool = False
    """In a part that is over: failures here have been handled."""
    is_fallen: bool = False
    """In a part that failed, or whose turn never came: sealed, and nothing in it is reached any more."""


OPEN = Zone()
FALLEN = Zone(True, True, True)


class Region:
    """The smallest part of a plan that a failure stops: the run, or one part of a block.

    Args:
        parent: the region around it, if what stops that stops this one.
    """

    __slots__ = ("cause", "is_cancelled", "parent")

    def __init__(self, parent: Region | None) -> None:
        self.parent = parent
        self.cause: tuple[Path, NodeKey] | None = None
        """First unhandled failure in document order; set once the region unwinds."""
        self.is_cancelled = False
        """Of the run: it unwinds because it was told to."""

    def fail(self, path: Path, key: NodeKey) -> None:
        """Note an unhandled failure in it: from now on the region unwinds."""
        if self.cause is None or (path, key) < self.cause:
            self.cause = (path, key)

    @property
    def unwinds(self) -> bool:
        """Whether this very region unwinds."""
        return self.cause is not None or self.is_cancelled

    def stopped_by(self) -> Region | None:
        """This region, or the nearest one around it, that unwinds."""
        region: Region | None = self
        while region is not None and not region.unwinds:
            region = region.parent
        return region

    @property
    def is_stopped(self) -> bool:
        """Whether this region, or one around it, unwinds: nothing new starts here."""
        return self.stopped_by() is not None


class Vertex:
    """What all vertices have."""

    __slots__ = (
        "begun",
        "caps",
        "is_active",
        "is_mounted",
        "is_passed",
        "is_settled",
        "key",
        "loop",
        "parent",
        "path",
        "region",
        "running",
        "waiters",
        "zone",
    )

    def __init__(self, key: NodeKey, path: Path, parent: Group | None, region: Region) -> None:
        self.zone = OPEN
        self.key = key
        self.path = path
        self.parent = parent
        self.region = region
        self.loop: LoopVertex | None = None
        """Innermost loop around it."""
        self.caps: tuple[tuple[ParallelVertex, Vertex], ...] = ()
        """Capped containers above it, outermost first, each with its child on the way down to here."""
        self.is_active = False
        """Reached: everything before it in the sequences around it has settled."""
        self.is_settled = False
        self.is_passed = False
        """The sequence around it goes on, though it has not settled."""
        self.is_mounted = True
        self.running = 0
        """Running attempts at or below it."""
        self.begun = 0
        """Blocks at or below it that have begun and not ended."""
        self.waiters: list[Waiting] | None = None
        """Tasks with an edge here, from the moment they are reached until this settles."""

    def loops(self) -> list[LoopVertex]:
        """The loops around it, outermost first."""
        found: list[LoopVertex] = []
        loop = self.loop
        while loop is not None:
            found.append(loop)
            loop = loop.loop
        found.reverse()
        return found

    def __lt__(self, other: Vertex) -> bool:
        return self.path < other.path


class Leaf(Vertex):
    """A task in one pass."""

    __slots__ = ("is_doomed", "plan", "round", "unmet")

    def __init__(
        self, plan: TaskPlan, key: NodeKey, path: Path, parent: Group | None, region: Region
    ) -> None:
        super().__init__(key, path, parent, region)
        self.plan = plan
        self.unmet = 0
        """Edges that are not satisfied yet; counted from the moment it is reached."""
        self.is_doomed = False
        """An output that it needs can never come."""
        self.round = 0
        """Rises each time its edges are looked at anew: older waiting entries mean nothing any more."""


class Waiting(NamedTuple):
    """A task that waits for an edge's target."""

    leaf: Leaf
    edge: Edge
    round: int

    @property
    def is_current(self) -> bool:
        """Whether the task still waits, and its edges have not been looked at anew since."""
        leaf = self.leaf
        return leaf.is_mounted and not leaf.is_settled and leaf.round == self.round


class Group(Vertex):
    """A vertex with children; `open` counts those that have not settled."""

    __slots__ = ("children", "open")

    def __init__(self, key: NodeKey, path: Path, parent: Group | None, region: Region) -> None:
        super().__init__(key, path, parent, region)
        self.children: list[AnyVertex] = []
        self.open = 0


class SequenceVertex(Group):
    """One child after another; `cursor` is the first that has neither settled nor let it go on."""

    __slots__ = ("cursor", "plan")

    def __init__(
        self, plan: SequencePlan, key: NodeKey, path: Path, parent: Group | None, region: Region
    ) -> None:
        super().__init__(key, path, parent, region)
        self.plan = plan
        self.cursor = 0

    def advance(self) -> list[AnyVertex]:
        """Move to the first child that must settle first; the children reached by that, in order."""
        children = self.children
        begin = self.cursor
        while self.cursor < len(children):
            child = children[self.cursor]
            if not child.is_settled and not child.is_passed:
                break
            self.cursor += 1
        return children[begin : self.cursor + 1]


class ParallelVertex(Group):
    """All children at once; with a cap, at most `cap` of them are in flight."""

    __slots__ = ("cancels", "cap", "in_flight", "is_cancelling", "order", "parked", "plan")

    plan: ParallelPlan | ScopePlan

    def __init__(
        self, plan: ParallelPlan | ScopePlan, key: NodeKey, path: Path, parent: Group | None, region: Region
    ) -> None:
        super().__init__(key, path, parent, region)
        self.plan = plan
        self.cap = plan.cap
        self.cancels = isinstance(plan, ParallelPlan) and plan.cancel_on_failure
        self.is_cancelling = False
        """A failure below it cancels what runs below it, now and later."""
        self.in_flight = 0
        """Children with a running attempt somewhere below them."""
        self.parked: dict[Path, list[Leaf]] = {}
        """Candidates that found the cap reached: a heap for each child they stand under."""
        self.order: list[Path] = []
        """Heap of the keys of `parked`, some of them gone."""

    @property
    def is_full(self) -> bool:
        """Whether as many children are in flight as may be."""
        return self.cap is not None and self.in_flight >= self.cap

    def park(self, child: Vertex, leaf: Leaf) -> None:
        """Keep a candidate below `child` until there is room."""
        group = self.parked.get(child.path)
        if group is None:
            self.parked[child.path] = [leaf]
            heappush(self.order, child.path)
        else:
            heappush(group, leaf)

    def unpark(self) -> Leaf | None:
        """Take out the first candidate. Only one: if it starts, those beside it need no slot."""
        while self.order:
            path = self.order[0]
            group = self.parked.get(path)
            if group:
                leaf = heappop(group)
                if not group:
                    del self.parked[path]
                    heappop(self.order)
                return leaf
            heappop(self.order)
        return None

    def unpark_below(self, child: Vertex) -> list[Leaf]:
        """Take out the candidates below `child`: it is in flight now and needs no slot any more."""
        return self.parked.pop(child.path, [])


class ScopeVertex(ParallelVertex):
    """What a script has asked for in one place: children join while it is open, and fail to their caller."""

    __slots__ = ("calls",)

    def __init__(
        self, plan: ScopePlan, key: NodeKey, path: Path, parent: Group | None, region: Region
    ) -> None:
        super().__init__(plan, key, path, parent, region)
        self.calls: Calls = plan.calls(key)


def is_call(vertex: Vertex) -> bool:
    """Whether a script waits for it: its failure goes there, and nowhere else."""
    return isinstance(vertex.parent, ScopeVertex)


class LoopVertex(Group):
    """A body in its current pass."""

    __slots__ = ("fact", "plan")

    def __init__(
        self, plan: LoopPlan, key: NodeKey, path: Path, parent: Group | None, region: Region, fact: LoopFact
    ) -> None:
        super().__init__(key, path, parent, region)
        self.plan = plan
        self.fact = fact

    def inner_place(self) -> tuple[str, int]:
        """Scope and iteration of what stands directly in the current pass."""
        scope = self.key.scope
        if self.loop is not None:
            outer = f"{self.loop.key.node}={self.key.iteration}"
            scope = f"{scope},{outer}" if scope else outer
        return scope, self.fact.pass_


class BlockVertex(Group):
    """An error boundary: each of its parts, that is, its children, is a region."""

    __slots__ = ("done_at_mount", "is_counted", "names", "numbers", "plan", "regions", "shields")

    def __init__(
        self, plan: BlockPlan, key: NodeKey, path: Path, parent: Group | None, region: Region
    ) -> None:
        super().__init__(key, path, parent, region)
        self.plan = plan
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}
        self.done_at_mount: frozenset[str] = frozenset()
        self.shields: list[bool] = []
        self.regions: list[Region] = []
        self.is_counted = False
        """It counts as begun in what is above it."""
        for part in parts_of(plan):
            self.numbers[part.name] = len(self.names)
            self.names.append(part.name)
            self.shields.append(part.is_shielded)
            self.regions.append(Region(None if part.is_shielded else region))

    def index(self, part: str) -> int | None:
        """Which child a part is; None: the plan has no such part."""
        return self.numbers.get(part)


class HoleVertex(Group):
    """A body that is made when it is reached."""

    __slots__ = ("plan",)

    def __init__(
        self, plan: HolePlan, key: NodeKey, path: Path, parent: Group | None, region: Region
    ) -> None:
        super().__init__(key, path, parent, region)
        self.plan = plan
        self.open = 1


AnyVertex: TypeAlias = (
    Leaf | SequenceVertex | ParallelVertex | ScopeVertex | LoopVertex | BlockVertex | HoleVertex
)


def subtree(top: AnyVertex) -> list[AnyVertex]:
    """`top` and everything below it, in document order."""
    found: list[AnyVertex] = []
    stack: list[AnyVertex] = [top]
    while stack:
        vertex = stack.pop()
        found.append(vertex)
        if isinstance(vertex, Group):
            stack.extend(reversed(vertex.children))
    return found
