"""Failures: regions that unwind, tasks that are cancelled with them, blocks that go on to their next part."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from smithers.ids import NodeKey

from .block import LOOP_FAILED, How, after, first_fact, turn_of
from .facts import BlockFact, Running, Settled
from .vertex import (
    FALLEN,
    AnyVertex,
    BlockVertex,
    HoleVertex,
    Leaf,
    LoopVertex,
    ParallelVertex,
    ScopeVertex,
    Vertex,
    is_call,
    subtree,
)

if TYPE_CHECKING:
    from .live import Live

NOT_REACHED = "not reached"


class Verdict(NamedTuple):
    """What is known of the part of a block that is under way: it is over."""

    block: BlockVertex
    how: How
    cause: NodeKey | None
    may_catch: bool = True
    """False: a region around the block unwinds."""


class Failing:
    """The failures of one live plan, and what follows from them."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._open: set[BlockVertex] = set()
        """Blocks that have begun and not ended."""
        self.look: set[BlockVertex] = set()
        """Blocks whose part under way may be over."""
        self.to_cancel: set[NodeKey] = set()
        self._sealed: list[Leaf] = []
        """Tasks in parts that are over: those still mounted when all blocks rest were not reached."""
        self.visited = 0

    # --- Failing --------------------------------------------------------------------------------

    def fail(self, vertex: Leaf | LoopVertex | BlockVertex | ScopeVertex) -> None:
        """An unhandled failure: its innermost region unwinds."""
        if self.is_handled(vertex):
            return
        key = vertex.key
        if isinstance(vertex, BlockVertex):
            key = self._live.facts.blocks[key].cause or key
        unwound = vertex.region.unwinds
        vertex.region.fail(vertex.path, key)
        block = self._cancel_up(vertex)
        if block is not None:
            self.begin(block)
            self.look.add(block)
        if not unwound:
            self._stop_blocks()

    def _cancel_up(self, vertex: AnyVertex) -> BlockVertex | None:
        """Cancel what is to be cancelled with a failure, up to the edge of its region; the block there."""
        above = vertex.parent
        while above is not None and not isinstance(above, BlockVertex):
            self.visited += 1
            if isinstance(above, ParallelVertex) and above.cancels:
                above.is_cancelling = True
                self._cancel_below(above)
            above = above.parent
        return above

    def _stop_blocks(self) -> None:
        """A region has begun to unwind: blocks in it that have begun are to be looked at."""
        self.visited += len(self._open)
        self.look |= self._open

    def cancel_run(self) -> None:
        """The run itself unwinds because it was told to."""
        self._live.region.is_cancelled = True
        self._stop_blocks()
        self._cancel_below(None)

    def _cancel_below(self, group: ParallelVertex | None) -> None:
        """Cancel what runs below a container, or anywhere; not what is shielded from there."""
        depth = len(group.path) if group is not None else 0
        for key in self._live.keep.running - self._live.keep.cancelled:
            leaf = self._live.leaf(key)
            if leaf is None:
                if group is None:
                    self.to_cancel.add(key)
            elif (group is None or leaf.path[:depth] == group.path) and not self._is_shielded(leaf, depth):
                self.to_cancel.add(key)

    def _is_shielded(self, leaf: Leaf, depth: int) -> bool:
        """Whether a part that is shielded stands between a leaf and the level `depth` above it."""
        vertex: Vertex = leaf
        while vertex.parent is not None and len(vertex.path) > depth:
            parent = vertex.parent
            if isinstance(parent, BlockVertex) and parent.shields[vertex.path[-1]]:
                return True
            vertex = parent
        return False

    def withdraw(self, call: Leaf | BlockVertex) -> None:
        """A script does not wait for it any more: what runs of it is cancelled, the rest is not reached."""
        if isinstance(call, Leaf):
            if call.running:
                self.to_cancel.add(call.key)
            else:
                self.leave_unreached(call)
                self._live.settle_up(call)
            return
        for leaf in subtree(call):
            if isinstance(leaf, Leaf) and leaf.running and not self._is_shielded(leaf, len(call.path)):
                self.to_cancel.add(leaf.key)
        fact = self._live.facts.blocks.get(call.key)
        if fact is None:
            self.set_fact(call, BlockFact("", Settled.CANCELLED))
            for part in call.children:
                self._seal(part)
            self._live.settle_up(call)
        elif (index := call.index(fact.at)) is not None and not call.shields[index]:
            call.regions[index].is_cancelled = True
            self._stop_blocks()

    def take_cancels(self) -> tuple[NodeKey, ...]:
        """The running tasks to cancel, in document order, each named once."""
        keys, self.to_cancel = self.to_cancel, set()
        self._live.keep.cancelled |= keys
        paths = {key: leaf.path if (leaf := self._live.leaf(key)) is not None else () for key in keys}
        return tuple(sorted(keys, key=lambda key: (paths[key], key)))

    def cancel_late(self, leaf: Leaf) -> None:
        """A running task that is mounted where everything is being cancelled is cancelled too."""
        if leaf.key in self._live.keep.cancelled:
            return
        vertex: Vertex = leaf
        while vertex.parent is not None:
            parent = vertex.parent
            if isinstance(parent, BlockVertex) and parent.shields[vertex.path[-1]]:
                return
            if isinstance(parent, ParallelVertex) and parent.is_cancelling:
                self.to_cancel.add(leaf.key)
            vertex = parent
        if self._live.keep.is_cancelled:
            self.to_cancel.add(leaf.key)

    def is_handled(self, vertex: AnyVertex) -> bool:
        """Whether a failure here concerns nobody else: a script waits for it, or a part around it is over."""
        if is_call(vertex):
            return True
        below: Vertex = vertex
        while below.parent is not None:
            parent = below.parent
            if isinstance(parent, BlockVertex) and self._is_over(parent, below):
                return True
            below = parent
        return False

    def _is_over(self, block: BlockVertex, child: Vertex) -> bool:
        fact = self._live.facts.blocks.get(block.key)
        name = block.names[child.path[-1]]
        return fact is not None and (name in fact.done or turn_of(name) < turn_of(fact.at))

    # --- Beginning and ending -------------------------------------------------------------------

    def begin_around(self, vertex: AnyVertex) -> None:
        """An attempt begins, or runs: the blocks around it have begun."""
        above = vertex.parent
        while above is not None:
            if isinstance(above, BlockVertex):
                self.begin(above)
            above = above.parent

    def begin(self, block: BlockVertex) -> None:
        """From now on the block is carried through to its end, whatever happens around it."""
        if block.key not in self._live.facts.blocks and not block.zone.is_closed:
            self.set_fact(block, first_fact(block.plan))
            self.count(block, 1)
            self.look.add(block)
            self._live.go_on(block)

    def set_fact(self, block: BlockVertex, fact: BlockFact) -> None:
        """Write a block's memory."""
        self._live.facts.blocks[block.key] = fact
        self._live.keep.changed[block.key] = fact

    def count(self, block: BlockVertex, change: int) -> None:
        """A block begins (1) or ends (-1): tell everything above it."""
        if block.is_counted is (change > 0):
            return
        block.is_counted = change > 0
        (self._open.add if change > 0 else self._open.discard)(block)
        vertex: Vertex | None = block
        while vertex is not None:
            self.visited += 1
            vertex.begun += change
            vertex = vertex.parent
        self.look_around(block)

    def look_around(self, vertex: AnyVertex) -> None:
        """Something below has come to rest: look at the blocks above it."""
        above = vertex.parent
        while above is not None:
            if isinstance(above, BlockVertex):
                self.look.add(above)
            above = above.parent

    # --- Parts ----------------------------------------------------------------------------------

    def end_parts(self) -> bool:
        """Go on with the blocks whose part under way is over; whether there were any.

        What settled is applied before what failed, and that before what is stopped by it.
        """
        verdicts = [verdict for block in self.look if (verdict := self._examine(block)) is not None]
        self.visited += len(self.look)
        first = min((verdict.how for verdict in verdicts), default=None)
        self.look = {verdict.block for verdict in verdicts if verdict.how is not first}
        for verdict in sorted(verdicts):
            if verdict.how is first:
                self._end_part(verdict)
        self._live.work()
        return bool(verdicts)

    def _examine(self, block: BlockVertex) -> Verdict | None:
        fact = self._live.facts.blocks.get(block.key)
        if not block.is_mounted or block.zone.is_closed or not block.is_active:
            return None
        if fact is not None and fact.has_ended:
            return None
        at = (fact or first_fact(block.plan)).at
        index = block.index(at)
        region = block.regions[index] if index is not None else block.region
        child = block.children[index] if index is not None else None
        if child is not None and (child.running or child.begun):
            return None
        if child is not None and region.cause is not None:
            return Verdict(block, How.FAILED, region.cause[1], not block.region.is_stopped)
        stop = region.stopped_by()
        if fact is None and stop is not None:
            return None
        if child is None or (child.is_settled and (stop is None or not self._has_cancelled(child))):
            return Verdict(block, How.SETTLED, None)
        if stop is not None:
            return Verdict(block, How.STOPPED, stop.cause[1] if stop.cause is not None else None)
        return None

    def _has_cancelled(self, top: AnyVertex) -> bool:
        """Whether a task was cancelled in a part: where a region around it unwinds, it was cut short."""
        inside = subtree(top)
        self.visited += len(inside)
        nodes = self._live.facts.nodes
        return any(
            nodes.get(vertex.key) is Settled.CANCELLED for vertex in inside if isinstance(vertex, Leaf)
        )

    def _end_part(self, verdict: Verdict) -> None:
        """The part under way is over: seal what will not be reached, go on to the next, or end."""
        block = verdict.block
        before = self._live.facts.blocks.get(block.key) or first_fact(block.plan)
        names = self._names(verdict.cause) if verdict.may_catch else None
        fact = after(block.plan, before, verdict.how, verdict.cause, names)
        self.set_fact(block, fact)
        settled = before.at if verdict.how is How.SETTLED else None
        for name in self._passed(block, before.at, fact.at):
            if name != settled:
                self._seal(block.children[block.numbers[name]])
        if not fact.has_ended:
            self.count(block, 1)
            self._live.reach_part(block)
            return
        self.count(block, -1)
        if fact.has_failed and not is_call(block):
            self.fail(block)
        else:
            self._live.settle_up(block)

    def _passed(self, block: BlockVertex, before: str, now: str) -> list[str]:
        """Parts whose turn ends with that of `before`, when that of `now` comes."""
        first, last = block.index(before), block.index(now) if now else len(block.names)
        if first is not None and last is not None:
            return block.names[first:last]
        # An edit has taken one of them away.
        return [name for name in block.names if turn_of(before) <= turn_of(name) < turn_of(now)]

    def _names(self, cause: NodeKey | None) -> tuple[str, ...]:
        if cause is None:
            return ()
        fact = self._live.facts.loops.get(cause)
        return (LOOP_FAILED,) if fact is not None and fact.failed else self._live.facts.names.get(cause, ())

    def _seal(self, top: AnyVertex) -> None:
        """A part is over: what it has not reached is skipped, and all in it counts as settled."""
        emptied = self._empty_holes(top)
        for vertex in subtree(top):
            self.visited += 1
            vertex.zone = FALLEN
            match vertex:
                case Leaf():
                    self._sealed.append(vertex)
                case LoopVertex():
                    self._live.ended.discard(vertex)
                case BlockVertex():
                    self.count(vertex, -1)
                case _:
                    pass
            if not vertex.is_settled and not (isinstance(vertex, Leaf) and vertex.running):
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

    def _empty_holes(self, top: AnyVertex) -> set[str]:
        """A plan made anew would not expand the holes of a sealed part: their bodies go.

        Returns:
            The ids that went with them.
        """
        ids: set[str] = set()
        for hole in [v for v in subtree(top) if isinstance(v, HoleVertex)]:
            if not hole.is_mounted or not hole.children:
                continue
            self._live.keep.version += 1
            self._live.forget_bodies(hole)
            gone = subtree(hole.children[0])
            hole.children = []
            self.visited += len(gone)
            self._live.ended.difference_update(v for v in gone if isinstance(v, LoopVertex))
            for block in [v for v in gone if isinstance(v, BlockVertex)]:
                self.count(block, -1)
            self._live.mounted.unmount(gone)
            ids.update(vertex.key.node for vertex in gone)
        return ids

    def leave_sealed(self) -> None:
        """All blocks rest: what they have not reached is known."""
        sealed, self._sealed = self._sealed, []
        for leaf in sealed:
            if leaf.is_mounted:
                self.leave_unreached(leaf)

    def leave_unreached(self, leaf: Leaf) -> None:
        """A task in a sealed part that is neither settled nor running will not run any more."""
        if not isinstance(self._live.facts.nodes.get(leaf.key), Settled | Running):
            self._live.facts.nodes[leaf.key] = Settled.NOT_REACHED
            self._live.keep.skipped.append((leaf.path, leaf.key, NOT_REACHED))
