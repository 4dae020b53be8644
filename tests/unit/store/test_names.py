"""Interned words, and what becomes of them when a transaction fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from smithers.store.connection import open_writable
from smithers.store.names import Names, Specs
from tests.contract.store_contract import FakeClock


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    found = open_writable(tmp_path / "smithers.db", FakeClock())
    yield found
    found.close()


def stored(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT text, id FROM smithers_names").fetchall())


def test_a_word_has_one_id_and_the_empty_word_is_zero(connection: sqlite3.Connection) -> None:
    names = Names(connection)
    assert names.id("") == 0
    assert names.id("plan") == names.id("plan") != names.id("draft")
    assert stored(connection) == {"": 0, "plan": names.id("plan"), "draft": names.id("draft")}


def test_after_a_rollback_no_word_has_an_id_that_another_word_got(connection: sqlite3.Connection) -> None:
    names = Names(connection)
    connection.execute("BEGIN")
    lost = names.id("lost")
    connection.execute("ROLLBACK")
    names.forget()
    connection.execute("BEGIN")
    kept = names.id("kept")
    assert kept == lost  # this is why they must be forgotten
    again = names.id("lost")
    connection.execute("COMMIT")
    names.keep()
    assert stored(connection) == {"": 0, "kept": kept, "lost": again}


def test_a_savepoint_takes_back_only_its_own_words(connection: sqlite3.Connection) -> None:
    names = Names(connection)
    connection.execute("BEGIN")
    first = names.id("first")
    connection.execute("SAVEPOINT s")
    mark = names.mark()
    names.intern_all(["second", "third"])
    connection.execute("ROLLBACK TO s")
    names.forget(mark)
    third = names.id("third")
    connection.execute("COMMIT")
    names.keep()
    names.forget()  # a later rollback takes back nothing that was committed
    assert (names.id("first"), names.id("third")) == (first, third)
    assert stored(connection) == {"": 0, "first": first, "third": third}


def test_many_words_at_once_get_the_ids_they_would_have_got_alone(connection: sqlite3.Connection) -> None:
    Names(connection).id("w7")
    names = Names(connection)
    words = [f"w{n}" for n in range(300)]
    names.intern_all([*words, "w1", ""])
    assert {word: names.id(word) for word in words} == {
        word: found for word, found in stored(connection).items() if word
    }


def test_words_that_another_connection_stored_are_found(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    other = open_writable(tmp_path / "smithers.db", FakeClock())
    theirs = Names(other).id("shared")
    assert Names(connection).id("shared") == theirs
    found = Names(connection)
    found.intern_all(["shared", "own"])
    assert found.id("shared") == theirs
    assert found.texts([theirs])[theirs] == "shared"
    other.close()


def test_equal_specs_are_stored_once_and_forgotten_after_a_rollback(connection: sqlite3.Connection) -> None:
    specs = Specs(connection)
    connection.execute("BEGIN")
    specs.id('{"a":1}')
    connection.execute("ROLLBACK")
    specs.forget()
    other = specs.id('{"b":2}')
    first = specs.id('{"a":1}')
    assert specs.id('{"b":2}') == other == Specs(connection).id('{"b":2}')
    assert specs.bodies([first, other]) == {first: {"a": 1}, other: {"b": 2}}
    assert connection.execute("SELECT COUNT(*), MIN(LENGTH(hash)) FROM smithers_specs").fetchone() == (2, 16)
