"""`smithers ps`: the runs of the project, newest first."""

from __future__ import annotations

import json

import click

from smithers.cli import terminal
from smithers.cli.cost_columns import CostColumns
from smithers.cli.options import json_option, store_option
from smithers.cli.project import Project, open_project
from smithers.cli.table import Column, Table, columns_of, cut, one_line
from smithers.observe import moment, next_step, quota, waits
from smithers.observe.summary import RunSummary, select, summarize, took_ms
from smithers.records import UNSPENT, RunState

NOTE_ROOM = 76
"""Columns for notes beside the rows, as many as there are under them on 80; with less they go there."""
WIDE = 140
"""A terminal of so many columns has that room, unless names are very long."""
STATUSES = (
    *(state.word for state in RunState),
    "orphaned",
    "stalled",
    quota.STATUS,
    *waits.STATUSES.values(),
)


@click.command()
@click.option(
    "-s",
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    metavar="STATUS",
    help="Only these.",
)
@click.option("-a", "--all", "is_all", is_flag=True, help="Every run.")
@click.option(
    "-n",
    "limit",
    metavar="LIMIT",
    default=20,
    type=click.IntRange(1),
    help="Newest runs to show; default: 20.",
)
@store_option
@json_option
def ps(statuses: tuple[str, ...], is_all: bool, limit: int, store: str | None, is_json: bool) -> None:
    """List the runs: those that are unfinished (at most 50), and the newest 20.

    STATUS is running, waiting, paused, finished, partial, failed or cancelled; or orphaned (its process has
    died), stalled (its process is silent) or waiting-quota (only the limits of agents keep it from going on).
    """
    with open_project(store) as project:
        if project is None:
            found, is_cut = [], False
        else:
            runs, is_cut = select(project.reader, statuses=statuses, limit=limit, is_all=is_all)
            costs = project.reader.spent([run.id for run in runs])
            found = [
                summarize(project.reader, run, project.now_ms, sum(costs.get(run.id, {}).values(), UNSPENT))
                for run in runs
            ]
        if is_json:
            print(json.dumps({"status": "ok", "runs": [run.document() for run in found]}, ensure_ascii=False))
        elif project is None or not found:
            print(_nothing(statuses))
        else:
            _print_table(project, found)
            if is_cut:
                terminal.note("more runs: smithers ps -a")


def _nothing(statuses: tuple[str, ...]) -> str:
    if statuses:
        return f"No run is {' or '.join(statuses)}. All runs: smithers ps -a"
    return f"No runs yet. Start one: {next_step.START}"


def _print_table(project: Project, found: list[RunSummary]) -> None:
    costs = CostColumns((line.spent for line in found), only_money=True)
    table = Table(
        [
            Column("RUN", is_text=True),
            Column("WORKFLOW", is_text=True),
            Column("STATUS", paint=terminal.state_style),
            Column("PROGRESS", is_right=True),
            Column("STARTED", is_right=True),
            Column("TOOK", is_right=True),
            *costs.columns,
        ],
        note_title="DETAIL",
        note_room=NOTE_ROOM,
    )
    now = project.now_ms
    for line in found:
        took = took_ms(line.run, now)
        table.add(
            line.run.name,
            line.run.workflow,
            line.status,
            f"{line.settled}/{line.mounted}",
            moment.ago(line.run.created_ms, now),
            moment.UNKNOWN if took is None else moment.span(took),
            *costs.cells(line.spent),
            note=_note(line.detail, line.command),
        )
    print("\n".join(table.lines(terminal.width())))


def _note(detail: str | None, command: str | None) -> str:
    """What is the matter, and what to type; under its row the first is cut, not the second."""
    if not detail or not command:
        return detail or command or ""
    if terminal.width() < WIDE:
        detail = cut(one_line(detail), max(12, terminal.width() - 6 - columns_of(command)))
    return f"{detail}; {command}"
