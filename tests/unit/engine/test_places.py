"""Places: how many agents of a kind, and of an account, run at once over all runs of a store."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from smithers import AgentReply, AgentRequest, Context, Node, Parallel, Task, Workflow
from smithers.clock import SystemClock
from smithers.engine.hosts import host_for
from smithers.engine.places import default_size
from smithers.errors import AgentAuth
from smithers.records import EventType, PlaceWanted
from smithers.store import Store
from smithers.store.place import SqlitePlaces
from tests.unit.engine.play import Overlap, Play, Word, until


class Worker:
    """Takes its time, in a pool."""

    def __init__(
        self, overlap: Overlap, pool: str | None = "kind", account: str = "mine", delay: float = 0.05
    ) -> None:
        self.name, self.pool, self.account, self.delay = f"{account}-agent", pool, account, delay
        self.overlap = overlap
        self.calls = 0

    async def call(self, request: AgentRequest) -> AgentReply:
        self.calls += 1
        with self.overlap.inside(str(self.pool), self.account):
            await asyncio.sleep(self.delay)
        return AgentReply(output={"text": "done"})


def resize(play: Play, name: str, size: int | None) -> None:
    with closing(stored(play)) as places:
        places.resize(name, size)


def stored(play: Play) -> SqlitePlaces:
    return host_for(play.store).store.places()


def taken(play: Play) -> int:
    with play.reader() as reader:
        return len(reader.places()[0])


def fan(agent: Any, count: int) -> Any:
    def flow(ctx: Context) -> Node:
        return Parallel(Task(f"t{n}", Word, agent=agent, prompt="Go.") for n in range(count))

    return flow


def test_no_more_agents_of_a_pool_run_at_once_than_it_has_places(play: Play) -> None:
    overlap = Overlap()
    resize(play, "kind", 3)
    assert play.run(fan(Worker(overlap), 10)).status == "finished"
    assert overlap.most["kind"] == 3
    assert taken(play) == 0


def test_runs_of_a_store_share_its_pools(play: Play) -> None:
    overlap = Overlap()
    resize(play, "kind", 2)
    handles = [
        Workflow(fan(Worker(overlap), 4), name="flow").start(host_for(play.store), {}, run_id=f"r{n}")
        for n in range(3)
    ]
    for handle in handles:
        assert handle.ended.result(timeout=30).state.word == "finished"
    assert overlap.most["kind"] == 2


def test_agents_of_another_pool_and_those_without_one_have_their_own_room(play: Play) -> None:
    overlap = Overlap()
    resize(play, "kind", 1)
    one, other, free = Worker(overlap), Worker(overlap, "other", "others"), Worker(overlap, None, "free")

    def flow(ctx: Context) -> Node:
        agents = {"one": one, "other": other, "free": free}
        return Parallel(
            Task(f"{name}{n}", Word, agent=agent, prompt="Go.")
            for n in range(4)
            for name, agent in agents.items()
        )

    assert play.run(flow).status == "finished"
    assert overlap.most["kind"] == 1
    assert overlap.most["free"] == 4
    assert overlap.most["other"] > 1


def test_an_account_has_a_limit_of_its_own_where_somebody_has_set_one(play: Play) -> None:
    overlap = Overlap()
    resize(play, "kind", 8)
    resize(play, "kind:work", 1)
    work, home = Worker(overlap, account="kind:work"), Worker(overlap, account="kind:home")

    def flow(ctx: Context) -> Node:
        tasks = [Task(f"t{n}", Word, agent=work if n % 2 else home, prompt="Go.") for n in range(8)]
        return Parallel(tasks)

    assert play.run(flow).status == "finished"
    assert (overlap.most["kind:work"], overlap.most["kind:home"]) == (1, 4)


def test_a_pool_that_grows_while_a_run_goes_on_is_used_at_once(play: Play) -> None:
    overlap = Overlap()
    resize(play, "kind", 1)
    worker = Worker(overlap, delay=0.3)
    handle = Workflow(fan(worker, 6), name="flow").start(host_for(play.store), {}, run_id="r")
    until(lambda: worker.calls == 1)
    resize(play, "kind", 6)
    began = time.monotonic()
    assert handle.ended.result(timeout=30).state.word == "finished"
    assert time.monotonic() - began < 1.2
    assert overlap.most["kind"] >= 4


def test_what_waits_for_a_place_begins_in_the_order_of_the_file_and_makes_no_attempt(play: Play) -> None:
    resize(play, "kind", 1)
    worker = Worker(Overlap(), delay=0.02)
    assert play.run(fan(worker, 6)).status == "finished"
    assert play.events(EventType.NODE_STARTED) == [f"t{n}" for n in range(6)]
    assert {row.attempt for row in play.attempts()} == {1}


def test_a_failing_over_agent_takes_a_place_of_its_own_pool(play: Play) -> None:
    overlap = Overlap()
    resize(play, "first", 8)
    resize(play, "second", 1)

    class SignedOut(Worker):
        async def call(self, request: AgentRequest) -> AgentReply:
            raise AgentAuth("no")

    chain = [SignedOut(overlap, "first", "first"), Worker(overlap, "second", "its")]
    assert play.run(fan(chain, 5)).status == "finished"
    assert overlap.most["second"] == 1
    assert taken(play) == 0


@pytest.mark.parametrize("ends", ["pause", "cancel"])
def test_a_run_that_is_ended_gives_its_places_back(play: Play, ends: str) -> None:
    resize(play, "kind", 2)
    worker = Worker(Overlap(), delay=60)
    handle = Workflow(fan(worker, 4), name="flow").start(host_for(play.store), {}, run_id="r")
    until(lambda: worker.calls == 2)
    assert taken(play) == 2
    getattr(handle, ends)()
    handle.ended.result(timeout=10)
    until(lambda: taken(play) == 0)


def test_places_of_an_owner_that_has_died_are_free(play: Play) -> None:
    overlap = Overlap()
    play.run(lambda ctx: Task("a", Word, value={"text": ""}))
    resize(play, "kind", 1)
    with closing(sqlite3.connect(play.store, isolation_level=None)) as plain:
        plain.execute("INSERT INTO smithers_places VALUES (1, 999, 'kind', 'kind', 'r', 'a', 0)")
    assert play.run(fan(Worker(overlap), 2), run_id="s").status == "finished"


def test_a_place_is_given_back_once_and_only_ours(play: Play) -> None:
    play.run(lambda ctx: Task("a", Word, value={"text": ""}))
    with closing(Store(play.store, durability="full", clock=SystemClock()).leases()) as leases:
        owner = leases.register_owner(15_000).id
    with closing(stored(play)) as places:
        wanted = PlaceWanted("kind", "kind", "r", "a")
        first, second = (places.take(owner, wanted, 2) for _ in range(2))
        assert first is not None
        assert second is not None
        assert places.take(owner, wanted, 2) is None
        assert places.take(owner, wanted, 3) is not None
        places.free([first])
        places.free([first])
        assert places.take(owner, wanted, 3) is not None
        assert places.take(owner, wanted, 3) is None


def test_by_default_there_is_room_for_one_at_least_and_sixteen_at_most() -> None:
    assert 1 <= default_size() <= 16
