"""The gate, and beside it a task in a process of its own with a child that will not be found by its group."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from gate import hold, quick

from smithers import Context, Node, Parallel, Sequence, Task, current, workflow


def tree() -> str:
    """The first time: stay, with a child that has left the session and is deaf. Later: nothing."""
    if current().attempt > 1:
        return "gone"
    pids = Path(os.environ["CHAOS_FOLDER"]) / "pids"
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        draft = pids.with_suffix(".new")
        draft.write_text(f"{os.getpid()} {child}")
        draft.rename(pids)
    while True:
        time.sleep(100)


@workflow
def guarded(ctx: Context) -> Node:
    gate = Sequence(
        Task("before", str, run=quick), Task("hold", str, run=hold), Task("behind", str, run=quick)
    )
    return Parallel(Task("tree", str, run=tree, run_in="process"), gate)
