"""The tree of a run as it is mounted now, with what it counts.

A change costs as much as it changed, times the depth of the tree; nothing walks all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from smithers.ids import NodeKey
from smithers.observe.tree import LOOP, TASK
from smithers.records import Verdict

from .spot import Bucket, Group, Leaf, Spot, Standing

if TYPE_CHECKING:
    from smithers.records import FrameWrite, Mount, MountRow

    AnyMount: TypeAlias = Mount | MountRow


class MountedTree:
    """Finds a node by its id, and knows which pass it is in."""

    def __init__(self) -> None:
        self.root = Group("", {"kind": "sequence"})
        self.root.is_mounted = True
        self.running: dict[NodeKey, Leaf] = {}
        """In the order they started; also those that have left the tree meanwhile."""
        self.retrying: dict[NodeKey, Leaf] = {}
        self._spots: dict[str, Spot] = {}
        self._specs: dict[str, Mapping[str, Any]] = {}

    def find(self, node: str) -> Spot | None:
        """A node by its id, also one that has left the tree."""
        return self._spots.get(node)

    def current(self, key: NodeKey) -> Leaf | None:
        """The mounted task with this key, if this is the pass it is in."""
        spot = self._spots.get(key.node)
        return spot if isinstance(spot, Leaf) and spot.is_mounted and spot.key == key else None

    # --- What is mounted ----------------------------------------------------------------------------

    def remount(self, frame: FrameWrite) -> None:
        """Mount and unmount what a frame says."""
        stay = {mount.node for mount in frame.mounted}
        for node in frame.unmounted:
            spot = self._spots.get(node)
            if spot is None or not spot.is_mounted or node in stay:
                continue
            if isinstance(spot, Group):
                # What was below it has left as well, or stands elsewhere now and is mounted there.
                for child in list(spot.children.values()):
                    self._detach(child)
            self._detach(spot)
        self.place(frame.mounted)

    def place(self, mounts: Iterable[AnyMount]) -> None:
        """Mount nodes, parents before their children."""
        touched: dict[Group, None] = {}
        for mount in mounts:
            spot = self._spot(mount)
            self._detach(spot)
            parent = self._spots.get(mount.parent) if mount.parent is not None else None
            spot.position = mount.position
            group = parent if isinstance(parent, Group) else self.root
            self._attach(spot, group)
            touched[group] = None
        for group in touched:
            children = sorted(group.children.values(), key=lambda child: child.position)
            group.children = {child.node: child for child in children}
            # What comes next is what stands first.
            pending = group.buckets[Bucket.PENDING]
            pending.clear()
            pending.update((child, None) for child in children if child.bucket is Bucket.PENDING)

    def _spot(self, mount: AnyMount) -> Spot:
        spec = self._specs_of(mount.spec) if isinstance(mount.spec, str) else mount.spec
        is_task = spec.get("kind") == TASK
        spot = self._spots.get(mount.node)
        if spot is None or isinstance(spot, Leaf) != is_task:
            if spot is not None:
                self._detach(spot)
            spot = self._spots[mount.node] = Leaf(mount.node, spec) if is_task else Group(mount.node, spec)
        spot.spec = spec
        return spot

    def _specs_of(self, text: str) -> Mapping[str, Any]:
        # Nodes of one kind share their spec, and so its text.
        found = self._specs.get(text)
        if found is None:
            found = self._specs[text] = json.loads(text)
        return found

    def _attach(self, spot: Spot, group: Group) -> None:
        spot.parent, spot.is_mounted = group, True
        group.children[spot.node] = spot
        if isinstance(spot, Group):
            spot.is_in_loop = spot.kind == LOOP or group.is_in_loop
            spot.bucket = spot.find_bucket()
            self._add(group, spot.counts, spot.size)
        else:
            key = self.key_now(spot)
            if key != spot.key:
                spot.reset(key)
            self._count(group, spot.standing, 1, 1)
        group.buckets[spot.bucket][spot] = None
        self._sort(group)

    def _detach(self, spot: Spot) -> None:
        group = spot.parent
        if group is None:
            return
        group.children.pop(spot.node, None)
        group.buckets[spot.bucket].pop(spot, None)
        spot.parent, spot.is_mounted = None, False
        if isinstance(spot, Group):
            self._add(group, [-count for count in spot.counts], -spot.size)
        else:
            self._count(group, spot.standing, -1, -1)
        self._sort(group)

    @staticmethod
    def _add(group: Group | None, counts: list[int], size: int) -> None:
        while group is not None:
            group.size += size
            for standing, count in enumerate(counts):
                if count:
                    group.counts[standing] += count
            group = group.parent

    @staticmethod
    def _count(group: Group | None, standing: Standing, count: int, size: int) -> None:
        while group is not None:
            group.size += size
            group.counts[standing] += count
            group = group.parent

    @staticmethod
    def _sort(group: Group) -> None:
        """Put a container whose counts have changed, and those around it, where they belong."""
        spot: Group = group
        while spot.parent is not None:
            bucket = spot.find_bucket()
            if bucket is not spot.bucket:
                spot.parent.buckets[spot.bucket].pop(spot, None)
                spot.parent.buckets[bucket][spot] = None
                spot.bucket = bucket
            spot = spot.parent

    def key_now(self, spot: Spot) -> NodeKey:
        """Its key in the current pass of every loop around it."""
        group = spot.parent
        if group is None or not group.is_in_loop:
            return NodeKey(spot.node)
        loops: list[Group] = []
        while group is not None:
            if group.kind == LOOP:
                loops.append(group)
            group = group.parent
        scope = ",".join(f"{loop.node}={loop.pass_}" for loop in reversed(loops[1:]))
        return NodeKey(spot.node, scope, loops[0].pass_)

    # --- What becomes of it -------------------------------------------------------------------------

    def move(self, leaf: Leaf, standing: Standing) -> None:
        """Put a task where it stands now."""
        before, bucket = leaf.standing, leaf.bucket
        leaf.standing = standing
        if before is Standing.RUNNING:
            self.running.pop(leaf.key, None)
        elif before is Standing.WAITING:
            self.retrying.pop(leaf.key, None)
        if standing is Standing.RUNNING:
            self.running[leaf.key] = leaf
        elif standing is Standing.WAITING:
            self.retrying[leaf.key] = leaf
        group = leaf.parent
        if before is standing or group is None:
            return
        group.buckets[bucket].pop(leaf, None)
        group.buckets[leaf.bucket][leaf] = None
        around: Group | None = group
        while around is not None:
            around.counts[before] -= 1
            around.counts[standing] += 1
            around = around.parent
        self._sort(group)

    def enter_pass(self, loop: Group, ended: int, verdict: Verdict) -> None:
        """A pass has ended: the next one begins, or the loop is done."""
        if verdict is not Verdict.NEXT:
            loop.pass_, loop.verdict = ended, verdict
            return
        loop.pass_, loop.verdict = ended + 1, None
        todo: list[Spot] = list(reversed(loop.children.values()))
        while todo:
            spot = todo.pop()
            if isinstance(spot, Group):
                spot.pass_, spot.verdict = 0, None
                todo.extend(reversed(spot.children.values()))
            else:
                self.move(spot, Standing.PENDING)
                spot.reset(self.key_now(spot))
