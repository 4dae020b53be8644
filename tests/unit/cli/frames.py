"""Frames as an engine would commit them, told to a progress one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from smithers.cli.progress import Progress
from smithers.cli.spot import Group, Leaf, Spot
from smithers.ids import NodeKey
from smithers.records import EventRow, EventType, FrameWrite, Mount, NodeEnd, NodeState

STARTED, FINISHED, FAILED = EventType.NODE_STARTED, EventType.NODE_FINISHED, EventType.NODE_FAILED
RETRYING, SKIPPED, CANCELLED = EventType.NODE_RETRYING, EventType.NODE_SKIPPED, EventType.NODE_CANCELLED

TASK = '{"kind":"task"}'
Tree: TypeAlias = "Mapping[str, Tree | Mapping[str, Any]]"
"""Nodes by id, each with its spec; what stands in it is under `inside`."""


def task(**spec: Any) -> dict[str, Any]:
    return {"kind": "task", **spec}


def tasks(*names: str) -> dict[str, Any]:
    return {name: task() for name in names}


def group(kind: str, inside: Tree, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "inside": inside, **spec}


def parallel(inside: Tree) -> dict[str, Any]:
    return group("parallel", inside)


def loop(inside: Tree, limit: int = 3) -> dict[str, Any]:
    return group("loop", inside, max_iterations=limit)


def tolerate(node: str) -> NodeEnd:
    """The final row of a failure that the workflow goes on without."""
    return NodeEnd(NodeKey(node), 0, NodeState.FAILED, 1, "continued")


class Teller:
    """Tells what commits would have stored, one frame a call."""

    def __init__(self, progress: Progress, follow: Callable[[FrameWrite], None] | None = None) -> None:
        """Args: follow: who is told; default: the progress itself."""
        self.progress = progress
        self._follow = follow or progress.follow
        self._frame = 0
        self.run = 1
        self.at_ms = 1_000

    def mount(self, tree: Tree) -> None:
        mounts: list[Mount] = []

        def add(inside: Tree, parent: str | None) -> None:
            for position, (node, spec) in enumerate(inside.items()):
                facts = {name: value for name, value in spec.items() if name != "inside"}
                mounts.append(Mount(node, parent, position, json.dumps(facts)))
                add(spec.get("inside", {}), node)

        add(tree, None)
        self.tell(mounted=mounts)

    def tell(self, *events: tuple[Any, ...], **rows: Any) -> None:
        """Commit a frame.

        Args:
            events: type and node (an id or a key), then an attempt and data where they matter.
            rows: further lists of the frame by name.
        """
        self._frame += 1
        frame = FrameWrite(self.run, 1, self._frame, self._frame - 1, 0, 0, self.at_ms)
        for kind, node, *rest in events:
            key = node if isinstance(node, NodeKey) else NodeKey(node)
            attempt = rest[0] if rest else 1
            data = json.dumps(rest[1]) if len(rest) > 1 else None
            frame.events.append(EventRow(0, kind, self.at_ms, key, attempt, data))
        for name, found in rows.items():
            setattr(frame, name, found)
        self._follow(frame)

    def spot(self, *path: str) -> Spot:
        spot: Spot = self.progress.root
        for name in path:
            assert isinstance(spot, Group)
            spot = spot.children[name]
        return spot

    def leaf(self, *path: str) -> Leaf:
        found = self.spot(*path)
        assert isinstance(found, Leaf)
        return found

    def group(self, *path: str) -> Group:
        found = self.spot(*path)
        assert isinstance(found, Group)
        return found
