"""`smithers node`: all of one node."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.cost_columns import CostColumns
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.cli.table import Column, Table, cut, one_line
from smithers.errors import NodeNotFound
from smithers.observe import lookup, moment, next_step, quota
from smithers.observe.cache import lookup_text
from smithers.observe.child import with_doings
from smithers.observe.node_facts import NodeFacts, heartbeat_of
from smithers.observe.node_view import NodeView, NodeViews, headline
from smithers.observe.snapshot import is_driven
from smithers.observe.spending import spent_text, tokens_in_full
from smithers.observe.summary import named
from smithers.records import AttemptState, NodeState, OutputRef, Spending

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.observe.tree import Place
    from smithers.records import AttemptRow, CallRow

_LABEL = 9
_PROSE = ("Why", "Cache")


@click.command()
@run_argument
@click.argument("node")
@click.option(
    "--iteration", type=click.IntRange(0), metavar="N", help="This pass of the loop; default: the latest."
)
@click.option("--scope", metavar="S", help="Passes of the outer loops, such as outer=2.")
@store_option
@json_option
def node(
    run_id: str, node: str, iteration: int | None, scope: str | None, store: str | None, is_json: bool
) -> None:
    """Show all that is known of NODE: its state and why, every attempt, output, deadlines, heartbeat.

    NODE is an id, or a pass as `inspect` shows it: review[1].
    """
    with open_run(store, run_id) as (project, snapshot):
        snapshot = with_doings(project.reader, snapshot, project.now_ms)
        views = NodeViews(snapshot)
        found = lookup.node(views, snapshot.run.name, node, iteration=iteration, scope=scope)
        if not isinstance(found, NodeView):
            raise _no_task(found, snapshot, project)
        ref = OutputRef(found.key, found.generation)
        stored = lookup.stored_output(project.reader, snapshot.run, ref)
        facts = NodeFacts(snapshot, views, found, stored, project.now_ms)
        if is_json:
            document = facts.document()
            document["commands"] = [project.command(text) for text in facts.commands]
            print(json.dumps(document, ensure_ascii=False))
            return
        for label, text in _lines(facts):
            _print_field(label, text)
        if found.attempts:
            print()
            print("\n".join(_attempts(facts).lines(terminal.width())))
        for command in facts.commands:
            print(f"\nnext: {project.command(command)}")


def _no_task(place: Place, snapshot: Snapshot, project: Project) -> NodeNotFound:
    inside = [task.node for task in place.tasks()]
    return NodeNotFound(
        f"{place.node} is a {place.kind}, not a task; in it are {named(inside)}",
        hint=f"see how it stands with `{project.command(next_step.why(snapshot.run.name, place.node))}`",
        nodes=inside,
    )


def _print_field(label: str, text: str) -> None:
    """Prose is wrapped, not cut; a value is one line."""
    head = terminal.style(label.ljust(_LABEL), None, bold=True)
    room = max(terminal.width() - _LABEL - 1, 30)
    lines = textwrap.wrap(text, room) if label in _PROSE else [cut(one_line(text), room)]
    if label == "State":
        # Coloured last: what comes from the store is stripped of escape sequences.
        word = lines[0].partition(",")[0].partition(":")[0]
        lines = [terminal.state_style(word) + lines[0].removeprefix(word)]
    for index, line in enumerate(lines or [""]):
        print(f"{head if index == 0 else ' ' * _LABEL} {line}")


def _lines(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    view, run, now = facts.view, facts.snapshot.run, facts.now_ms
    gone = "" if view.place else " (gone from the tree)"
    yield "Node", f"{view.shown}{gone} of {run.name}, which is {quota.status_of(facts.snapshot, facts.views)}"
    label = view.place.label if view.place else None
    if label:
        yield "Label", label
    yield "State", _state(facts)
    yield "Why", facts.why
    if facts.spec("model"):
        agents = facts.spec("agents")
        by = f"{facts.spec('mode')}" + (f" ({', '.join(agents)})" if agents else "")
        yield "Makes", f"{facts.spec('model')}, by {by}"
    if view.child is not None:
        yield "Run", f"{view.child.name}, {view.child.state.word}"
    if facts.around:
        yield "In", " / ".join(facts.around)
    if len(facts.passes) > 1:
        yield "Passes", ", ".join(f"{one.shown} {one.state.word}" for one in facts.passes)
    if facts.waits_for:
        yield "Needs", ", ".join(facts.waits_for)
    yield from _deadlines(facts)
    beat = heartbeat_of(view)
    if beat is not None:
        yield "Heartbeat", f"{json.dumps(beat[1], ensure_ascii=False)} (attempt {beat[0].attempt})"
    prompt = view.last.prompt if view.last else None
    if prompt:
        yield "Prompt", f"{prompt.hex()} (its hash)"
    lookup = view.last.lookup if view.last else None
    if lookup is not None:
        yield "Cache", lookup_text(lookup, now)
    if facts.output is not None:
        yield "Output", facts.output.body
    took = view.took_ms(now, is_driven=is_driven(run))
    if took is not None:
        yield "Took", moment.span(took)
    if view.spent.is_known:
        yield "Spent", spent_text(view.spent)
        if full := tokens_in_full(view.spent):
            yield "", full


def _state(facts: NodeFacts) -> str:
    view = facts.view
    is_cut_off = view.state is NodeState.RUNNING and not is_driven(facts.snapshot.run)
    word = "interrupted" if is_cut_off else view.state.word
    frame = f", in frame {view.settled_frame}" if view.settled_frame is not None else ""
    reason = f": {view.reason}" if view.reason and not view.is_tolerated else ""
    return f"{word}{frame}{reason}{', tolerated' if view.is_tolerated else ''}"


def _deadlines(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    now, view = facts.now_ms, facts.view
    limit = facts.limit
    if limit is not None:
        until_ms = limit.until_ms
        yield "Due", f"{moment.local(until_ms)}, {moment.due(until_ms, now)} (reset of {limit.name})"
        yield "Hint", quota.HELP
    elif view.due_ms is not None and view.state is NodeState.WAITING:
        what = "its run goes on" if view.waits_in_child else "next attempt"
        yield "Due", f"{moment.local(view.due_ms)}, {moment.due(view.due_ms, now)} ({what})"
    limits = []
    if facts.spec("timeout_ms"):
        ends = facts.timeout_at_ms
        limits.append(
            f"{moment.span(int(facts.spec('timeout_ms')))} an attempt"
            + (f", this one ends {moment.due(ends, now)}" if ends is not None else "")
        )
    if facts.spec("heartbeat_timeout_ms"):
        limits.append(f"{moment.span(int(facts.spec('heartbeat_timeout_ms')))} without a heartbeat")
    if limits:
        yield "Limits", "; ".join(limits)


def _attempts(facts: NodeFacts) -> Table:
    spent = [Spending.of(facts.view.calls_of(row)) for row in facts.view.attempts]
    costs = CostColumns(spent)
    table = Table(
        [
            Column("ATTEMPT", is_right=True),
            Column("STATE", paint=terminal.state_style),
            Column("STARTED", is_right=True),
            Column("TIME", is_right=True),
            *costs.columns,
            Column("AGENT", is_text=True),
            Column("FAILURE", is_text=True),
        ]
    )
    for row, cost in zip(facts.view.attempts, spent, strict=True):
        below = [*_calls(facts.view.calls_of(row))]
        below += [headline(row.error)] if row.error else []
        found = next_step.advice(row.error or {}, facts.snapshot.run.name)
        below += [f"{name}: {text}" for name, text in found]
        table.add(
            f"{row.attempt}" + (f" (generation {row.generation})" if row.generation else ""),
            _word(row, facts),
            moment.ago(row.started_ms, facts.now_ms),
            _time(row, facts),
            *costs.cells(cost, is_asked=row.agent is not None and not row.is_cached),
            "" if row.is_cached else row.agent or "",
            _failure(row),
            below=[f"    {text}" for text in below],
        )
    return table


def _calls(calls: Sequence[CallRow]) -> Iterator[str]:
    """Each agent that an attempt has asked: by which conversation, and of several the cost."""
    for call in calls:
        words = [f"{call.agent} ({call.usage.model})" if call.usage.model else call.agent]
        if call.session is not None:
            words.append(f"{'went on with ' if call.is_continued else ''}conversation {call.session}")
        if len(calls) > 1 and (spent := Spending.of([call])).is_known:
            words.append(spent_text(spent))
        if len(words) > 1:
            yield ", ".join(words)


def _word(row: AttemptRow, facts: NodeFacts) -> str:
    is_cut_off = row.state is AttemptState.RUNNING and not is_driven(facts.snapshot.run)
    return "interrupted" if is_cut_off else "cached" if row.is_cached else row.state.word


def _time(row: AttemptRow, facts: NodeFacts) -> str:
    if row.ended_ms is not None:
        return moment.span(row.ended_ms - row.started_ms)
    return moment.span(facts.now_ms - row.started_ms) if is_driven(facts.snapshot.run) else ""


def _failure(row: AttemptRow) -> str:
    if row.failure is None:
        return ""
    return row.failure.word.replace("_", " ") + ("" if row.counted else ", not counted")
