"""What a run does now, kept up to date by the frames it commits.

Following a frame costs as much as the frame changed, times the depth of the tree; nothing walks all of it.
Containers keep their children sorted by what becomes of them, so that a screen finds the few that are worth
showing among ten thousand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from smithers.ids import NodeKey
from smithers.observe.node_view import CONTINUED, shown_name
from smithers.observe.tree import LOOP, TASK
from smithers.records import AttemptState, EventRow, EventType, NodeState, Verdict

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import AttemptRow, FrameWrite, Mount, MountRow, NodeRow, PassRow, Wakeup
    from smithers.store import Store

    AnyMount: TypeAlias = Mount | MountRow

UNSHOWN: Final = frozenset({"sequence", "body"})
"""Containers that only say what follows what, or what was rendered apart: they get no line of their own."""


class Standing(IntEnum):
    """A task's state as people count it: a tolerated failure is settled, an unhandled one is not."""

    PENDING = 0
    RUNNING = 1
    WAITING = 2
    FINISHED = 3
    FAILED = 4
    SKIPPED = 5
    CANCELLED = 6
    TOLERATED = 7

    @property
    def word(self) -> str:
        """The stored word of the node's state."""
        return "failed" if self is Standing.TOLERATED else self.name.lower()


class Bucket(IntEnum):
    """Which children of a container a screen looks for."""

    ACTIVE = 0
    FAILED = 1
    DONE = 2
    PENDING = 3


class Leaf:
    """A task in its current pass."""

    __slots__ = (
        "agent",
        "attempt",
        "due_ms",
        "ended_ms",
        "first_ms",
        "is_mounted",
        "key",
        "message",
        "node",
        "parent",
        "position",
        "spec",
        "standing",
        "started_ms",
    )

    def __init__(self, node: str, spec: Mapping[str, Any]) -> None:
        self.node = node
        self.spec = spec
        self.parent: Group | None = None
        self.position = 0
        self.is_mounted = False
        self.reset(NodeKey(node))

    def reset(self, key: NodeKey) -> None:
        """Begin a pass: nothing is known of it yet."""
        self.key = key
        self.standing = Standing.PENDING
        self.attempt = 0
        self.agent: str | None = None
        """Who makes the last attempt."""
        self.first_ms: int | None = None
        """Start of this pass' first attempt."""
        self.started_ms: int | None = None
        """Start of the last attempt."""
        self.ended_ms: int | None = None
        self.due_ms: int | None = None
        """When the next attempt may start."""
        self.message: str | None = None
        """Why it failed, is skipped or waits."""

    @property
    def shown(self) -> str:
        """Its name on a screen, with the pass where a loop stands around it."""
        return shown_name(self.key, is_in_loop=self.parent is not None and self.parent.is_in_loop)

    @property
    def label(self) -> str:
        """The author's own text for it, else its name."""
        label = self.spec.get("label")
        return label if isinstance(label, str) and label else self.shown

    @property
    def bucket(self) -> Bucket:
        return _BUCKETS[self.standing]

    @property
    def size(self) -> int:
        """Lines it takes."""
        return 1


_BUCKETS: Final = {
    Standing.PENDING: Bucket.PENDING,
    Standing.RUNNING: Bucket.ACTIVE,
    Standing.WAITING: Bucket.ACTIVE,
    Standing.FINISHED: Bucket.DONE,
    Standing.FAILED: Bucket.FAILED,
    Standing.SKIPPED: Bucket.DONE,
    Standing.CANCELLED: Bucket.DONE,
    Standing.TOLERATED: Bucket.FAILED,
}
_SETTLED: Final = (Standing.FINISHED, Standing.SKIPPED, Standing.CANCELLED, Standing.TOLERATED)


