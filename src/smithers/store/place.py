"""Places of agents that are at work, over all processes that use a store."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smithers.clock import Clock
from smithers.records import Owner, OwnerHealth, PlaceRow, PlaceWanted
from smithers.store.identity import Identity, health
from smithers.store.patient import Patient
from smithers.store.queries import statements

if TYPE_CHECKING:
    from random import Random


class SqlitePlaces:
    """Implements `ports.Places`. From any thread.

    Without a sync of the disk: a power loss ends the agents whose places these are, too.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        here: Identity | None = None,
        random: Random | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection whose busy timeout is 0: waiting is done here."""
        self._patient = Patient(connection, path, clock, random=random, pause=pause)
        self._clock = clock
        self._here = here
        self._sql = statements("place")
        # A checkpoint syncs the disk: that is the writer's affair.
        with self._patient.looking():
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def take(self, owner: int, wanted: PlaceWanted, default: int) -> int | None:
        """Take a place in a pool and of an account; None: there is none free.

        Args:
            default: how many a pool has of which nobody has said it; an account has as many as you like.
        Returns:
            The number of the place.
        Raises:
            StoreError: none was taken.
        """
        with self._patient.transaction() as execute:
            pools, accounts = Counter[str](), Counter[str]()
            for row, holder in taken_places(execute):
                if row.owner != owner and health(holder, self._clock, self._here) in _GONE:
                    execute(self._sql["free"], (row.id,))
                    continue
                pools[row.pool] += 1
                accounts[row.account] += 1
            sizes = dict(execute(self._sql["sizes"]).fetchall())
            if pools[wanted.pool] >= sizes.get(wanted.pool, default):
                return None
            limit = sizes.get(wanted.account) if wanted.account != wanted.pool else None
            if limit is not None and accounts[wanted.account] >= limit:
                return None
            return execute(self._sql["take"], (owner, *wanted, self._clock.now_ms())).lastrowid

    def free(self, places: Sequence[int]) -> None:
        """Give places back.

        Raises:
            StoreError: they are still taken.
        """
        with self._patient.transaction() as execute:
            for place in places:
                execute(self._sql["free"], (place,))

    def resize(self, name: str, size: int | None) -> None:
        """Say how many places a pool, or an account, has; None: as many as by default.

        Who is at work goes on: a smaller pool fills up no more until enough have left.

        Raises:
            StoreError: nothing has changed.
        """
        with self._patient.transaction() as execute:
            if size is None:
                execute(self._sql["unset_size"], (name,))
            else:
                execute(self._sql["set_size"], (name, size))

    def close(self) -> None:
        """Close the connection."""
        self._patient.close()


_GONE = (OwnerHealth.NONE, OwnerHealth.DEAD)


def taken_places(execute: Callable[..., sqlite3.Cursor]) -> list[tuple[PlaceRow, Owner | None]]:
    """Places that are taken, and by whom."""
    rows: list[tuple[Any, ...]] = execute(statements("place")["taken"]).fetchall()
    return [(PlaceRow(*row[:7]), Owner(*row[7:]) if row[7] is not None else None) for row in rows]


def live_places(
    connection: sqlite3.Connection, clock: Clock, here: Identity | None = None
) -> tuple[list[PlaceRow], Mapping[str, int]]:
    """Places of agents that are at work, and how many there are of each pool or account, where it was
    said."""
    rows = [row for row, owner in taken_places(connection.execute) if health(owner, clock, here) not in _GONE]
    return rows, dict(connection.execute(statements("place")["sizes"]).fetchall())
