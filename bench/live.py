"""What an engine costs as a neighbour: to those who write beside it, while it waits, and over many runs."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

WRITES = 300
IDLE_S = 10.0
BESIDE = """
import time, sys
from contextlib import closing
from pathlib import Path
from smithers.clock import SystemClock
from smithers.records import InboxKind
from smithers.store import open_store
store = open_store(Path(sys.argv[1]), clock=SystemClock(), create=False)
with closing(store.reader()) as reader:
    run = reader.run("beside").id
spans = []
for _ in range(int(sys.argv[2])):
    begun = time.perf_counter()
    with closing(store.outsider()) as outsider:
        outsider.post(run, InboxKind.PAUSE, "bench")
    spans.append(time.perf_counter() - begun)
    time.sleep(0.01)
print(*spans)
"""
"""Writes as a command does: opens the store, leaves a message for a run that nobody drives, closes it."""


def measure(shape: str, count: int, folder: Path) -> dict[str, float]:
    """The figures of a case, by measure."""
    match shape:
        case "outsider":
            return _outsider(folder)
        case "idle":
            return _idle(folder)
        case "growth":
            return _growth(folder, count)
        case _:
            raise ValueError(f"nothing is called {shape}")


def _outsider(folder: Path) -> dict[str, float]:
    """How long a write of another process takes while this one commits as fast as it can."""
    from bench.workload import build
    from smithers.engine.hosts import close_hosts

    store = folder / ".smithers" / "smithers.db"
    build("sequence-async", 1, folder).run_sync(store=store, run_id="beside")
    flow = build("sequence-async", 100, folder)
    done = threading.Event()
    committed = 0

    def keep_busy() -> None:
        nonlocal committed
        while not done.is_set():
            asyncio.run(_all(flow, 4, store))
            committed += 4 * 100

    busy = threading.Thread(target=keep_busy)
    busy.start()
    command = [sys.executable, "-c", BESIDE, str(store), str(WRITES)]
    beside = subprocess.run(command, capture_output=True, text=True, check=True)
    done.set()
    busy.join()
    close_hosts()
    spans = sorted(float(word) for word in beside.stdout.split())
    if not committed:
        raise SystemExit("nothing was committed meanwhile")
    return {"ms at p50": spans[len(spans) // 2] * 1e3, "ms at p99": spans[int(len(spans) * 0.99)] * 1e3}


async def _all(flow: Any, count: int, store: Path) -> None:
    await asyncio.gather(*(flow.run(store=store) for _ in range(count)))


def _idle(folder: Path) -> dict[str, float]:
    """What an engine costs that drives a run which waits."""
    import pydantic  # noqa: F401  what every workflow file imports

    bare = _rss_bytes()
    from bench.workload import build
    from smithers.engine.hosts import close_hosts, host_for

    store = folder / ".smithers" / "smithers.db"
    flow = build("asleep", 1, folder)
    handle = flow.start(host_for(store), run_id="idle")
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(IDLE_S)
    spent = time.process_time() - before
    above = _rss_bytes() - bare
    handle.cancel()
    handle.ended.result(10)
    close_hosts()
    return {"% CPU": 100 * spent / IDLE_S, "MB above pydantic": above / 1e6}


def _growth(folder: Path, count: int) -> dict[str, float]:
    """How much more memory and how many more descriptors there are after so many runs than after a tenth."""
    from bench.workload import build
    from smithers.engine.hosts import close_hosts

    store = folder / ".smithers" / "smithers.db"
    flow = build("sequence-async", 3, folder)
    at_once = 100

    def some(runs: int) -> tuple[int, int, int]:
        for _ in range(runs // at_once):
            asyncio.run(_all(flow, at_once, store))
        return _rss_bytes(), len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208

    first, last = some(count // 10), some(count - count // 10)
    close_hosts()
    return {
        "MB more": (last[0] - first[0]) / 1e6,
        "descriptors more": last[1] - first[1],
        "threads more": last[2] - first[2],
    }


def _rss_bytes() -> int:
    """Resident memory now, not at its peak."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
