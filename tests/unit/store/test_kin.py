"""Runs that belong together, where the file knows nothing of that yet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from smithers import Context, Node, Task, Workflow
from smithers.clock import SystemClock
from smithers.engine.hosts import close_hosts
from smithers.records import ALONE, RunFilter
from smithers.store import Store, open_store


def flow(ctx: Context) -> Node:
    return Task("a", str, value="a")


def test_a_store_from_before_is_looked_at_as_it_is_and_brought_up_to_date_by_the_next_run(
    tmp_path: Path,
) -> None:
    path = tmp_path / "smithers.db"
    Workflow(flow).run_sync(run_id="r1", store=path)
    close_hosts()
    with closing(sqlite3.connect(path)) as connection:
        newer = ("children", "lineages", "calls", "accounts", "budgets", "places", "pools", "waits", "votes")
        newer += ("notices", "revivals")
        connection.executescript("".join(f"DROP TABLE smithers_{table};" for table in newer))
        connection.executescript("DROP INDEX smithers_inbox_signals; DROP INDEX smithers_runs_left;")
        connection.execute("PRAGMA user_version = 5")

    with closing(Store(path, durability="full", clock=SystemClock()).reader()) as reader:
        (run,) = reader.runs(RunFilter(tops=True))
        assert (run.name, run.kin) == ("r1", ALONE)
        assert reader.run("r").name == "r1"
        assert reader.children(run.id) == []
        assert reader.newest(run.id).name == "r1"
        assert reader.carried(run.id) is None
        assert reader.notices(None, 10) == []

    opened = open_store(path, clock=SystemClock(), create=False)
    with closing(opened.reader()) as reader:
        assert [run.name for run in reader.runs(RunFilter(tops=True))] == ["r1"]
    Workflow(flow).run_sync(run_id="r2", store=path)
    close_hosts()
