"""What a resume opens again: tasks that failed or were cut off, and the blocks they ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smithers.ids import NodeKey
from smithers.plan import TryPlan
from smithers.records import BlockMove, EventType
from smithers.scheduler import BlockFact, Schedule, Settled
from smithers.scheduler.block import BODY, CATCH, FINALLY
from smithers.scheduler.vertex import AnyVertex, BlockVertex, HoleVertex, Leaf

from .draft import Draft
from .memory import Memory

_AGAIN = (Settled.FAILED, Settled.TOLERATED, Settled.UPSTREAM, Settled.CANCELLED)
_ENDS = (CATCH, FINALLY)


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
            if (kept := self._memory.keep_child(key)) is not None:
                draft.write.children.append(kept)

    def _reopen_blocks(self, draft: Draft, schedule: Schedule, inside: NodeKey | None) -> bool:
        """Open again the try blocks by whose failure the run failed, or that a cancel ended.

        What finished in a body is kept. If something in it is to be executed, the catch and the last part
        belong to what comes of that, and come again with it. If nothing is, because only the last part has
        failed, it goes on where it stood. What a saga has undone stays undone: that is a fact of the world.

        Returns:
            Whether there were any.
        """
        found = False
        for block in _below(schedule, inside):
            if not isinstance(block, BlockVertex) or block.zone.is_closed or not self._was_cut_short(block):
                continue
            found = True
            draft.event(EventType.BLOCK_REOPENED, block.key)
            if self._failed_in_its_end(schedule, block):
                self._go_on_in_its_end(draft, schedule, block)
            else:
                self._begin_again(draft, schedule, block, self._undone_in(schedule, block))
        return found

    def open_ends(self, draft: Draft, schedule: Schedule, blocks: Iterable[BlockVertex]) -> None:
        """In the bodies of these blocks something is executed after they were left: their ends come again."""
        for block in blocks:
            draft.event(EventType.BLOCK_REOPENED, block.key)
            self._begin_again(draft, schedule, block, self._undone_in(schedule, block, parts=_ENDS))

    def _begin_again(
        self, draft: Draft, schedule: Schedule, block: BlockVertex, undone: Iterable[NodeKey]
    ) -> None:
        """Open a block from its beginning; blocks in its ends do not remember anything either."""
        inner = [
            vertex.key
            for name, part in zip(block.names, block.children, strict=True)
            for vertex in schedule.below(part)
            if name in _ENDS and isinstance(vertex, BlockVertex)
        ]
        keys = tuple(sorted(undone))
        draft.write.blocks.append(BlockMove(block.key, None, 0, again=keys))
        for key in (block.key, *inner):
            fact = self._memory.facts.blocks.pop(key, None)
            if fact is not None and key != block.key:
                draft.write.blocks.append(BlockMove(key, None, int(fact.then)))
        self._reopen(draft, keys)

    def _failed_in_its_end(self, schedule: Schedule, block: BlockVertex) -> bool:
        """Whether a block's last part has failed, and nothing before that is to be executed again."""
        fact = self._memory.facts.blocks[block.key]
        if FINALLY not in block.numbers:
            return False
        if CATCH in fact.done:
            return True  # what its body failed of was handled: that is an outcome
        facts = self._memory.facts.nodes
        return BODY in fact.done and not any(
            isinstance(vertex, Leaf)
            and (vertex.key not in facts or facts[vertex.key] in (*_AGAIN, Settled.NOT_REACHED))
            and not self._is_kept(vertex, block)
            for vertex in schedule.below(block.children[block.numbers[BODY]])
        )

    def _go_on_in_its_end(self, draft: Draft, schedule: Schedule, block: BlockVertex) -> None:
        """Do the rest of a last part that has failed."""
        before = self._memory.facts.blocks[block.key]
        cause = self._memory.caught_by.get(block.key) if CATCH in before.done else None
        fact = BlockFact(FINALLY, Settled.FINISHED, cause, before.done)
        facts = self._memory.facts.nodes
        undone = sorted(
            vertex.key
            for vertex in schedule.below(block.children[block.numbers[FINALLY]])
            if isinstance(vertex, Leaf)
            and facts.get(vertex.key) in (*_AGAIN, Settled.NOT_REACHED)
            and not self._is_kept(vertex, block)
        )
        self._memory.facts.blocks[block.key] = fact
        move = BlockMove(block.key, fact.at, int(fact.then), cause, fact.done, again=tuple(undone))
        draft.write.blocks.append(move)
        self._reopen(draft, undone)

    def _was_cut_short(self, block: BlockVertex) -> bool:
        """Whether it is a try block that ended without its body, or a catch, having done what it is for."""
        fact = self._memory.facts.blocks.get(block.key)
        if fact is None or not isinstance(block.plan, TryPlan):
            return False
        return fact.has_ended and fact.then is not Settled.FINISHED

    def _undone_in(
        self, schedule: Schedule, block: BlockVertex, parts: Iterable[str] | None = None
    ) -> set[NodeKey]:
        """Its tasks that are to be done again; not those of blocks in its body that have ended well.

        Args:
            parts: look only there; None: in all.
        """
        facts = self._memory.facts.nodes
        found = set()
        for name, part in zip(block.names, block.children, strict=True):
            if parts is not None and name not in parts:
                continue
            for vertex in schedule.below(part):
                if vertex.key not in facts or not isinstance(vertex, Leaf):
                    continue
                is_open = facts[vertex.key] in (*_AGAIN, Settled.NOT_REACHED)
                if name in _ENDS or (is_open and not self._is_kept(vertex, block)):
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
