"""Stored rows back into records: what the reader shows and what a resume loads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from smithers.clock import Clock
from smithers.errors import RunNotFound
from smithers.ids import NodeKey
from smithers.records import (
    ALONE,
    AttemptRow,
    AttemptState,
    BlockRow,
    EventRow,
    EventType,
    FailureClass,
    FrameRow,
    History,
    Kin,
    MountRow,
    NodeRow,
    NodeState,
    OutputRef,
    OutputRow,
    Owner,
    PassRow,
    RunRow,
    RunState,
    StoredRun,
    Verdict,
    Wakeup,
)
from smithers.store.blob import Blobs
from smithers.store.cache import StoredCache
from smithers.store.call import budget_rows, children_spent
from smithers.store.connection import roll_back
from smithers.store.identity import health
from smithers.store.inbox import open_messages
from smithers.store.kin import StoredKin
from smithers.store.names import Names, Specs
from smithers.store.queries import statements
from smithers.store.wait import signal_rows, wait_rows

# Calling an enum to find its member costs three times as much as a dict, and there is one call a row.
_NODE_STATES: Final = {state.value: state for state in NodeState}
_MAX_ID: Final = (1 << 63) - 1


class StoredFacts:
    """Reads rows on a connection. The caller sees to transactions and errors."""

    def __init__(
        self, connection: sqlite3.Connection, names: Names, specs: Specs, blobs: Blobs, clock: Clock
    ) -> None:
        self._connection = connection
        self._names = names
        self._specs = specs
        self._blobs = blobs
        self._clock = clock
        self.cache = StoredCache(connection, names, blobs)
        self.kin = StoredKin(connection, names, blobs)

    def load(self, run: int) -> StoredRun:
        """Everything needed to continue a run.

        Raises:
            RunNotFound: there is no such run.
        """
        self._connection.execute("BEGIN")  # one moment for all that follows
        try:
            return self.loaded(run)
        finally:
            roll_back(self._connection)  # nothing was written; SQLite may have ended it by itself

    def loaded(self, run: int) -> StoredRun:
        """The same within a transaction that has begun."""
        found = self.runs(low=run, high=run)
        if not found:
            raise RunNotFound(f"no run with number {run}", run=run)
        raised = self.raised(run)
        waits = wait_rows(self._connection, self._names, run)
        return StoredRun(
            run=found[0],
            nodes=self.nodes(run, raised),
            outputs=self.outputs(run, raised),
            attempts=[
                row
                for row in self.attempts(run, "unsettled_attempts")
                if raised.get(row.key, 0) == row.generation
            ],
            generations=raised,
            passes=self.passes(run),
            blocks=self.blocks(run),
            mounts=self.mounts(self._rows("open_mounts", run)),
            wakeups=self.wakeups(run),
            inbox=open_messages(self._connection, [run]).get(run, []),
            last_ms=found[0].created_ms + self._rows("last_at", run)[0][0],
            asked=self.asked(run) if raised else set(),
            children={(row.key, row.generation): row.run for row in self.kin.children(run)},
            carried=self.kin.carried(run),
            budgets=budget_rows(self._connection, run),
            spent_by_children=children_spent(self._connection, run),
            waits=[row for row in waits if raised.get(row.key, 0) == row.ref.generation],
            consumed={row.result["signal"] for row in waits if row.result and "signal" in row.result},
            signals=signal_rows(self._connection, run),
            cancelled_by=self.kin.cancelled_by(run) if found[0].state is RunState.CANCELLED else None,
        )

    def history(self, run: int) -> History:
        """The same with all attempts and frames, and what finished tasks have read."""
        stored = self.loaded(run)
        rows = self._rows("reads", run)
        names = self._words(rows, 1, 2)
        newest = {row.key: row.seq for row in stored.outputs}
        reads: dict[NodeKey, tuple[str, ...]] = {}
        for seq, node, scope, iteration, data in rows:
            key = NodeKey(names[node], names[scope], iteration)
            if newest.get(key) == seq:  # an output has the seq of the event that tells of it
                reads[key] = tuple(json.loads(data).get("reads", ()))
        return History(stored, self.attempts(run), self.frames(run), reads)

    def runs(
        self,
        *,
        low: int = 0,
        high: int = _MAX_ID,
        workflow: str | None = None,
        states: Sequence[RunState] = (),
        limit: int | None = None,
        tops: bool = False,
    ) -> list[RunRow]:
        """Runs with ids from `low` to `high`, newest first.

        Args:
            tops: only those that are nobody's child, and of each lineage the newest; wherever they stand.
        """
        if tops and (ids := self.kin.tops(workflow=workflow, states=states, limit=limit)) is not None:
            # The range holds little else, and takes one statement.
            wanted = set(ids)
            between = self.runs(low=min(ids), high=max(ids), workflow=workflow, states=states) if ids else []
            return [run for run in between if run.id in wanted]
        values = {
            "low": low,
            "high": high,
            "workflow": workflow,
            "states": json.dumps([int(state) for state in states]) if states else None,
            "limit": -1 if limit is None else limit,
        }
        rows = self._connection.execute(statements("run")["runs"], values).fetchall()
        names = self._names.texts({word for row in rows if row[14] is not None for word in row[14:16]})
        kin = self.kin.of(row[0] for row in rows)
        return [self._run(row, names, kin.get(row[0], ALONE)) for row in rows]

    def _run(self, row: tuple[Any, ...], names: dict[int, str], kin: Kin) -> RunRow:
        (run, name, workflow, source, state, fence, seq, frame, created_ms, started_ms, ended_ms,
         body, config, error, node, scope, iteration, generation, *holder) = row  # fmt: skip
        owner = Owner(*holder) if holder[0] is not None else None
        return RunRow(
            id=run,
            name=name,
            workflow=workflow,
            source=source,
            state=RunState(state),
            fence=fence,
            seq=seq,
            frame=frame,
            created_ms=created_ms,
            started_ms=started_ms,
            ended_ms=ended_ms,
            input=body,
            config=json.loads(config),
            error=json.loads(error) if error is not None else None,
            owner=owner,
            health=health(owner, self._clock),
            output=OutputRef(NodeKey(names[node], names[scope], iteration), generation)
            if node is not None
            else None,
            kin=kin,
        )

    def raised(self, run: int) -> dict[NodeKey, int]:
        """Newest generation of each key where it is not 0."""
        rows = self._connection.execute(statements("fact")["raised"], {"run": run}).fetchall()
        names = self._words(rows)
        return {NodeKey(names[row[0]], names[row[1]], row[2]): row[3] for row in rows}

    def asked(self, run: int) -> set[NodeKey]:
        """Keys that somebody has asked to execute again, and that have not finished since."""
        rows = self._rows("asked", run)
        names = self._words(rows)
        return {NodeKey(names[node], names[scope], iteration) for node, scope, iteration in rows}

    def nodes(self, run: int, raised: dict[NodeKey, int]) -> list[NodeRow]:
        """Final rows of newest generations."""
        rows = self._rows("nodes", run)
        names = self._words(rows)
        found = [
            NodeRow(
                NodeKey(names[node], names[scope], iteration),
                generation,
                _NODE_STATES[state],
                frame,
                attempt,
                reason,
            )
            for node, scope, iteration, generation, state, frame, attempt, reason in rows
        ]
        return [row for row in found if raised.get(row.key, 0) == row.generation] if raised else found

    def outputs(self, run: int, raised: dict[NodeKey, int]) -> list[OutputRow]:
        """Outputs of newest generations, in `seq` order."""
        rows = self._rows("outputs", run)
        names = self._words(rows, 0, 1, 5)
        found = []
        for node, scope, iteration, generation, seq, model, body, blob in rows:
            key = NodeKey(names[node], names[scope], iteration)
            if raised and raised.get(key, 0) != generation:
                continue  # before its blob is read
            body = body if blob is None else self._blobs.get(blob)
            found.append(OutputRow(key, generation, seq, names[model], body))
        found.sort(key=lambda row: row.seq)
        return found

    def attempts(self, run: int, statement: str = "attempts") -> list[AttemptRow]:
        """Attempts of all generations, a node's in the order they were made."""
        rows = self._rows(statement, run)
        names = self._words(rows)
        agents = self._names.texts({row[11] for row in rows if row[11] is not None})
        created_ms = self._created_ms(run)
        # Whoever goes on with a run does not ask what was found; whoever looks at it does.
        lookups = self.cache.lookups(run) if statement == "attempts" else {}
        return [
            AttemptRow(
                key := NodeKey(names[node], names[scope], iteration),
                generation,
                attempt,
                AttemptState(state),
                from_frame,
                to_frame,
                start_seq,
                created_ms + started_ms,
                None if ended_ms is None else created_ms + ended_ms,
                None if agent is None else agents[agent],
                None if failure is None else FailureClass(failure),
                bool(counted),
                None if error is None else json.loads(error),
                None if heartbeat is None else json.loads(heartbeat),
                prompt,
                fingerprint,
                lookups.get((key, generation, attempt)) if lookups else None,
            )
            for (node, scope, iteration, generation, attempt, state, from_frame, to_frame, start_seq,
                 started_ms, ended_ms, agent, failure, counted, error, heartbeat, prompt, fingerprint) in rows
        ]  # fmt: skip

    def passes(self, run: int) -> list[PassRow]:
        """Judged passes."""
        rows = self._rows("passes", run)
        names = self._words(rows)
        return [
            PassRow(NodeKey(names[node], names[scope], iteration), pass_, Verdict(verdict), frame)
            for node, scope, iteration, pass_, verdict, frame in rows
        ]

    def blocks(self, run: int) -> list[BlockRow]:
        """What blocks remember, oldest first."""
        rows = self._rows("blocks", run)
        names = self._words(rows)
        return [
            BlockRow(
                NodeKey(names[node], names[scope], iteration),
                at,
                outcome,
                NodeKey(*json.loads(cause)) if cause else None,
                tuple(json.loads(done)),
                tuple(NodeKey(*one) for one in json.loads(broken)),
                tuple(NodeKey(*one) for one in json.loads(again)),
                frame,
            )
            for node, scope, iteration, frame, at, outcome, cause, done, broken, again in rows
        ]

    def frames(self, run: int) -> list[FrameRow]:
        """Frames, oldest first."""
        created_ms = self._created_ms(run)
        return [
            FrameRow(frame, parent, seq, created_ms + at_ms, bool(rendered))
            for frame, parent, seq, at_ms, rendered in self._rows("frames", run)
        ]

    def mounts_at(self, run: int, frame: int | None) -> list[MountRow]:
        """The tree at a frame, or as it stands: parents before children, siblings in order."""
        if frame is None:
            return _in_tree_order(self.mounts(self._rows("open_mounts", run)))
        sql = statements("fact")["mounts_at"]
        return _in_tree_order(
            self.mounts(self._connection.execute(sql, {"run": run, "frame": frame}).fetchall())
        )

    def mounts(self, rows: list[tuple[Any, ...]]) -> list[MountRow]:
        """Mount rows as they came."""
        names = self._words(rows)
        specs = self._specs.bodies({row[3] for row in rows})
        return [
            MountRow(
                names[node], names[parent] or None, position, specs[spec], from_frame, to_frame, edges or ""
            )
            for node, parent, position, spec, from_frame, to_frame, edges in rows
        ]

    def wakeups(self, run: int) -> list[Wakeup]:
        """Deadlines, the earliest first."""
        rows = self._rows("wakeups", run)
        names = self._words(rows)
        return [
            Wakeup(NodeKey(names[node], names[scope], iteration), kind, due_ms)
            for node, scope, iteration, kind, due_ms in rows
        ]

    def events(self, run: int, after: int, limit: int) -> list[EventRow]:
        """Events with `seq > after`, in order."""
        rows = self._connection.execute(statements("fact")["events"], (run, after, limit)).fetchall()
        names = self._words(rows, 3, 4)
        created_ms = self._created_ms(run)
        return [
            EventRow(
                seq,
                EventType(kind),
                created_ms + at_ms,
                NodeKey(names[node], names[scope], iteration) if node else None,
                attempt,
                data,
            )
            for seq, kind, at_ms, node, scope, iteration, attempt, data in rows
        ]

    def _created_ms(self, run: int) -> int:
        """What the times of a run's own rows count from; 0 if there is no such run, and so no row."""
        row = self._connection.execute(statements("run")["created"], (run,)).fetchone()
        return int(row[0]) if row else 0

    def _rows(self, statement: str, run: int) -> list[tuple[Any, ...]]:
        return self._connection.execute(statements("fact")[statement], (run,)).fetchall()

    def _words(self, rows: list[tuple[Any, ...]], *columns: int) -> dict[int, str]:
        """The words behind these columns; by default the first two, which are node and scope (or parent)."""
        wanted: set[int] = set()
        for column in columns or (0, 1):
            wanted.update(row[column] for row in rows)
        return self._names.texts(wanted)


def _in_tree_order(rows: Iterable[MountRow]) -> list[MountRow]:
    below: dict[str | None, list[MountRow]] = {}
    for row in rows:
        below.setdefault(row.parent, []).append(row)
    for children in below.values():
        children.sort(key=lambda row: row.position, reverse=True)
    found: list[MountRow] = []
    ahead = below.get(None, [])
    while ahead:
        row = ahead.pop()
        found.append(row)
        ahead.extend(below.get(row.node, ()))
    return found
