"""Whose turn it is: a lock on a file, which the system frees with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from smithers.store.refusal import os_error

LOCK = "lock"
"""Name of the active supervisor's."""


def active(store: Path) -> int | None:
    """The process that supervises a store right now; None: nobody does."""
    path = store.with_name(f"{store.name}.supervise") / LOCK
    if not path.exists():
        return None
    turn = Turn(path)
    return None if turn.is_free else turn.holder


def folder_of(store: Path) -> Path:
    """Where supervisors of a store keep their locks, and how their hosts are reached: beside it.

    Raises:
        StoreError: it cannot be made.
    """
    folder = store.with_name(f"{store.name}.supervise")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    return folder


class Turn:
    """A lock that one process holds at a time.

    The file stays when it is given up: a file that is removed could be locked by one while the next is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take the lock, unless somebody else has it; True: it is held."""
        if self._file is not None:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise os_error(error, self._path) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    @property
    def is_free(self) -> bool:
        """Whether nobody holds it."""
        if self._file is not None or not self.take():
            return False
        self.drop()
        return True

    def sign(self, pid: int) -> None:
        """Write down who holds it, for people: the lock itself says only that somebody does."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, b"%d\n" % pid, 0)

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lock that others would ask for: the file may have been removed."""
        if self._file is None:
            return False
        try:
            there, own = self._path.stat(), os.fstat(self._file)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)

    @property
    def holder(self) -> int | None:
        """The process that has written itself down."""
        with suppress(OSError, ValueError):
            return int(self._path.read_text(encoding="ascii"))
        return None

    @property
    def file(self) -> int:
        """Its descriptor, for a process that is to go on holding the lock when this one has let go."""
        assert self._file is not None  # whoever asks has taken it
        return self._file

    def drop(self) -> None:
        """Let go; a process that was handed the descriptor goes on holding it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
