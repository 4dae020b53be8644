"""`smithers inspect`: everything about one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.cli.spot import UNSHOWN, container_glyph, loop_state
from smithers.cli.table import Column, Table, cut, one_line
from smithers.observe import moment, next_step
from smithers.observe.node_view import LoopView, NodeView, NodeViews, headline, is_settled
from smithers.observe.run_view import run_document
from smithers.observe.snapshot import is_driven, shown_status
from smithers.observe.summary import owner_name, took_ms
from smithers.observe.tree import Place
from smithers.records import NodeState, RunState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smithers.observe.snapshot import Snapshot
    from smithers.records import RunRow


@click.command()
@run_argument
@store_option
@json_option
def inspect(run_id: str, store: str | None, is_json: bool) -> None:
    """Show RUN: its owner and input, and every node with its state, attempts, time and error."""
    with open_run(store, run_id) as (project, snapshot):
        if is_json:
            outputs, frames = project.reader.outputs(snapshot.run.id), project.reader.frames(snapshot.run.id)
            print(json.dumps(run_document(snapshot, outputs, frames), ensure_ascii=False))
            return
        width = terminal.width()
        views = NodeViews(snapshot)
        for name, text in _header(snapshot, views, project):
            print(f"{terminal.style(name.ljust(9), None, bold=True)} {text}")
        if views.tree.places or views.by_node:
            print()
            print("\n".join(_table(snapshot, views, project.now_ms).lines(width)))
        for command in _commands(snapshot):
            print(f"\nnext: {project.command(command)}")


def _header(snapshot: Snapshot, views: NodeViews, project: Project) -> Iterator[tuple[str, str]]:
    run, now = snapshot.run, project.now_ms
    room = terminal.width() - 10
    yield "Run", cut(run.name, room)
    yield "Workflow", cut(f"{run.workflow} ({run.source})", room)
    if (parent := run.kin.parent) is not None:
        yield "Parent", cut(f"{parent.name}, node {parent.key}", room)
    if run.kin.previous is not None:
        yield (
            "Before",
            cut(f"{run.kin.previous} went on as this one, run {run.kin.number} of its lineage", room),
        )
    if run.kin.next is not None:
        more = "" if run.kin.next == run.kin.newest else f"; the newest is {run.kin.newest}"
        yield "After", cut(f"it went on as {run.kin.next}{more}", room)
    settled, mounted = views.progress()
    yield "Status", f"{terminal.state_style(shown_status(run))}, {settled} of {mounted} tasks settled"
    if run.owner is not None:
        yield "Owner", cut(f"{owner_name(run.owner)}, {run.health.word}", room)
    took = took_ms(run, now)
    length = (
        ""
        if took is None
        else f", took {moment.span(took)}"
        if run.ended_ms
        else f", for {moment.span(took)}"
    )
    yield "Started", f"{moment.local(run.created_ms)}, {moment.ago(run.created_ms, now)}{length}"
    yield "Frames", str(run.frame)
    yield "Input", cut(one_line(run.input), room)
    if run.error:
        yield "Error", cut(one_line(headline(run.error)), room)
        for name, text in _advice(run.error, run.name):
            yield "", cut(one_line(f"{name}: {text}"), room)


def _advice(error: Mapping[str, Any], run: str) -> Iterator[tuple[str, str]]:
    """Where an error can be fixed, and how."""
    for name in ("place", "hint"):
        if error.get(name):
            yield name, next_step.for_run(str(error[name]), run)


def _table(snapshot: Snapshot, views: NodeViews, now_ms: int) -> Table:
    table = Table(
        [
            Column("  NODE", is_text=True, paint=terminal.paint_glyph),
            Column("STATE", paint=terminal.state_style),
            Column("TRIES", is_right=True),
            Column("TIME", is_right=True),
            Column("AGENT", is_text=True),
        ]
    )
    loops = {loop.place.node: loop for loop in views.loops()}
    for place in views.tree.places:
        if place.is_task:
            for view in views.by_node[place.node]:
                _add_task(table, view, snapshot.run, now_ms)
        elif place.kind not in UNSHOWN:
            _add_container(table, place, views, loops.get(place.node))
    for view in views.all():
        if view.place is None:
            _add_task(table, view, snapshot.run, now_ms)
    return table


def _add_task(table: Table, view: NodeView, run: RunRow, now_ms: int) -> None:
    driven = is_driven(run)
    is_cut_off = view.state is NodeState.RUNNING and not driven
    glyph = terminal.INTERRUPTED if is_cut_off else terminal.GLYPHS[view.state.word]
    indent = "  " * _depth(view.place)
    took = view.took_ms(now_ms, is_driven=driven)
    below: list[str] = []
    if view.due_ms is not None and view.state is NodeState.WAITING:
        verb = "tried again" if driven else "to be tried again"
        below.append(f"{verb} {moment.due(view.due_ms, now_ms)}")
    if view.child is not None:
        below.append(f"run {view.child.name}, {view.child.state.word}")
    if view.is_tolerated:
        below.append("tolerated: the workflow goes on without it")
    elif view.reason and view.state is not NodeState.FINISHED:
        below.append(view.reason)
    if view.error:
        below.append(headline(view.error))
        if view.state is NodeState.FAILED:
            below += [f"{name}: {text}" for name, text in _advice(view.error, run.name)]
    table.add(
        f"{glyph} {indent}{view.shown}{'' if view.place else ' (gone)'}",
        "interrupted" if is_cut_off else view.state.word,
        str(view.tries) if view.tries else "",
        "" if took is None else moment.span(took),
        "(cached)" if view.last is not None and view.last.is_cached else view.agent or "",
        below=[f"    {indent}{text}" for text in below],
    )


def _add_container(table: Table, place: Place, views: NodeViews, loop: LoopView | None) -> None:
    tasks = [views.now(task) for task in place.tasks()]
    state = f"{sum(map(is_settled, tasks))}/{len(tasks)}"
    if loop is not None:
        state = loop_state(loop.pass_, loop.max_iterations, loop.verdict)
    glyph = container_glyph(place.kind)
    table.add(f"{glyph} {'  ' * _depth(place)}{place.node}", state, "", "", "")


def _depth(place: Place | None) -> int:
    """Containers shown around it."""
    return 0 if place is None else sum(1 for around in place.ancestors() if around.kind not in UNSHOWN)


def _commands(snapshot: Snapshot) -> list[str]:
    run = snapshot.run
    if run.state.has_ended:
        if run.kin.newest is not None:
            return [next_step.inspect(run.kin.newest)]
        if run.state in (RunState.FAILED, RunState.CANCELLED, RunState.PARTIAL):
            return [next_step.resume_of(run)]
        return [next_step.output(run.name)] if run.output else []
    return [] if is_driven(run) else [next_step.resume_of(run)]
