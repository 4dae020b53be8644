"""What the simulation itself sees of the store: through connections to which nothing happens."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from smithers.clock import Clock
from smithers.ids import NodeKey
from smithers.store.inbox import SqliteOutsider
from smithers.store.memory import MemoryStore
from smithers.store.reader import SqliteReader

_ROW = (
    "SELECT id, seq, fence, state IN (4, 5, 6), frame, owner, state, error FROM smithers_runs WHERE name = ?"
)
_FINISHED = """SELECT 1 FROM smithers_nodes n
    JOIN smithers_names node ON node.id = n.node JOIN smithers_names scope ON scope.id = n.scope
    WHERE node.text = ? AND scope.text = ? AND n.iteration = ? AND n.generation = ? AND n.state = 3"""
_RUNNING = """SELECT 1 FROM smithers_attempts a
    JOIN smithers_names node ON node.id = a.node JOIN smithers_names scope ON scope.id = a.scope
    WHERE node.text = ? AND scope.text = ? AND a.iteration = ? AND a.generation = ? AND a.attempt = ?
        AND a.to_frame IS NULL"""
_CUT_OFF = """SELECT 1 FROM smithers_attempts a
    JOIN smithers_names node ON node.id = a.node JOIN smithers_names scope ON scope.id = a.scope
    WHERE node.text = ? AND scope.text = ? AND a.iteration = ? AND a.attempt = ? AND a.state IN (6, 7)"""


class Progress(NamedTuple):
    """Where a run stands."""

    number: int
    seq: int
    fence: int
    has_ended: int
    """1: finished, partial or failed."""
    frame: int
    owner: int | None
    state: int
    error: str | None


class Eye:
    """Looks at one store. Plain SQL of its own: what it finds must not depend on what it checks."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._connection: sqlite3.Connection = store.connect()
        self._reading = store.connect()
        self.begin(store.clock)

    def begin(self, clock: Clock) -> None:
        """Look with fresh eyes: the store has been emptied."""
        self.reader = SqliteReader(self._reading, self._store.path, clock)
        self.outsider = SqliteOutsider(self._connection, self._store.path, clock)

    def row(self, name: str) -> Progress | None:
        found = self._connection.execute(_ROW, (name,)).fetchone()
        return None if found is None else Progress(*found)

    def is_finished(self, key: NodeKey, generation: int) -> bool:
        return self._connection.execute(_FINISHED, (*key, generation)).fetchone() is not None

    def is_running(self, key: NodeKey, generation: int, attempt: int) -> bool:
        return self._connection.execute(_RUNNING, (*key, generation, attempt)).fetchone() is not None

    def is_cut_off(self, key: NodeKey, attempt: int) -> bool:
        """Whether an attempt, in whatever generation, was lost or cancelled."""
        return self._connection.execute(_CUT_OFF, (*key, attempt)).fetchone() is not None

    def close(self) -> None:
        self._connection.close()
        self._reading.close()
