"""Stores that were written by every schema there has been: opened, migrated, and their runs resumed."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smithers import Workflow
from smithers.clock import SystemClock
from smithers.engine.hosts import close_host
from smithers.store import open_store
from smithers.store.migration import SCHEMA_VERSION
from smithers.testing import WorkflowRunner, assert_no_reruns
from tests.fixtures.stores.kept import HERE, RUNS, Kept, dumps, load

DUMPS = dumps()


@pytest.fixture(autouse=True)
def flows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The workflows' folder can be imported from, and they neither die nor fail."""
    monkeypatch.syspath_prepend(str(HERE))
    for name in ("STORE_DIES_AT", "STORE_FAILS_AT"):
        monkeypatch.delenv(name, raising=False)
    yield
    for name in ("flows", "block_flows", "wait_flows"):
        sys.modules.pop(name, None)


def flow_of(kept: Kept) -> Workflow[Any, Any]:
    found = getattr(importlib.import_module(kept.module), kept.flow)
    assert isinstance(found, Workflow)
    return found


def finished(store: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of all outputs, by plain SQL."""
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(
            "SELECT run, node, scope, iteration, generation, seq, frame, body FROM smithers_outputs"
        ).fetchall()
    return {row[:5]: row[5:] for row in rows}


def runs_in(store: Path) -> set[str]:
    with closing(sqlite3.connect(store)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM smithers_runs")}


def version_of(store: Path) -> int:
    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_there_is_a_store_of_the_present_schema() -> None:
    names = [path.name for path in DUMPS]
    assert f"schema-{SCHEMA_VERSION:04}.sql" in names, "after a migration: scripts/stores"


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_it_is_migrated_and_its_runs_end_as_new_ones_do_without_finished_work_done_again(
    dump: Path, tmp_path: Path
) -> None:
    store = tmp_path / "smithers.db"
    load(dump, store)
    assert f"schema-{version_of(store):04}" == dump.stem
    before, names = finished(store), runs_in(store)
    assert names >= {kept.run for kept in RUNS if kept.module == "flows"}

    open_store(store, clock=SystemClock())
    assert version_of(store) == SCHEMA_VERSION
    assert finished(store) == before

    run_workflow = WorkflowRunner(store)
    try:
        for kept in RUNS:
            if kept.run not in names:
                continue
            flow = flow_of(kept)
            run = run_workflow.resume(flow, run_id=kept.run)
            assert (kept.run, run.status, sorted(run.executed)) == (
                kept.run,
                kept.status,
                sorted(kept.executes),
            )
            assert_no_reruns(run)
            new = run_workflow(flow, run_id=f"new-{kept.run}")
            assert (run.outputs, run.statuses) == (new.outputs, new.statuses)
            # Without a model of its own a run answers with its newest output, whichever came last.
            assert flow.output is None or run.output == new.output
    finally:
        close_host(store)
    after = finished(store)
    assert {slot: after.get(slot) for slot in before} == before


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_a_dump_names_no_machine(dump: Path) -> None:
    text = dump.read_text()
    assert "elsewhere" in text
    assert not any(word in text for word in ("/home/", "/tmp/", "/root/", str(HERE)))
