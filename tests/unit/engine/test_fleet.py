"""The runs of one engine, on a store that fails when it is told to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from random import Random
from typing import Any

import pytest

from smithers import Node, Parallel, Task
from smithers.engine.definition import Definition
from smithers.engine.fleet import COMMIT_EVENTS
from smithers.engine.handle import Handle
from smithers.engine.message import New, Resume
from smithers.engine.terms import Terms
from smithers.errors import RunExists, StoreError, StoreFull, StoreNotFound
from smithers.records import FrameWrite, RunState
from smithers.store.memory import MemoryStore
from smithers.testing.clock import FakeClock
from smithers.testing.simulator.fault import Kind, Sites, StoreFault
from smithers.testing.simulator.process import Connections, SimulatedProcess

TERMS = Terms("flow.py:flow", 16, None, lambda task: ())


class Stage:
    """One process and a store, moved by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.connections = Connections()
        self.store = MemoryStore(self.clock, connect=self.connections.connect)
        self.living: set[int] = set()
        self.sites = Sites()
        self.process = self.born(1, self.sites)

    def born(self, pid: int, sites: Sites | None = None) -> SimulatedProcess:
        return SimulatedProcess(
            pid, self.store, self.connections, self.clock, Random(0), self.living, sites or Sites()
        )

    def start(self, tree: Node, name: str | None = "r") -> Handle:
        handle = self.process.engine.handle()
        definition = Definition("flow", lambda ctx: tree, None, None, None)
        self.process.engine.post(New(definition, name, "{}", {}, TERMS, handle))
        return handle

    def go(self, process: SimulatedProcess | None = None) -> None:
        """Let a process do all that it can do now."""
        while actions := (process or self.process).actions():
            actions[0]()

    def fail(self, kind: Kind, *, lasts: int) -> None:
        """From now on, so many operations go wrong."""
        self.sites._faults = (StoreFault(kind, self.sites.count, lasts),)

    def close(self) -> None:
        self.connections.close()
        self.store.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    logger = logging.getLogger("smithers")
    before, logger.disabled = logger.disabled, True
    with closing(Stage()) as found:
        yield found
    logger.disabled = before


def value(name: str) -> Task[Any]:
    return Task(name, str, value=name)


async def word() -> str:
    return "word"


def test_runs_that_are_started_together_are_stored_in_one_commit(stage: Stage) -> None:
    handles = [stage.start(value("a"), f"r{n}") for n in range(20)]
    with closing(stage.store.connect()) as look:
        before = look.execute("PRAGMA data_version").fetchone()[0]
        stage.process.turn()
        assert look.execute("PRAGMA data_version").fetchone()[0] == before + 1
    assert [handle.ended.result(0).state for handle in handles] == [RunState.FINISHED] * 20


def test_of_two_runs_of_one_name_in_one_commit_the_second_is_refused(stage: Stage) -> None:
    first, second, other = stage.start(value("a")), stage.start(value("b")), stage.start(value("c"), "s")
    stage.go()
    assert first.ended.result(0).state is RunState.FINISHED
    assert isinstance(second.started.exception(0), RunExists)
    assert other.ended.result(0).state is RunState.FINISHED


def test_a_run_without_a_name_takes_another_when_the_first_is_taken(stage: Stage) -> None:
    # Both engines draw from dice that fall alike.
    one = stage.start(value("a"), None)
    stage.go()
    twin = stage.born(2)
    handle = twin.engine.handle()
    twin.engine.post(
        New(Definition("flow", lambda ctx: value("b"), None, None, None), None, "{}", {}, TERMS, handle)
    )
    stage.go(twin)
    assert handle.ended.result(0).state is RunState.FINISHED
    assert handle.started.result(0) != one.started.result(0)


def test_a_run_that_is_stopped_before_its_first_frame_is_stored_stops(stage: Stage) -> None:
    handle = stage.start(Task("a", str, run=word))
    handle.cancel()
    stage.go()
    assert handle.ended.result(0).state is RunState.CANCELLED


def test_a_run_that_was_let_go_while_the_store_failed_is_given_back_later(stage: Stage) -> None:
    handle = stage.start(Task("a", str, run=word))
    stage.process.turn()
    stage.fail(Kind.FULL, lasts=40)
    stage.go()
    assert isinstance(handle.ended.exception(0), StoreFull)
    releases = stage.process.engine.fleet.releases
    assert releases
    for _ in range(40):
        stage.clock.advance(1)
        stage.go()
    assert not releases
    other = stage.born(2)
    assert other.leases.claim(1, other.owner.id) == 2


