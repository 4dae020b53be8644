"""Numbered migrations."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from smithers.store.connection import APPLICATION_ID
from smithers.store.migration import SCHEMA_VERSION, migrate, split
from smithers.store.queries import migration_files, statements


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    found = sqlite3.connect(tmp_path / "smithers.db", isolation_level=None)
    yield found
    found.close()


def tables(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def test_migrations_are_numbered_without_gaps_up_to_the_version_written_down() -> None:
    numbers = [int(file.name[:4]) for file in migration_files()]
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def test_migrating_marks_the_file_and_a_second_time_does_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection, APPLICATION_ID)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    before = connection.execute("PRAGMA schema_version").fetchone()
    migrate(connection, APPLICATION_ID)
    assert connection.execute("PRAGMA schema_version").fetchone() == before


def test_our_tables_are_prefixed(connection: sqlite3.Connection) -> None:
    migrate(connection, APPLICATION_ID)
    ours = [name for name in tables(connection) if name != "sqlite_sequence"]
    assert len(ours) >= 13
    assert all(name.startswith("smithers_") for name in ours)


def test_a_migration_that_fails_leaves_nothing(connection: sqlite3.Connection) -> None:
    # The last table of the first migration is in the way.
    connection.execute("CREATE TABLE smithers_events (x)")
    with pytest.raises(sqlite3.OperationalError, match="smithers_events"):
        migrate(connection, APPLICATION_ID)
    assert tables(connection) == ["smithers_events"]
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    assert not connection.in_transaction


def test_a_script_is_split_at_the_ends_of_its_statements() -> None:
    script = "-- a; comment\nCREATE TABLE a (x TEXT DEFAULT ';');\n\nINSERT INTO a\nVALUES (1);\n"
    assert [statement.count("\n") for statement in split(script)] == [2, 3]


def test_every_named_statement_fits_the_schema(connection: sqlite3.Connection) -> None:
    migrate(connection, APPLICATION_ID)
    for noun in ("cache", "fact", "frame", "name", "owner", "process", "revival", "run", "table", "view"):
        assert statements(noun)
        for name, sql in statements(noun).items():
            if "{" in sql:
                continue  # names a user's table; filled in before it is run
            assert not sql.endswith(";")
            wanted = max((int(part) for part in ("1",) if f"?{part}" in sql), default=sql.count("?"))
            named = dict.fromkeys(re.findall(r":(\w+)", sql))
            values = named if ":" in sql else (None,) * wanted
            try:
                connection.execute(f"EXPLAIN {sql}", values).fetchall()
            except sqlite3.Error as error:
                pytest.fail(f"{noun}.{name}: {error}")
