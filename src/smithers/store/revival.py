"""Runs that nobody drives: looked for by whoever sees to them, again and again, at next to no cost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smithers.clock import Clock
from smithers.records import Owner, OwnerHealth, Revival, RunState, Standing
from smithers.store.connection import open_writable, roll_back
from smithers.store.identity import health
from smithers.store.patient import Execute, Patient
from smithers.store.queries import statements
from smithers.store.refusal import DISK_ERRORS, refusal


class SqliteRevivals:
    """Looks for runs that should go on, and notes those that were lost. From one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path, clock: Clock) -> None:
        """Take over a connection of `open_readable`."""
        self._connection = connection
        self._path = path
        self._clock = clock
        self._sql = statements("revival")
        self._version: int | None = None

    def has_changed(self) -> bool:
        """Whether anybody has written since this was last asked; one page of the file is looked at."""
        with self._refusing():
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        before, self._version = self._version, version
        return version != before

    def owners(self) -> list[Owner]:
        """Every process on record that drives runs, or did until it died."""
        with self._refusing():
            return [Owner(*row) for row in self._connection.execute(statements("owner")["owners"])]

    def standings(self, gone: Iterable[int], now_ms: int) -> list[Standing]:
        """Runs, nobody's children, that perhaps should go on, the oldest first.

        Args:
            gone: owners that are dead or silent.
            now_ms: wall clock: what was due by then.
        """
        with self._moment() as execute:
            runs = {run for owner in gone for (run,) in execute(self._sql["held_by"], (owner,))}
            runs.update(run for (run,) in execute(self._sql["left"]))
            runs.update(run for (run,) in execute(self._sql["due"], (now_ms,)))
            written = self._written_to()
            return self._standings(runs | written.keys(), written, now_ms)

    def standing(self, run: int) -> Standing | None:
        """How one run stands; None: it belongs to another one, or there is no such run."""
        with self._moment():
            found = self._standings([run], self._written_to(), self._clock.now_ms())
            return found[0] if found else None

    def next_due_ms(self, now_ms: int) -> int | None:
        """The first deadline of a parked run after `now_ms`, by the wall clock."""
        with self._refusing():
            row = self._connection.execute(self._sql["next_due"], (now_ms,)).fetchone()
            return None if row is None else int(row[0])

    def note(self, losses: Sequence[tuple[int, Revival, Revival | None]]) -> list[bool]:
        """Store that runs were lost once more, all in one commit.

        Args:
            losses: the run, how often it was lost, and what was on record when that was made.
        Returns:
            Of each; False: somebody else has noted something meanwhile, and that stands.
        """
        if not losses:
            return []
        connection = open_writable(
            self._path, self._clock, durability="normal", create=False, busy_timeout_ms=0
        )
        patient = Patient(connection, self._path, self._clock)
        try:
            with patient.transaction() as execute:
                return [
                    execute(self._sql["note"], _values(run, found, before)).rowcount == 1
                    for run, found, before in losses
                ]
        finally:
            patient.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _written_to(self) -> dict[int, tuple[int, int | None]]:
        rows = self._connection.execute(self._sql["written_to"]).fetchall()
        return {run: (at_ms, cancel_ms) for run, at_ms, cancel_ms in rows}

    def _standings(
        self, runs: Iterable[int], written: dict[int, tuple[int, int | None]], now_ms: int
    ) -> list[Standing]:
        wanted = json.dumps(sorted(runs))
        rows = self._connection.execute(self._sql["standings"], {"runs": wanted, "now_ms": now_ms}).fetchall()
        return [self._of(row, *written.get(row[0], (None, None))) for row in rows]

    def _of(self, row: tuple[object, ...], message_ms: int | None, cancel_ms: int | None) -> Standing:
        run, name, workflow, source, state, fence, moved_ms, due_ms, came_ms, *rest = row
        owner = Owner(*rest[5:]) if rest[5] is not None else None  # type: ignore[arg-type]
        (settled,) = self._connection.execute(self._sql["settled"], (run,)).fetchone()
        return Standing(
            run, name, workflow, source, RunState(state), fence, moved_ms, due_ms,  # type: ignore[arg-type]
            came_ms, message_ms, cancel_ms, settled, owner,  # type: ignore[arg-type]
            OwnerHealth.NONE if owner is None else health(owner, self._clock),
            Revival(*rest[:5]) if rest[0] is not None else None,  # type: ignore[arg-type]
        )  # fmt: skip

    @contextmanager
    def _moment(self) -> Iterator[Execute]:
        """One short read transaction, so that several statements agree with each other."""
        with self._refusing():
            try:
                self._connection.execute("BEGIN")
                yield self._connection.execute
            finally:
                roll_back(self._connection)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except DISK_ERRORS as error:
            raise refusal(error, self._path) from error


def _values(run: int, found: Revival, before: Revival | None) -> dict[str, Any]:
    return {"run": run, **found._asdict(), "instead_of": None if before is None else before.fence}