def test_a_claimed_run_that_does_not_begin_is_given_back(stage: Stage) -> None:
    handle = stage.start(Task("a", str, run=word))
    stage.process.turn()
    handle.pause()
    stage.go()
    assert handle.ended.result(0).state is RunState.PAUSED
    with closing(stage.store.reader()) as reader:
        row = reader.run("r")
    fence = stage.process.leases.claim(row.id, stage.process.owner.id)
    again = stage.process.engine.handle()
    definition = Definition("flow", lambda ctx: Task("a", str, run=word), None, None, None)
    stage.fail(Kind.IOERR, lasts=3)
    stage.process.engine.post(Resume(definition, row, fence, TERMS, again))
    stage.go()
    assert isinstance(again.started.exception(0), StoreError)
    for _ in range(3):
        stage.clock.advance(1)
        stage.go()
    other = stage.born(2)
    assert other.leases.claim(row.id, other.owner.id) == fence + 1


def test_a_new_run_whose_commit_failed_after_all_had_been_stored_goes_on(stage: Stage) -> None:
    begun = stage.start(Parallel(value("a"), Task("b", str, run=word)))
    # The commit is the last operation of the first turn: found by a dry run beside it.
    twin = Stage()
    twin.start(Parallel(value("a"), Task("b", str, run=word)))
    twin.process.turn()
    last = twin.sites.count - 1
    twin.close()
    stage.sites._faults = (StoreFault(Kind.UNKNOWN, last),)
    stage.go()
    assert begun.started.result(0) == "r"
    assert begun.ended.result(0).state is RunState.FINISHED


def test_of_two_runs_of_one_name_whose_commit_is_in_doubt_one_is_driven(stage: Stage) -> None:
    def start(on: Stage) -> list[Handle]:
        return [on.start(Task("a", str, run=word)), on.start(Task("b", str, run=word))]

    twin = Stage()
    start(twin)
    twin.process.turn()
    last = twin.sites.count - 1
    twin.close()
    first, second = start(stage)
    stage.sites._faults = (StoreFault(Kind.UNKNOWN, last),)
    stage.go()
    assert stage.sites.met
    assert first.ended.result(0).state is RunState.FINISHED
    assert isinstance(second.started.exception(0), RunExists)
    with closing(stage.store.reader()) as reader:
        assert [row.key.node for row in reader.nodes(reader.run("r").id)] == ["a"]


def test_whoever_waits_for_a_run_of_a_step_that_broke_off_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two commits in one step: the second is never tried.
    width = COMMIT_EVENTS
    handles = [stage.start(Parallel(*(value(f"v{n}") for n in range(width))), f"r{i}") for i in range(2)]
    tries: list[int] = []

    def commit(frames: Sequence[FrameWrite]) -> None:
        tries.append(len(frames))
        raise StoreNotFound("the file is gone")

    monkeypatch.setattr(stage.process.engine.fleet._effects.writer, "commit", commit)
    with suppress(StoreNotFound):
        stage.go()
    stage.process.engine.fleet.abandon(StoreNotFound("the file is gone"))
    assert tries == [1]
    assert all(isinstance(handle.started.exception(0), StoreNotFound) for handle in handles)


def test_a_handle_of_a_run_that_has_left_does_not_stop_the_run_resumed(stage: Stage) -> None:
    old = stage.start(Task("a", str, run=word))
    stage.process.turn()
    old.pause()
    stage.go()
    with closing(stage.store.reader()) as reader:
        row = reader.run("r")
    fence = stage.process.leases.claim(row.id, stage.process.owner.id)
    again = stage.process.engine.handle()
    definition = Definition("flow", lambda ctx: Task("a", str, run=word), None, None, None)
    stage.process.engine.post(Resume(definition, row, fence, TERMS, again))
    stage.process.turn()
    assert again.started.done()
    old.cancel()
    stage.go()
    assert again.ended.result(0).state is RunState.FINISHED


def test_runs_take_turns_when_their_attempts_are_dispatched(stage: Stage) -> None:
    order: list[str] = []

    def tree(name: str, width: int) -> Node:
        def work(n: int) -> Task[Any]:
            async def go() -> str:
                order.append(f"{name}{n}")
                return "done"

            return Task(f"{name}{n}", str, run=go)

        return Parallel(*(work(n) for n in range(width)))

    stage.start(tree("wide", 10), "wide")
    stage.start(tree("slim", 1), "slim")
    stage.go()
    assert order.index("slim0") < 3
