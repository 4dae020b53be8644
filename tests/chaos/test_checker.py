"""The checker finds what it is there to find: each kind of damage, planted in a sound run, is named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import checker
from tests.chaos.checker import Line, Rows
from tests.chaos.harness import RUN, Place
from tests.chaos.storm import SHORT


@pytest.fixture(name="sound", scope="module")
def _sound(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run of 60 tasks that was killed once and resumed."""
    place = Place(tmp_path_factory.mktemp("sound"), "storm", json.dumps(SHORT))
    first = place.start()
    place.wait_for("draft[1]")
    first.kill()
    assert place.resume().wait() == 5
    return place


def problems(rows: Rows | None, lines: list[Line], sound: Rows) -> list[str]:
    assert rows is not None
    return [
        *checker.check_rows(rows),
        *checker.check_history(sound, rows, has_new_owner=False),
        *checker.check_journal(rows, lines),
        *checker.check_end(rows, sound),
    ]


def read(place: Place) -> Rows:
    rows = place.look()
    assert rows is not None
    return rows


def test_a_sound_run_is_called_sound(sound: Place) -> None:
    rows = read(sound)
    assert any(row.state == checker.LOST for row in rows.attempts.values())
    assert problems(rows, sound.lines(), rows) == []


NODE = "(SELECT id FROM smithers_names WHERE text = 'draft')"
DAMAGE = {
    "I1 a finished task without its output":
        f"DELETE FROM smithers_outputs WHERE node = {NODE} AND iteration = 1",
    "I1 a finished task without its row": f"DELETE FROM smithers_nodes WHERE node = {NODE} AND iteration = 1",
    "I2 an output that has changed": f"UPDATE smithers_outputs SET body = '{{}}' WHERE node = {NODE}",
    "I4 an attempt after the completion":
        f"UPDATE smithers_nodes SET attempt = 0 WHERE node = {NODE} AND iteration = 0",
    "I4 a lost attempt that used up a retry": "UPDATE smithers_attempts SET counted = 1 WHERE state = 7",
    "I5 a fence that fell": "UPDATE smithers_runs SET fence = 1",
    "I6 a task before its input": "UPDATE smithers_attempts SET start_seq = 1",
    "I7 a run that forgot to let go": "UPDATE smithers_runs SET owner = 1",
    "I7 an attempt that never ended":
        f"UPDATE smithers_attempts SET state = 1, to_frame = NULL WHERE node = {NODE} AND iteration = 2",
    "I7 a success that was none": "UPDATE smithers_runs SET state = 4",
    "I8 an event that is missing": "DELETE FROM smithers_events WHERE seq = 9",
    "I8 a frame that is missing": "DELETE FROM smithers_frames WHERE frame = 5",
    "I8 a frame with another parent": "UPDATE smithers_frames SET parent = 3 WHERE frame = 5",
    "I12 an output of another run": f"UPDATE smithers_outputs SET body = '{{}}' WHERE node = {NODE}",
    "I13 an entry of the cache without its output":
        f"INSERT INTO smithers_cache SELECT 0, {NODE}, 0, x'00', '{{}}', '{{}}', id, 0, 99, 0, 0, NULL"
        " FROM smithers_runs",
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_in_the_rows_is_named(sound: Place, tmp_path: Path, kind: str) -> None:
    database = tmp_path / "smithers.db"
    shutil.copy(sound.database, database)
    connection = sqlite3.connect(database)
    with connection:
        assert connection.execute(DAMAGE[kind]).rowcount > 0
    connection.close()
    found = problems(checker.read_rows(database, RUN), sound.lines(), read(sound))
    assert kind.partition(" ")[0] in {text.partition(" ")[0] for text in found}


def test_a_file_with_a_torn_page_is_named(sound: Place, tmp_path: Path) -> None:
    database = tmp_path / "smithers.db"
    body = bytearray(sound.database.read_bytes())
    connection = sqlite3.connect(sound.database)
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'smithers_names'").fetchone()[
        0
    ]
    connection.close()
    # The number of cells on the table's first page: rows are gone, and their index does not know.
    at = (root - 1) * page_size + 3
    body[at : at + 2] = (1).to_bytes(2, "big")
    database.write_bytes(body)
    try:
        rows = checker.read_rows(database, RUN)
    except (sqlite3.DatabaseError, KeyError):
        return  # not even readable
    assert rows is not None
    assert any(text.startswith("I11") for text in checker.check_rows(rows))


def again(lines: list[Line], change: Callable[[Line], Line]) -> list[Line]:
    """The journal with one more execution of `draft`, changed."""
    start = next(line for line in lines if line.key == "draft" and line.what == "start")
    return [*lines, change(start)]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("after the completion", lambda line: line._replace(attempt=line.attempt + 1)),
        ("of the same attempt", lambda line: line),
        ("of a task that was never planned", lambda line: line._replace(key="nobody")),
    ],
)
def test_an_execution_too_many_is_named(sound: Place, kind: str, change: Callable[[Line], Line]) -> None:
    rows = read(sound)
    found = checker.run_twice(rows, again(sound.lines(), change))
    assert [text.partition(" ")[0] for text in found] == ["I4"], kind


def test_an_execution_long_after_the_completion_is_named_by_its_time(sound: Place) -> None:
    rows, lines = read(sound), sound.lines()
    # As if the machine's clocks agreed: the last line of all was written at the time of the last frame.
    offset_ms = rows.run.created_ms + rows.frames[-1].at_ms - max(line.at_ns for line in lines) / 1e6
    assert checker.run_after_completion(rows, lines, offset_ms) == []
    late = again(lines, lambda line: line._replace(at_ns=line.at_ns + 10**12))
    assert len(checker.run_after_completion(rows, late, offset_ms)) == 1


def test_a_completion_without_an_execution_is_named(sound: Place) -> None:
    rows = read(sound)
    without = [line for line in sound.lines() if line.key != "report"]
    assert any(text.startswith("I3") for text in checker.check_journal(rows, without))


def test_an_attempt_that_survived_its_process_is_named(sound: Place) -> None:
    rows = read(sound)
    slot = next(slot for slot, row in rows.attempts.items() if row.state == checker.FINISHED)
    running = rows.attempts[slot]._replace(state=checker.RUNNING, to_frame=None)
    dead = replace(rows, attempts={**rows.attempts, slot: running}, run=rows.run._replace(frame=1))
    assert len(checker.check_process_death(dead, rows)) == 1


def test_a_process_that_is_left_is_found(sound: Place) -> None:
    gate = Place(sound.folder / "gate", "gate")
    up = gate.start()
    try:
        gate.wait_for("hold")
        assert gate.leftovers() == [up.pid]
    finally:
        gate.close()
    assert gate.leftovers() == []
