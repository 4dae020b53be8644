"""What the open blocks of a stored run owe: last parts and compensations that a cancel has to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from smithers.errors import LastPartsOwed
from smithers.ids import NodeKey
from smithers.records import MountRow, StoredRun
from smithers.scheduler import BlockFact

from .memory import Memory

Debts = dict[NodeKey, "Debt"]
"""By block."""


class Debt(NamedTuple):
    """What one block owes."""

    fact: BlockFact
    """How far it had come, as stored."""
    tasks: tuple[str, ...]
    """Ids of the tasks that end it, those that are done too; none: they are not known."""


def debts_of(memory: Memory, mounts: Iterable[MountRow]) -> Debts:
    """The blocks that stood open in the tree that was last stored, and have something to run in their end.

    Args:
        memory: the run as its rows have it.
        mounts: the rows of that tree.
    """
    specs = {mount.node: mount.spec for mount in mounts}
    found: Debts = {}
    for key, fact in memory.facts.blocks.items():
        if fact.has_ended or key.node not in specs or not memory.is_going_on(key):
            continue
        tasks = _tasks(specs[key.node], fact)
        if tasks is not None:
            found[key] = Debt(fact, tuple(tasks))
    return found


def debts_in(stored: StoredRun) -> Debts:
    """The same of a run that nobody drives."""
    memory = Memory(stored.run.name, stored.run.input, None)
    memory.restore(stored, set())
    return debts_of(memory, stored.mounts)


def _tasks(spec: Mapping[str, Any], fact: BlockFact) -> list[str] | None:
    """What ends a block; None: nothing does."""
    match spec.get("kind"):
        case "saga":
            steps = _steps_to_undo(fact)
            undo = spec.get("undo")
            if undo is None:
                return [] if steps else None  # of a version that did not store whom
            found = [task for step in steps if step <= len(undo) for task in undo[step - 1]]
            return found or None
        case "try":
            last = spec.get("finally")
            return [] if last is None else list(last) or None
        case _:
            return None


def _steps_to_undo(fact: BlockFact) -> list[int]:
    """Steps that are done and not undone, last first."""
    done = sorted((int(name[7:]) for name in fact.done if name.startswith("action:")), reverse=True)
    kind, _, digits = fact.at.partition(":")
    return [step for step in done if kind != "undo" or step <= int(digits)]


def owing(run: str, debts: Debts) -> LastPartsOwed:
    """Why a run cannot be cancelled without its workflow."""
    return LastPartsOwed(
        f"{run} is not cancelled: it owes {told(debts)}",
        hint=f"mend its workflow and run `smithers cancel {run}` again, or end it without them: "
        f"`smithers cancel {run} --now`",
        owed=document(debts),
    )


def told(debts: Debts) -> str:
    """What is owed, in words: `finally of try:work (clean); compensations of saga:a (ub, ua)`."""
    return "; ".join(
        f"{'compensations' if debt.fact.at.startswith(('action', 'undo')) else 'finally'} of {key}"
        + (f" ({', '.join(debt.tasks)})" if debt.tasks else "")
        for key, debt in sorted(debts.items())
    )


def document(debts: Debts) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [{"block": str(key), "tasks": list(debt.tasks)} for key, debt in sorted(debts.items())]
