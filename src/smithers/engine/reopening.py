"""What a resume opens again: tasks that failed or were cut off, and the blocks they ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smithers.ids import NodeKey
from smithers.plan import TryPlan
from smithers.records import BlockMove, EventType
from smithers.scheduler import Schedule, Settled
from smithers.scheduler.vertex import AnyVertex, BlockVertex, HoleVertex, Leaf

from .draft import Draft
from .memory import Memory

_AGAIN = (Settled.FAILED, Settled.TOLERATED, Settled.UPSTREAM, Settled.CANCELLED)


class Reopening:
    """Opens settled work again, in memory and in the frame that is being made.

    Args:
        plan_anew: plans the same tree over the facts as they are by then.
    """

    def __init__(self, memory: Memory, plan_anew: Callable[[Schedule], Schedule]) -> None:
        self._memory = memory
        self._plan_anew = plan_anew

    def open_failed(self, draft: Draft, schedule: Schedule, inside: NodeKey | None = None) -> None:
        """A resume tries again what failed, or was cut off, and nothing else.

        Args:
            inside: look at what stands there only; None: everywhere.
        """
        # From the outside in: what stands in a block is open again only when that is.
        while self._reopen_blocks(draft, schedule, inside):
            schedule = self._plan_anew(schedule)
        facts = self._memory.facts.nodes
        keys = [
            vertex.key
            for vertex in _below(schedule, inside)
            if isinstance(vertex, Leaf) and facts.get(vertex.key) in _AGAIN and not vertex.zone.is_closed
        ]
        if inside is None:
            keys += self._failed_out_of_sight(schedule)
        if keys:
            self._reopen(draft, keys)
            self._plan_anew(schedule)

    def _reopen(self, draft: Draft, keys: Iterable[NodeKey]) -> None:
        for key in keys:
            generation = self._memory.reopen(key)
            draft.event(EventType.NODE_REOPENED, key, 0, {"generation": generation})

    def _reopen_blocks(self, draft: Draft, schedule: Schedule, inside: NodeKey | None) -> bool:
        """Open again the try blocks by whose failure the run failed, or that a cancel ended.

        Their finished bodies are kept; what they left out, their catch and their last part belong to the
        block's end, and come again with it. What a saga has undone stays undone: that is a fact of the world.

        Returns:
            Whether there were any.
        """
        found = False
        for block in _below(schedule, inside):
            if not isinstance(block, BlockVertex) or block.zone.is_closed or not self._was_cut_short(block):
                continue
            inner = [
                vertex.key
                for name, part in zip(block.names, block.children, strict=True)
                for vertex in schedule.below(part)
                if name != "body" and isinstance(vertex, BlockVertex)
            ]
            found = True
            undone = sorted(self._undone_in(schedule, block))
            draft.event(EventType.BLOCK_REOPENED, block.key)
            for key in (block.key, *inner):
                if (fact := self._memory.facts.blocks.pop(key, None)) is not None:
                    again = tuple(undone) if key == block.key else ()
                    draft.write.blocks.append(BlockMove(key, None, int(fact.then), again=again))
            self._reopen(draft, undone)
        return found

    def _was_cut_short(self, block: BlockVertex) -> bool:
        """Whether it is a try block that ended without its body, or a catch, having done what it is for."""
        fact = self._memory.facts.blocks.get(block.key)
        if fact is None or not isinstance(block.plan, TryPlan):
            return False
        return fact.has_ended and fact.then is not Settled.FINISHED

    def _undone_in(self, schedule: Schedule, block: BlockVertex) -> set[NodeKey]:
        """Its tasks that are to be done again; not those of blocks in its body that have ended well."""
        facts = self._memory.facts.nodes
        found = set()
        for name, part in zip(block.names, block.children, strict=True):
            for vertex in schedule.below(part):
                if vertex.key not in facts or not isinstance(vertex, Leaf):
                    continue
                is_open = facts[vertex.key] in (*_AGAIN, Settled.NOT_REACHED)
                if name != "body" or (is_open and not self._is_kept(vertex, block)):
                    found.add(vertex.key)
        return found

    def _is_kept(self, leaf: Leaf, block: BlockVertex) -> bool:
        """Whether a block between a task and one that is opened again stays as it has ended."""
        above = leaf.parent
        while above is not None and above is not block:
            if isinstance(above, BlockVertex) and not self._was_cut_short(above):
                fact = self._memory.facts.blocks.get(above.key)
                if fact is not None and fact.has_ended:
                    return True
            above = above.parent
        return False

    def _failed_out_of_sight(self, schedule: Schedule) -> list[NodeKey]:
        """What failed in a body that is not reached now: something before it was added, or is done again."""
        if all(vertex.children for vertex in schedule.below(schedule.root) if isinstance(vertex, HoleVertex)):
            return []
        return [
            key
            for key, fact in self._memory.facts.nodes.items()
            if fact in _AGAIN and schedule.vertex(key.node) is None and self._memory.is_going_on(key)
        ]


def _below(schedule: Schedule, inside: NodeKey | None) -> list[AnyVertex]:
    top = schedule.root if inside is None else schedule.vertex(inside.node)
    return [] if top is None else schedule.below(top)
