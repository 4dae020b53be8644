"""A run's mounted nodes in document order, and the pass each one is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smithers.ids import NodeKey, passes_of
from smithers.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.records import MountRow, PassRow

TASK, LOOP, PARALLEL = "task", "loop", "parallel"


@dataclass(slots=True)
class Place:
    """One mounted node, where it stands."""

    node: str
    kind: str
    """Lower-case name of the node's kind: `task`, `loop`, `parallel`, `sequence`, …"""
    spec: Mapping[str, Any]
    parent: Place | None
    depth: int
    """How many nodes stand around it."""
    edges: str = ""
    """Ids it waits for, as in `records.Mount`."""
    children: list[Place] = field(default_factory=list)

    def ancestors(self) -> Iterator[Place]:
        """What stands around it, innermost first."""
        place = self.parent
        while place is not None:
            yield place
            place = place.parent

    @property
    def loops(self) -> list[Place]:
        """The loops around it, outermost first."""
        return [place for place in self.ancestors() if place.kind == LOOP][::-1]

    @property
    def is_task(self) -> bool:
        """Whether it is a task, and no container."""
        return self.kind == TASK

    @property
    def label(self) -> str | None:
        """The author's own text for it."""
        label = self.spec.get("label")
        return label if isinstance(label, str) else None

    def tasks(self) -> Iterator[Place]:
        """The tasks in it, itself included, in document order."""
        todo: list[Place] = [self]
        while todo:
            place = todo.pop()
            if place.is_task:
                yield place
            todo.extend(reversed(place.children))


class Tree:
    """All places of one run."""

    def __init__(self, mounts: Sequence[MountRow], passes: Sequence[PassRow]) -> None:
        self.places: list[Place] = []
        """In document order: a parent, then its children as the author wrote them."""
        self.by_id: dict[str, Place] = {}
        self._passes: dict[NodeKey, PassRow] = {}
        for row in passes:
            last = self._passes.get(row.loop)
            if last is None or row.pass_ > last.pass_:
                self._passes[row.loop] = row
        below: dict[str | None, list[MountRow]] = {}
        known = {mount.node for mount in mounts}
        for mount in mounts:
            parent = mount.parent if mount.parent in known else None
            below.setdefault(parent, []).append(mount)
        todo: list[tuple[MountRow, Place | None]] = [
            (mount, None) for mount in _last_first(below.get(None, []))
        ]
        while todo:
            mount, around = todo.pop()
            place = Place(
                node=mount.node,
                kind=str(mount.spec.get("kind", TASK)).lower(),
                spec=mount.spec,
                parent=around,
                depth=0 if around is None else around.depth + 1,
                edges=mount.edges,
            )
            if around is not None:
                around.children.append(place)
            self.places.append(place)
            self.by_id[place.node] = place
            todo.extend((child, place) for child in _last_first(below.get(mount.node, [])))

    def tasks(self) -> Iterator[Place]:
        """Every mounted task in document order."""
        return (place for place in self.places if place.is_task)

    def key_now(self, place: Place) -> NodeKey:
        """The place's key in the current pass of every loop around it."""
        scope: list[str] = []
        iteration = 0
        around: str | None = None
        for loop in place.loops:
            entered = self.current_pass(NodeKey(loop.node, ",".join(scope), iteration))
            if around is not None:
                scope.append(f"{around}={iteration}")
            around, iteration = loop.node, entered
        return NodeKey(place.node, ",".join(scope), iteration)

    def current_pass(self, loop: NodeKey) -> int:
        """The pass a loop is in; its last one when it is done. Counts from 0."""
        last = self._passes.get(loop)
        if last is None:
            return 0
        return last.pass_ + 1 if last.verdict is Verdict.NEXT else last.pass_

    def verdict(self, loop: NodeKey) -> Verdict | None:
        """How a loop ended; None while it goes on."""
        last = self._passes.get(loop)
        return None if last is None or last.verdict is Verdict.NEXT else last.verdict


def pass_order(key: NodeKey) -> tuple[tuple[int, ...], int]:
    """Sorts the passes of one node as they happen: `outer=2` before `outer=10`."""
    passes = passes_of(key)
    return passes[:-1], passes[-1]


def _last_first(mounts: list[MountRow]) -> list[MountRow]:
    return sorted(mounts, key=lambda mount: mount.position, reverse=True)
