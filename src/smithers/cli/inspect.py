"""`smithers inspect`: everything about one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.node_table import node_table
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.cli.table import cut, one_line
from smithers.observe import moment, next_step, quota
from smithers.observe.child import with_doings
from smithers.observe.node_view import NodeViews, headline
from smithers.observe.run_view import run_document
from smithers.observe.snapshot import is_driven
from smithers.observe.spending import spent_text, tokens_in_full
from smithers.observe.summary import named, owner_name, took_ms
from smithers.records import RunState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smithers.observe.snapshot import Snapshot


@click.command()
@run_argument
@store_option
@json_option
def inspect(run_id: str, store: str | None, is_json: bool) -> None:
    """Show RUN: its owner and input, and every node with its state, attempts, time and error."""
    with open_run(store, run_id) as (project, snapshot):
        snapshot = with_doings(project.reader, snapshot, project.now_ms)
        if is_json:
            outputs, frames = project.reader.outputs(snapshot.run.id), project.reader.frames(snapshot.run.id)
            print(json.dumps(run_document(snapshot, outputs, frames, project.now_ms), ensure_ascii=False))
            return
        width = terminal.width()
        views = NodeViews(snapshot)
        for name, text in _header(snapshot, views, project):
            print(f"{terminal.style(name.ljust(9), None, bold=True)} {text}")
        if views.tree.places or views.by_node:
            print()
            print("\n".join(node_table(snapshot, views, project.now_ms).lines(width)))
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
    status = terminal.state_style(quota.status_of(snapshot, views))
    yield "Status", f"{status}, {settled} of {mounted} tasks settled"
    yield from _quota(snapshot, views, now)
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
    yield from _spent(snapshot)
    yield "Input", cut(one_line(run.input), room)
    if run.error:
        yield "Error", cut(one_line(headline(run.error)), room)
        for name, text in next_step.advice(run.error, run.name):
            yield "", cut(one_line(f"{name}: {text}"), room)


def _quota(snapshot: Snapshot, views: NodeViews, now_ms: int) -> Iterator[tuple[str, str]]:
    """The accounts that it waits for, and what helps."""
    limits = quota.limits_of(snapshot, quota.waits_of(snapshot, views, now_ms))
    room = terminal.width() - 10
    for index, limit in enumerate(limits):
        label = "Quota" if index == 0 else ""
        yield label, cut(one_line(quota.until_text(limit, now_ms)), room)
        if cause := quota.cause_text(limit, now_ms):
            yield "", cut(one_line(f"used up {cause}"), room)
    if limits:
        yield "", f"hint: {quota.HELP}"


def _spent(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """What it has cost in all, and each of several agents' part."""
    spent, room = snapshot.cost_of(snapshot.run.id), terminal.width() - 10
    if not spent.is_known:
        return
    yield "Spent", spent_text(spent)
    if full := tokens_in_full(spent):
        yield "", full
    agents = snapshot.spent.get(snapshot.run.id, {})
    if len(agents) > 1:
        told = [f"{agent}: {spent_text(part)}" for agent, part in agents.items() if part.is_known]
        silent = [agent for agent, part in agents.items() if not part.is_known]
        for text in [*told, *([f"{named(silent)}: unknown"] if silent else [])]:
            yield "", cut(one_line(text), room)


def _commands(snapshot: Snapshot) -> list[str]:
    run = snapshot.run
    if run.state.has_ended:
        if run.kin.newest is not None:
            return [next_step.inspect(run.kin.newest)]
        if run.state in (RunState.FAILED, RunState.CANCELLED, RunState.PARTIAL):
            return [next_step.resume_of(run)]
        return [next_step.output(run.name)] if run.output else []
    return [] if is_driven(run) else [next_step.resume_of(run)]
