"""Who is executed again because something else is: recorded dependants, and theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from typing import Any

from smithers.context import Subject
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.records import History
from smithers.scheduler import Settled
from smithers.scheduler.vertex import HoleVertex, Leaf

from .compare import Comparison
from .definition import Definition
from .prospect import Prospect
from .terms import Terms


class Dependants:
    """The dependants of settled tasks.

    Recorded are the edges of the tree (`deps`, `needs`, `depends_on`) and what callables read through `ctx`.
    What a render made of an output is found by rendering without it.
    """

    def __init__(
        self,
        history: History,
        definition: Definition,
        terms: Terms,
        now: Prospect,
        ahead: Prospect,
        comparison: Comparison,
    ) -> None:
        self._stored = history.stored
        self._definition = definition
        self._terms = terms
        self._now = now
        self._ahead = ahead
        self._comparison = comparison
        self._never: Container[NodeKey] = ()
        self._by_target: dict[str, list[Leaf]] = defaultdict(list)
        for leaf in now.leaves.values():
            if not is_open(leaf, now):
                continue
            for target in {*(edge.target for edge in leaf.plan.edges), *history.reads.get(leaf.key, ())}:
                self._by_target[target].append(leaf)

    def add_to(self, chosen: Mapping[NodeKey, str], never: Container[NodeKey] = ()) -> dict[NodeKey, str]:
        """These, and all that depends on them, each with the reason; without those that must not be."""
        again = {key: reason for key, reason in chosen.items() if key not in never}
        self._never = never
        front = list(again)
        while front:
            while front:
                front = self._follow(front, again)
            front = self._rendered(again)
        return again

    def _follow(self, front: list[NodeKey], again: dict[NodeKey, str]) -> list[NodeKey]:
        found: list[NodeKey] = []
        for key in front:
            for name in self._names(key):
                for leaf in self._by_target.get(name, ()):
                    if leaf.key not in again and leaf.key not in self._never:
                        again[leaf.key] = f"depends on {key}"
                        found.append(leaf.key)
        return found

    def _names(self, key: NodeKey) -> list[str]:
        """What a dependant may name it by: its id, a loop around it, its model."""
        leaf = self._now.leaves.get(key)
        if leaf is None:
            return [key.node]
        task: Task[Any] = leaf.plan.payload
        return [key.node, *(loop.key.node for loop in leaf.loops()), f"*{task.model_name}"]

    # --- What a render made of an output ----------------------------------------------------------

    def _rendered(self, again: dict[NodeKey, str]) -> list[NodeKey]:
        """Tasks that are not there, or are others, when these have no outputs."""
        subjects = self._subjects(again)
        read_by_root = bool(self._now.reads_of(None) & subjects)
        units = {self._now.schedule.unit_of(leaf) for leaf in self._now.leaves.values()}
        if not read_by_root and not any(self._reads_of(unit) & subjects for unit in units):
            return []
        without = Prospect(self._stored, self._definition, self._terms, again)
        found: list[NodeKey] = []
        for key, leaf in self._now.leaves.items():
            if key in again or key in self._never or not is_open(leaf, self._now):
                continue
            if self._is_made_of(leaf, without, subjects, read_by_root=read_by_root):
                again[key] = "was made from the output of what runs again"
                found.append(key)
        return found

    def _is_made_of(
        self, leaf: Leaf, without: Prospect, subjects: set[Subject], *, read_by_root: bool
    ) -> bool:
        unit = self._now.schedule.unit_of(leaf)
        reads = self._reads_of(unit)
        other = without.leaves.get(leaf.key)
        if other is None:
            # A body that is not reached now has not been asked: what it has read decides.
            return bool(reads & subjects) or (read_by_root and self._is_asked(leaf, without))
        if not reads & subjects and not read_by_root:
            return False
        before = self._comparison.fingerprint(leaf.plan.payload)
        return before is not None and before != self._comparison.fingerprint(other.plan.payload)

    def _reads_of(self, unit: NodeKey | None) -> set[Subject]:
        return self._now.reads_of(unit) | self._ahead.reads_of(unit)

    def _is_asked(self, leaf: Leaf, without: Prospect) -> bool:
        """Whether everything around a task was made again without it."""
        unit = self._now.schedule.unit_of(leaf)
        if unit is None:
            return True
        hole = without.schedule.vertex(unit.node)
        return not isinstance(hole, HoleVertex) or bool(hole.children)

    def _subjects(self, again: Mapping[NodeKey, str]) -> set[Subject]:
        found: set[Subject] = set()
        for key in again:
            found |= {("node", key.node), ("state", key.node)}
            if (leaf := self._now.leaves.get(key)) is not None:
                found.add(("model", leaf.plan.payload.model_name))
        return found


def is_open(leaf: Leaf, now: Prospect) -> bool:
    """Whether a task has settled, and stands where something may still begin."""
    has_settled = isinstance(now.memory.facts.nodes.get(leaf.key), Settled)
    return has_settled and not leaf.zone.is_closed and not now.has_left(leaf)
