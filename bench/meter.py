"""What one process spent between two moments."""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from bench import syncs
from smithers.records import EventType


class Spent(TypedDict):
    """What a process says of itself. Sizes are bytes, times seconds of CPU or of the wall clock, as named."""

    cpu_s: float
    """User and system time of all threads, imports apart, closing the store included."""
    wall_s: float
    """From the call to its return; without closing the store."""
    rss_bytes: int
    """Peak of the whole process."""
    syncs: NotRequired[int]
    """Missing where they cannot be counted."""
    sync_s: NotRequired[float]


class Planned(Spent):
    """What the process of a workflow says."""

    visited: int
    """Plan nodes looked at after the first plan was made."""


class FloorFigures(Spent):
    """One sample of a floor."""

    disk_bytes: int
    """All files after the process has left; of a workflow those of `.smithers/`."""


class Frames(TypedDict):
    """What the rows of a run say."""

    frames: int
    renders: int
    settled: int
    span_s: float
    """First start to last settlement, from the event rows."""


class Figures(Planned, FloorFigures, Frames):
    """One sample of a workflow."""


@dataclass
class Meter:
    """Started when made."""

    cpu_at: float
    wall_at: float
    syncs_at: tuple[int, float] | None

    @classmethod
    def start(cls) -> Meter:
        return cls(time.process_time(), time.perf_counter(), syncs.read())

    def wall(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.wall_at

    def stop(self, wall_s: float) -> Spent:
        """All the process can say of itself.

        Args:
            wall_s: noted earlier, when the measured call returned.
        """
        figures: Spent = {
            "cpu_s": time.process_time() - self.cpu_at,
            "wall_s": wall_s,
            "rss_bytes": peak_rss_bytes(),
        }
        counted = syncs.read()
        if counted is not None and self.syncs_at is not None:
            figures["syncs"] = counted[0] - self.syncs_at[0]
            figures["sync_s"] = counted[1] - self.syncs_at[1]
        return figures


def peak_rss_bytes() -> int:
    """Peak memory of this process: in KiB on Linux, in bytes on macOS.

    Across `exec` the kernel keeps the parent's peak, so a parent of samples must stay small.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def disk_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below `folder`."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def read_frames(database: Path) -> Frames:
    """What the frames of all runs say, read by hand."""
    connection = sqlite3.connect(database)
    try:
        frames, renders = connection.execute("SELECT COUNT(*), SUM(rendered) FROM smithers_frames").fetchone()
        (nodes,) = connection.execute("SELECT COUNT(*) FROM smithers_nodes").fetchone()
        first, last = connection.execute(
            "SELECT MIN(CASE WHEN type = ? THEN e.at_ms + r.created_ms END),"
            " MAX(CASE WHEN type = ? THEN e.at_ms + r.created_ms END)"
            " FROM smithers_events e JOIN smithers_runs r ON r.id = e.run",
            (int(EventType.NODE_STARTED), int(EventType.NODE_FINISHED)),
        ).fetchone()
    finally:
        connection.close()
    return {
        "frames": frames,
        "renders": renders,
        "settled": nodes,
        "span_s": ((last or 0) - (first or 0)) / 1000,
    }
