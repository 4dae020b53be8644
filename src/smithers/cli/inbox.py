"""`smithers inbox`: all open questions of the project."""

from __future__ import annotations

import json

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, store_option
from smithers.cli.project import open_project
from smithers.cli.table import Column, Table, one_line
from smithers.observe import moment
from smithers.records import WaitKind


@click.command()
@click.option("--all", "-a", "is_all", is_flag=True, help="Signals and timers that are waited for, too.")
@json_option
@store_option
def inbox(is_all: bool, is_json: bool, store: str | None) -> None:
    """List what the runs of this project wait for, the oldest first, and what to type for each."""
    from smithers.observe.waits import all_open

    with open_project(store) as project:
        views = [] if project is None else all_open(project.reader)
        if not is_all:
            views = [view for view in views if view.row.kind in (WaitKind.APPROVAL, WaitKind.HUMAN)]
        if is_json:
            waits = [view.document() for view in views]
            print(json.dumps({"status": "ok", "waits": waits}, ensure_ascii=False))
            return
        if not views or project is None:
            more = "" if is_all else "; signals and timers that are waited for: --all"
            terminal.note(f"nobody has to decide or to answer anything{more}")
            return
        titles = ("RUN", "NODE", "WAITS FOR", "SINCE", "UNTIL")
        table = Table([*map(Column, titles), Column("ASKS", is_text=True)])
        for view in views:
            row = view.row
            until = moment.due(row.due_ms, project.now_ms) if row.due_ms is not None else ""
            since = moment.ago(row.opened_ms, project.now_ms)
            table.add(view.run, view.node, row.kind.word, since, until, one_line(view.ask or view.title))
        for line in table.lines(terminal.width()):
            print(line)
        for view in views[:3]:
            print(f"  {terminal.style('next:', None, bold=True)} {project.command(view.commands()[0])}")
