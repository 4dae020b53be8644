"""Waits for people, messages and times: rows of them, and the one statement that decides each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any, TypeAlias

from smithers.errors import AlreadyDecided, NotWaiting
from smithers.ids import NodeKey
from smithers.records import (
    InboxKind,
    RunState,
    SignalRow,
    Vote,
    Voted,
    VoteRow,
    WaitKind,
    WaitRef,
    WaitRow,
    WaitState,
)
from smithers.store.names import Names
from smithers.store.queries import statements

Execute: TypeAlias = Callable[..., sqlite3.Cursor]
Place: TypeAlias = tuple[int, int, int, int, int, int]
"""Run, node, scope, iteration, generation and number, as stored."""


def wait_values(run: int, ref: WaitRef, names: Names) -> Place:
    """What names a wait in the database."""
    (node, scope, iteration), generation, number = ref
    return run, names.id(node), names.id(scope), iteration, generation, number


def wait_rows(connection: sqlite3.Connection, names: Names, run: int) -> list[WaitRow]:
    """Waits of a run, of all generations, the oldest first; none, in a store from before there were any."""
    if connection.execute(statements("run")["has_table"], ("smithers_waits",)).fetchone() is None:
        return []
    return _rows(connection.execute(statements("wait")["waits"], (run,)).fetchall(), names)


def open_wait_rows(connection: sqlite3.Connection, names: Names) -> list[WaitRow]:
    """Open waits of all runs that have not ended, the oldest first."""
    return _rows(connection.execute(statements("wait")["open_waits"]).fetchall(), names)


def _rows(rows: list[tuple[Any, ...]], names: Names) -> list[WaitRow]:
    texts = names.texts({word for row in rows for word in row[1:3]})
    return [
        WaitRow(
            run,
            WaitRef(NodeKey(texts[node], texts[scope], iteration), generation, number),
            WaitKind(kind),
            WaitState(state),
            from_frame,
            to_frame,
            opened_ms,
            due_ms,
            json.loads(spec),
            None if result is None else json.loads(result),
        )
        for (run, node, scope, iteration, generation, number, kind, state, from_frame, to_frame, opened_ms,
             due_ms, spec, result) in rows
    ]  # fmt: skip


def vote_rows(connection: sqlite3.Connection, names: Names, run: int) -> list[VoteRow]:
    """What was said to the waits of a run, the oldest first."""
    rows = connection.execute(statements("wait")["votes"], (run,)).fetchall()
    texts = names.texts({word for row in rows for word in row[1:3]})
    return [
        VoteRow(
            vote,
            WaitRef(NodeKey(texts[node], texts[scope], iteration), generation, number),
            word,
            json.loads(data),
            by,
            note,
            at_ms,
        )
        for vote, node, scope, iteration, generation, number, word, data, by, note, at_ms in rows
    ]


def signal_rows(connection: sqlite3.Connection, run: int) -> list[SignalRow]:
    """Signals that were sent to a run, the oldest first."""
    rows = connection.execute(statements("wait")["signals"], (run,)).fetchall()
    return [signal_row(message, data, by, at_ms) for message, data, by, at_ms in rows]


def signal_row(message: int, data: str, by: str, at_ms: int) -> SignalRow:
    """A signal, as its message has it."""
    found = json.loads(data)
    return SignalRow(message, found["name"], found.get("correlation"), found.get("payload"), by, at_ms)


def cast_vote(execute: Execute, connection: sqlite3.Connection, vote: Vote, now_ms: int) -> Voted:
    """Say something to an open wait, within a transaction that has the write lock.

    Raises:
        NotWaiting: there is no such wait, or it was withdrawn.
        AlreadyDecided: somebody has decided it; the link was used; or the same person has said so before.
    """
    sql, place = statements("wait"), wait_values(vote.run, vote.ref, Names(connection))
    found = execute(sql["wait_now"], place).fetchone()
    if found is None:
        raise NotWaiting(f"{vote.ref.key} waits for nobody", node=str(vote.ref.key))
    state, _, run_state, run = found
    before = execute(sql["votes_of_wait"], place).fetchall()
    if vote.link is not None and execute(sql["has_link"], (vote.link,)).fetchone() is not None:
        raise AlreadyDecided(f"{vote.ref.key} of {run}: this link was used before", run=run)
    if state != WaitState.OPEN or RunState(run_state).has_ended:
        _refuse(vote, run, WaitState(state), before)
    # A question that is asked again may be answered by the same person: only heads that are counted differ.
    if vote.quorum > 1 and any(word == vote.word and by == vote.by for word, by, _ in before):
        raise AlreadyDecided(f"{vote.by} has said that of {vote.ref.key} already", run=run)
    data = json.dumps(vote.data, ensure_ascii=False, separators=(",", ":"))
    execute(sql["add_vote"], (*place, vote.word, data, vote.by, vote.note, vote.link, now_ms))
    votes = 1 + sum(word == vote.word for word, _, _ in before)
    if votes < vote.quorum:
        return Voted(False, votes, vote.quorum)
    execute(sql["decide_wait"], (data, *place))
    _tell(execute, vote, data, now_ms)
    return Voted(True, votes, vote.quorum)


def _refuse(vote: Vote, run: str, state: WaitState, before: list[tuple[str, str, int]]) -> None:
    if state in (WaitState.DECIDED, WaitState.SETTLED):
        word, by, at_ms = before[-1] if before else ("decided", "the run itself", 0)
        raise AlreadyDecided(
            f"{vote.ref.key} of {run} is decided already: {word}, by {by}",
            run=run,
            node=str(vote.ref.key),
            by=by,
            at_ms=at_ms or None,
        )
    raise NotWaiting(f"{vote.ref.key} of {run} does not wait any more", run=run, node=str(vote.ref.key))


def _tell(execute: Execute, vote: Vote, data: str, now_ms: int) -> None:
    """Leave word for the run, and for those it belongs to: whoever drives them looks at once."""
    post, ref = statements("run")["post"], vote.ref
    where = {"wait": [*ref.key, ref.generation, ref.number], "result": json.loads(data)}
    text = json.dumps(where, ensure_ascii=False, separators=(",", ":"))
    execute(post, (vote.run, int(InboxKind.DECIDED), text, now_ms, vote.by))
    wake_above(execute, vote.run, now_ms, vote.by)


def wake_above(execute: Execute, run: int, now_ms: int, by: str) -> None:
    """Leave word for the runs that a run belongs to: it can go on."""
    post = statements("run")["post"]
    for (above,) in execute(statements("wait")["ancestors"], {"run": run}).fetchall():
        execute(post, (above, int(InboxKind.WAKE), None, now_ms, by))
