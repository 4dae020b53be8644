"""Runs that nobody drives, as a supervisor finds them in the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smithers import Context, Node, RetryPolicy, Sequence, Subflow, Task, Workflow
from smithers.clock import SystemClock
from smithers.engine.host import Host
from smithers.records import InboxKind, OwnerHealth, Revival, RunState
from smithers.store import Store, open_store


def fetch() -> str:
    raise ConnectionError("down")


def single(ctx: Context) -> Node:
    return Sequence(
        Task("first", str, value="a"),
        Task("fetch", str, run=fetch, retry_policy=RetryPolicy(initial_delay="1h", max_delay="2h")),
    )


inner = Workflow(single, name="inner")


def outer(ctx: Context) -> Node:
    return Sequence(Task("before", str, value="b"), Subflow("part", inner, str, input={}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two parked runs: `one`, and `two` with a run of its own in it."""
    host = Host(tmp_path / "smithers.db")
    for name, flow in (("one", Workflow(single)), ("two", Workflow(outer))):
        assert flow.start(host, run_id=name, linger_ms=0).ended.result().state is RunState.WAITING
    host.close()
    return open_store(tmp_path / "smithers.db", clock=SystemClock(), create=False)


def number(store: Store, name: str) -> int:
    with closing(store.reader()) as reader:
        return reader.run(name).id


def child(store: Store) -> int:
    with closing(store.reader()) as reader:
        (row,) = reader.children(number(store, "two"))
        return row.run


def ask(store: Store, sql: str) -> None:
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(sql)


def names(store: Store, now_ms: int = 0) -> list[str]:
    with closing(store.revivals()) as revivals:
        return [one.name for one in revivals.standings([], now_ms)]


def test_what_is_due_is_found_without_what_belongs_to_another_run(store: Store) -> None:
    now_ms = store.clock.now_ms()
    assert names(store, now_ms) == []
    with closing(store.revivals()) as revivals:
        due_ms = revivals.next_due_ms(now_ms)
        assert due_ms is not None
        assert 3_000_000 < due_ms - now_ms < 4_000_000
        assert revivals.next_due_ms(due_ms + 3_600_000) is None
    assert names(store, due_ms + 3_600_000) == ["one", "two"]


def test_a_message_for_a_run_within_it_wakes_the_outermost(store: Store) -> None:
    with closing(store.outsider()) as outsider:
        outsider.post(child(store), InboxKind.CANCEL, "test")
    with closing(store.revivals()) as revivals:
        (found,) = revivals.standings([], 0)
    assert (found.name, found.message_ms is not None, found.cancel_ms) == ("two", True, None)
    ask(store, "UPDATE smithers_runs SET state = 7 WHERE id <> 1")
    assert names(store) == []  # nobody reads what was written to a run that has ended


def test_a_run_that_its_owner_has_left_is_found(store: Store) -> None:
    ask(store, "UPDATE smithers_runs SET state = 1 WHERE name = 'one'")
    with closing(store.revivals()) as revivals:
        (found,) = revivals.standings([], 0)
        assert (found.name, found.health, found.settled) == ("one", OwnerHealth.NONE, 1)
        two = revivals.standing(number(store, "two"))
        assert two is not None
        assert two.settled == 2  # of the run within it, too
        assert revivals.standing(child(store)) is None


def test_a_loss_is_noted_once_whoever_is_faster(store: Store) -> None:
    run = number(store, "one")
    first = Revival(1, 1, 5, 1, None)
    with closing(store.revivals()) as revivals, closing(store.revivals()) as other:
        assert revivals.note([(run, first, None)]) == [True]
        assert other.note([(run, first._replace(deaths=9), None)]) == [False]
        assert other.note([]) == []
        found = revivals.standing(run)
        assert found is not None
        assert found.revival == first
        second = first._replace(fence=2, deaths=2, why="[X] y")
        assert revivals.note([(run, second, first)]) == [True]
        assert revivals.note([(run, second, first)]) == [False]
        assert (found := revivals.standing(run)) is not None
        assert found.revival == second


def test_a_change_by_somebody_else_is_seen_once(store: Store) -> None:
    with closing(store.revivals()) as revivals:
        revivals.has_changed()
        assert not revivals.has_changed()
        with closing(store.outsider()) as outsider:
            outsider.post(number(store, "one"), InboxKind.PAUSE, "test")
        assert revivals.has_changed()
        assert not revivals.has_changed()


def test_looking_for_what_is_due_reads_indexes_only(store: Store) -> None:
    from smithers.store.queries import statements

    with closing(sqlite3.connect(store.path)) as connection:
        for name in ("due", "next_due", "left", "held_by", "written_to"):
            sql = statements("revival")[name]
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", (0,) * sql.count("?")).fetchall()
            steps = [row[3] for row in plan]
            scans = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
            assert all(step in ("SCAN f", "SCAN found") for step in scans), (name, steps)
