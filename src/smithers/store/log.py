"""The write-ahead log beside the file: what it shows before SQLite opens it and tidies the evidence away."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from smithers.errors import StoreCorrupt

_HEADER: Final = struct.Struct("=12xBxxxI")
"""Of the index of the log: whether it is initialised, and the last frame that belongs to a commit."""
_BACKFILL: Final = struct.Struct("=I")
_BACKFILL_AT: Final = 96
"""Where the index says how many frames have been moved into the file: sqlite.org/walformat.html, 2.3.1."""


def log_of(path: Path) -> Path:
    """The log of a database file."""
    return path.with_name(f"{path.name}-wal")


def has_log(path: Path) -> bool:
    """Whether there may be commits that the file itself does not hold yet."""
    return _size(log_of(path)) > 0


def check_log(path: Path) -> None:
    """Refuse a file that was parted from its log: SQLite would throw away the half that is left.

    It deletes the log of a missing or empty file, and takes a file without its log for complete.

    Raises:
        StoreCorrupt: says what is missing, and how to go on without it.
    """
    log, index = log_of(path), path.with_name(f"{path.name}-shm")
    # Twice: a file that somebody is making right now gets its log after its first page.
    if _size(log) and not _size(path) and not _size(path):
        state = "is empty" if path.exists() else "is gone"
        raise StoreCorrupt(
            f"{path} {state}, and the log beside it holds commits of it",
            hint=f"put the file back; to begin anew without what it held, remove {log}",
            path=str(path),
        )
    if path.exists() and not log.exists() and (missing := _unsaved_frames(index)) and not log.exists():
        raise StoreCorrupt(
            f"the log of {path} is gone, and with it the last commits ({missing} pages)",
            hint=f"put {log} back; to go on with what the file itself holds, remove {index}",
            path=str(path),
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unsaved_frames(index: Path) -> int:
    """How many frames the log held that the file does not, as its index remembers; 0 without one.

    Only to be called where there is no log: then nobody of this process has the index open, whose locks would
    go with the handle that is closed here.
    """
    try:
        data = index.read_bytes()[: _BACKFILL_AT + _BACKFILL.size]
    except OSError:
        return 0
    if len(data) < _BACKFILL_AT + _BACKFILL.size:
        return 0
    is_initialised, last = _HEADER.unpack_from(data)
    (moved,) = _BACKFILL.unpack_from(data, _BACKFILL_AT)
    return last - moved if is_initialised and last > moved else 0
