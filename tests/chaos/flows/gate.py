"""One quick task, one that holds until a file appears, one more: a run that stays where a test wants it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from smithers import Context, Node, Sequence, Task, current, workflow


def note(what: str) -> None:
    me = current()
    line = f"{me.key} {me.attempt} {what} {os.getpid()} {time.monotonic_ns()}\n"
    journal = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(journal, line.encode())
        os.fsync(journal)
    finally:
        os.close(journal)


def quick() -> str:
    note("start")
    note("end")
    return "done"


async def hold() -> str:
    """Go on as soon as there is a file `open` beside the journal."""
    note("start")
    gate = Path(os.environ["CHAOS_FOLDER"]) / "open"
    while not gate.exists():  # noqa: ASYNC110 - a file cannot be awaited
        await asyncio.sleep(0.01)
    note("end")
    return "let through"


@workflow
def gate(ctx: Context) -> Node:
    return Sequence(
        Task("before", str, run=quick), Task("hold", str, run=hold), Task("behind", str, run=quick)
    )
