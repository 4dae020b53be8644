"""What a run does now, kept up to date by the frames it commits.

Following a frame costs as much as the frame changed, times the depth of the tree; nothing walks all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from smithers.errors import StoreError
from smithers.ids import NodeKey
from smithers.observe import moment
from smithers.observe.node_view import shown_name
from smithers.observe.quota import Limit, until_text
from smithers.records import TOLERATED, AttemptState, EventRow, EventType, NodeState, Verdict

from .leaf_limit import note_limits
from .mounted_tree import MountedTree
from .spot import Bucket, Group, Leaf, Standing

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import AttemptRow, FrameWrite, NodeRow, PassRow, Wakeup
    from smithers.store import Store


class Progress:
    """One run's tree and what it does.

    Args:
        store: where to look up what was before the first frame that is seen; None: nothing was.
        run: the run's number in `store`.
    """

    def __init__(self, store: Store | None = None, run: int = 0) -> None:
        self._store = store
        self._run = run
        self._tree = MountedTree()
        self.root = self._tree.root
        self.running = self._tree.running
        """In the order they started; also those that have left the tree meanwhile."""
        self.retrying = self._tree.retrying
        self.began_ms: int | None = None
        """Wall clock of the first frame."""
        self.warnings: list[str] = []
        """Said by the engine, not yet by a display, which empties this list."""

    def follow(self, frame: FrameWrite) -> None:
        """Apply what one commit stored."""
        if self.began_ms is not None and frame.run != self._run:
            self._tree = MountedTree()
            self.root, self.running, self.retrying = self._tree.root, self._tree.running, self._tree.retrying
        self._run = frame.run
        if self.began_ms is None:
            self.began_ms = frame.at_ms
            if frame.frame > 1 and self._store is not None:
                # What cannot be read is not shown; a display never ends a run.
                with suppress(StoreError), closing(self._store.reader()) as reader:
                    self._recall(reader, frame.frame - 1)
        if frame.then is not None and frame.then.creates is not None:
            self.warnings.append(f"goes on as {frame.then.creates.name}")
        if frame.mounted or frame.unmounted:
            self._tree.remount(frame)
        tolerated: set[NodeKey] = set()
        settled: set[NodeKey] = set()
        for end in frame.settled:
            settled.add(end.key)
            if end.state is NodeState.FAILED and end.reason == TOLERATED:
                tolerated.add(end.key)
        for event in frame.events:
            self._apply(event, settled, tolerated)
        for start in frame.started:
            if start.agent is not None and start.key in self.running:
                self.running[start.key].agent = start.agent
        for wakeup in frame.wakeups:
            leaf = self.retrying.get(wakeup.key)
            if leaf is None and wakeup.kind != "retry" and (leaf := self._tree.current(wakeup.key)):
                self._tree.move(leaf, Standing.WAITING)  # its own run waits, or all its agents do: so does it
            if leaf is not None:
                leaf.due_ms, leaf.limit = wakeup.due_ms, None
        self._note_limits(frame.wakeups)

    def _note_limits(self, wakeups: Iterable[Wakeup]) -> None:
        """Remember which accounts tasks wait for."""
        waiting = [
            (leaf, one) for one in wakeups if one.kind != "retry" and (leaf := self.retrying.get(one.key))
        ]
        note_limits(waiting, self._store, self._run)

    # --- What was before --------------------------------------------------------------------------

    def _recall(self, reader: Reader, frame: int) -> None:
        """Take over how the run stood after `frame`."""
        run = self._run
        self._tree.place(reader.mounts(run, frame))
        for row in sorted(reader.passes(run), key=lambda row: (row.frame, row.pass_)):
            if row.frame <= frame:
                self._recall_pass(row)
        wakeups = reader.wakeups(run)
        self._recall_nodes((row for row in reader.nodes(run) if row.frame <= frame), wakeups)
        self._recall_attempts(row for row in reader.attempts(run) if row.from_frame <= frame)
        self._note_limits(wakeups)

    def _recall_pass(self, row: PassRow) -> None:
        loop = self._tree.find(row.loop.node)
        if isinstance(loop, Group) and self._tree.key_now(loop) == row.loop:
            self._tree.enter_pass(loop, row.pass_, row.verdict)

    def _recall_nodes(self, rows: Iterable[NodeRow], wakeups: Iterable[Wakeup]) -> None:
        for row in rows:
            leaf = self._tree.current(row.key)
            if leaf is not None:
                is_tolerated = row.state is NodeState.FAILED and row.reason == TOLERATED
                leaf.message = row.reason if row.state is NodeState.SKIPPED else None
                self._tree.move(leaf, Standing.TOLERATED if is_tolerated else Standing(row.state))
        for wakeup in wakeups:
            leaf = self._tree.current(wakeup.key)
            if leaf is not None and leaf.standing is Standing.PENDING:
                leaf.due_ms = wakeup.due_ms
                self._tree.move(leaf, Standing.WAITING)

    def _recall_attempts(self, rows: Iterable[AttemptRow]) -> None:
        for row in rows:
            leaf = self._tree.current(row.key)
            if leaf is None:
                continue
            leaf.attempt = row.attempt
            leaf.first_ms = row.started_ms if row.attempt == 1 or leaf.first_ms is None else leaf.first_ms
            leaf.started_ms, leaf.ended_ms = row.started_ms, row.ended_ms
            if row.state is AttemptState.FAILED and leaf.bucket is not Bucket.DONE:
                leaf.message = first_line((row.error or {}).get("message"))

    # --- What happens -------------------------------------------------------------------------------

    def _apply(self, event: EventRow, settled: set[NodeKey], tolerated: set[NodeKey]) -> None:
        key = event.key
        if key is None:
            if event.type in (EventType.RUN_WARNING, EventType.RUN_LOG):
                self.warnings.append(first_line(data_of(event).get("message")) or "")
            elif event.type is EventType.RUN_RELOADED:
                self.warnings.append(reload_text(data_of(event)))
            elif event.type in (EventType.PAUSE_REQUESTED, EventType.CANCEL_REQUESTED):
                self.warnings.append(request_text(data_of(event)))
            return
        spot = self._tree.find(key.node)
        if isinstance(spot, Group):
            if event.type in (EventType.PASS_ENDED, EventType.LOOP_DONE):
                data = data_of(event)
                verdict = Verdict[str(data.get("verdict", "next")).upper()]
                self._tree.enter_pass(spot, int(data.get("pass", 0)), verdict)
        elif spot is not None:
            self._apply_to(spot, event, key in settled, key in tolerated)

    def _apply_to(self, leaf: Leaf, event: EventRow, is_settled: bool, is_tolerated: bool) -> None:
        key = event.key or leaf.key
        if event.type is EventType.RUN_WARNING:
            self.warnings.append(f"{leaf.shown}: {first_line(data_of(event).get('message'))}")
            return
        if key != leaf.key:
            if event.type is not EventType.NODE_STARTED:
                self.running.pop(key, None)  # of a pass that the tree has left
                return
            self._tree.move(leaf, Standing.PENDING)
            leaf.reset(key)
        match event.type:
            case EventType.NODE_STARTED:
                leaf.attempt, leaf.started_ms, leaf.ended_ms = event.attempt, event.at_ms, None
                leaf.first_ms = leaf.first_ms if leaf.first_ms is not None else event.at_ms
                leaf.due_ms = leaf.message = leaf.limit = None
                self._tree.move(leaf, Standing.RUNNING)
            case EventType.NODE_FINISHED:
                is_cached = event.data is not None and "cached" in data_of(event)
                leaf.message, leaf.ended_ms = "cached" if is_cached else None, event.at_ms
                self._tree.move(leaf, Standing.FINISHED)
            case EventType.NODE_FAILED:
                leaf.message, leaf.ended_ms = first_line(data_of(event).get("message")), event.at_ms
                self._tree.move(leaf, Standing.TOLERATED if is_tolerated else Standing.FAILED)
            case EventType.NODE_RETRYING:
                data = data_of(event)
                leaf.message, leaf.ended_ms = first_line(data.get("message")), event.at_ms
                leaf.due_ms = event.at_ms + int(data.get("delay_ms") or 0)
                self._tree.move(leaf, Standing.WAITING)
            case EventType.NODE_SKIPPED:
                leaf.message = first_line(data_of(event).get("reason"))
                self._tree.move(leaf, Standing.SKIPPED)
            case EventType.NODE_CANCELLED if is_settled:
                leaf.ended_ms = event.at_ms
                self._tree.move(leaf, Standing.CANCELLED)
            case EventType.NODE_CANCELLED:
                # Its run was stopped, and it is not settled: it begins again when the run goes on.
                leaf.message, leaf.ended_ms = "interrupted", event.at_ms
                self._tree.move(leaf, Standing.PENDING)
            case EventType.NODE_LOST:
                leaf.message = "cut off"
                self._tree.move(leaf, Standing.PENDING)
            case EventType.NODE_BLOCKED:
                leaf.message = f"waits for {data_of(event).get('waits_for')}"
                leaf.limit = None
                self._tree.move(leaf, Standing.PENDING)
            case EventType.NODE_REOPENED:
                self._tree.move(leaf, Standing.PENDING)
                leaf.reset(key)
            case _:
                pass  # events of runs and loops are not a task's

    # --- What to say --------------------------------------------------------------------------------

    def gone(self) -> Iterator[Leaf]:
        """Running tasks that have left the tree."""
        return (leaf for leaf in self.running.values() if not leaf.is_mounted)

    def name(self, key: NodeKey) -> str:
        """A node's name on a screen, in the pass that `key` says."""
        spot = self._tree.find(key.node)
        around = spot.parent if spot is not None else None
        return shown_name(key, is_in_loop=around is not None and around.is_in_loop)

    def limit(self, loop: NodeKey) -> int | None:
        """How many passes a loop makes at most; None: no limit, or unknown."""
        spot = self._tree.find(loop.node)
        found = spot.spec.get("max_iterations") if spot is not None else None
        return found if isinstance(found, int) else None

    def next_due_ms(self) -> int | None:
        """Wall clock of what comes next, while nothing runs and the run waits for a time; else None."""
        dues = [leaf.due_ms for leaf in self.retrying.values() if leaf.due_ms is not None]
        return min(dues) if dues and not self.running else None

    def next_text(self, now_ms: int) -> str:
        """`goes on in 12s`, or whose limit it waits for until when; empty: it does not wait for a time."""
        due_ms = self.next_due_ms()
        if due_ms is None:
            return ""
        first = next(leaf for leaf in self.retrying.values() if leaf.due_ms == due_ms)
        return until_text(first.limit, now_ms) if first.limit else f"goes on {moment.due(due_ms, now_ms)}"

    def limit_of(self, key: NodeKey) -> Limit | None:
        """The account that a task waits for."""
        leaf = self.retrying.get(key)
        return leaf.limit if leaf is not None else None

    def summary(self) -> str:
        """`12/30 settled · 3 running · 1 retrying · 2 waiting for quota`."""
        root = self.root
        parts = [f"{root.settled}/{root.total} settled"]
        limited = sum(leaf.limit is not None for leaf in self.retrying.values())
        counts = (
            (len(self.running), "running"),
            (len(self.retrying) - limited, "retrying"),
            (limited, "waiting for quota"),
            (root.counts[Standing.FAILED] + root.counts[Standing.TOLERATED], "failed"),
        )
        parts += [f"{count} {word}" for count, word in counts if count]
        return " · ".join(parts)


def data_of(event: EventRow) -> dict[str, Any]:
    """An event's further facts."""
    found: dict[str, Any] = json.loads(event.data) if event.data else {}
    return found


def request_text(data: Mapping[str, Any]) -> str:
    """What somebody outside has asked for, to whoever watches."""
    by = data.get("by")
    if data.get("superseded"):
        return f"{by} had asked to {data.get('kind')} it; this resume overrules that"
    if data.get("kind") == "cancel" or data.get("now"):
        return f"{by} asked to {data.get('kind')} it: what runs is being ended"
    return f"{by} asked to pause it: nothing new starts, what runs ends by itself"


def reload_text(data: Mapping[str, Any]) -> str:
    """Which edits a run has taken over, to whoever watches."""
    return (
        f"reloaded {', '.join(map(str, data.get('changed', ())))}: rendered anew at frame {data.get('frame')}"
    )


def first_line(text: object) -> str | None:
    """The first line of a message; None without one."""
    lines = str(text).strip().splitlines() if text is not None else []
    return lines[0] if lines else None


def clock(ms: int) -> str:
    """A length of time as a counter: `00:42`, with hours once there are any."""
    minutes, seconds = divmod(max(ms, 0) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:" if hours else "") + f"{minutes:02}:{seconds:02}"
