"""What a block does next: pure, over its plan and its own memory."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, assert_never

from smithers.ids import NodeKey
from smithers.plan import BlockPlan, PlanNode, SagaPlan, TryPlan

from .facts import BlockFact, Settled

BODY, CATCH, FINALLY = "body", "catch", "finally"
LOOP_FAILED = "LOOP_MAX_REACHED"
"""What the failure of a loop goes by."""


class How(IntEnum):
    """How a part ended, in the order in which that is applied: what settled comes before what failed."""

    SETTLED = 1
    FAILED = 2
    STOPPED = 3
    """A region around it unwinds."""


class Part(NamedTuple):
    """One region of a block."""

    name: str
    plan: PlanNode
    is_shielded: bool
    """What stops or cancels around the block does not reach into it."""


def parts_of(plan: BlockPlan) -> list[Part]:
    """A block's parts, in the order in which their turn comes."""
    match plan:
        case TryPlan():
            named = ((BODY, plan.body, False), (CATCH, plan.catch, False), (FINALLY, plan.finally_, True))
            return [Part(name, part, shielded) for name, part, shielded in named if part is not None]
        case SagaPlan(steps=steps):
            actions = [Part(f"action:{n}", step.action, False) for n, step in enumerate(steps, 1)]
            undos = [
                Part(f"undo:{n}", step.compensation, True)
                for n, step in enumerate(steps, 1)
                if step.compensation is not None
            ]
            return actions + undos[::-1]
        case _:
            assert_never(plan)


def turn_of(name: str) -> tuple[int, int]:
    """Orders parts by their turn, those that an edit has taken away too; the end comes last."""
    kind, _, digits = name.partition(":")
    number = int(digits or 0)
    match kind:
        case "body" | "action":
            return 0, number
        case "catch" | "undo":
            return 1, -number
        case "finally":
            return 2, 0
        case _:
            return 3, 0


def first_fact(plan: BlockPlan) -> BlockFact:
    """The memory of a block that begins."""
    return BlockFact(BODY if isinstance(plan, TryPlan) else "action:1")


def after(
    plan: BlockPlan, fact: BlockFact, how: How, cause: NodeKey | None, names: tuple[str, ...] | None = ()
) -> BlockFact:
    """The memory of a block whose part under way has ended.

    Args:
        cause: what failed, in it or around it; None: it settled, or the run is being cancelled.
        names: what that failure goes by; None: no catch may begin, because a region around it unwinds.
    """
    done = (*fact.done, fact.at) if how is How.SETTLED else fact.done
    match plan:
        case TryPlan():
            return _after_try(plan, fact, how, cause, names, done)
        case SagaPlan():
            return _after_saga(plan, fact, how, cause, done)
        case _:
            assert_never(plan)


def _after_try(
    plan: TryPlan,
    fact: BlockFact,
    how: How,
    cause: NodeKey | None,
    names: tuple[str, ...] | None,
    done: tuple[str, ...],
) -> BlockFact:
    takes = names is not None and (not plan.catch_errors or not set(plan.catch_errors).isdisjoint(names))
    if fact.at == BODY and how is How.FAILED and plan.catch is not None and takes:
        return BlockFact(CATCH, Settled.FINISHED, cause, done)
    if fact.at in (BODY, CATCH):
        # A catch that settles keeps the failure that it was about: people ask for it.
        then, why = (Settled.FINISHED, fact.cause) if how is How.SETTLED else _failed(plan, how, cause)
        return BlockFact(FINALLY if plan.finally_ is not None else "", then, why, done)
    if how is How.FAILED:
        return BlockFact("", _failed(plan, how, cause)[0], cause, done)
    return BlockFact("", fact.then, fact.cause, done)


def _failed(plan: TryPlan, how: How, cause: NodeKey | None) -> tuple[Settled, NodeKey | None]:
    if how is How.FAILED and plan.tolerates:
        return Settled.TOLERATED, cause
    return (Settled.FAILED if cause is not None else Settled.CANCELLED), cause


def _after_saga(
    plan: SagaPlan, fact: BlockFact, how: How, cause: NodeKey | None, done: tuple[str, ...]
) -> BlockFact:
    kind, _, digits = fact.at.partition(":")
    number = int(digits or 0)
    if kind == "undo":
        broken = fact.broken
        if how is How.FAILED and cause is not None:
            broken = (*broken, cause)
        return _undo(plan, BlockFact(fact.at, fact.then, fact.cause, done, broken), number - 1)
    if how is How.SETTLED:
        # An action of this number may be gone from the tree: what follows it is what is left.
        at = f"action:{number + 1}" if number < len(plan.steps) else ""
        return BlockFact(at, done=done)
    then = Settled.FAILED if cause is not None else Settled.CANCELLED
    if not plan.compensates:
        return BlockFact("", then, cause, done)
    if how is How.FAILED and plan.tolerates:
        then = Settled.TOLERATED
    return _undo(plan, BlockFact(fact.at, then, cause, done), number - 1)


def _undo(plan: SagaPlan, fact: BlockFact, number: int) -> BlockFact:
    """Go on with the newest step up to `number` that is done and can be undone."""
    for step in range(min(number, len(plan.steps)), 0, -1):
        if plan.steps[step - 1].compensation is not None and f"action:{step}" in fact.done:
            return BlockFact(f"undo:{step}", fact.then, fact.cause, fact.done, fact.broken)
    # What could not be undone is a failure, whatever the saga's author thinks of the rest.
    is_worse = bool(fact.broken) and fact.then is Settled.TOLERATED
    return BlockFact("", Settled.FAILED if is_worse else fact.then, fact.cause, fact.done, fact.broken)
