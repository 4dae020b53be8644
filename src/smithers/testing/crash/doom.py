"""Operations of a store, counted, and the one at which the process dies.

Only what writes is counted. A death at a SELECT leaves on the disk what a death at the write before it
leaves, and a death after a statement within a transaction what a death before the next one leaves; so the
moments that differ are those before each write, and those after each commit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from .journal import Journal, Line

DIED = 86
"""Exit code of a process that died as it was told to."""

Moment: TypeAlias = Literal["before", "after"]

_WRITES = (
    "BEGIN IMMEDIATE",
    "COMMIT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "SAVEPOINT",
    "RELEASE",
    "CREATE",
    "DROP",
)


class Site(NamedTuple):
    """A moment in the life of a process."""

    operation: int
    """Counted from 1."""
    moment: Moment

    def __str__(self) -> str:
        return f"{self.moment} operation {self.operation}"


class Doom:
    """Counts the operations of one process, over all its connections, and ends it at one of them.

    Args:
        site: None: it lives.
    """

    def __init__(self, site: Site | None, journal: Journal) -> None:
        self.count = 0
        self.commits: list[int] = []
        """Which operations made something durable."""
        self._site = site
        self._journal = journal
        self._lock = threading.Lock()

    def carry_out(self, connection: DoomedConnection, sql: str, act: Callable[[], Any]) -> Any:
        """Do one statement; or die before it, or after."""
        word = sql.lstrip()[:15].upper()
        if not word.startswith(_WRITES):
            return act()
        with self._lock:
            self.count += 1
            number = self.count
            if word.startswith("COMMIT") or not (connection.in_transaction or word.startswith("BEGIN")):
                self.commits.append(number)
        is_due = self._site is not None and self._site.operation == number
        if is_due and self._site == Site(number, "before"):
            self._die(connection, sql)
        found = act()
        if is_due:
            self._die(connection, sql)
        return found

    def _die(self, connection: DoomedConnection, sql: str) -> None:
        """End the process as SIGKILL does: nothing is flushed, closed, rolled back or told."""
        self._journal.add(Line("death", operation=self.count, text=connection.describe(sql)))
        os._exit(DIED)


class DoomedConnection(sqlite3.Connection):
    """A connection whose statements pass through a `Doom`; see `doomed`."""

    doom: Doom
    _writing: tuple[tuple[int, int], ...] = ()
    """(run, frame) of those that the open transaction writes."""
    _written: tuple[tuple[int, int], ...] = ()
    """The same of the last one that wrote any."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        plain = super().execute
        if sql.startswith("BEGIN"):
            self._written, self._writing = self._writing or self._written, ()
        elif sql.startswith("INSERT INTO smithers_frames"):
            self._writing += ((int(parameters[0]), int(parameters[1])),)
        cursor: sqlite3.Cursor = self.doom.carry_out(self, sql, lambda: plain(sql, parameters))
        return cursor

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        plain = super().executemany
        cursor: sqlite3.Cursor = self.doom.carry_out(self, sql, lambda: plain(sql, parameters))
        return cursor

    def describe(self, sql: str) -> str:
        """Say in words what a statement does: `commit of frame 4: publish finished`."""
        if sql == "COMMIT" and self._writing:
            return f"commit of {self._describe(self._writing)}"
        words = sql.split()
        what = f"{words[0]} {words[2]}" if words[0] in ("INSERT", "DELETE") else " ".join(words[:2])
        after = f" after {self._describe(self._written)}" if self._written else ""
        return f"{what.lower()}{after}"

    def _describe(self, frames: tuple[tuple[int, int], ...]) -> str:
        try:
            return " and ".join(self._describe_frame(run, frame) for run, frame in frames)
        except sqlite3.Error as error:
            return f"frames that cannot be read ({error})"

    def _describe_frame(self, run: int, frame: int) -> str:
        happened = [
            *super().execute(_SETTLED, (run, frame)).fetchall(),
            *super().execute(_STARTED, (run, frame)).fetchall(),
        ]
        told = [f"{name}{f'[{iteration}]' if iteration else ''} {word}" for name, iteration, word in happened]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        return f"frame {frame}" + (f": {', '.join(told[:_SHOWN])}{more}" if told else "")


_SHOWN = 4
_SETTLED = """SELECT name.text, n.iteration,
        CASE n.state WHEN 3 THEN 'finished' WHEN 4 THEN 'failed' WHEN 5 THEN 'skipped' ELSE 'cancelled' END
    FROM smithers_nodes n JOIN smithers_names name ON name.id = n.node WHERE n.run = ? AND n.frame = ?"""
_STARTED = """SELECT name.text, a.iteration, 'started'
    FROM smithers_attempts a JOIN smithers_names name ON name.id = a.node
    WHERE a.run = ? AND a.from_frame = ? AND a.to_frame IS NOT a.from_frame"""


def doomed(doom: Doom) -> type[DoomedConnection]:
    """The class of the connections of a process that this doom is for."""
    return type("Connection", (DoomedConnection,), {"doom": doom})
