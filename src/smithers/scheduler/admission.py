"""Which candidates may start: document order, under the run's limit and the caps."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from heapq import heappop, heappush

from smithers.ids import NodeKey

from .facts import Blocked, Due, Facts, Open, Running
from .vertex import Leaf, ParallelVertex, Path, Vertex


class Admission:
    """Candidates and slots.

    A candidate that finds a cap reached parks there, at the outermost full one, and a freed slot wakes one: a
    settlement costs what it changes, not what waits.
    """

    def __init__(self, facts: Facts, limit: int | None, running: set[NodeKey]) -> None:
        self._facts = facts
        self._limit = limit
        self._running = running
        """Every running attempt of the run, mounted or not."""
        self._ready: list[Leaf] = []
        """Heap, in document order, of candidates; may hold some that are none any more."""
        self._due: list[tuple[int, Path, Leaf]] = []
        self._entering: list[Leaf] = []
        """Candidates that are to be entered; may hold some that are none any more."""
        self.visited = 0

    def consider(self, leaf: Leaf) -> None:
        """Queue a reached task if its edges are met: now, or for when its back-off ends."""
        if leaf.unmet or leaf.is_doomed or leaf.zone.is_closed:
            return
        fact = self._facts.nodes.get(leaf.key)
        if self._is_new(leaf):
            if not isinstance(fact, Open):
                self._entering.append(leaf)
        elif isinstance(fact, Due):
            heappush(self._due, (fact.at_ms, leaf.path, leaf))
        elif fact is None or isinstance(fact, Blocked):
            heappush(self._ready, leaf)

    def _is_new(self, leaf: Leaf) -> bool:
        """Whether a task begins by waiting, and has not begun."""
        return leaf.plan.enters and leaf.key not in self._facts.entered

    def enter(self, waived: AbstractSet[Leaf] = frozenset()) -> list[NodeKey]:
        """Enter what is to be entered, in document order.

        What an edit has let begin by waiting is entered though its back-off has not ended.

        Args:
            waived: as in `admit`.
        """
        if not self._entering and not waived:
            return []
        found = {leaf for leaf in (*self._entering, *waived) if self._is_new(leaf)}
        self._entering = []
        entered: list[NodeKey] = []
        for leaf in sorted(found):
            self.visited += 1
            if self._may_act(leaf, waived):
                self._facts.nodes[leaf.key] = Open()
                entered.append(leaf.key)
        return entered

    def admit(self, now_ms: int, waived: AbstractSet[Leaf] = frozenset()) -> list[NodeKey]:
        """Start what may start.

        Args:
            waived: tasks whose unmet edges are to be overlooked, this once.
        """
        while self._due and self._due[0][0] <= now_ms:
            at_ms, _, leaf = heappop(self._due)
            if leaf.is_mounted and self._facts.nodes.get(leaf.key) == Due(at_ms):
                heappush(self._ready, leaf)
        for leaf in waived:
            if not self._is_new(leaf):
                heappush(self._ready, leaf)
        starts: list[NodeKey] = []
        while self._ready and (self._limit is None or len(self._running) < self._limit):
            leaf = heappop(self._ready)
            self.visited += 1
            if self._is_candidate(leaf, now_ms, waived) and self._find_room(leaf):
                self._facts.nodes[leaf.key] = Running()
                self._running.add(leaf.key)
                self.count(leaf, 1)
                starts.append(leaf.key)
            for parallel, _ in leaf.caps:
                self._unpark(parallel)
        return starts

    def _may_act(self, leaf: Leaf, waived: AbstractSet[Leaf]) -> bool:
        if not leaf.is_mounted or leaf.is_settled or leaf.running or leaf.is_doomed or leaf.zone.is_closed:
            return False
        return not leaf.region.is_stopped and (not leaf.unmet or leaf in waived)

    def _is_candidate(self, leaf: Leaf, now_ms: int, waived: AbstractSet[Leaf]) -> bool:
        if not self._may_act(leaf, waived):
            return False
        fact = self._facts.nodes.get(leaf.key)
        if isinstance(fact, Due) and fact.at_ms > now_ms:
            # It was due, found no room, and the clock was set back: it is due again later, not forgotten.
            heappush(self._due, (fact.at_ms, leaf.path, leaf))
            return False
        return fact is None or isinstance(fact, (Blocked, Due))

    def _find_room(self, leaf: Leaf) -> bool:
        """Whether all caps above have room; if not, the task parks at the outermost that has none."""
        for parallel, child in leaf.caps:
            if parallel.is_full and not child.running:
                parallel.park(child, leaf)
                return False
        return True

    def _unpark(self, parallel: ParallelVertex) -> None:
        """Let the first that is parked try again while there is room for it."""
        if parallel.order and not parallel.is_full and (leaf := parallel.unpark()) is not None:
            heappush(self._ready, leaf)

    def count(self, leaf: Leaf, change: int) -> None:
        """An attempt of `leaf` begins (1) or ends (-1): tell everything above it."""
        vertex: Vertex = leaf
        while True:
            self.visited += 1
            before = vertex.running
            vertex.running = before + change
            parent = vertex.parent
            if parent is None:
                return
            if isinstance(parent, ParallelVertex) and parent.cap is not None:
                if before == 0 and change > 0:
                    parent.in_flight += 1
                    for parked in parent.unpark_below(vertex):
                        heappush(self._ready, parked)
                elif before == 1 and change < 0:
                    parent.in_flight -= 1
                    self._unpark(parent)
            vertex = parent

    def next_due(self) -> int | None:
        """Wall clock, in ms, of the earliest back-off that can still end in a start."""
        while self._due:
            at_ms, _, leaf = self._due[0]
            if (
                leaf.is_mounted
                and not leaf.unmet
                and not leaf.is_doomed
                and not leaf.region.is_stopped
                and self._facts.nodes.get(leaf.key) == Due(at_ms)
            ):
                return at_ms
            heappop(self._due)
        return None
