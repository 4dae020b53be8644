"""A run as it stood when one of its frames was committed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.errors import FrameNotFound
from smithers.ids import passes_of
from smithers.observe import moment, next_step
from smithers.observe.node_view import NodeView, NodeViews, is_settled
from smithers.observe.snapshot import Snapshot, is_driven
from smithers.observe.tree import LOOP, Place
from smithers.records import AttemptState, NodeState, Wakeup

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.ports import Reader
    from smithers.records import AttemptRow, FrameRow, MountRow, RunRow


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One node of the tree at a frame."""

    place: Place
    view: NodeView | None
    """The task in the pass it was in; None: a container."""
    mounted: MountRow
    began: int | None
    """Frame in which its first attempt, or that of the first task in it, began; None: not begun."""
    ended: int | None
    """Frame in which it, or the last task in it, settled; None: it had not."""

    def document(self, views: NodeViews) -> dict[str, Any]:
        """One of `nodes` in the JSON of `smithers tree --json`."""
        key = self.view.key if self.view is not None else views.tree.key_now(self.place)
        found: dict[str, Any] = {
            "node": key.node,
            "scope": key.scope,
            "iteration": key.iteration,
            "kind": self.place.kind,
            "parent": self.place.parent.node if self.place.parent else None,
            "depth": self.place.depth,
            "label": self.place.label,
            "state": self.view.state.word if self.view is not None else None,
            "reason": self.view.reason if self.view is not None else None,
            "tries": self.view.tries if self.view is not None else None,
            "mounted_from": self.mounted.from_frame,
            "mounted_to": self.mounted.to_frame,
            "began": self.began,
            "ended": self.ended,
        }
        if self.place.kind == LOOP:
            verdict = views.tree.verdict(key)
            found["pass"] = views.tree.current_pass(key)
            found["verdict"] = verdict.name.lower().replace("_", "-") if verdict is not None else None
        return found


class History:
    """The tree at a frame, with states as of that frame.

    Raises:
        FrameNotFound: the run has no such frame (yet).
    """

    def __init__(self, reader: Reader, run: RunRow, number: int | None = None) -> None:
        self.run = run
        self.frame = self._frame(reader, run, run.frame if number is None else number)
        number = self.frame.frame
        self._mounts = reader.mounts(run.id, number)
        snapshot = Snapshot(
            run=run,
            nodes=[row for row in reader.nodes(run.id) if row.frame <= number],
            attempts=[_as_of(row, number) for row in reader.attempts(run.id) if row.from_frame <= number],
            passes=[row for row in reader.passes(run.id) if row.frame <= number],
            mounts=self._mounts,
            wakeups=[],
            children=reader.children(run.id),
        )
        snapshot.wakeups.extend(_waits(snapshot))
        self.views = NodeViews(snapshot)

    @staticmethod
    def _frame(reader: Reader, run: RunRow, number: int) -> FrameRow:
        for row in reader.frames(run.id):
            if row.frame == number:
                return row
        raise FrameNotFound(
            f"{run.name} has no frame {number}; they count from 1 to {run.frame}",
            hint=f"show the newest with `{next_step.tree(run.name)}`",
            frames=run.frame,
        )

    def rows(self) -> Iterator[TreeRow]:
        """Every node that stood in the tree, in document order."""
        mounts = {mount.node: mount for mount in self._mounts}
        for place in self.views.tree.places:
            views = [self.views.now(task) for task in place.tasks()]
            began = [row.from_frame for view in self._ever(place) for row in view.attempts[:1]]
            ended = [view.settled_frame for view in views if view.settled_frame is not None]
            is_over = bool(views) and all(map(is_settled, views))
            yield TreeRow(
                place=place,
                view=views[0] if place.is_task else None,
                mounted=mounts[place.node],
                began=min(began, default=None),
                ended=max(ended, default=None) if is_over or place.is_task else None,
            )

    def _ever(self, place: Place) -> Iterator[NodeView]:
        """The tasks in a place, in every pass that is inside its own present one."""
        around = len(place.loops)
        now = passes_of(self.views.tree.key_now(place))[:around]
        for task in place.tasks():
            for view in self.views.by_node[task.node]:
                if passes_of(view.key)[:around] == now:
                    yield view

    def is_interrupted(self, view: NodeView) -> bool:
        """Whether a task is stored as running, and the process that ran it is gone."""
        is_now = self.frame.frame == self.run.frame
        return is_now and view.state is NodeState.RUNNING and not is_driven(self.run)

    def document(self) -> dict[str, Any]:
        """The JSON of `smithers tree --json`."""
        settled, mounted = self.views.progress()
        return {
            "status": self.run.state.word,
            "run": self.run.name,
            "frame": self.frame.frame,
            "frames": self.run.frame,
            "seq": self.frame.seq,
            "at": moment.iso(self.frame.at_ms),
            "progress": {"settled": settled, "mounted": mounted},
            "nodes": [row.document(self.views) for row in self.rows()],
        }


def _as_of(row: AttemptRow, frame: int) -> AttemptRow:
    """An attempt as it was then: what ended later still ran."""
    if row.to_frame is not None and row.to_frame <= frame:
        return row
    return row._replace(
        state=AttemptState.RUNNING,
        to_frame=None,
        ended_ms=None,
        failure=None,
        error=None,
        heartbeat=None,
        lookup=None,
    )


def _waits(snapshot: Snapshot) -> Iterator[Wakeup]:
    """Who waited for its next attempt: whoever's last one had failed without settling its node.

    The deadlines of that time are gone from the store; only that there was one is known.
    """
    settled = {(row.key, row.generation) for row in snapshot.nodes}
    last: dict[NodeKey, AttemptRow] = {row.key: row for row in snapshot.attempts}
    for key, row in last.items():
        if row.state is AttemptState.FAILED and (key, row.generation) not in settled:
            yield Wakeup(key, "retry", 0)
