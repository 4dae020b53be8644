"""Whether a file, and a run in it, can be trusted before anything is built on it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from smithers.errors import StoreCorrupt
from smithers.store.queries import statements

SMALL_BYTES: Final = 64 << 20
"""Up to this size a file is looked over before a run in it is resumed: a quarter of a second at most."""


def check_sound(connection: sqlite3.Connection, path: Path, *, at_any_size: bool = False) -> None:
    """Look over the whole file: about 4 ms a megabyte, once a process.

    Args:
        at_any_size: larger ones too, and then without the order of their keys, which takes a third longer.
    Raises:
        StoreCorrupt: says what was found first.
    """
    (pages,), (page_bytes,) = (
        connection.execute(f"PRAGMA page_{one}").fetchone() for one in ("count", "size")
    )
    is_small = pages * page_bytes <= SMALL_BYTES
    if not is_small and not at_any_size:
        return
    check = "integrity_check" if is_small else "quick_check"
    first = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if first is not None and first[0] != "ok":
        # SQLite's own words begin with a heading of their own: `*** in database main ***`.
        found = str(first[0]).rpartition("***")[2].strip().splitlines()[0]
        raise StoreCorrupt(f"damaged database: {path}: {found}", path=str(path), reason=str(first[0]))


def check_empty(connection: sqlite3.Connection, path: Path) -> None:
    """Believe that there are no runs only if nothing of any run is there.

    Raises:
        StoreCorrupt: frames of runs that are not there.
    """
    if connection.execute(statements("fact")["has_frames"]).fetchone() is not None:
        raise StoreCorrupt(f"damaged database: {path}: it lists no runs, and holds frames", path=str(path))


def check_whole(connection: sqlite3.Connection, path: Path, run: int) -> None:
    """Compare what a run says of itself with its frames: a log of another file leaves both, and parts them.

    Raises:
        StoreCorrupt: frames are missing, or there are some too many.
    """
    row = connection.execute(statements("fact")["extent"], (run,)).fetchone()
    if row is None:
        return  # no such run: whoever loads it says so
    name, frame, seq, frames, last, last_seq = row
    if (frames, last, last_seq) != (frame, frame, seq):
        raise StoreCorrupt(
            f"damaged database: {path}: {name} is at frame {frame}, event {seq}, its frames are {frames}, "
            f"the last {last} with event {last_seq}",
            path=str(path),
            run=name,
        )