class Group:
    """A container: how many tasks below stand where, and which children to look at."""

    __slots__ = (
        "bucket",
        "buckets",
        "children",
        "counts",
        "is_in_loop",
        "is_mounted",
        "kind",
        "node",
        "parent",
        "pass_",
        "position",
        "size",
        "spec",
        "verdict",
    )

    def __init__(self, node: str, spec: Mapping[str, Any]) -> None:
        self.node = node
        self.spec = spec
        self.kind = str(spec.get("kind", "")).lower()
        self.parent: Group | None = None
        self.position = 0
        self.is_mounted = False
        self.is_in_loop = self.kind == LOOP
        """Whether what stands in it has passes."""
        self.children: dict[str, Spot] = {}
        self.buckets: tuple[dict[Spot, None], ...] = ({}, {}, {}, {})
        """Children by `Bucket`, in the order in which they came there."""
        self.counts = [0] * len(Standing)
        """Tasks below, by standing."""
        self.size = 0 if self.is_hidden else 1
        """Lines it takes when all of it is shown."""
        self.bucket = Bucket.PENDING
        self.pass_ = 0
        self.verdict: Verdict | None = None
        """How a loop ended; None while it goes on."""

    @property
    def is_hidden(self) -> bool:
        return self.kind in UNSHOWN

    @property
    def settled(self) -> int:
        return sum(self.counts[one] for one in _SETTLED)

    @property
    def total(self) -> int:
        return sum(self.counts)

    def find_bucket(self) -> Bucket:
        """Where it belongs among its siblings."""
        counts = self.counts
        if counts[Standing.RUNNING] or counts[Standing.WAITING]:
            return Bucket.ACTIVE
        if counts[Standing.FAILED] or counts[Standing.TOLERATED]:
            return Bucket.FAILED
        return Bucket.PENDING if counts[Standing.PENDING] or not self.total else Bucket.DONE


Spot: TypeAlias = Leaf | Group


