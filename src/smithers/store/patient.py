"""A connection whose transactions wait for the gaps that a busy writer leaves."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from smithers.clock import Clock
from smithers.errors import CommitUnknown, plain
from smithers.store.connection import begin, commit, patiently, roll_back
from smithers.store.refusal import DISK_ERRORS, refusal

if TYPE_CHECKING:
    from random import Random

Execute = Callable[..., sqlite3.Cursor]


class Patient:
    """Carries out small transactions, one at a time. From any thread.

    Args:
        connection: one whose busy timeout is 0: the waiting is done here.
        random: spaces the tries.
        pause: sleeps, in seconds.
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
        self.connection = connection
        self._path = path
        self._clock = clock
        self._random = random
        self._pause = pause
        self._lock = Lock()

    @contextmanager
    def transaction(self, *, knows_doubt: bool = False) -> Iterator[Execute]:
        """One transaction, with the write lock from its beginning on; rolled back if anything is raised.

        Args:
            knows_doubt: the caller wants `CommitUnknown` itself; else it is told as what was wrong.
        Raises:
            StoreError: the file cannot be used, or was busy for 10 s.
        """
        connection = self.connection
        with self._lock:
            try:
                patiently(lambda: begin(connection), self._clock, random=self._random, pause=self._pause)
                yield connection.execute
                commit(connection, self._path)
            except BaseException as error:
                roll_back(connection)
                if isinstance(error, CommitUnknown) and knows_doubt:
                    raise
                if isinstance(error, (*DISK_ERRORS, CommitUnknown)):
                    raise plain(refusal(error, self._path)) from error
                raise

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """The connection, for a single statement that changes nothing."""
        with self._lock:
            try:
                yield self.connection
            except DISK_ERRORS as error:
                raise refusal(error, self._path) from error

    def close(self) -> None:
        """Close the connection once nobody uses it."""
        with self._lock:
            self.connection.close()
