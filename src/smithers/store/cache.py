"""The cache of outputs: entries and look-ups, written within a frame and read back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from smithers.ids import NodeKey
from smithers.records import CacheEntry, CachePlace, CacheRow, Lookup, LookupRow
from smithers.store.blob import Blobs
from smithers.store.names import Names
from smithers.store.queries import statements

NEAREST: Final = 100
"""Newest entries of a task among which the nearest is looked for."""


class CacheStatements:
    """Writes entries and look-ups within a transaction that somebody else begins and ends."""

    def __init__(self, connection: sqlite3.Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def add_entries(self, run: int, at_ms: int, entries: Sequence[CacheEntry]) -> None:
        """Store what a frame of `run` adds; the outputs that they name are stored by the same frame."""
        name = self._names.id
        rows = [
            (
                name(place.workflow),
                name(place.node),
                run if place.run else 0,
                mark,
                _text(parts),
                _text(seen),
                run,
                name(key.scope),
                key.iteration,
                generation,
                at_ms,
                _text(reads) if reads else None,
            )
            for place, mark, parts, key, generation, seen, reads in entries
        ]
        self._connection.executemany(statements("cache")["add_entry"], rows)

    def add_lookups(self, run: int, lookups: Sequence[LookupRow]) -> None:
        """Store what attempts of a run found."""
        name = self._names.id
        rows = [
            (
                run,
                name(key.node),
                name(key.scope),
                key.iteration,
                generation,
                attempt,
                lookup.verdict,
                _text(
                    {word: value for word, value in lookup._asdict().items() if value and word != "verdict"}
                ),
            )
            for key, generation, attempt, lookup in lookups
        ]
        self._connection.executemany(statements("cache")["add_lookup"], rows)


class StoredCache:
    """Reads entries and look-ups. The caller sees to transactions and errors."""

    def __init__(self, connection: sqlite3.Connection, names: Names, blobs: Blobs) -> None:
        self._connection = connection
        self._names = names
        self._blobs = blobs
        self._is_there = False

    @property
    def is_there(self) -> bool:
        """A store that was last written before there was one is only looked at, and so stays without."""
        if not self._is_there:
            found = self._connection.execute(statements("cache")["has_cache"]).fetchone()
            self._is_there = found is not None
        return self._is_there

    def value(self, place: CachePlace, row: CacheRow) -> str | None:
        """The value of an entry; None: the entry, or its value, is gone.

        Raises:
            StoreCorrupt: the value's file is missing or was changed.
        """
        values = {**place._asdict(), "key": row.mark, "seen": _text(row.seen), "stored_ms": row.stored_ms}
        found = self._connection.execute(statements("cache")["value"], values).fetchone()
        if found is None:
            return None
        body, blob = found
        return str(body) if blob is None else self._blobs.get(blob)

    def near(self, place: CachePlace, mark: bytes | None = None) -> list[CacheRow]:
        """The newest entries of a place, or of a key there, without their values."""
        values = {**place._asdict(), "key": mark, "limit": NEAREST}
        return [_row(row) for row in self._connection.execute(statements("cache")["near"], values).fetchall()]

    def entries(self, workflow: str | None, node: str | None, limit: int | None) -> list[CacheRow]:
        """Entries of all places, newest first, without their values."""
        if not self.is_there:
            return []
        values = {"workflow": workflow, "node": node, "limit": -1 if limit is None else limit}
        return [
            _row(row) for row in self._connection.execute(statements("cache")["entries"], values).fetchall()
        ]

    def lookups(self, run: int) -> dict[tuple[NodeKey, int, int], Lookup]:
        """What the attempts of a run found, by node, generation and number."""
        if not self.is_there:
            return {}
        rows = self._connection.execute(statements("cache")["lookups"], (run,)).fetchall()
        names = self._names.texts({word for row in rows for word in row[:2]})
        return {
            (NodeKey(names[node], names[scope], iteration), generation, attempt): _lookup(verdict, data)
            for node, scope, iteration, generation, attempt, verdict, data in rows
        }


def _row(row: tuple[Any, ...]) -> CacheRow:
    workflow, only_run, mark, parts, run, node, scope, iteration, generation, stored_ms, seen, reads = row
    return CacheRow(
        workflow,
        bool(only_run),
        mark,
        json.loads(parts),
        run,
        NodeKey(node, scope, iteration),
        generation,
        stored_ms,
        json.loads(seen),
        tuple(json.loads(reads)) if reads else (),
    )


def _lookup(verdict: Any, data: str) -> Lookup:
    found = json.loads(data)
    return Lookup(verdict, **{**found, "differs": tuple(found.get("differs", ()))})


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
