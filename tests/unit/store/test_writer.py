"""How the writer shares the file, and what a task costs on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smithers.records import EventRow, EventType
from smithers.store import open_store
from smithers.store.connection import open_writable
from smithers.store.writer import SqliteWriter
from tests.contract.store_contract import World

TASKS = 10_000
BYTES_A_TASK = 350


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock, durability="normal"))
    yield found
    found.close()


@pytest.fixture
def pauses(world: World) -> Iterator[list[float]]:
    """The world's writer from here on, with a record of the times it gave way."""
    found: list[float] = []
    connection = open_writable(world.store.path, world.clock, durability="normal")
    with closing(SqliteWriter(connection, world.store.path, world.clock, pause=found.append)) as writer:
        world.writer = writer
        yield found


def test_a_burst_gives_way_once_in_64_commits(world: World, pauses: list[float]) -> None:
    drive = world.create()
    for _ in range(63):
        drive.commit()
    assert pauses == []
    drive.commit()
    assert pauses == [0.001]
    for _ in range(63):
        drive.commit()
    assert pauses == [0.001]
    drive.commit()
    assert pauses == [0.001, 0.001]


def test_a_slow_burst_gives_way_after_5_ms(world: World, pauses: list[float]) -> None:
    drive = world.create()
    for _ in range(6):
        drive.commit()
        world.clock.advance(1)
    assert pauses == [0.001]


def test_a_writer_that_leaves_gaps_of_its_own_never_waits(world: World, pauses: list[float]) -> None:
    drive = world.create()
    for _ in range(200):
        drive.commit()
        world.clock.advance(2)
    assert pauses == []


def test_no_frames_are_no_transaction(world: World) -> None:
    drive = world.create()
    assert world.writer.commit([]) == []
    assert world.row(drive.run).frame == 1


def test_a_task_costs_at_most_350_bytes_on_disk(tmp_path: Path) -> None:
    # A task with a 12-character id and an output of 80 bytes: one mount, node, attempt, output and frame, two
    # events. Attempts overlap, as they do when tasks run side by side.
    world = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock, durability="normal"))
    tables = (tmp_path / "smithers.db").stat().st_size  # a page each, whatever is in them
    ids = tuple(f"task-{n:07d}" for n in range(TASKS))
    drive = world.create(ids=ids)
    body = '{"summary":"' + "x" * 66 + '"}'
    assert len(body) == 80
    group = []
    for n, node in enumerate(ids):
        world.clock.advance(37)
        now = world.clock.now_ms()
        rows = drive.finish(ids[n - 4], body) if n >= 4 else {}
        frame = drive.next(**rows, started=[drive.start(node)])
        frame.used = 3
        frame.events = [
            EventRow(frame.seq + 2, EventType.NODE_FINISHED, now, frame.started[0].key, 1),
            EventRow(frame.seq + 3, EventType.NODE_STARTED, now, frame.started[0].key, 1),
        ]
        drive.done(frame)
        group.append(frame)
        if len(group) == 50 or n == TASKS - 1:
            assert world.writer.commit(group) == [None] * len(group)
            group = []
    world.close()
    assert [path.name for path in tmp_path.iterdir()] == ["smithers.db"]
    assert ((tmp_path / "smithers.db").stat().st_size - tables) / TASKS <= BYTES_A_TASK
