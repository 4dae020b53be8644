"""Where a thread of ours spends its CPU: cProfile, started inside the thread."""

from __future__ import annotations

import json
import threading
import time
from cProfile import Profile
from pathlib import Path
from typing import Any, TypedDict

THREADS = ("smithers-engine", "smithers-author")


class Hotspot(TypedDict):
    """One function. Times are milliseconds of CPU, profiler included, callees apart."""

    where: str
    calls: int
    own_ms: float


def attach(name: str) -> Profile:
    """Profile the thread of this name from its start on.

    One thread a process: since Python 3.12 there is one profiler for all of them.
    """
    # The thread's own CPU clock: waiting for the disk, for work or for another thread is not its cost.
    profile = Profile(time.thread_time)
    run = threading.Thread.run

    def run_profiled(thread: threading.Thread) -> None:
        if thread.name == name:
            profile.enable()
        run(thread)

    threading.Thread.run = run_profiled  # type: ignore[method-assign, assignment]
    return profile


def show(profile: Profile, count: int = 8) -> None:
    """Print the functions that took most of their own, as JSON."""
    profile.snapshot_stats()  # `create_stats` would stop it, and in this thread
    stats: dict[tuple[str, int, str], Any] = vars(profile)["stats"]
    spots: list[Hotspot] = [
        {"where": _where(*place), "calls": calls, "own_ms": round(own_s * 1000, 1)}
        for place, (_, calls, own_s, _, _) in stats.items()
    ]
    spots.sort(key=lambda spot: -spot["own_ms"])
    print(json.dumps(spots[:count]))


def _where(file: str, line: int, function: str) -> str:
    if file == "~":
        return function  # built in
    path = Path(file)
    parts = path.parts
    shown = Path(*parts[parts.index("smithers", parts.index("src")) :]) if "src" in parts else Path(path.name)
    return f"{shown}:{line} {function}"
