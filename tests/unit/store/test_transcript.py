"""The file of transcripts: how it is opened, what it keeps, and what goes when it is full."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import smithers.store
from smithers.errors import BugError, NotAStore, StoreCorrupt, StoreFull, StoreNotFound, StoreTooNew
from smithers.ids import NodeKey
from smithers.records.transcript import Conversation, EntryKind, NewEntry
from smithers.store.queries import statements
from smithers.store.transcript import (
    SCHEMA,
    SqliteTranscriptReader,
    SqliteTranscripts,
    transcripts_path,
)
from smithers.testing import FakeClock

CLOCK = FakeClock()
KEY = NodeKey("draft", "outer=1", 2)


def conversation(run: int = 7, attempt: int = 1) -> Conversation:
    return Conversation(run, KEY, 0, attempt, "codex", 1_000)


def entries(*texts: str) -> list[NewEntry]:
    return [NewEntry(number, 0, EntryKind.TEXT, 1_000 + number, text) for number, text in enumerate(texts, 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return transcripts_path(tmp_path / "smithers.db")


@pytest.fixture
def transcripts(path: Path) -> Iterator[SqliteTranscripts]:
    with closing(SqliteTranscripts(path, CLOCK)) as found:
        yield found


@pytest.fixture
def reader(transcripts: SqliteTranscripts, path: Path) -> Iterator[SqliteTranscriptReader]:
    with closing(SqliteTranscriptReader(path, CLOCK)) as found:
        yield found


@pytest.mark.parametrize(
    ("store", "wanted"),
    [
        ("smithers.db", "smithers-transcripts.db"),
        ("x.y.sqlite", "x.y-transcripts.sqlite"),
        ("s", "s-transcripts"),
    ],
)
def test_the_file_stands_beside_the_store(store: str, wanted: str) -> None:
    assert transcripts_path(Path("/a") / store) == Path("/a") / wanted


def test_what_is_added_is_read_back(transcripts: SqliteTranscripts, reader: SqliteTranscriptReader) -> None:
    one, other = conversation(), conversation(attempt=2)
    call = NewEntry(3, 1, EntryKind.TOOL_CALL, 900, "{}", '{"id":"c"}')
    transcripts.add([(one, entries("a", "b\0ä")), (other, entries("c")), (one, [call])])
    first, second = reader.conversations(7)
    assert (first.id, first.run, first.key, first.generation, first.attempt) == (one.id, 7, KEY, 0, 1)
    assert (first.agent, first.began_ms, second.id) == ("codex", 1_000, other.id)
    assert [entry[2:] for entry in reader.entries(one.id)] == [
        (1, 0, EntryKind.TEXT, 1_001, "a", ""),
        (2, 0, EntryKind.TEXT, 1_002, "b\0ä", ""),
        (3, 1, EntryKind.TOOL_CALL, 900, "{}", '{"id":"c"}'),
    ]
    assert reader.conversations(8) == []


def test_entries_are_read_page_by_page_by_run_and_from_the_end(
    transcripts: SqliteTranscripts, reader: SqliteTranscriptReader
) -> None:
    one, other = conversation(), conversation(run=8)
    assert reader.newest() == 0
    for text in "abc":
        transcripts.add([(one, entries(text)), (other, entries(text.upper()))])
    first, second = reader.entries(one.id, limit=2)
    assert [entry.text for entry in reader.entries(one.id, second.id)] == ["c"]
    assert [entry.text for entry in reader.newer(8, first.id)] == ["A", "B", "C"]
    assert [entry.text for entry in reader.newer(8, first.id, limit=1)] == ["A"]
    begin = reader.before_last([one.id, other.id], 3)
    assert [entry.text for run in (7, 8) for entry in reader.newer(run, begin)] == ["c", "B", "C"]
    assert reader.before_last([one.id], 99) == first.id - 1
    assert reader.before_last([one.id], 0) == reader.newest() == 6
    assert reader.before_last([], 5) == 0


def test_a_reader_sees_that_something_came(
    transcripts: SqliteTranscripts, reader: SqliteTranscriptReader
) -> None:
    assert reader.has_changed()
    assert not reader.has_changed()
    transcripts.add([(conversation(), entries("a"))])
    assert reader.has_changed()
    assert not reader.has_changed()


def test_the_file_is_private_and_its_log_too(transcripts: SqliteTranscripts, path: Path) -> None:
    transcripts.add([(conversation(), entries("a"))])
    for ending in ("", "-wal", "-shm"):
        assert path.with_name(path.name + ending).stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert transcripts._connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_the_schema_has_a_number_of_its_own_and_every_statement_fits_it(
    transcripts: SqliteTranscripts, path: Path
) -> None:
    folder = Path(smithers.store.__file__).parent / "sql" / "transcripts"
    files = sorted(found.name for found in folder.iterdir())
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, SCHEMA + 1)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        for sql in statements("transcript").values():
            connection.execute(f"EXPLAIN {sql}", (None,) * len(re.findall(r"\?", sql))).fetchall()


def test_opening_again_changes_nothing_and_two_may_write(transcripts: SqliteTranscripts, path: Path) -> None:
    transcripts.add([(conversation(), entries("a"))])
    with (
        closing(SqliteTranscripts(path, CLOCK)) as second,
        closing(SqliteTranscriptReader(path, CLOCK)) as reader,
    ):
        second.add([(conversation(attempt=2), entries("b"))])
        transcripts.add([(conversation(attempt=3), entries("c"))])
        assert [one.attempt for one in reader.conversations(7)] == [1, 2, 3]


def test_a_batch_is_stored_whole_or_not_at_all(
    transcripts: SqliteTranscripts, reader: SqliteTranscriptReader
) -> None:
    one = conversation()
    with pytest.raises(BugError):
        transcripts.add([(one, entries("a")), (conversation(attempt=2), [(1, 0, None, 0, "x", "")])])  # type: ignore[list-item]
    assert (one.id, reader.conversations(7), reader.newest()) == (0, [], 0)
    transcripts.add([(one, entries("b"))])
    assert [entry.text for entry in reader.entries(one.id)] == ["b"]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 200])
def test_a_batch_of_any_size_is_stored_in_order(
    count: int, transcripts: SqliteTranscripts, reader: SqliteTranscriptReader
) -> None:
    one = conversation()
    said = [str(number) for number in range(count)]
    transcripts.add([(one, entries(*said))])
    assert [entry.text for entry in reader.entries(one.id)] == said


def test_texts_of_some_kilobytes_take_little_more_than_their_size(
    transcripts: SqliteTranscripts, path: Path
) -> None:
    said = [f"{number:04}" * 550 for number in range(500)]
    transcripts.add([(conversation(), entries(*said))])
    assert used(path) < 1.25 * sum(map(len, said))


def test_a_full_file_is_told_by_name_and_goes_on_when_there_is_room(
    transcripts: SqliteTranscripts, reader: SqliteTranscriptReader
) -> None:
    one = conversation()
    (pages,) = transcripts._connection.execute("PRAGMA page_count").fetchone()
    transcripts._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull):
        transcripts.add([(one, entries("x" * 100_000))])
    transcripts._connection.execute("PRAGMA max_page_count = 1000")
    transcripts.add([(one, entries("y" * 100_000))])
    assert [entry.text[:1] for entry in reader.entries(one.id)] == ["y"]


# --- Its limit ----------------------------------------------------------------------------------


def used(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {one}").fetchone()[0]
            for one in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size


def test_the_runs_that_were_silent_longest_make_room(path: Path) -> None:
    limit = 2 << 20
    with closing(SqliteTranscripts(path, CLOCK, limit_bytes=limit)) as transcripts:
        old = [conversation(run=1, attempt=number) for number in range(1, 4)]
        for one in old:
            transcripts.add([(one, entries("x" * 60_000))])
        going_on = conversation(run=2)
        for number in range(60):
            transcripts.add(
                [(going_on, entries("y" * 1_000)), (conversation(3, number), entries("z" * 60_000))]
            )
            transcripts.add([(conversation(run=2, attempt=number + 2), entries("y"))])
        assert used(path) <= limit + (200 << 10)
        assert path.stat().st_size <= limit + (400 << 10)
        with closing(SqliteTranscriptReader(path, CLOCK)) as reader:
            assert reader.conversations(1) == []
            left = [one.attempt for one in reader.conversations(3)]
            assert left == [*range(60 - len(left), 60)]
            assert 20 < len(left) < 40


def test_a_run_that_is_alone_loses_its_oldest_conversations_and_one_that_goes_on_comes_back(
    path: Path,
) -> None:
    with closing(SqliteTranscripts(path, CLOCK, limit_bytes=1 << 20)) as transcripts:
        first = conversation(attempt=1)
        transcripts.add([(first, entries("first"))])
        for number in range(2, 60):
            transcripts.add([(conversation(attempt=number), entries("z" * 60_000))])
        with closing(SqliteTranscriptReader(path, CLOCK)) as reader:
            newest = reader.newest()
            assert reader.conversations(7)[0].attempt > 2
            assert reader.entries(first.id) == []
            transcripts.add([(first, entries("and on"))])
            assert reader.conversations(7)[-1].attempt == 1
            (entry,) = reader.entries(first.id)
            assert (entry.text, entry.id) == ("and on", newest + 1)


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_was_removed_is_not_written_and_another_one_begins_anew(
    path: Path, is_replaced: bool
) -> None:
    one, other = conversation(attempt=1), conversation(attempt=2)
    with closing(SqliteTranscripts(path, CLOCK)) as transcripts:
        transcripts.add([(one, entries("a"))])
        path.unlink()
        if is_replaced:
            path.write_bytes(b"notes")
        with pytest.raises(StoreNotFound, match="removed or replaced"):
            transcripts.add([(one, entries("b"))])
    path.unlink(missing_ok=True)
    with closing(SqliteTranscripts(path, CLOCK)) as transcripts:
        transcripts.add([(other, entries("c"))])
        transcripts.add([(one, entries("d"))])
        with closing(SqliteTranscriptReader(path, CLOCK)) as reader:
            assert [found.attempt for found in reader.conversations(7)] == [2, 1]
            assert [entry.text for entry in reader.entries(one.id)] == ["d"]


# --- What it refuses ----------------------------------------------------------------------------


def test_reading_makes_no_file(path: Path) -> None:
    with pytest.raises(StoreNotFound):
        SqliteTranscriptReader(path, CLOCK)
    path.touch()
    with pytest.raises(StoreNotFound, match="empty"):
        SqliteTranscriptReader(path, CLOCK)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("opens", [SqliteTranscripts, SqliteTranscriptReader])
def test_what_is_not_ours_is_refused_and_left_alone(path: Path, opens: type) -> None:
    path.write_bytes(b"# notes, and many of them\n" * 400)
    before = path.read_bytes()
    with pytest.raises(NotAStore) as caught:
        opens(path, CLOCK)
    assert "move the file away" in caught.value.hint
    assert path.read_bytes() == before
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(NotAStore, match="no transcripts"):
        opens(path, CLOCK)


@pytest.mark.parametrize("opens", [SqliteTranscripts, SqliteTranscriptReader])
def test_a_newer_versions_file_is_refused(transcripts: SqliteTranscripts, path: Path, opens: type) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(StoreTooNew):
        opens(path, CLOCK)


def test_a_row_that_makes_no_sense_is_damage(
    transcripts: SqliteTranscripts, reader: SqliteTranscriptReader
) -> None:
    one = conversation()
    transcripts.add([(one, [NewEntry(1, 0, 99, 0, "x")])])  # type: ignore[arg-type]
    with pytest.raises(StoreCorrupt):
        reader.entries(one.id)


def test_a_file_in_a_folder_that_is_read_only_can_be_read(path: Path) -> None:
    with closing(SqliteTranscripts(path, CLOCK)) as transcripts:
        transcripts.add([(conversation(), entries("a"))])
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with closing(SqliteTranscriptReader(path, CLOCK)) as reader:
            assert len(reader.conversations(7)) == 1
    finally:
        path.parent.chmod(0o700)
