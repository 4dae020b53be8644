"""The outbox: notices that frames have written, claimed and delivered one at a time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from smithers.clock import Clock
from smithers.ids import NodeKey
from smithers.records import NoticeKind, NoticeRow
from smithers.store.patient import Patient
from smithers.store.queries import statements

if TYPE_CHECKING:
    from random import Random

LONGEST_MS: Final = 600_000
"""Nobody puts a notice off, or claims it, for longer."""


class Backlog(NamedTuple):
    """What is left to deliver."""

    left: int
    """How many that nobody delivers right now."""
    claimed: int
    """How many somebody delivers right now, or did when he died."""
    next_ms: int | None
    """Wall clock at which the first of all is due; None: there is nothing."""
    error: str | None
    """What was wrong with the newest that has failed."""


class SqliteNotices:
    """Claims and settles notices. From any thread, and from several processes at once.

    Without a sync of the disk: after a power loss a notice may be delivered once more, and none is lost.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        random: Random | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection whose busy timeout is 0: waiting is done here."""
        self._patient = Patient(connection, path, clock, random=random, pause=pause)
        self._sql = statements("notice")
        # A checkpoint syncs the disk: that is the writer's affair.
        with self._patient.looking():
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def due(self, now_ms: int) -> NoticeRow | None:
        """The oldest notice that is due and that nobody is delivering; None: there is none.

        Raises:
            StoreError: the file cannot be read.
        """
        values = {"now_ms": now_ms, "longest_ms": LONGEST_MS}
        with self._patient.looking() as connection:
            found = connection.execute(self._sql["due"], values).fetchone()
        return None if found is None else _notice(found)

    def claim(self, notice: NoticeRow, until_ms: int) -> bool:
        """Keep everybody else from delivering it until then; False: somebody else was first.

        Args:
            until_ms: wall clock; at most `LONGEST_MS` ahead. Who dies meanwhile holds it up until then.
        Raises:
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        values = {
            "id": notice.id,
            "seen_ms": notice.next_ms,
            "tries": notice.tries,
            "taken": " ".join(notice.taken),
            "until_ms": until_ms,
        }
        return self._change("claim", values)

    def note_taken(self, notice: NoticeRow, ways: Sequence[str]) -> None:
        """These ways have delivered it: they are not asked again.

        Raises:
            StoreError: it is not stored.
        """
        self._change("taken", {"id": notice.id, "taken": " ".join(ways)})

    def settle(self, notice: NoticeRow, now_ms: int) -> None:
        """All ways have delivered it.

        Raises:
            StoreError: it is not stored.
        """
        self._change("sent", {"id": notice.id, "now_ms": now_ms})

    def put_off(self, notice: NoticeRow, claimed_ms: int, next_ms: int | None, error: str) -> bool:
        """A try has failed; False: somebody else has the notice by now.

        Args:
            claimed_ms: the end of our claim.
            next_ms: wall clock of the next try; None: it is given up.
        Raises:
            StoreError: it is not stored.
        """
        values = {"id": notice.id, "claimed_ms": claimed_ms, "next_ms": next_ms, "error": error}
        return self._change("put_off", values)

    def hurry(self) -> None:
        """Let all that is put off be due now; what somebody is delivering stays his.

        Raises:
            StoreError: the file cannot be written, or was busy for 10 s.
        """
        self._change("hurry", {})

    def still_stands(self, notice: NoticeRow) -> bool:
        """Whether what a notice asks for is still open: a wait that was answered meanwhile is not told of.

        Raises:
            StoreError: the file cannot be read.
        """
        if notice.key is None:
            return True
        values = {
            **notice.key._asdict(),
            "run": notice.run,
            "generation": notice.generation,
            "number": notice.number,
        }
        with self._patient.looking() as connection:
            return connection.execute(self._sql["stands"], values).fetchone() is not None

    def void(self, notice: NoticeRow) -> None:
        """What the notice asks for has happened: it is not delivered any more.

        Raises:
            StoreError: it is not stored.
        """
        self._change("void", {"id": notice.id})

    def backlog(self, now_ms: int) -> Backlog:
        """What is left to deliver.

        Args:
            now_ms: wall clock.
        Raises:
            StoreError: the file cannot be read.
        """
        with self._patient.looking() as connection:
            return Backlog(*connection.execute(self._sql["open"], {"now_ms": now_ms}).fetchone())

    def close(self) -> None:
        """Close the connection."""
        self._patient.close()

    def _change(self, statement: str, values: dict[str, Any]) -> bool:
        with self._patient.transaction() as execute:
            return execute(self._sql[statement], values).rowcount == 1


def notice_rows(connection: sqlite3.Connection, run: int | None, limit: int) -> list[NoticeRow]:
    """Notices of one run, or of all, the newest first."""
    rows: Iterable[tuple[Any, ...]]
    rows = connection.execute(statements("notice")["listed"], {"run": run, "limit": limit})
    return [_notice(row) for row in rows]


def _notice(row: tuple[Any, ...]) -> NoticeRow:
    (id_, uid, run, name, workflow, kind, node, scope, iteration, generation, number,
     data, at_ms, tries, taken, next_ms, sent_ms, error) = row  # fmt: skip
    key = None if node is None else NodeKey(node, scope or "", iteration)
    return NoticeRow(
        id_, uid, run, name, workflow, NoticeKind(kind), key, generation or 0, number or 0, data, at_ms,
        tries, tuple(taken.split()), next_ms, sent_ms, error,
    )  # fmt: skip
