"""A place for a host: a process that drives the runs it is given the names of, and outlives who gave them.

Its lock says whether there is one, its pipe has a name: whoever supervises next finds the last one's host.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smithers.records import Standing
from smithers.store import project_root
from smithers.store.refusal import os_error

from .turn import Turn, folder_of

SLOTS = 2
"""Hosts of one store: one does, and a second one while that one is stuck in an import."""


@dataclass(frozen=True, slots=True)
class Given:
    """A run that was given to a host."""

    fence: int
    """As it was then: when it has risen, somebody has taken the run over."""
    at_s: float


class Slot:
    """One of the places.

    Args:
        store: the database file.
        number: from 1.
    """

    def __init__(self, store: Path, number: int) -> None:
        folder = folder_of(store)
        self.number = number
        self.log = store.parent / "logs" / f"host-{number}.log"
        self._store = store
        self._turn = Turn(folder / f"host-{number}.lock")
        self._pipe = folder / f"host-{number}.ids"
        self._write: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        """Of the host; None: there is none."""
        self.given: dict[int, Given] = {}
        """Runs that it has not taken over yet, as far as is known."""
        self.is_retired = False
        """It is stuck, and is given nothing more."""
        self._moved_s = 0.0
        """When it was last seen to take a run over, or was started."""

    def look(self) -> bool:
        """See whether there is a host; True: it has left since the last look."""
        before = self.pid
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if self._turn.is_free:
            self._forget()
        elif before is None:
            self._adopt()
        return before is not None and self.pid is None

    def start(self) -> bool:
        """Start a host; False: somebody else has done so.

        Raises:
            StoreError: it cannot be started: no space, no process, no descriptor left.
        """
        if not self._turn.take():
            return False
        try:
            self._spawn(self._turn.file)
        except OSError as error:
            raise os_error(error, self._pipe, "start a host at") from error
        finally:
            self._turn.drop()
        return True

    def _spawn(self, lock: int) -> None:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._pipe.unlink(missing_ok=True)  # what was written to the last host is of no use to this one
        os.mkfifo(self._pipe, 0o600)
        # Read and write: as long as the host itself could write to it, it never meets its end.
        read = os.open(self._pipe, os.O_RDWR)
        words = ["host", "--store", str(self._store), "--lock", str(lock)]
        try:
            with self.log.open("ab") as output:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "smithers", *words],
                    stdin=read,
                    stdout=output,
                    stderr=output,
                    pass_fds=(lock,),
                    # What a task does without a place of its own happens where its project is.
                    cwd=project_root(self._store),
                    start_new_session=True,
                    # Started by a task it would count as a program of that attempt, and end with it.
                    env={name: value for name, value in os.environ.items() if name != "SMITHERS_ATTEMPT"},
                )
            self._turn.sign(self._child.pid)
            self._adopt()
        finally:
            os.close(read)

    def give(self, runs: Iterable[Standing]) -> list[Standing]:
        """Hand runs to the host; returns those that it has room for."""
        taken: list[Standing] = []
        if self._write is None:
            return taken
        for one in runs:
            try:
                # Less than a page: all of it is written, or nothing is.
                os.write(self._write, f"{one.name} {one.fence}\n".encode())
            except BlockingIOError:
                break
            except OSError:
                self._hang_up()
                break
            self.given[one.run] = Given(one.fence, time.monotonic())
            taken.append(one)
        return taken

    def settle(self, run: int) -> None:
        """A run that it was given has been taken over."""
        if self.given.pop(run, None) is not None:
            self._moved_s = time.monotonic()

    def is_stuck(self, patience_s: float) -> bool:
        """Whether it has taken nothing over for so long, although it was given something."""
        first_s = min((one.at_s for one in self.given.values()), default=None)
        return first_s is not None and time.monotonic() - max(first_s, self._moved_s) > patience_s

    def close(self) -> None:
        """Let go of it; the host goes on."""
        self._hang_up()
        self._turn.drop()

    def _adopt(self) -> None:
        """Find the host that holds the lock."""
        self._hang_up()
        with suppress(OSError):  # it is just being started, or leaves: the next look knows more
            self._write = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            self.pid = self._turn.holder
            self._moved_s = time.monotonic()

    def _forget(self) -> None:
        self._hang_up()
        self.pid = None
        self.is_retired = False
        self.given.clear()

    def _hang_up(self) -> None:
        if self._write is not None:
            os.close(self._write)
            self._write = None
