"""Interning: each node id, scope, model, agent and spec is stored once and is an integer everywhere else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from smithers.store.queries import statements


class Names:
    """Words and their ids, as one connection knows them.

    Ids given out in a transaction that fails were never stored, and SQLite gives them out again, to other
    words: whoever ends a transaction calls `keep` or `forget`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        sql = statements("name")
        self._connection = connection
        self._find, self._add, self._find_many = sql["find_name"], sql["add_name"], sql["find_names"]
        self._texts_of = sql["texts"]
        self._ids: dict[str, int] = {"": 0}
        self._unsure: list[str] = []
        # Filled from committed rows only, which are never changed or deleted: this one forgets nothing.
        self._texts: dict[int, str] = {0: ""}

    def id(self, text: str) -> int:
        """The id of a word; a new word gets one, within the open transaction."""
        found = self._ids.get(text)
        return self._intern(text) if found is None else found

    def _intern(self, text: str) -> int:
        row = self._connection.execute(self._find, (text,)).fetchone()
        # Another process may have stored it first. While this transaction holds the lock it cannot.
        found = int(row[0]) if row else self._connection.execute(self._add, (text,)).lastrowid
        assert found is not None  # an INSERT always has a rowid
        self._remember(text, found)
        return found

    def intern_all(self, texts: Iterable[str]) -> None:
        """The same as `id` for many words, in a few statements."""
        missing = list(dict.fromkeys(text for text in texts if text not in self._ids))
        if not missing:
            return
        self._look_up(missing)
        new = [text for text in missing if text not in self._ids]
        if new:
            self._connection.executemany(self._add, [(text,) for text in new])
            self._look_up(new)

    def _look_up(self, texts: list[str]) -> None:
        for text, found in self._connection.execute(self._find_many, (json.dumps(texts),)):
            self._remember(text, found)

    def _remember(self, text: str, found: int) -> None:
        self._ids[text] = found
        self._unsure.append(text)

    def mark(self) -> int:
        """A point to `forget` back to: taken where a savepoint is."""
        return len(self._unsure)

    def keep(self) -> None:
        """The transaction was committed."""
        self._unsure.clear()

    def forget(self, mark: int = 0) -> None:
        """The transaction, or what came after the savepoint at `mark`, was rolled back."""
        for text in self._unsure[mark:]:
            self._ids.pop(text, None)
        del self._unsure[mark:]

    def texts(self, ids: Collection[int]) -> dict[int, str]:
        """The words of committed ids; the mapping holds at least the ones asked for."""
        missing = set(ids) - self._texts.keys()
        if missing:
            self._texts.update(
                self._connection.execute(self._texts_of, (json.dumps(list(missing)),)).fetchall()
            )
        return self._texts


class Specs:
    """The same for what nodes are: JSON texts, told apart by a 16-byte hash."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        sql = statements("name")
        self._connection = connection
        self._find, self._add, self._bodies_of = sql["find_spec"], sql["add_spec"], sql["specs"]
        self._ids: dict[bytes, int] = {}
        self._unsure: list[bytes] = []
        self._bodies: dict[int, dict[str, Any]] = {}

    def id(self, body: str) -> int:
        """The id of a spec; a new one gets one, within the open transaction."""
        from hashlib import blake2b  # late: 3 ms that a reader need not pay

        digest = blake2b(body.encode(), digest_size=16).digest()
        found = self._ids.get(digest)
        if found is not None:
            return found
        row = self._connection.execute(self._find, (digest,)).fetchone()
        found = int(row[0]) if row else self._connection.execute(self._add, (digest, body)).lastrowid
        assert found is not None  # an INSERT always has a rowid
        self._ids[digest] = found
        self._unsure.append(digest)
        return found

    def mark(self) -> int:
        """As for names."""
        return len(self._unsure)

    def keep(self) -> None:
        """As for names."""
        self._unsure.clear()

    def forget(self, mark: int = 0) -> None:
        """As for names."""
        for digest in self._unsure[mark:]:
            self._ids.pop(digest, None)
        del self._unsure[mark:]

    def bodies(self, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        """Committed specs, decoded; the mapping holds at least the ones asked for."""
        missing = set(ids) - self._bodies.keys()
        if missing:
            for found, body in self._connection.execute(self._bodies_of, (json.dumps(list(missing)),)):
                self._bodies[found] = json.loads(body)
        return self._bodies
