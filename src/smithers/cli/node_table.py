"""A run's nodes as a table: one line a task and pass, in the order of the workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smithers.cli import terminal
from smithers.cli.cost_columns import CostColumns
from smithers.cli.spot import UNSHOWN, container_glyph, loop_state
from smithers.cli.table import Column, Table
from smithers.errors import AgentQuota
from smithers.observe import moment, next_step, quota
from smithers.observe.node_view import LoopView, NodeView, NodeViews, headline, is_settled
from smithers.observe.snapshot import is_driven
from smithers.observe.tree import Place
from smithers.records import UNSPENT, NodeState

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot


def node_table(snapshot: Snapshot, views: NodeViews, now_ms: int) -> Table:
    """The table of `smithers inspect`."""
    return _NodeTable(snapshot, views, now_ms).filled()


class _NodeTable:
    def __init__(self, snapshot: Snapshot, views: NodeViews, now_ms: int) -> None:
        self._snapshot = snapshot
        self._views = views
        self._now_ms = now_ms
        self._is_driven = is_driven(snapshot.run)
        self._waits = quota.waits_of(snapshot, views, now_ms)
        self._costs = CostColumns(view.spent for view in views.all())
        self._table = Table(
            [
                Column("  NODE", is_text=True, paint=terminal.paint_glyph),
                Column("STATE", paint=terminal.state_style),
                Column("TRIES", is_right=True),
                Column("TIME", is_right=True),
                *self._costs.columns,
                Column("AGENT", is_text=True),
            ]
        )

    def filled(self) -> Table:
        views = self._views
        loops = {loop.place.node: loop for loop in views.loops()}
        for place in views.tree.places:
            if place.is_task:
                for view in views.by_node[place.node]:
                    self._add_task(view)
            elif place.kind not in UNSHOWN:
                self._add_container(place, loops.get(place.node))
        for view in views.all():
            if view.place is None:
                self._add_task(view)
        return self._table

    def _add_task(self, view: NodeView) -> None:
        is_cut_off = view.state is NodeState.RUNNING and not self._is_driven
        glyph = terminal.INTERRUPTED if is_cut_off else terminal.GLYPHS[view.state.word]
        indent = "  " * _depth(view.place)
        took = view.took_ms(self._now_ms, is_driven=self._is_driven)
        self._table.add(
            f"{glyph} {indent}{view.shown}{'' if view.place else ' (gone)'}",
            "interrupted" if is_cut_off else view.state.word,
            str(view.tries) if view.tries else "",
            "" if took is None else moment.span(took),
            *self._costs.cells(view.spent, is_asked=view.agent is not None),
            "(cached)" if view.last is not None and view.last.is_cached else view.agent or "",
            below=[f"    {indent}{text}" for text in self._remarks(view)],
        )

    def _remarks(self, view: NodeView) -> Iterator[str]:
        """What stands below a task's line."""
        limit, wait = quota.limit_of(self._snapshot, view, self._waits), self._waits.get(view.key)
        if limit is not None:
            yield f"waits for {quota.until_text(limit, self._now_ms)}"
        elif view.due_ms is not None and view.state is NodeState.WAITING:
            verb = "goes on" if view.waits_in_child else "tried again"
            verb = verb if self._is_driven else f"to {'go on' if view.waits_in_child else 'be tried again'}"
            yield f"{verb} {moment.due(view.due_ms, self._now_ms)}"
        if wait is not None and (agents := quota.agents_text(wait, self._now_ms)):
            yield agents
        if view.child is not None:
            word = quota.STATUS if view.child.name in self._snapshot.limits else view.child.state.word
            yield f"run {view.child.name}, {word}"
        if view.is_tolerated:
            yield "tolerated: the workflow goes on without it"
        elif view.reason and view.state is not NodeState.FINISHED:
            yield view.reason
        if view.error and not (wait is not None and view.error.get("code") == AgentQuota.code):
            yield headline(view.error)
            if view.state is NodeState.FAILED:
                for name, text in next_step.advice(view.error, self._snapshot.run.name):
                    yield f"{name}: {text}"

    def _add_container(self, place: Place, loop: LoopView | None) -> None:
        tasks = [self._views.now(task) for task in place.tasks()]
        state = f"{sum(map(is_settled, tasks))}/{len(tasks)}"
        if loop is not None:
            state = loop_state(loop.pass_, loop.max_iterations, loop.verdict)
        name = f"{container_glyph(place.kind)} {'  ' * _depth(place)}{place.node}"
        self._table.add(name, state, "", "", *self._costs.cells(UNSPENT), "")


def _depth(place: Place | None) -> int:
    """Containers shown around it."""
    return 0 if place is None else sum(1 for around in place.ancestors() if around.kind not in UNSHOWN)
