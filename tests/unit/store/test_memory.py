"""The store in memory, and claims whose commit may or may not have been stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from smithers.errors import RunOwned, StoreError
from smithers.records import EventRow, EventType, FrameWrite, NewRun
from smithers.store.lease import SqliteLeases
from smithers.store.memory import MemoryStore
from smithers.testing.clock import FakeClock
from smithers.testing.simulator.fault import FaultyConnection, Kind, Sites, StoreFault

TTL_MS = 15_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[MemoryStore]:
    with closing(MemoryStore(clock, connect=connect)) as found:
        yield found


def connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False, factory=FaultyConnection
    )


def a_run(store: MemoryStore, clock: FakeClock) -> int:
    """A run that nobody drives."""
    with closing(store.leases()) as leases, closing(store.writer()) as writer:
        owner = leases.register_owner(TTL_MS).id
        first = FrameWrite(0, 0, 1, 0, 0, 1, clock.now_ms())
        first.events.append(EventRow(1, EventType.RUN_STARTED, clock.now_ms()))
        first.creates = NewRun("r", "flow", "f.py:flow", "{}", {}, clock.now_ms(), owner)
        assert writer.commit([first]) == [None]
        leases.end_owner(owner)
        return first.run


class CommitsFail(Sites):
    """So many commits are stored, and raise all the same."""

    def __init__(self, times: int) -> None:
        super().__init__((StoreFault(Kind.UNKNOWN, 0, times),))

    def carry_out(self, sql: str, act: Callable[[], Any]) -> Any:
        return super().carry_out(sql, act) if sql == "COMMIT" else act()


def commits_fail(leases: SqliteLeases, times: int) -> None:
    connection = leases._patient.connection
    assert isinstance(connection, FaultyConnection)
    connection.sites = CommitsFail(times)


def test_two_connections_see_one_database_and_each_others_locks(store: MemoryStore) -> None:
    one, other = store.connect(), store.connect()
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    one.execute("ROLLBACK")
    assert other.execute("SELECT count(*) FROM smithers_runs").fetchone() == (0,)
    one.close()
    other.close()


def test_an_emptied_store_is_as_new(store: MemoryStore, clock: FakeClock) -> None:
    first = a_run(store, clock)
    store.empty()
    with closing(store.connect()) as look:
        assert look.execute("SELECT count(*) FROM smithers_runs").fetchone() == (0,)
        assert look.execute("SELECT * FROM smithers_names").fetchall() == [(0, "")]
    assert a_run(store, clock) == first


def test_a_claim_that_was_stored_although_its_commit_failed_holds(
    store: MemoryStore, clock: FakeClock
) -> None:
    run = a_run(store, clock)
    with closing(store.leases()) as leases:
        owner = leases.register_owner(TTL_MS).id
        commits_fail(leases, 1)
        fence = leases.claim(run, owner)
        with closing(store.connect()) as look:
            assert look.execute("SELECT owner, fence FROM smithers_runs").fetchone() == (owner, fence)


def test_a_claim_that_stays_in_doubt_can_be_made_again_and_is_given_back_by_a_renewal(
    store: MemoryStore, clock: FakeClock
) -> None:
    run = a_run(store, clock)
    with closing(store.leases()) as leases, closing(store.leases()) as others:
        owner = leases.register_owner(TTL_MS).id
        other = others.register_owner(TTL_MS).id
        for _ in range(2):
            commits_fail(leases, 2)
            with pytest.raises(StoreError, match="disk I/O error"):
                leases.claim(run, owner)
        with pytest.raises(RunOwned):
            others.claim(run, other)  # as far as anybody can see it is held
        assert leases.renew_owner(owner, TTL_MS)
        assert others.claim(run, other)


def test_a_claim_that_holds_is_not_given_back_by_a_renewal(store: MemoryStore, clock: FakeClock) -> None:
    run = a_run(store, clock)
    with closing(store.leases()) as leases, closing(store.leases()) as others:
        owner = leases.register_owner(TTL_MS).id
        commits_fail(leases, 1)
        leases.claim(run, owner)
        assert leases.renew_owner(owner, TTL_MS)
        with pytest.raises(RunOwned):
            others.claim(run, others.register_owner(TTL_MS).id)


def test_a_ledger_that_cannot_be_opened_says_what_is_wrong_with_the_store(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(uri: str) -> sqlite3.Connection:
        connection = connect(uri)
        assert isinstance(connection, FaultyConnection)
        connection.sites = Sites((StoreFault(Kind.IOERR, 0, 100),))
        return connection

    monkeypatch.setattr(store, "_make", faulty)
    with pytest.raises(StoreError, match="disk I/O error"):
        store.ledger()
