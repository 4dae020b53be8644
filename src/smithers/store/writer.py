"""The one connection of an engine that changes run state."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from smithers.clock import Clock
from smithers.errors import SmithersError, StoreError, StoreNotFound
from smithers.records import FrameWrite, HeartbeatRow, InboxRow, StoredRun
from smithers.store.blob import Blobs
from smithers.store.connection import begin, commit, roll_back
from smithers.store.fact import StoredFacts
from smithers.store.frame import FrameStatements, Moved
from smithers.store.inbox import open_messages
from smithers.store.names import Names, Specs
from smithers.store.queries import statements
from smithers.store.refusal import DISK_ERRORS, NONSENSE, damaged, refusal
from smithers.store.soundness import check_sound, check_whole
from smithers.store.view import Views

_BURST_COMMITS: Final = 64
_BURST_MS: Final = 5
_GAP_MS: Final = 2
"""The writer gives way for 1 ms after so many commits, or so long, with no gap of this length between."""


_REFUSABLE: Final = (SmithersError, *DISK_ERRORS, OSError, ValueError, TypeError, ArithmeticError)
"""What one frame can be at fault for; the built-in ones come from values that a database cannot hold."""


class SqliteWriter:
    """Implements `ports.Writer`. From one thread at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        is_file: bool = True,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection of `open_writable`.

        Args:
            is_file: False: the database lives in memory, and `path` only names it.
            pause: sleeps, in seconds.
        """
        self._connection = connection
        self._path = path
        self._clock = clock
        self._pause = pause
        self._names, self._specs, self._views, self._blobs = (
            Names(connection),
            Specs(connection),
            Views(connection),
            Blobs(path.parent / "blobs"),
        )
        self._frames = FrameStatements(connection, self._names, self._specs, self._views, self._blobs)
        self._facts = StoredFacts(connection, self._names, self._specs, self._blobs, clock)
        with self._refusals():
            self._data_version = self._read_data_version()
        self._file = path.stat() if is_file else None
        """What was opened: a file that is removed or replaced while in use takes what is written along."""
        self._burst_commits, self._burst_from_ms, self._committed_ms = 0, 0, 0
        self._is_sound = False

    # --- Writing ---

    def commit(self, frames: Sequence[FrameWrite]) -> list[Exception | None]:
        """Store frames of several runs in one transaction, one savepoint each.

        Returns:
            One entry a frame: None when it is durable, else why it alone was not stored: `LeaseLost`,
            `MessagesWaiting`, `RunExists`, `RowsRefused`, `BugError`, or a `StoreError`.
        Raises:
            CommitUnknown: the commit itself raised; any of it may or may not be there.
            StoreNotFound: the file is gone, and with it what was written.
        """
        if not frames:
            return []
        self._give_way()
        if len(frames) == 1:
            results = [self._commit_alone(frames[0])]
        else:
            # What broke the group may concern one of its frames only: the others must not stop for it.
            results = self._commit_group(frames) or [self._commit_alone(frame) for frame in frames]
        self._check_file()
        self._committed_ms = self._clock.monotonic_ms()
        return results

    def heartbeats(self, rows: Sequence[tuple[int, int, HeartbeatRow]]) -> None:
        """Store heartbeat data of running attempts: (run, fence, row) each; stale fences are ignored."""
        if not rows:
            return
        with self._refusals():
            begin(self._connection)
            self._frames.beat(rows)
            self._commit()

    # --- Reading ---

    def load(self, run: int) -> StoredRun:
        """Everything needed to continue a run, as of one moment.

        The first time the whole file is looked over, unless it is large: whoever drove the run before may
        have been cut off by what damaged it.

        Raises:
            RunNotFound: there is no such run.
            StoreCorrupt: the file, or this run in it, is damaged.
        """
        with self._refusals():
            if not self._is_sound:
                check_sound(self._connection, self._path)
                self._is_sound = True
            check_whole(self._connection, self._path, run)
            try:
                return self._facts.load(run)
            except NONSENSE as error:
                raise damaged(error, self._path) from error

    def held(self, name: str, owner: int) -> int | None:
        """The run of this name, if this owner holds it; None: there is none, or it is somebody else's."""
        with self._refusals():
            found = self._connection.execute(statements("run")["held_run"], (name, owner)).fetchone()
        return None if found is None else int(found[0])

    def successor(self, run: int) -> int | None:
        """The run that a run went on as; None: it did not."""
        with self._refusals():
            found = self._connection.execute(statements("kin")["successor"], (run,)).fetchone()
        return None if found is None else int(found[0])

    def open_children(self, run: int) -> list[int]:
        """Children of a run that have not ended."""
        with self._refusals():
            rows = self._connection.execute(statements("kin")["open_children"], (run,)).fetchall()
        return [int(row[0]) for row in rows]

    def has_changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        with self._refusals():
            before, self._data_version = self._data_version, self._read_data_version()
        return before != self._data_version

    def inbox(self, runs: Sequence[int]) -> Mapping[int, Sequence[InboxRow]]:
        """Untaken messages of these runs, oldest first; runs without any are left out."""
        with self._refusals():
            return open_messages(self._connection, runs)

    # --- Rest ---

    def idle(self) -> None:
        """Checkpoint as far as readers allow, while nothing else wants the file."""
        with self._refusals():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Checkpoint and close; the file is complete without its `-wal` afterwards, unless others use it."""
        roll_back(self._connection)
        try:
            self._connection.execute("PRAGMA busy_timeout = 100")  # a reader in the way is no reason to wait
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except DISK_ERRORS:
            pass  # everything acknowledged is in the log, and whoever opens the file next moves it over
        finally:
            self._connection.close()

    # --- Inside ---

    def _check_file(self) -> None:
        """Refuse to call anything durable once the file is not the one that its path names."""
        if self._file is None:
            return
        try:
            if os.path.samestat(self._path.stat(), self._file):
                return
        except FileNotFoundError:
            pass
        raise StoreNotFound(
            f"{self._path} was removed or replaced while it was in use",
            hint="put the file back, or start anew; what ran since then is not stored",
            path=str(self._path),
        )

    def _commit_alone(self, frame: FrameWrite) -> Exception | None:
        try:
            moved = self._frames.move_large_outputs(frame)
            begin(self._connection)
            self._frames.write(frame, moved)
        except _REFUSABLE as error:
            self._undo()
            return refusal(error, self._path)
        except BaseException:
            self._undo()
            raise
        self._commit()
        return None

    def _commit_group(self, frames: Sequence[FrameWrite]) -> list[Exception | None]:
        """All frames at once; an empty list if the group broke, and nothing of it was stored."""
        try:
            moved = [self._frames.move_large_outputs(frame) for frame in frames]
        except StoreError:
            return []
        for write in (self._write_all, self._write_each):
            try:
                begin(self._connection)
            except DISK_ERRORS as error:
                # Nobody gets the lock: asking for it once a frame would wait once a frame.
                self._undo()
                return [refusal(error, self._path)] * len(frames)
            try:
                results = write(frames, moved)
            except _REFUSABLE as error:
                self._undo()
                if isinstance(refusal(error, self._path), StoreError):
                    return []
                continue  # one of them is at fault: the second way finds out which
            except BaseException:
                self._undo()
                raise
            self._commit()
            return results
        return []

    def _write_all(self, frames: Sequence[FrameWrite], moved: Sequence[Moved]) -> list[Exception | None]:
        """The frames as one: nearly always none is refused, and savepoints would cost a quarter more."""
        for frame, bodies in zip(frames, moved, strict=True):
            self._frames.write(frame, bodies)
        return [None] * len(frames)

    def _write_each(self, frames: Sequence[FrameWrite], moved: Sequence[Moved]) -> list[Exception | None]:
        """Each frame in a savepoint of its own, so that one that is refused takes no other with it."""
        execute, results = self._connection.execute, list[Exception | None]()
        for frame, bodies in zip(frames, moved, strict=True):
            execute("SAVEPOINT frame")
            names, specs, views = self._names.mark(), self._specs.mark(), self._views.mark()
            try:
                self._frames.write(frame, bodies)
                results.append(None)
            except _REFUSABLE as error:
                # A fault of the store ends the group, any other one only its frame.
                refused = refusal(error, self._path)
                if isinstance(refused, StoreError):
                    raise refused from error
                execute("ROLLBACK TO frame")
                self._names.forget(names)
                self._specs.forget(specs)
                self._views.forget(views)
                results.append(refused)
            execute("RELEASE frame")
        return results

    def _commit(self) -> None:
        try:
            commit(self._connection, self._path)
        except BaseException:
            self._undo()
            raise
        self._names.keep()
        self._specs.keep()
        self._views.keep()

    def _undo(self) -> None:
        roll_back(self._connection)
        self._names.forget()
        self._specs.forget()
        self._views.forget()

    def _give_way(self) -> None:
        """Leave a gap for outsiders, who ask for the lock every 0.5 to 2 ms, after a burst without one."""
        now = self._clock.monotonic_ms()
        if now - self._committed_ms >= _GAP_MS:
            self._burst_commits, self._burst_from_ms = 0, now
        elif self._burst_commits >= _BURST_COMMITS or now - self._burst_from_ms >= _BURST_MS:
            self._pause(0.001)
            self._burst_commits, self._burst_from_ms = 0, self._clock.monotonic_ms()
        self._burst_commits += 1

    def _read_data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn SQLite's errors into ours, and leave no transaction behind."""
        try:
            yield
        except BaseException as error:
            self._undo()
            if isinstance(error, Exception):
                refused = refusal(error, self._path)
                if refused is not error:
                    raise refused from error
            raise
