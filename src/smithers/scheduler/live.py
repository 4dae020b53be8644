"""The mounted plan at work: what is reached, what has settled, and what that settles above it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from smithers.errors import BugError
from smithers.ids import NodeKey
from smithers.plan import PlanNode

from .admission import Admission
from .block import first_fact
from .edges import Edges
from .facts import BlockFact, Facts, Running, Settled
from .failing import Failing
from .mount import Mounted
from .vertex import (
    AnyVertex,
    BlockVertex,
    HoleVertex,
    Leaf,
    LoopVertex,
    ParallelVertex,
    Path,
    Region,
    ScopeVertex,
    SequenceVertex,
    subtree,
)


@dataclass(slots=True)
class Keep:
    """What outlives a plan that is made anew over the same tree."""

    running: set[NodeKey]
    """Every running attempt of the run, mounted or not."""
    version: int = 0
    """Rises whenever other ids stand in the tree than before."""
    is_cancelled: bool = False
    """The run was told to stop."""
    open: set[NodeKey] = field(default_factory=set)
    """What has been entered and waits, mounted or not; may hold some that do not any more."""
    cancelled: set[NodeKey] = field(default_factory=set)
    """Attempts that `Cancel` has named already."""
    bodies: dict[NodeKey, PlanNode] = field(default_factory=dict)
    """What each hole was filled with."""
    skipped: list[tuple[Path, NodeKey, str]] = field(default_factory=list)
    """Settled as skipped, and not reported yet."""
    changed: dict[NodeKey, BlockFact] = field(default_factory=dict)
    """What blocks have come to remember, and nobody has taken yet."""
    returned: list[AnyVertex] = field(default_factory=list)
    """Calls of scripts that have settled, and nobody has taken yet."""
    grown: list[AnyVertex] = field(default_factory=list)
    """What has joined the tree since `version` rose, and nobody has taken yet."""
    visited: int = 0


class Live:
    """One plan over facts. `begin` reaches what can be reached; each settlement goes on from there."""

    def __init__(self, tree: PlanNode, facts: Facts, limit: int | None, keep: Keep) -> None:
        self.facts = facts
        self.keep = keep
        self.mounted = Mounted(facts)
        self.admission = Admission(facts, limit, keep.running)
        self.edges = Edges(self.mounted.by_id, facts, self.admission.consider)
        self.failing = Failing(self)
        self.ended: set[LoopVertex] = set()
        """Loops whose pass has ended and waits to be judged."""
        self.region = Region(None)
        self.region.is_cancelled = keep.is_cancelled
        self._visited = 0
        self._reached: list[AnyVertex] = []
        """Worklist: vertices whose turn has come."""
        self.root, leaves = self.mounted.mount(tree, (), None, self.region)
        self.adopt(self.root, leaves)

    def begin(self) -> None:
        """Reach the root, and all that this reaches."""
        self._reached.append(self.root)
        self.work()
        if self.keep.is_cancelled:
            # Not before: what runs in a shielded body is known by where it stands.
            self.failing.cancel_run()

    @property
    def visited(self) -> int:
        """Plan nodes visited since this plan was made."""
        parts = (self.mounted, self.edges, self.admission, self.failing)
        return self._visited + sum(part.visited for part in parts)

    # --- Mounting -------------------------------------------------------------------------------

    def adopt(self, top: AnyVertex, leaves: list[Leaf]) -> None:
        """Give freshly mounted vertices the facts that are not settlements: running, then failed."""
        nodes = self.facts.nodes
        failed: list[Leaf] = []
        if nodes:
            for leaf in leaves:
                fact = nodes.get(leaf.key)
                if isinstance(fact, Running):
                    self.admission.count(leaf, 1)
                    self.failing.cancel_late(leaf)
                    self.failing.begin_around(leaf)
                elif fact is Settled.FAILED:
                    failed.append(leaf)
        if self.facts.blocks:
            for leaf in leaves:
                if leaf.zone.is_fallen:
                    self.failing.leave_unreached(leaf)
        for leaf in failed:
            self.failing.fail(leaf)
        for vertex in self.mounted.take_failed():
            self.failing.fail(vertex)
        self.keep.returned += self.mounted.take_returned()
        for block in self.mounted.take_begun():
            if not self.facts.blocks[block.key].has_ended:
                self.failing.count(block, 1)
            self.go_on(block)
        if self.edges.is_awaiting:
            self.edges.welcome(subtree(top))

    def let_on(self, leaf: Leaf) -> None:
        """What is `async_` has been entered: the sequence around it goes on."""
        leaf.is_passed = True
        parent = leaf.parent
        if isinstance(parent, SequenceVertex) and parent.is_active:
            self._reached.extend(reversed(parent.advance()))
            self.work()

    def _fill(self, hole: HoleVertex) -> None:
        """Expand a hole that has been reached."""
        self.keep.version += 1
        body = self.keep.bodies.get(hole.key)
        if body is None:
            body = self.keep.bodies[hole.key] = hole.plan.expand(hole.key)
        top, leaves = self.mounted.mount(body, (*hole.path, 0), hole, hole.region)
        hole.children = [top]
        self.adopt(top, leaves)

    def extend(self, scope: ScopeVertex) -> None:
        """Mount what a script has asked for since the scope was last looked at."""
        plans = scope.calls.plans
        for index in range(len(scope.children), len(plans)):
            top, leaves = self.mounted.mount(plans[index], (*scope.path, index), scope, scope.region)
            scope.children.append(top)
            scope.open += not top.is_settled
            self.keep.grown.append(top)
            self.adopt(top, leaves)
            if scope.is_active:
                self._reached.append(top)
                self.work()

    def close(self, scope: ScopeVertex) -> None:
        """Nothing more will be asked for there."""
        if scope.open == 0 and not scope.is_settled:
            self.settle_up(scope)
            self.work()

    def forget_bodies(self, top: AnyVertex) -> None:
        """What the holes from `top` down were filled with is to be made anew."""
        for vertex in subtree(top):
            if isinstance(vertex, HoleVertex):
                self.keep.bodies.pop(vertex.key, None)

    # --- Reaching -------------------------------------------------------------------------------

    def work(self) -> None:
        """Reach all that can be reached: a worklist, because thousands may settle in a row."""
        while self._reached:
            vertex = self._reached.pop()
            if vertex.is_active or not vertex.is_mounted:
                continue
            vertex.is_active = True
            self._visited += 1
            self._reach(vertex)

    def _reach(self, vertex: AnyVertex) -> None:
        match vertex:
            case Leaf():
                if not vertex.is_settled:
                    self.edges.reach(vertex)
                    self.admission.consider(vertex)
            case SequenceVertex():
                self._reached.extend(reversed(vertex.advance()))
            case ParallelVertex():
                self._reached.extend(reversed(vertex.children))
            case LoopVertex():
                self._reached.append(vertex.children[0])
                if vertex.children[0].is_settled:
                    self._end_pass(vertex)
            case BlockVertex():
                self._reached.extend(
                    vertex.children[vertex.numbers[name]]
                    for name in vertex.done_at_mount
                    if name in vertex.numbers
                )
                self.reach_part(vertex)
            case HoleVertex():
                self._fill(vertex)
                self._reached.append(vertex.children[0])
                if vertex.children[0].is_settled:
                    self.settle_up(vertex)
            case _:
                assert_never(vertex)

    # --- Settling -------------------------------------------------------------------------------

    def settle_up(self, vertex: AnyVertex) -> None:
        """`vertex` has settled: settle what that settles above it, and note what is reached by it."""
        top: AnyVertex | None = vertex
        while top is not None and not top.is_settled:
            top.is_settled = True
            self._visited += 1
            if top.waiters:
                self.edges.notify(top)
            parent = top.parent
            if parent is None:
                return
            parent.open -= 1
            if isinstance(parent, ScopeVertex):
                self.keep.returned.append(top)
            top = None
            match parent:
                case SequenceVertex():
                    if parent.is_active:
                        self._reached.extend(reversed(parent.advance()))
                    top = parent if parent.open == 0 else None
                case ScopeVertex():
                    top = parent if parent.open == 0 and parent.calls.is_closed else None
                case ParallelVertex():
                    top = parent if parent.open == 0 else None
                case LoopVertex():
                    self._end_pass(parent)
                case BlockVertex():
                    self.failing.look.add(parent)
                case HoleVertex():
                    top = parent
                case _:
                    raise BugError(f"unknown container {type(parent).__name__}")

    def _end_pass(self, loop: LoopVertex) -> None:
        if loop.is_active and not loop.fact.done and not loop.zone.is_closed:
            self.ended.add(loop)

    def go_on(self, block: BlockVertex) -> None:
        """Reach a block that has begun, whatever stands before it by now."""
        self._reached.append(block)

    def reach_part(self, block: BlockVertex) -> None:
        """Reach the part of a block whose turn it is; those that were done are reached with the block."""
        fact = self.facts.blocks.get(block.key) or first_fact(block.plan)
        index = block.index(fact.at)
        if index is not None:
            self._reached.append(block.children[index])
        self.failing.look.add(block)

    def begin_pass(self, loop: LoopVertex) -> None:
        """Mount the body again, in the pass that has begun."""
        gone = subtree(loop.children[0])
        self._visited += len(gone)
        if any(isinstance(vertex, HoleVertex) for vertex in gone):
            self.keep.version += 1
            self.forget_bodies(loop.children[0])
        for vertex in gone:
            if vertex.running and isinstance(vertex, Leaf):
                self.admission.count(vertex, -1)
            elif isinstance(vertex, BlockVertex):
                self.failing.count(vertex, -1)
        self.mounted.unmount(gone)
        self.edges.orphan(gone)
        top, leaves = self.mounted.mount(loop.plan.body, (*loop.path, 0), loop, loop.region)
        loop.children = [top]
        self.adopt(top, leaves)
        self._reached.append(top)
        if top.is_settled:
            self.ended.add(loop)

    # --- Looking --------------------------------------------------------------------------------

    def leaf(self, key: NodeKey) -> Leaf | None:
        """The mounted task with this key."""
        vertex = self.mounted.by_id.get(key.node)
        return vertex if isinstance(vertex, Leaf) and vertex.key == key else None

    def leaves(self) -> list[Leaf]:
        """Every mounted task, in document order."""
        return [vertex for vertex in subtree(self.root) if isinstance(vertex, Leaf)]
