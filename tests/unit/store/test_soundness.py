"""What a file is trusted for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smithers.errors import StoreCorrupt
from smithers.records import RunFilter
from smithers.store import Store, open_store
from tests.contract.store_contract import FakeClock, World


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Store:
    world = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock))
    world.create()
    world.close()
    return open_store(tmp_path / "smithers.db", clock=FakeClock())


def change(store: Store, sql: str) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute(sql)


def test_a_sound_run_is_loaded(store: Store) -> None:
    with closing(store.writer()) as writer:
        assert writer.load(1).run.name == "r1"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM smithers_frames",
        "UPDATE smithers_runs SET frame = frame + 1",
        "UPDATE smithers_runs SET seq = seq + 1",
        "UPDATE smithers_frames SET seq = seq + 1",
    ],
)
def test_a_run_that_does_not_add_up_is_not_continued(store: Store, sql: str) -> None:
    change(store, sql)
    with closing(store.writer()) as writer, pytest.raises(StoreCorrupt, match="r1 is at frame"):
        writer.load(1)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE smithers_runs SET state = 77",
        "UPDATE smithers_inputs SET config = 'no json'",
        "UPDATE smithers_runs SET name = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_row_that_makes_no_sense_is_damage_and_no_bug(store: Store, sql: str) -> None:
    change(store, sql)
    with closing(store.reader()) as reader, pytest.raises(StoreCorrupt, match="damaged database"):
        reader.runs(RunFilter())
    with closing(store.writer()) as writer, pytest.raises(StoreCorrupt, match="damaged database"):
        writer.load(1)


def test_a_list_of_runs_is_not_empty_where_there_are_frames(store: Store) -> None:
    change(store, "DELETE FROM smithers_runs")
    with closing(store.reader()) as reader, pytest.raises(StoreCorrupt, match="lists no runs"):
        reader.runs(RunFilter())


def test_a_key_out_of_order_is_found_before_a_run_is_continued(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'smithers_names'"
        ).fetchone()[0]
        index = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'smithers_names' AND type = 'index'"
        ).fetchone()[0]
    with store.path.open("r+b") as file:
        file.seek(4096 * (index - 1))
        page = bytearray(file.read(4096))
        count = int.from_bytes(page[3:5], "big")
        assert count > 1
        assert root != index
        page[8:10], page[10:12] = page[10:12], page[8:10]  # two of its cells change places
        file.seek(4096 * (index - 1))
        file.write(page)
    with closing(store.writer()) as writer, pytest.raises(StoreCorrupt, match="damaged database"):
        writer.load(1)
