"""`smithers output`: what a run, or one of its nodes, returned."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.errors import MissingOutput
from smithers.observe import lookup, next_step
from smithers.observe.node_view import NodeView, NodeViews
from smithers.records import NodeState, OutputRef

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.records import OutputRow


@click.command()
@run_argument
@click.argument("node", required=False)
@click.option(
    "--iteration", type=click.IntRange(0), metavar="N", help="This pass of the loop; default: the latest."
)
@click.option("--scope", metavar="S", help="Passes of the outer loops, such as outer=2.")
@store_option
@json_option
def output(
    run_id: str, node: str | None, iteration: int | None, scope: str | None, store: str | None, is_json: bool
) -> None:
    """Print what RUN returned, or what NODE of it returned.

    The stored JSON is printed as it is; on a terminal it is indented.
    """
    with open_run(store, run_id) as (project, snapshot):
        if node is None and (iteration is not None or scope is not None):
            raise click.UsageError("--iteration and --scope need a NODE.")
        ref = _own(project, snapshot) if node is None else _of_node(project, snapshot, node, iteration, scope)
        row = lookup.stored_output(project.reader, snapshot.run, ref)
        if row is None:
            raise MissingOutput(
                f"{ref.key} of {snapshot.run.name} stored no output",
                hint=project.command(next_step.inspect(snapshot.run.name)),
            )
        _print(row, snapshot, is_json=is_json)


def _own(project: Project, snapshot: Snapshot) -> OutputRef:
    run = snapshot.run
    if run.output is not None:
        return run.output
    if run.kin.newest is not None:
        text = f"{run.name} went on as {run.kin.next}, and has no output of its own"
        hint = f"the newest of its lineage: `{project.command(next_step.output(run.kin.newest))}`"
    elif run.state.has_ended:
        text = f"{run.name} is {run.state.word} and has no output of its own"
        hint = f"name a node: `{project.command(next_step.output(run.name, 'NODE'))}`"
    else:
        text = f"{run.name} is {run.state.word} and has no output yet"
        hint = f"see what it does: `{project.command(next_step.why(run.name))}`"
    raise MissingOutput(text, hint=hint)


def _of_node(
    project: Project, snapshot: Snapshot, node: str, iteration: int | None, scope: str | None
) -> OutputRef:
    run = snapshot.run
    views = NodeViews(snapshot)
    found = lookup.node(views, run.name, node, iteration=iteration, scope=scope)
    if not isinstance(found, NodeView):
        raise MissingOutput(
            f"{node} is a {found.kind}: only tasks have an output",
            hint=f"list the tasks with `{project.command(next_step.inspect(run.name))}`",
        )
    if found.state is not NodeState.FINISHED and "[" not in node and iteration is None and scope is None:
        # The latest pass that has a value: a loop that works on its next pass has not lost the last one.
        finished = [view for view in views.by_node[found.key.node] if view.state is NodeState.FINISHED]
        found = finished[-1] if finished else found
    if found.state is not NodeState.FINISHED:
        raise MissingOutput(
            f"{found.shown} has no output: it is {found.state.word}",
            hint=f"see why: `{project.command(next_step.why(run.name, found.shown))}`",
        )
    return OutputRef(found.key, found.generation)


def _print(row: OutputRow, snapshot: Snapshot, *, is_json: bool) -> None:
    if is_json:
        head = {
            "status": snapshot.run.state.word,
            "run": snapshot.run.name,
            "node": row.key.node,
            "scope": row.key.scope,
            "iteration": row.key.iteration,
            "generation": row.generation,
            "model": row.model,
        }
        # The body goes in as it was stored: parsing it would change how its numbers are written.
        text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "output": {row.body}}}'
    elif terminal.is_terminal():
        text = json.dumps(json.loads(row.body), indent=2, ensure_ascii=False)
    else:
        text = row.body
    # As bytes: a locale that is not UTF-8 must not change what was stored.
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.buffer.flush()
