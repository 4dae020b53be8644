"""The statements of one frame: the hot path. Every run's cost per task is what happens here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from smithers.errors import BugError, LeaseLost, MessagesWaiting, RunExists
from smithers.ids import NodeKey
from smithers.records import (
    AttemptEnd,
    FrameWrite,
    HeartbeatRow,
    NewChild,
    NewRun,
    RunChange,
    RunState,
    WaitEnd,
    WaitWrite,
)
from smithers.store.blob import Blobs
from smithers.store.cache import CacheStatements
from smithers.store.call import call_values
from smithers.store.names import Names, Specs
from smithers.store.queries import statements
from smithers.store.table import write_user_rows
from smithers.store.view import Views
from smithers.store.wait import wait_values

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = tuple[Value, ...]
Moved: TypeAlias = Mapping[NodeKey | None, bytes] | None
"""The hash of each output's body that lives in a file, and under None of what is handed over to the next run;
None without any, which is nearly always."""

_MANY_MOUNTS = 8
"""From here on, looking words up together is quicker than one by one."""


def _key_text(key: NodeKey | None) -> str | None:
    return json.dumps(key) if key is not None else None


class FrameStatements:
    """Writes frames within a transaction that somebody else begins and ends.

    States, types and flags are turned into plain ints: binding a subclass of `int` costs sqlite3 a
    microsecond, which is as much as finding the row.
    """

    def __init__(
        self, connection: sqlite3.Connection, names: Names, specs: Specs, views: Views, blobs: Blobs
    ) -> None:
        self._connection = connection
        self._names = names
        self._specs = specs
        self._views = views
        self._blobs = blobs
        self._cache = CacheStatements(connection, names)
        sql = statements("frame")
        self._sql = sql
        self._run_sql = statements("run")
        self._kin_sql = statements("kin")
        self._call_sql = statements("call")
        self._wait_sql = statements("wait")
        self._enter = sql["enter"]
        self._add_frame = sql["add_frame"]
        self._close_attempt = sql["close_attempt"]
        self._settle_node = sql["settle_node"]
        self._add_output = sql["add_output"]
        self._open_attempt = sql["open_attempt"]
        self._add_event = sql["add_event"]

    def move_large_outputs(self, frame: FrameWrite) -> Moved:
        """Put large bodies into blobs, before the transaction: their fsyncs must not hold the write lock.

        Raises:
            StoreError: a blob could not be written.
        """
        moved: dict[NodeKey | None, bytes] | None = None
        for row in frame.outputs:
            if self._blobs.is_large(row.body):
                moved = moved or {}
                moved[row.key] = self._blobs.put(row.body)
        then = frame.then
        if then is not None and then.creates is not None and self._blobs.is_large(then.creates.carried or ""):
            moved = moved or {}
            moved[None] = self._blobs.put(then.creates.carried or "")
        return moved

    def write(self, frame: FrameWrite, moved: Moved) -> None:
        """Write all of one frame.

        Args:
            moved: what `move_large_outputs` said.
        Raises:
            LeaseLost: the run has a newer owner.
            RunExists: the frame creates a run whose name is taken.
            MessagesWaiting: the frame gives the run up, and a message that it does not take has arrived.
            RowsRefused: a table of the user's does not take what the frame has for it.
            BugError: it does not fit what is stored.
            sqlite3.Error: as it came. Whatever was raised, the caller rolls back.
        """
        created_ms = (
            self._create_run(frame, frame.creates) if frame.creates is not None else self._fence(frame)
        )
        run, number, execute = frame.run, frame.frame, self._connection.execute
        execute(
            self._add_frame,
            (
                run,
                number,
                frame.parent,
                frame.seq + frame.used,
                frame.at_ms - created_ms,
                int(frame.rendered),
            ),
        )
        ended, instant = frame.ended, _instant(frame)
        if instant:
            ended = [end for end in ended if end not in instant]
        # Ended before begun: a row that grows behind a newer one splits its page, and doubles the file.
        if ended:
            self._end_attempts(frame, ended, created_ms)
        if frame.started:
            self._start_attempts(frame, created_ms)
        if instant:
            self._end_attempts(frame, instant, created_ms)
        if frame.settled:
            self._settle(frame)
        if frame.outputs:
            self._store_outputs(frame, moved or {})
        self._rarer_rows(frame)
        if frame.events:
            self._log(frame, created_ms)
        if frame.run_change is not None:
            self._change_run(frame, frame.run_change)
        if frame.then is not None:
            self._go_on(frame, frame.then, (moved or {}).get(None))

    def _go_on(self, frame: FrameWrite, then: FrameWrite, blob: bytes | None) -> None:
        """Create the run that this one goes on as: its first frame is part of this one's last."""
        new = then.creates
        if new is None or new.carried is None:
            raise BugError("a run goes on as one that is not created")
        self.write(then, None)
        carried = new.carried if blob is None else ""
        values = {"run": then.run, "previous": frame.run, "state": carried, "blob": blob}
        self._connection.execute(self._kin_sql["add_successor"], values)

    def beat(self, rows: Sequence[tuple[int, int, HeartbeatRow]]) -> None:
        """Write heartbeat data: (run, fence, row) each."""
        name = self._names.id
        values: list[Row] = [
            (beat.data, run, name(beat.key.node), name(beat.key.scope), beat.key.iteration, beat.generation,
             beat.attempt, fence)
            for run, fence, beat in rows
        ]  # fmt: skip
        self._store(self._sql["beat"], values)

    def _store(self, sql: str, rows: Sequence[Row]) -> int:
        """Run a statement for each row; returns how many database rows it changed."""
        # `execute` keeps its statement prepared and skips the machinery of a batch.
        if len(rows) == 1:
            return self._connection.execute(sql, rows[0]).rowcount
        return self._connection.executemany(sql, rows).rowcount

    def _create_run(self, frame: FrameWrite, new: NewRun) -> int:
        """Insert the run that this frame begins; `frame` gets its run and fence. Returns its `created_ms`."""
        execute, sql = self._connection.execute, self._run_sql
        if execute(sql["has_run_named"], (new.name,)).fetchone():
            raise RunExists(f"there is a run {new.name} already", run=new.name)
        at_ms = new.created_ms
        is_entered = frame.run_change is None
        extent = (frame.used, frame.frame) if is_entered else (0, 0)
        cursor = execute(sql["add_run"], (new.name, new.workflow, *extent, at_ms, at_ms, new.owner))
        if cursor.rowcount != 1 or cursor.lastrowid is None:
            raise LeaseLost("this process' lease was taken over", owner=new.owner)
        config = json.dumps(dict(new.config), ensure_ascii=False, separators=(",", ":"))
        execute(sql["add_input"], (cursor.lastrowid, new.source, config, new.input))
        frame.run, frame.fence = cursor.lastrowid, 1
        if new.child_of is not None:
            self._link(frame.run, new.child_of)
        return at_ms if is_entered else self._fence(frame)

    def _link(self, child: int, of: NewChild) -> None:
        """Note whose child a new run is.

        Raises:
            LeaseLost: the parent has a newer owner.
        """
        name, (node, scope, iteration) = self._names.id, of.key
        values = {
            "run": of.run, "fence": of.fence, "node": name(node), "scope": name(scope),
            "iteration": iteration, "generation": of.generation, "child": child, "instead_of": of.instead_of,
        }  # fmt: skip
        if self._connection.execute(self._kin_sql["add_child"], values).rowcount != 1:
            raise LeaseLost(f"the run whose {of.key} this is has a newer owner", run=of.run, fence=of.fence)

    def _fence(self, frame: FrameWrite) -> int:
        """Enter the run, which is the first statement of each frame, and return its `created_ms`."""
        change = frame.run_change
        values: Row = (frame.used, frame.frame, frame.run, frame.fence)
        sql = self._enter
        if change is not None:
            sql = self._sql["enter_and_change"]
            ended_ms = frame.at_ms if change.state.has_ended else None
            values = (frame.used, frame.frame, int(change.state), change.error, ended_ms, int(change.release),
                      frame.run, frame.fence)  # fmt: skip
        # All rows are fetched: a statement that still stands on one would keep the commit from ending.
        found = self._connection.execute(sql, values).fetchall()
        if not found:
            raise LeaseLost(
                f"run {frame.run} has a newer owner; nothing was written", run=frame.run, fence=frame.fence
            )
        if found[0][0] != frame.seq + frame.used:
            at = found[0][0] - frame.used
            raise BugError(
                f"frame {frame.frame} of run {frame.run} starts at seq {frame.seq}, the store is at {at}",
                run=frame.run,
                frame=frame.frame,
            )
        return int(found[0][1])

    def _change_run(self, frame: FrameWrite, change: RunChange) -> None:
        if change.output is not None:
            (node, scope, iteration), generation = change.output
            values = (self._names.id(node), self._names.id(scope), iteration, generation, frame.run)
            self._connection.execute(self._sql["name_output"], values)
        # A run that has ended needs no message any more; one that only parks would leave its sender waiting.
        # One that goes on as another would hand the message over to nobody.
        parks = change.release and (not change.state.has_ended or change.state is RunState.CONTINUED)
        if not parks:
            return
        found = self._connection.execute(self._sql["open_messages"], (frame.run,)).fetchall()
        if not {message for (message,) in found} <= set(frame.inbox_kept):
            raise MessagesWaiting("a message arrived while the run was about to park", run=frame.run)

    def _end_attempts(self, frame: FrameWrite, ended: Sequence[AttemptEnd], created_ms: int) -> None:
        run, number, name = frame.run, frame.frame, self._names.id
        rows: list[Row] = [
            (int(state), number, at_ms - created_ms, None if failure is None else int(failure), int(counted),
             error, prompt, None if agent is None else name(agent),
             run, name(node), name(scope), iteration, generation, attempt)
            for (node, scope, iteration), generation, attempt, state, at_ms, failure, counted, error, prompt,
            agent in ended
        ]  # fmt: skip
        if self._store(self._close_attempt, rows) != len(rows):
            for row, end in zip(rows, ended, strict=True):
                self._check_closed(row, end)

    def _check_closed(self, row: Row, end: AttemptEnd) -> None:
        """Let a repeated settlement pass, and nothing else."""
        found = self._connection.execute(self._sql["attempt_state"], row[-6:]).fetchone()
        if found is None or found[0] != end.state:
            raise BugError(
                f"attempt {end.attempt} of {end.key} cannot end as {end.state.word}", node=str(end.key)
            )

    def _settle(self, frame: FrameWrite) -> None:
        run, number, name = frame.run, frame.frame, self._names.id
        rows: list[Row] = [
            (run, name(node), name(scope), iteration, generation, int(state), number, attempt, reason)
            for (node, scope, iteration), generation, state, attempt, reason in frame.settled
        ]
        if self._store(self._settle_node, rows) != len(rows):
            raise BugError(
                f"frame {number} of run {run} settles a node that has settled in another way", run=run
            )

    def _store_outputs(self, frame: FrameWrite, moved: Mapping[NodeKey | None, bytes]) -> None:
        run, number, name = frame.run, frame.frame, self._names.id
        rows: list[Row] = []
        for key, generation, seq, model, body in frame.outputs:
            blob = moved.get(key)
            kept = body if blob is None else ""
            node, scope, iteration = key
            rows.append(
                (run, name(node), name(scope), iteration, generation, seq, number, name(model), kept, blob)
            )
        if self._store(self._add_output, rows) != len(rows):
            raise BugError(f"frame {number} of run {run} gives a node another output than it has", run=run)

    def _start_attempts(self, frame: FrameWrite, created_ms: int) -> None:
        run, number, name = frame.run, frame.frame, self._names.id
        rows: list[Row] = []
        for key, generation, attempt, start_seq, at_ms, agent, fingerprint in frame.started:
            node, scope, iteration = key
            by = None if agent is None else name(agent)
            rows.append(
                (run, name(node), name(scope), iteration, generation, attempt, number, start_seq,
                 at_ms - created_ms, by, fingerprint)
            )  # fmt: skip
        self._store(self._open_attempt, rows)

    def _log(self, frame: FrameWrite, created_ms: int) -> None:
        run, name = frame.run, self._names.id
        rows: list[Row] = []
        for seq, kind, at_ms, key, attempt, data in frame.events:
            if key is None:
                rows.append((run, seq, int(kind), 0, 0, 0, attempt, at_ms - created_ms, data))
            else:
                node, scope, iteration = key
                where = (name(node), name(scope), iteration)
                rows.append((run, seq, int(kind), *where, attempt, at_ms - created_ms, data))
        self._store(self._add_event, rows)

    def _rarer_rows(self, frame: FrameWrite) -> None:
        run, number, name = frame.run, frame.frame, self._names.id
        if frame.passes:
            passes: list[Row] = [
                (run, name(loop.node), name(loop.scope), loop.iteration, pass_, int(verdict), number)
                for loop, pass_, verdict in frame.passes
            ]
            self._store(self._sql["end_pass"], passes)
        if frame.blocks:
            blocks: list[Row] = [
                (
                    run,
                    name(key.node),
                    name(key.scope),
                    key.iteration,
                    number,
                    at,
                    outcome,
                    _key_text(cause),
                    json.dumps(done),
                    json.dumps(broken),
                    json.dumps(again),
                )
                for key, at, outcome, cause, done, broken, again in frame.blocks
            ]
            self._store(self._sql["move_block"], blocks)
        if frame.unmounted:
            self._store(self._sql["unmount"], [(number - 1, run, name(node)) for node in frame.unmounted])
        if frame.mounted:
            self._mount(frame)
        if frame.shapes:
            notes = [self._views.take(shape) for shape in frame.shapes]
            frame.notes = [note for note in notes if note is not None]
        if frame.user_rows:
            (name_of_run,) = self._connection.execute(self._sql["run_name"], (run,)).fetchone()
            write_user_rows(self._connection, name_of_run, frame.user_rows)
        if frame.cached:
            self._cache.add_entries(run, frame.at_ms, frame.cached)
        if frame.lookups:
            self._cache.add_lookups(run, frame.lookups)
        if frame.calls:
            note = self._call_sql["note"]
            for call in frame.calls:
                self._connection.execute(note, call_values(run, frame.fence, call))
        if frame.budgets:
            spent: list[Row] = [
                (run, name(key.node), name(key.scope), key.iteration, *rest)
                for key, *rest in {row.key: row for row in frame.budgets}.values()
            ]
            self._store(self._call_sql["spend"], spent)
        if frame.woken:
            woken: list[Row] = [
                (run, name(key.node), name(key.scope), key.iteration, kind) for key, kind, _ in frame.woken
            ]
            self._store(self._sql["remove_wakeup"], woken)
        if frame.wakeups:
            wakeups: list[Row] = [
                (run, name(key.node), name(key.scope), key.iteration, kind, due_ms)
                for key, kind, due_ms in frame.wakeups
            ]
            self._store(self._sql["add_wakeup"], wakeups)
        if frame.children:
            kept: list[Row] = [
                (run, name(key.node), name(key.scope), key.iteration, generation, child)
                for key, generation, child in frame.children
            ]
            self._store(self._kin_sql["keep_child"], kept)
        if frame.waits:
            self._open_waits(frame, frame.waits)
        if frame.wait_ends:
            self._end_waits(frame, frame.wait_ends)
        if frame.notices:
            self._notify(frame)
        if frame.inbox_taken:
            self._store(self._sql["take_message"], [(number, run, message) for message in frame.inbox_taken])

    def _open_waits(self, frame: FrameWrite, waits: Sequence[WaitWrite]) -> None:
        rows: list[Row] = [
            (*wait_values(frame.run, wait.ref, self._names), int(wait.kind), frame.frame, wait.opened_ms,
             wait.due_ms, wait.spec)
            for wait in waits
        ]  # fmt: skip
        if self._store(self._wait_sql["open_wait"], rows) != len(rows):
            raise MessagesWaiting("a wait was decided meanwhile", run=frame.run)

    def _end_waits(self, frame: FrameWrite, ends: Sequence[WaitEnd]) -> None:
        """Close waits. Whoever has decided one of them meanwhile has won, and the frame is refused."""
        for end in ends:
            run, *where = wait_values(frame.run, end.ref, self._names)
            names = ("node", "scope", "iteration", "generation", "number")
            values = dict(zip(names, where, strict=True)) | {
                "run": run,
                "frame": frame.frame,
                "state": int(end.state),
                "result": end.result,
                "was": int(end.was),
            }
            if self._connection.execute(self._wait_sql["end_wait"], values).rowcount != 1:
                raise MessagesWaiting(f"{end.ref.key} was decided meanwhile", run=frame.run)

    def _notify(self, frame: FrameWrite) -> None:
        run, name = frame.run, self._names.id
        rows: list[Row] = []
        for kind, data, key, generation, number in frame.notices:
            wait: Row = (None,) * 5
            if key is not None:
                wait = (name(key.node), name(key.scope), key.iteration, generation, number)
            rows.append((run, kind.value, *wait, data, frame.at_ms))
        self._store(statements("notice")["add"], rows)

    def _mount(self, frame: FrameWrite) -> None:
        run, number, name, spec = frame.run, frame.frame, self._names.id, self._specs.id
        if len(frame.mounted) >= _MANY_MOUNTS:
            self._names.intern_all(mount.node for mount in frame.mounted)
        rows: list[Row] = [
            (
                run,
                name(node),
                number,
                0 if parent is None else name(parent),
                position,
                spec(body),
                edges or None,
            )
            for node, parent, position, body, edges in frame.mounted
        ]
        self._store(self._sql["mount"], rows)


def _instant(frame: FrameWrite) -> list[AttemptEnd]:
    """Attempts that begin and end in this frame: those of static values."""
    if not frame.started or not frame.ended:
        return []
    begun = {(start.key, start.attempt) for start in frame.started}
    return [end for end in frame.ended if (end.key, end.attempt) in begun]
