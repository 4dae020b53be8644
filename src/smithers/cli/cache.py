"""`smithers cache`: what is stored for tasks with a cache, and how to empty it."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from pathlib import Path

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, store_option, with_store
from smithers.cli.project import Project, open_project
from smithers.cli.table import Column, Table
from smithers.clock import SystemClock
from smithers.observe import moment
from smithers.observe.cache import SHOWN_KEY, entry_document
from smithers.records import CacheRow


@click.command()
@click.argument("action", type=click.Choice(["list", "clear"]), default="list")
@click.option("-w", "--workflow", metavar="NAME", help="Only what runs of this workflow have stored.")
@click.option("-t", "--task", metavar="ID", help="Only what this task has stored.")
@click.option("-n", "limit", metavar="LIMIT", default=50, type=click.IntRange(1), help="Newest to list.")
@store_option
@json_option
def cache(
    action: str, workflow: str | None, task: str | None, limit: int, store: str | None, is_json: bool
) -> None:
    """List the outputs that tasks with a cache may take instead of executing, newest first; or clear them.

    What runs have stored stays: a task whose entry is cleared is executed in the next run.
    """
    if action == "clear":
        count = _clear(store, workflow, task)
        print(json.dumps({"status": "ok", "cleared": count}) if is_json else _cleared(count))
        return
    with open_project(store) as project:
        rows = [] if project is None else project.reader.cache_entries(workflow, task, limit + 1)
        shown = rows[:limit]
        if is_json:
            print(
                json.dumps({"status": "ok", "entries": list(map(entry_document, shown))}, ensure_ascii=False)
            )
        elif project is None or not rows:
            print("Nothing is stored. A task has a cache with Task(…, cache=Cache(…)).")
        else:
            print("\n".join(_table(shown, project).lines(terminal.width())))
            if len(rows) > limit:
                words = ["smithers", "cache", "-n", str(10 * limit)]
                words += ["--workflow", workflow] if workflow else []
                words += ["--task", task] if task else []
                terminal.note(f"more: {with_store(shlex.join(words), store)}")


def _clear(store: str | None, workflow: str | None, task: str | None) -> int:
    from smithers.store import find_store, open_store

    path = find_store(Path.cwd(), store)
    if path is None:
        return 0
    opened = open_store(path, clock=SystemClock(), create=False)
    with closing(opened.outsider()) as outsider:
        return outsider.clear_cache(workflow, task)


def _cleared(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'} cleared" if count else "nothing to clear"


def _table(rows: list[CacheRow], project: Project) -> Table:
    table = Table(
        [
            Column("WORKFLOW", is_text=True),
            Column("TASK", is_text=True),
            Column("FOR"),
            Column("KEY"),
            Column("STORED", is_right=True),
            Column("BY", is_text=True),
        ]
    )
    for row in rows:
        table.add(
            row.workflow,
            row.key.node,
            "its run" if row.is_of_run else "all runs",
            row.mark.hex()[:SHOWN_KEY],
            moment.ago(row.stored_ms, project.now_ms),
            row.run if row.key.node == str(row.key) else f"{row.run} ({row.key})",
        )
    return table
