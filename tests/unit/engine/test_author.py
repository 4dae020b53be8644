"""The author's side: every job that was started is reported once, whatever becomes of it."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest

from smithers import Context, Task
from smithers.clock import SystemClock
from smithers.context import View
from smithers.engine.author import Author
from smithers.engine.job import Job, Outcome, Stopped
from smithers.engine.memory import Memory
from smithers.ids import NodeKey
from smithers.process import Processes, ProcessSpawner
from smithers.store import open_store


@pytest.mark.parametrize("_", range(20))
def test_a_cancel_before_the_first_step_is_reported_as_any_other(_: int, tmp_path: Path) -> None:
    ran: list[str] = []

    async def work() -> str:
        ran.append("work")
        return "done"

    reported: queue.Queue[Outcome] = queue.Queue()
    memory = Memory("r", "{}", None)
    task: Task[Any] = Task("t", str, run=work)
    job = Job(
        run=1, fence=1, task=task, model=str, key=NodeKey("t"), generation=0, attempt=1, view=View(memory),
        ctx=Context(memory), chain=(), last_heartbeat=None, base=None, project=None,
        report=lambda job, outcome: reported.put(outcome), beat=lambda job, data: None,
    )  # fmt: skip
    store = open_store(tmp_path / "smithers.db", clock=SystemClock())
    author = Author(Processes(ProcessSpawner(), store.ledger))
    author.start([job])
    author.cancel(job)
    outcome = reported.get(timeout=2)
    assert isinstance(outcome, Stopped) or ran == ["work"]
    with pytest.raises(queue.Empty):
        reported.get(timeout=0.02)
