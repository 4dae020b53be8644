"""`smithers logs`: a run's events, one a line."""

from __future__ import annotations

import click

from smithers.cli.event_lines import EventLines, Span
from smithers.cli.options import json_option, page_options, run_argument, store_option
from smithers.cli.project import open_project
from smithers.observe import lookup
from smithers.observe.event_query import EventQuery


@click.command()
@run_argument
@page_options
@store_option
@json_option
def logs(
    run_id: str,
    is_following: bool,
    after: int,
    limit: int | None,
    tail: int | None,
    store: str | None,
    is_json: bool,
) -> None:
    """Print the events of RUN: #seq, time since the start, event, node, attempt, and what else is known.

    With --json each line is one JSON object. `smithers events` shows only some of them.
    """
    with open_project(store) as project:
        if project is None:
            raise lookup.no_runs(run_id)
        run = project.reader.run(lookup.run_name(project.reader, run_id))
        lines = EventLines(project, run, EventQuery(), is_json=is_json)
        lines.show(Span(after, tail, limit, is_following), f"smithers logs {run.name} --limit {limit}")
