"""Failures: regions that unwind, tasks that are cancelled with them, blocks that end by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smithers.ids import NodeKey

from .facts import Running, Settled
from .vertex import FALLEN, BlockVertex, HoleVertex, Leaf, LoopVertex, ParallelVertex, subtree

if TYPE_CHECKING:
    from .live import Live

NOT_REACHED = "not reached"


class Failing:
    """The failures of one live plan, and what follows from them."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.unwinding: set[BlockVertex] = set()
        """Blocks in which something failed and something may still run."""
        self.to_cancel: set[NodeKey] = set()
        self.visited = 0

    def fail(self, vertex: Leaf | LoopVertex) -> None:
        """An unhandled failure: its innermost region unwinds."""
        if self.is_handled(vertex):
            return
        vertex.region.fail(vertex.path, vertex.key)
        above = vertex.parent
        while above is not None:
            self.visited += 1
            if isinstance(above, BlockVertex):
                self.unwinding.add(above)
                return
            if isinstance(above, ParallelVertex) and above.plan.cancel_on_failure:
                above.is_cancelling = True
                self._cancel_below(above)
            above = above.parent

    def _cancel_below(self, group: ParallelVertex) -> None:
        depth = len(group.path)
        for key in self._live.keep.running - self._live.keep.cancelled:
            leaf = self._live.leaf(key)
            if leaf is not None and leaf.path[:depth] == group.path:
                self.to_cancel.add(key)

    def take_cancels(self) -> tuple[NodeKey, ...]:
        """The running tasks to cancel, in document order, each named once."""
        keys, self.to_cancel = self.to_cancel, set()
        self._live.keep.cancelled |= keys
        return tuple(sorted(keys, key=lambda key: self._live.mounted.by_id[key.node].path))

    def cancel_late(self, leaf: Leaf) -> None:
        """A running task that is mounted where everything is being cancelled is cancelled too."""
        if leaf.key in self._live.keep.cancelled:
            return
        above = leaf.parent
        while above is not None:
            if isinstance(above, ParallelVertex) and above.is_cancelling:
                self.to_cancel.add(leaf.key)
            above = above.parent

    def is_handled(self, vertex: Leaf | LoopVertex) -> bool:
        """Whether a failure here comes too late: a block around it has ended."""
        above = vertex.parent
        while above is not None:
            if isinstance(above, BlockVertex) and above.key in self._live.facts.blocks:
                return True
            above = above.parent
        return False

    def end_quiet_blocks(self) -> bool:
        """End the unwinding blocks in which nothing runs any more; whether there were any."""
        quiet = [
            block
            for block in self.unwinding
            if not block.running and not block.region.is_stopped and not block.zone.is_closed
        ]
        for block in quiet:
            self.unwinding.discard(block)
            self._live.facts.blocks[block.key] = Settled.FAILED
            self._seal(block)
            self._live.settle_up(block)
        self._live.work()
        return bool(quiet)

    def hand_over(self, block: BlockVertex) -> None:
        """A block finishes while it unwinds, round loops that were done: what failed in it is handled now."""
        self.unwinding.discard(block)
        inside = subtree(block.children[0])
        self.visited += len(inside)
        for vertex in inside:
            if isinstance(vertex, ParallelVertex):
                vertex.is_cancelling = False
            elif isinstance(vertex, BlockVertex):
                self.unwinding.discard(vertex)
        to_cancel, self.to_cancel = self.to_cancel, set()
        for key in to_cancel:
            if (leaf := self._live.leaf(key)) is not None:
                self.cancel_late(leaf)
        for vertex in inside:
            if isinstance(vertex, Leaf):
                failed = self._live.facts.nodes.get(vertex.key) is Settled.FAILED
            else:
                failed = isinstance(vertex, LoopVertex) and vertex.fact.failed
            if failed:
                self._live.settle_up(vertex)

    def _seal(self, block: BlockVertex) -> None:
        """A block ends by a failure: what it has not reached is skipped, and all in it counts as settled."""
        emptied = self._empty_holes(block)
        for vertex in subtree(block.children[0]):
            self.visited += 1
            vertex.zone = FALLEN
            match vertex:
                case Leaf():
                    self.leave_unreached(vertex)
                case LoopVertex():
                    self._live.ended.discard(vertex)
                case BlockVertex():
                    self.unwinding.discard(vertex)
                case _:
                    pass
            if not vertex.is_settled:
                vertex.is_settled = True
                self._live.edges.notify(vertex)
        if emptied:
            self._look_again(emptied)

    def _look_again(self, ids: set[str]) -> None:
        """Ids have left the tree: edges to them that were met are not any more."""
        for leaf in self._live.leaves():
            if leaf.is_active and not leaf.is_settled and self._live.edges.names_any(leaf, ids):
                self._live.edges.reach(leaf)
                self._live.admission.consider(leaf)

    def _empty_holes(self, block: BlockVertex) -> set[str]:
        """A plan made anew would not expand the holes of a sealed block: their bodies go.

        Returns:
            The ids that went with them.
        """
        ids: set[str] = set()
        for hole in [v for v in subtree(block.children[0]) if isinstance(v, HoleVertex)]:
            if not hole.is_mounted or not hole.children:
                continue
            self._live.keep.version += 1
            self._live.forget_bodies(hole)
            gone = subtree(hole.children[0])
            hole.children = []
            self.visited += len(gone)
            self._live.ended.difference_update(v for v in gone if isinstance(v, LoopVertex))
            self.unwinding.difference_update(v for v in gone if isinstance(v, BlockVertex))
            self._live.mounted.unmount(gone)
            ids.update(vertex.key.node for vertex in gone)
        return ids

    def leave_unreached(self, leaf: Leaf) -> None:
        """A task in a sealed block that is neither settled nor running will not run any more."""
        if not isinstance(self._live.facts.nodes.get(leaf.key), Settled | Running):
            self._live.facts.nodes[leaf.key] = Settled.NOT_REACHED
            self._live.keep.skipped.append((leaf.path, leaf.key, NOT_REACHED))
