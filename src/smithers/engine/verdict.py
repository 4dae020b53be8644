"""What a resume is asked to do again, and what it will do to each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from smithers.ids import NodeKey
from smithers.records import RunState

Verdict: TypeAlias = Literal["keep", "run", "changed", "gone", "blocked"]
"""`keep`: its stored result stands. `run`: it is executed. `changed`: its result stands, and the file asks
for something else now. `gone`: it is not in the tree any more. `blocked`: it will not, or cannot, go on."""

CHANGED = "changed"
"""Stands for everything that is changed, where node ids are named; a task of that id is `changed[0]`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a resume is asked to execute again."""

    changed: bool = False
    """Everything that is *changed*."""
    rerun: tuple[str, ...] = ()
    """Node ids, `draft` or `draft[1]`."""
    retry: tuple[str, ...] = ()
    """The same of nodes that failed, were skipped or cancelled."""
    strict: bool = False
    """Refuse to keep what is *changed*."""

    @classmethod
    def of(cls, rerun: Iterable[str] = (), retry: Iterable[str] = (), *, strict: bool = False) -> Wish:
        """Args: rerun: node ids; `changed` is no id among them, but all that is changed."""
        words = (rerun,) if isinstance(rerun, str) else tuple(rerun)
        names = tuple(word for word in words if word != CHANGED)
        again = (retry,) if isinstance(retry, str) else tuple(retry)
        return cls(len(names) < len(words), names, again, strict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.rerun or self.retry or self.strict)


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One task in one pass."""

    key: NodeKey
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """What a resume will do."""

    run: str
    state: RunState
    nodes: tuple[PlannedNode, ...]
    """In document order; what is not in the tree any more comes last."""
    again: tuple[NodeKey, ...]
    """Settled work that is executed again, because somebody asked for it."""
    notes: tuple[str, ...]
    """What cannot be known yet, and what somebody should know."""
    marks: Mapping[NodeKey, bytes] = field(default_factory=dict)
    """Of a script: fingerprints of its finished tasks. What it asks for behind something that runs again is
    executed again where that is another."""
    afresh: frozenset[NodeKey] = frozenset()
    """Those of `again` that do not go on with the run that they had, if they are sub-workflows."""

    def count(self, verdict: Verdict) -> int:
        """How many tasks have this verdict."""
        return sum(node.verdict == verdict for node in self.nodes)

    def of(self, verdict: Verdict) -> list[PlannedNode]:
        """The tasks that have this verdict."""
        return [node for node in self.nodes if node.verdict == verdict]
