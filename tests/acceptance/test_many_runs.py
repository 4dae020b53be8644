"""A project with ten thousand runs: looking at it costs what looking at a small one costs."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

import pytest

from smithers.clock import SystemClock
from smithers.ids import NodeKey
from smithers.records import (
    AttemptStart,
    EventRow,
    EventType,
    FrameWrite,
    Mount,
    NewRun,
    RunChange,
    RunState,
)
from smithers.store import open_store
from tests.acceptance.process import smithers

RUNS = 10_000
BUDGET_S = 0.05
"""Of CPU, more than a look at an empty project takes: the wall clock says how busy the machine is."""


class _Careless(sqlite3.Connection):
    """Waits for no disk."""

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
        return super().execute("PRAGMA synchronous = OFF" if "synchronous" in sql else sql, *values)


def fill(path: Path, states: list[RunState]) -> None:
    """Write runs whose states come in turn; each has one task that was begun."""
    path.parent.mkdir()
    store = open_store(path, clock=SystemClock())
    leases, writer = store.leases(), store.writer(_Careless)
    owner, now_ms = leases.register_owner(3_600_000), store.clock.now_ms()
    for number in range(RUNS):
        frame = FrameWrite(0, 1, 1, 0, 0, 2, now_ms)
        frame.mounted = [Mount("work", None, 0, '{"kind":"task"}')]
        frame.started = [AttemptStart(NodeKey("work"), 0, 1, 0, now_ms)]
        frame.events = [
            EventRow(1, EventType.RUN_STARTED, now_ms),
            EventRow(2, EventType.NODE_STARTED, now_ms, NodeKey("work"), 1),
        ]
        frame.run_change = RunChange(states[number % len(states)], release=True)
        frame.creates = NewRun(f"run-{number}", "flow", "flow.py:flow", "{}", {}, now_ms, owner.id)
        assert writer.commit([frame]) == [None]
    writer.close()
    leases.end_owner(owner.id)
    leases.close()


def cost_s(folder: Path) -> float:
    """CPU seconds of one `ps`; the least of several."""
    found = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert smithers(folder, "ps").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "states",
    [[RunState.FINISHED], [RunState.RUNNING, RunState.PAUSED, RunState.FINISHED]],
    ids=["all finished", "most unfinished"],
)
def test_a_list_of_ten_thousand_runs_costs_what_an_empty_one_does(
    tmp_path: Path, states: list[RunState]
) -> None:
    full, empty = tmp_path / "full", tmp_path / "empty"
    for folder in (full, empty):
        (folder / ".git").mkdir(parents=True)
    fill(full / ".smithers" / "smithers.db", states)
    assert cost_s(full) < cost_s(empty) + BUDGET_S
    shown = smithers(full, "ps")
    assert len(shown.stdout.splitlines()) <= 1 + 2 * 70
    assert shown.stderr == "more runs: smithers ps -a\n"
