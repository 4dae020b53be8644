"""Everything about one run, as facts for a screen and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smithers.observe import moment, quota
from smithers.observe.cache import lookup_document
from smithers.observe.node_view import LoopView, NodeView, NodeViews
from smithers.observe.snapshot import Snapshot
from smithers.observe.spending import call_document, spending_document
from smithers.observe.summary import kin_document, owner_document
from smithers.records import Spending

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.records import AttemptRow, CallRow, FrameRow, OutputRef, OutputRow, PassRow


def run_document(
    snapshot: Snapshot, outputs: Iterable[OutputRow], frames: Iterable[FrameRow], now_ms: int
) -> dict[str, Any]:
    """The JSON of `smithers inspect RUN --json`; its shape is described in `docs/cli.md`."""
    run = snapshot.run
    views = NodeViews(snapshot)
    bodies = {(row.key, row.generation): row for row in outputs}
    settled, mounted = views.progress()
    waits = quota.waits_of(snapshot, views, now_ms)
    return {
        "status": run.state.word,
        "shown": quota.status_of(snapshot, views),
        "run": run.name,
        "workflow": run.workflow,
        "source": run.source,
        "input": json.loads(run.input),
        "config": dict(run.config),
        "frames": run.frame,
        "seq": run.seq,
        "progress": {"settled": settled, "mounted": mounted},
        "created_at": moment.iso(run.created_ms),
        "started_at": moment.iso(run.started_ms),
        "ended_at": moment.iso(run.ended_ms),
        "owner": owner_document(run),
        "error": dict(run.error) if run.error else None,
        **kin_document(run),
        "quota": [limit.document() for limit in quota.limits_of(snapshot, waits)],
        "cost": spending_document(snapshot.cost_of(run.id)),
        "agents": [
            {"agent": agent, "cost": spending_document(spent)}
            for agent, spent in snapshot.spent.get(run.id, {}).items()
        ],
        "output": _value(bodies, run.output),
        "nodes": [node_facts(view, bodies, waits) for view in views.all()],
        "loops": [_loop(loop, snapshot.passes) for loop in views.loops()],
        "frames_list": [_frame(row) for row in frames],
    }


def _value(bodies: dict[tuple[NodeKey, int], OutputRow], ref: OutputRef | None) -> Any:
    row = bodies.get((ref.key, ref.generation)) if ref else None
    return json.loads(row.body) if row else None


def node_facts(
    view: NodeView, bodies: Mapping[tuple[NodeKey, int], OutputRow], waits: quota.Waits
) -> dict[str, Any]:
    """A node of `inspect --json`, and most of `node --json`."""
    row = bodies.get((view.key, view.generation))
    place = view.place
    return {
        "node": view.key.node,
        "scope": view.key.scope,
        "iteration": view.key.iteration,
        "generation": view.generation,
        "state": view.state.word,
        "reason": view.reason,
        "label": place.label if place else None,
        "parent": place.parent.node if place and place.parent else None,
        "mounted": place is not None,
        "agent": view.agent,
        "due_at": moment.iso(view.due_ms),
        "quota": waits[view.key].document() if view.key in waits else None,
        "cost": spending_document(view.spent),
        "child": view.child.name if view.child else None,
        "settled_frame": view.settled_frame,
        "model": row.model if row else None,
        "output": json.loads(row.body) if row else None,
        "error": dict(view.error) if view.error else None,
        "attempts": [_attempt(attempt, view.calls_of(attempt)) for attempt in view.attempts],
    }


def _attempt(row: AttemptRow, calls: Sequence[CallRow]) -> dict[str, Any]:
    return {
        "attempt": row.attempt,
        "generation": row.generation,
        "state": row.state.word,
        "started_at": moment.iso(row.started_ms),
        "ended_at": moment.iso(row.ended_ms),
        "agent": None if row.is_cached else row.agent,
        "failure": row.failure.word if row.failure else None,
        "counted": row.counted,
        "error": dict(row.error) if row.error else None,
        "heartbeat": row.heartbeat,
        "prompt": row.prompt.hex() if row.prompt else None,
        "cached": row.is_cached,
        "cache": lookup_document(row.lookup),
        "cost": spending_document(Spending.of(calls)),
        "calls": [call_document(call) for call in calls],
    }


def _loop(loop: LoopView, passes: Iterable[PassRow]) -> dict[str, Any]:
    return {
        "loop": loop.key.node,
        "scope": loop.key.scope,
        "iteration": loop.key.iteration,
        "pass": loop.pass_,
        "max_iterations": loop.max_iterations,
        "done": loop.verdict is not None,
        "verdict": _word(loop.verdict.name) if loop.verdict is not None else None,
        "passes": [
            {
                "scope": row.loop.scope,
                "iteration": row.loop.iteration,
                "pass": row.pass_,
                "verdict": _word(row.verdict.name),
                "frame": row.frame,
            }
            for row in passes
            if row.loop.node == loop.key.node
        ],
    }


def _frame(row: FrameRow) -> dict[str, Any]:
    return {
        "frame": row.frame,
        "parent": row.parent,
        "seq": row.seq,
        "at": moment.iso(row.at_ms),
        "rendered": row.rendered,
    }


def _word(name: str) -> str:
    return name.lower().replace("_", "-")
