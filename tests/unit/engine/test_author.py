"""The author's side: every job that was started is reported once, whatever becomes of it."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import pytest

from smithers import Context, Task
from smithers.context import View
from smithers.engine.author import Author
from smithers.engine.job import Job, Outcome, Stopped
from smithers.engine.memory import Memory
from smithers.ids import NodeKey
from smithers.testing.clock import FakeClock
from smithers.testing.simulator.loop import SimulatedLoop
from smithers.testing.simulator.program import no_programs
from smithers.workers import Workers

NOTHING = no_programs()
Reported = queue.Queue[Outcome]


def job_of(work: Callable[[], Any], reported: Reported) -> Job:
    memory = Memory("r", "{}", None)
    task: Task[Any] = Task("t", str, run=work)
    return Job(
        run=1, fence=1, task=task, model=str, key=NodeKey("t"), generation=0, attempt=1, view=View(memory),
        ctx=Context(memory), chain=(), last_heartbeat=None, base=None, project=None,
        report=lambda job, outcome: reported.put(outcome), beat=lambda job, data: None,
    )  # fmt: skip


@pytest.mark.parametrize("_", range(20))
def test_a_cancel_before_the_first_step_is_reported_as_any_other(_: int) -> None:
    ran: list[str] = []

    async def work() -> str:
        ran.append("work")
        return "done"

    reported: Reported = queue.Queue()
    job = job_of(work, reported)
    author = Author(NOTHING)
    author.start([job])
    author.cancel(job)
    outcome = reported.get(timeout=2)
    assert isinstance(outcome, Stopped) or ran == ["work"]
    with pytest.raises(queue.Empty):
        reported.get(timeout=0.02)


class Later(Workers):
    """Workers that begin when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)


def test_a_function_whose_attempt_was_ended_before_its_thread_began_is_never_called() -> None:
    ran: list[str] = []
    reported: Reported = queue.Queue()
    workers = Later()
    job = job_of(lambda: ran.append("work"), reported)
    Author(NOTHING, workers).start([job])
    job.is_cancelled = True
    workers.waiting.pop()()
    assert ran == []
    assert isinstance(reported.get_nowait(), Stopped)


def test_a_coroutine_whose_cancel_is_still_on_its_way_does_not_begin() -> None:
    ran: list[str] = []

    async def work() -> None:
        ran.append("work")

    reported: Reported = queue.Queue()
    loop = SimulatedLoop(FakeClock())  # type: ignore[abstract]
    job = job_of(work, reported)
    Author(NOTHING, new_loop=lambda: loop).start([job])
    loop.step()  # the coroutine is made, and has not begun
    job.is_cancelled = True
    while loop.is_ready:
        loop.step()
    assert ran == []
    assert isinstance(reported.get_nowait(), Stopped)
    assert asyncio.all_tasks(loop) == set()
