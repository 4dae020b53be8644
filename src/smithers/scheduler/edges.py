"""Who waits for whom: edges from the moment a task is reached until each of them is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from smithers.ids import NodeKey
from smithers.plan import Edge

from .facts import Blocked, Facts, Settled
from .vertex import AnyVertex, BlockVertex, Leaf, LoopVertex, Waiting

UPSTREAM_FAILED = "upstream failed"
"""Reasons that begin so: skipped, because what it needs failed. Stored, and read back by it."""


class Doom(NamedTuple):
    """Why a task is skipped that needs an output which can never come."""

    outcome: Settled
    """`UPSTREAM` where a failure is behind it, else `SKIPPED`."""
    reason: str


class Edges:
    """The edges of the reached tasks.

    Args:
        by_id: what is mounted now; looked at, not changed.
        consider: called with a task that has one edge less in its way.
    """

    def __init__(self, by_id: dict[str, AnyVertex], facts: Facts, consider: Callable[[Leaf], None]) -> None:
        self._by_id = by_id
        self._facts = facts
        self._consider = consider
        self._awaited: dict[str, list[Waiting]] = {}
        """Edges to ids that are not mounted."""
        self.doomed: list[Leaf] = []
        """Tasks that need an output which can never come; may hold some that have settled since."""
        self.visited = 0

    # --- Looking at edges -----------------------------------------------------------------------

    def reach(self, leaf: Leaf) -> None:
        """Look at all edges of a task whose turn has come, or that is open again."""
        leaf.round += 1
        leaf.unmet = 0
        leaf.is_doomed = False
        for edge in self._edges(leaf):
            self._meet(leaf, edge)

    def _edges(self, leaf: Leaf) -> Iterable[Edge]:
        """The edges it was written with, and the one a callable's read has added."""
        fact = self._facts.nodes.get(leaf.key)
        if isinstance(fact, Blocked):
            return (*leaf.plan.edges, Edge(fact.target, needs_output=True))
        return leaf.plan.edges

    def _meet(self, leaf: Leaf, edge: Edge) -> None:
        """Wait at an edge's target, unless it is met already."""
        source = self._by_id.get(edge.target)
        if source is None:
            leaf.unmet += 1
            self._awaited.setdefault(edge.target, []).append(Waiting(leaf, edge, leaf.round))
            return
        target = self.target(leaf, source)
        if not target.is_settled:
            leaf.unmet += 1
            if target.waiters is None:
                target.waiters = []
            target.waiters.append(Waiting(leaf, edge, leaf.round))
        elif edge.needs_output and self._lacks_output(source):
            self._doom(leaf)

    def target(self, leaf: Leaf, source: AnyVertex) -> AnyVertex:
        """What an edge to `source` waits for: it, or the outermost loop around it without `leaf`."""
        if source.loop is None or source.loop is leaf.loop:
            return source
        own = leaf.loops()
        for loop in source.loops():
            if loop not in own:
                return loop
        return source

    def _lacks_output(self, source: AnyVertex) -> bool:
        if isinstance(source, LoopVertex):
            return source.fact.failed
        if isinstance(source, BlockVertex):
            return self._has_failed(source)
        if not isinstance(source, Leaf):
            return False
        fact = self._facts.nodes.get(source.key)
        return not (isinstance(fact, Settled) and fact.has_output)

    def _has_failed(self, block: BlockVertex) -> bool:
        fact = self._facts.blocks.get(block.key)
        return fact is not None and fact.has_ended and fact.then is not Settled.FINISHED

    def _doom(self, leaf: Leaf) -> None:
        if not leaf.is_doomed:
            leaf.is_doomed = True
            self.doomed.append(leaf)

    # --- When something changes -----------------------------------------------------------------

    def notify(self, target: AnyVertex) -> None:
        """`target` has settled: meet, or doom, the tasks that waited for it."""
        waiters, target.waiters = target.waiters, None
        for waiting in waiters or ():
            self.visited += 1
            if not waiting.is_current:
                continue
            # Looked at anew: a loop may be done, and what the edge names may not stand in its last pass.
            waiting.leaf.unmet -= 1
            self._meet(waiting.leaf, waiting.edge)
            self._consider(waiting.leaf)

    @property
    def is_awaiting(self) -> bool:
        """Whether any edge waits for an id that is not mounted."""
        return bool(self._awaited)

    def welcome(self, arrived: Iterable[AnyVertex]) -> None:
        """Edges to ids that have just been mounted have a target now."""
        for vertex in arrived:
            for waiting in self._awaited.pop(vertex.key.node, ()):
                self.visited += 1
                if waiting.is_current:
                    waiting.leaf.unmet -= 1
                    self._meet(waiting.leaf, waiting.edge)
                    self._consider(waiting.leaf)

    def orphan(self, gone: Iterable[AnyVertex]) -> None:
        """What some tasks waited for has been unmounted: they wait for its id now."""
        for vertex in gone:
            if vertex.waiters:
                self.notify(vertex)

    def names_any(self, leaf: Leaf, ids: AbstractSet[str]) -> bool:
        """Whether an edge of a task names one of these."""
        return any(edge.target in ids for edge in self._edges(leaf))

    # --- Saying why -----------------------------------------------------------------------------

    def unmet(self, leaf: Leaf) -> list[str]:
        """Ids that a reached task still waits for, in the order of its edges."""
        return [edge.target for edge in self._unmet_edges(leaf)]

    def _unmet_edges(self, leaf: Leaf) -> list[Edge]:
        found = []
        for edge in self._edges(leaf):
            source = self._by_id.get(edge.target)
            if source is None or not self.target(leaf, source).is_settled:
                found.append(edge)
        return found

    def doom(self, leaf: Leaf) -> Doom | None:
        """Why a doomed task is skipped: its first edge whose target has settled without an output.

        Returns:
            None: there is none any more; the output has come after all.
        """
        for edge in self._edges(leaf):
            source = self._by_id.get(edge.target)
            if not edge.needs_output or source is None:
                continue
            if self.target(leaf, source).is_settled and self._lacks_output(source):
                return _doom_of(edge.target, self._outcome(source))
        return None

    def _outcome(self, source: AnyVertex) -> object:
        """How what has settled without an output has settled."""
        if isinstance(source, LoopVertex):
            return Settled.FAILED
        if isinstance(source, BlockVertex):
            return self._facts.blocks[source.key].then
        return self._facts.nodes.get(source.key)

    def missing(self) -> list[tuple[NodeKey, str]]:
        """Reached tasks with an edge to an id that is not mounted (yet): (task, id)."""
        return [
            (waiting.leaf.key, target)
            for target, entries in self._awaited.items()
            for waiting in entries
            if waiting.is_current
        ]

    # --- When nothing else can happen -------------------------------------------------------------

    def waive(self, leaf: Leaf) -> Doom | bool:
        """What becomes of a blocked task now that nobody can mount what it waits for.

        Returns:
            True: all it waits for had settled before it left the tree; False: it waits for something else;
            a doom: it needs an output that there is not.
        """
        gone = True
        for edge in self._unmet_edges(leaf):
            fact = None if edge.target in self._by_id else self._absent_fact(leaf, edge.target)
            if fact is None:
                gone = False
            elif edge.needs_output and not fact.has_output:
                return _doom_of(edge.target, fact)
        return gone

    def _absent_fact(self, leaf: Leaf, target: str) -> Settled | None:
        """How a node that is not mounted settled, in the leaf's own pass or in one around it."""
        places = [(leaf.key.scope, leaf.key.iteration)]
        loop = leaf.loop
        while loop is not None:
            places.append((loop.key.scope, loop.key.iteration))
            loop = loop.loop
        for scope, iteration in places:
            fact = self._facts.nodes.get(NodeKey(target, scope, iteration))
            if isinstance(fact, Settled) and fact is not Settled.FAILED:
                return fact
        return None


def _doom_of(target: str, fact: object) -> Doom:
    if fact in (Settled.TOLERATED, Settled.FAILED, Settled.UPSTREAM):
        return Doom(Settled.UPSTREAM, f"{UPSTREAM_FAILED}: {target}")
    return Doom(Settled.SKIPPED, f"upstream skipped: {target}")