class Progress:
    """One run's tree and what it does.

    Args:
        store: where to look up what was before the first frame that is seen; None: nothing was.
        run: the run's number in `store`.
    """

    def __init__(self, store: Store | None = None, run: int = 0) -> None:
        self._store = store
        self._run = run
        self._spots: dict[str, Spot] = {}
        self._specs: dict[str, Mapping[str, Any]] = {}
        self.root = Group("", {"kind": "sequence"})
        self.root.is_mounted = True
        self.running: dict[NodeKey, Leaf] = {}
        """In the order they started; also those that have left the tree meanwhile."""
        self.retrying: dict[NodeKey, Leaf] = {}
        self.began_ms: int | None = None
        """Wall clock of the first frame."""
        self.warnings: list[str] = []
        """Said by the engine, not yet by a display, which empties this list."""

    def follow(self, frame: FrameWrite) -> None:
        """Apply what one commit stored."""
        if self.began_ms is None:
            self.began_ms = frame.at_ms
            if frame.frame > 1 and self._store is not None:
                with closing(self._store.reader()) as reader:
                    self._recall(reader, frame.frame - 1)
        if frame.mounted or frame.unmounted:
            self._remount(frame)
        tolerated: set[NodeKey] = set()
        settled: set[NodeKey] = set()
        for end in frame.settled:
            settled.add(end.key)
            if end.state is NodeState.FAILED and end.reason == CONTINUED:
                tolerated.add(end.key)
        for event in frame.events:
            self._apply(event, settled, tolerated)
        for start in frame.started:
            if start.agent is not None and start.key in self.running:
                self.running[start.key].agent = start.agent
        for wakeup in frame.wakeups:
            leaf = self.retrying.get(wakeup.key)
            if leaf is not None:
                leaf.due_ms = wakeup.due_ms

    # --- What was before --------------------------------------------------------------------------

    def _recall(self, reader: Reader, frame: int) -> None:
        """Take over how the run stood after `frame`."""
        run = self._run
        self._place(reader.mounts(run, frame))
        for row in sorted(reader.passes(run), key=lambda row: (row.frame, row.pass_)):
            if row.frame <= frame:
                self._recall_pass(row)
        self._recall_nodes((row for row in reader.nodes(run) if row.frame <= frame), reader.wakeups(run))
        self._recall_attempts(row for row in reader.attempts(run) if row.from_frame <= frame)

    def _recall_pass(self, row: PassRow) -> None:
        loop = self._spots.get(row.loop.node)
        if isinstance(loop, Group) and self._key_now(loop) == row.loop:
            self._enter_pass(loop, row.pass_, row.verdict)

    def _recall_nodes(self, rows: Iterable[NodeRow], wakeups: Iterable[Wakeup]) -> None:
        for row in rows:
            leaf = self._current(row.key)
            if leaf is not None:
                is_tolerated = row.state is NodeState.FAILED and row.reason == CONTINUED
                leaf.message = row.reason if row.state is NodeState.SKIPPED else None
                self._move(leaf, Standing.TOLERATED if is_tolerated else Standing(row.state))
        for wakeup in wakeups:
            leaf = self._current(wakeup.key)
            if leaf is not None and leaf.standing is Standing.PENDING:
                leaf.due_ms = wakeup.due_ms
                self.retrying[leaf.key] = leaf
                self._move(leaf, Standing.WAITING)

    def _recall_attempts(self, rows: Iterable[AttemptRow]) -> None:
        for row in rows:
            leaf = self._current(row.key)
            if leaf is None:
                continue
            leaf.attempt = row.attempt
            leaf.first_ms = row.started_ms if row.attempt == 1 or leaf.first_ms is None else leaf.first_ms
            leaf.started_ms, leaf.ended_ms = row.started_ms, row.ended_ms
            if row.state is AttemptState.FAILED and leaf.bucket is not Bucket.DONE:
                leaf.message = first_line((row.error or {}).get("message"))

    def _current(self, key: NodeKey) -> Leaf | None:
        """The mounted task with this key, if this is the pass it is in."""
        spot = self._spots.get(key.node)
        return spot if isinstance(spot, Leaf) and spot.is_mounted and spot.key == key else None

    # --- The tree -----------------------------------------------------------------------------------

    def _remount(self, frame: FrameWrite) -> None:
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
        self._place(frame.mounted)

    def _place(self, mounts: Iterable[AnyMount]) -> None:
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
            key = self._key_now(spot)
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

    def _key_now(self, spot: Spot) -> NodeKey:
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

    # --- What happens -------------------------------------------------------------------------------

    def _apply(self, event: EventRow, settled: set[NodeKey], tolerated: set[NodeKey]) -> None:
        key = event.key
        if key is None:
            if event.type is EventType.RUN_WARNING:
                self.warnings.append(first_line(data_of(event).get("message")) or "")
            return
        spot = self._spots.get(key.node)
        if isinstance(spot, Group):
            if event.type in (EventType.PASS_ENDED, EventType.LOOP_DONE):
                data = data_of(event)
                verdict = Verdict[str(data.get("verdict", "next")).upper()]
                self._enter_pass(spot, int(data.get("pass", 0)), verdict)
        elif spot is not None:
            self._apply_to(spot, event, key in settled, key in tolerated)

    def _enter_pass(self, loop: Group, ended: int, verdict: Verdict) -> None:
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
                self._move(spot, Standing.PENDING)
                spot.reset(self._key_now(spot))

    def _apply_to(self, leaf: Leaf, event: EventRow, is_settled: bool, is_tolerated: bool) -> None:
        key = event.key or leaf.key
        if event.type is EventType.RUN_WARNING:
            self.warnings.append(f"{leaf.shown}: {first_line(data_of(event).get('message'))}")
            return
        if key != leaf.key:
            if event.type is not EventType.NODE_STARTED:
                self.running.pop(key, None)  # of a pass that the tree has left
                return
            self._move(leaf, Standing.PENDING)
            leaf.reset(key)
        match event.type:
            case EventType.NODE_STARTED:
                leaf.attempt, leaf.started_ms, leaf.ended_ms = event.attempt, event.at_ms, None
                leaf.first_ms = leaf.first_ms if leaf.first_ms is not None else event.at_ms
                leaf.due_ms = leaf.message = None
                self._move(leaf, Standing.RUNNING)
            case EventType.NODE_FINISHED:
                leaf.message, leaf.ended_ms = None, event.at_ms
                self._move(leaf, Standing.FINISHED)
            case EventType.NODE_FAILED:
                leaf.message, leaf.ended_ms = first_line(data_of(event).get("message")), event.at_ms
                self._move(leaf, Standing.TOLERATED if is_tolerated else Standing.FAILED)
            case EventType.NODE_RETRYING:
                data = data_of(event)
                leaf.message, leaf.ended_ms = first_line(data.get("message")), event.at_ms
                leaf.due_ms = event.at_ms + int(data.get("delay_ms") or 0)
                self._move(leaf, Standing.WAITING)
            case EventType.NODE_SKIPPED:
                leaf.message = first_line(data_of(event).get("reason"))
                self._move(leaf, Standing.SKIPPED)
            case EventType.NODE_CANCELLED if is_settled:
                leaf.ended_ms = event.at_ms
                self._move(leaf, Standing.CANCELLED)
            case EventType.NODE_CANCELLED:
                # Its run was stopped, and it is not settled: it begins again when the run goes on.
                leaf.message, leaf.ended_ms = "interrupted", event.at_ms
                self._move(leaf, Standing.PENDING)
            case EventType.NODE_LOST:
                leaf.message = "cut off"
                self._move(leaf, Standing.PENDING)
            case EventType.NODE_BLOCKED:
                leaf.message = f"waits for {data_of(event).get('waits_for')}"
                self._move(leaf, Standing.PENDING)
            case EventType.NODE_REOPENED:
                self._move(leaf, Standing.PENDING)
                leaf.reset(key)
            case _:
                pass  # a heartbeat, say: nothing of it is shown

    def _move(self, leaf: Leaf, standing: Standing) -> None:
        """A task stands elsewhere now."""
        before, leaf.standing = leaf.standing, standing
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
        group.buckets[_BUCKETS[before]].pop(leaf, None)
        group.buckets[leaf.bucket][leaf] = None
        around: Group | None = group
        while around is not None:
            around.counts[before] -= 1
            around.counts[standing] += 1
            around = around.parent
        self._sort(group)

    # --- What to say --------------------------------------------------------------------------------

    def gone(self) -> Iterator[Leaf]:
        """Running tasks that have left the tree."""
        return (leaf for leaf in self.running.values() if not leaf.is_mounted)

    def name(self, key: NodeKey) -> str:
        """A node's name on a screen, in the pass that `key` says."""
        spot = self._spots.get(key.node)
        around = spot.parent if spot is not None else None
        return shown_name(key, is_in_loop=around is not None and around.is_in_loop)

    def limit(self, loop: NodeKey) -> int | None:
        """How many passes a loop makes at most; None: no limit, or unknown."""
        spot = self._spots.get(loop.node)
        found = spot.spec.get("max_iterations") if spot is not None else None
        return found if isinstance(found, int) else None

    def summary(self) -> str:
        """`12/30 settled · 3 running · 1 retrying`."""
        root = self.root
        parts = [f"{root.settled}/{root.total} settled"]
        counts = (
            (len(self.running), "running"),
            (len(self.retrying), "retrying"),
            (root.counts[Standing.FAILED] + root.counts[Standing.TOLERATED], "failed"),
        )
        parts += [f"{count} {word}" for count, word in counts if count]
        return " · ".join(parts)


def data_of(event: EventRow) -> dict[str, Any]:
    """An event's further facts."""
    found: dict[str, Any] = json.loads(event.data) if event.data else {}
    return found


def first_line(text: object) -> str | None:
    """The first line of a message; None without one."""
    lines = str(text).strip().splitlines() if text is not None else []
    return lines[0] if lines else None


def clock(ms: int) -> str:
    """A length of time as a counter: `00:42`, with hours once there are any."""
    minutes, seconds = divmod(max(ms, 0) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:" if hours else "") + f"{minutes:02}:{seconds:02}"
