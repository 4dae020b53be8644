"""Which run belongs to which, read back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from smithers.ids import NodeKey
from smithers.records import ChildRow, Kin, ParentRef, RunState
from smithers.store.queries import statements

if TYPE_CHECKING:
    from smithers.store.blob import Blobs
    from smithers.store.names import Names


class StoredKin:
    """Reads kinship on a connection. The caller sees to transactions and errors."""

    def __init__(self, connection: sqlite3.Connection, names: Names, blobs: Blobs) -> None:
        self._connection = connection
        self._names = names
        self._blobs = blobs
        self._sql = statements("kin")
        self._is_there = False

    @property
    def is_there(self) -> bool:
        """Whether the store has any place for it: an older one that is only looked at has none."""
        if not self._is_there:
            self._is_there = self._connection.execute(self._sql["has_kin"]).fetchone() is not None
        return self._is_there

    def of(self, runs: Iterable[int]) -> dict[int, Kin]:
        """The kin of those runs that have any."""
        if not self.is_there:
            return {}
        rows = self._connection.execute(self._sql["kin"], (json.dumps(list(runs)),)).fetchall()
        words = self._names.texts({word for row in rows if row[1] is not None for word in row[3:5]})
        found = {}
        for run, parent, name, node, scope, iteration, generation, before, after, newest, number in rows:
            of = None
            if parent is not None:
                key = NodeKey(words[node], words[scope], iteration)
                of = ParentRef(parent, name, key, generation, self._top(parent, name))
            found[run] = Kin(of, before, after, newest, number)
        return found

    def _top(self, run: int, name: str) -> str:
        """Name of the outermost run around one."""
        above = self.of([run]).get(run)
        return name if above is None or above.parent is None else above.parent.top

    def children(self, run: int) -> list[ChildRow]:
        """What a run's nodes do in runs of their own: of every generation, the oldest first."""
        if not self.is_there:
            return []
        rows = self._connection.execute(self._sql["children"], (run,)).fetchall()
        words = self._names.texts({word for row in rows for word in row[:2]})
        return [
            ChildRow(NodeKey(words[node], words[scope], iteration), generation, child, name, RunState(state))
            for node, scope, iteration, generation, child, name, state in rows
        ]

    def carried(self, run: int) -> str | None:
        """What the run before handed over, as JSON text; None: there was none before."""
        row = self._connection.execute(self._sql["carried"], (run,)).fetchone() if self.is_there else None
        if row is None:
            return None
        text, blob = row
        return str(text) if blob is None else self._blobs.get(blob)

    def cancelled_by(self, run: int) -> str | None:
        """Who asked to cancel this very run since it was last resumed."""
        row = self._connection.execute(self._sql["cancelled_by"], (run,)).fetchone()
        return None if row is None else str(json.loads(row[0]).get("by"))

    def newest(self, run: int) -> int:
        """The newest run of a run's lineage: itself, unless it went on as another one."""
        if not self.is_there:
            return run
        return int(self._connection.execute(self._sql["newest"], (run,)).fetchone()[0])

    def tops(
        self, *, workflow: str | None, states: Sequence[RunState], limit: int | None
    ) -> list[int] | None:
        """Runs that are nobody's child, and of each lineage the newest; None: all are."""
        if not self.is_there:
            return None
        values = {
            "workflow": workflow,
            "states": json.dumps([int(state) for state in states]) if states else None,
            "limit": -1 if limit is None else limit,
        }
        return [int(row[0]) for row in self._connection.execute(self._sql["top_runs"], values)]

    def heads(self, prefix: str, end: str) -> list[tuple[int, str]]:
        """Runs whose names begin so, without children and without all but the first of each lineage."""
        if not self.is_there:
            return []
        return self._connection.execute(self._sql["heads_named_like"], (prefix, end)).fetchall()
