"""Clocks that jump, and a machine that slept: back-offs, limits, leases and stamps behave."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from smithers import Context, Node, RetryPolicy, RunResult, Task, Workflow, current
from smithers.clock import SystemClock
from smithers.engine.host import Host, find_resumable
from smithers.engine.steady import SteadyClock
from smithers.errors import RunOwned

HOUR_MS = 3_600_000
AT_ONCE_S = 10.0
"""Far less than an hour, far more than anything here takes."""


@dataclass
class SetClock(SystemClock):
    """The machine's clocks, of which the wall clock can be set."""

    ahead_ms: int = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@dataclass
class StillClock:
    """Both clocks stand until they are moved: a machine that sleeps moves only the one on the wall."""

    wall_ms: int = 1_000_000
    uptime_ms: int = 500

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.uptime_ms


def test_set_back_it_goes_on_at_the_pace_of_the_monotonic_clock_and_set_ahead_it_follows() -> None:
    clock = StillClock()
    steady = SteadyClock(clock)
    clock.wall_ms -= HOUR_MS
    clock.uptime_ms += 7
    assert steady.now_ms() == 1_000_007
    clock.wall_ms += 3 * HOUR_MS
    assert steady.now_ms() == 1_000_000 + 2 * HOUR_MS
    steady.not_before(1_000_000 + 4 * HOUR_MS)
    clock.uptime_ms += 1
    assert steady.now_ms() == 1_000_001 + 4 * HOUR_MS
    assert steady.monotonic_ms() == 508


@pytest.fixture(name="clock")
def _clock() -> SetClock:
    return SetClock()


class Stage:
    """Runs workflows on one clock."""

    def __init__(self, path: Path, clock: SetClock) -> None:
        self.path, self.clock = path, clock

    def run(self, tree: Node, *, resume: bool = False) -> RunResult[object]:
        def flow(ctx: Context) -> Node:
            return tree

        workflow, host = Workflow(flow), Host(self.path, clock=self.clock)
        try:
            if resume:
                handle = workflow.resume(host, host.claim(find_resumable(host.store, "r1", None)))
            else:
                handle = workflow.start(host, run_id="r1")
            return workflow.result(handle.ended.result(AT_ONCE_S))
        finally:
            host.close()

    def stamps(self) -> list[int]:
        host = Host(self.path, clock=self.clock)
        reader = host.store.reader()
        found = [frame.at_ms for frame in reader.frames(reader.run("r1").id)]
        reader.close()
        host.close()
        return found


@pytest.fixture(name="stage")
def _stage(tmp_path: Path, clock: SetClock) -> Stage:
    return Stage(tmp_path / "smithers.db", clock)


def soon(retries: int) -> RetryPolicy:
    return RetryPolicy(retries=retries, backoff="fixed", initial_delay=0.05)


@pytest.mark.parametrize("jumps_ms", [[-HOUR_MS], [HOUR_MS], [-HOUR_MS, 3 * HOUR_MS, -24 * HOUR_MS]])
def test_a_back_off_ends_on_time_although_the_clock_is_set(
    stage: Stage, clock: SetClock, jumps_ms: list[int]
) -> None:
    ahead = list(jumps_ms)

    def work() -> str:
        if ahead:
            clock.ahead_ms += ahead.pop(0)
            raise RuntimeError("not yet")
        return "done"

    result = stage.run(Task("work", str, run=work, retry_policy=soon(len(jumps_ms))))
    assert result.status == "finished"
    assert stage.stamps() == sorted(stage.stamps())


def test_a_resume_after_the_clock_was_set_back_goes_on_from_the_last_frames_time(
    stage: Stage, clock: SetClock
) -> None:
    is_broken = True

    def work() -> str:
        if is_broken:
            raise ValueError("broken")
        if current().attempt == 1:
            raise RuntimeError("not yet")
        return "done"

    def tree() -> Node:
        return Task("work", str, run=work, retry_policy=soon(0 if is_broken else 2))

    clock.ahead_ms = HOUR_MS
    assert stage.run(tree()).status == "failed"
    before = stage.stamps()
    clock.ahead_ms, is_broken = 0, False
    assert stage.run(tree(), resume=True).status == "finished"
    assert stage.stamps() == sorted(stage.stamps())
    assert stage.stamps()[: len(before)] == before


def test_a_task_whose_machine_slept_is_not_out_of_time(stage: Stage, clock: SetClock) -> None:
    def work() -> str:
        clock.ahead_ms += 8 * HOUR_MS
        current().heartbeat()
        return "done"

    task = Task("work", str, run=work, timeout=30, heartbeat_timeout=20, retries=0)
    assert stage.run(task).status == "finished"


def test_an_owner_that_slept_with_its_machine_keeps_its_run(stage: Stage, clock: SetClock) -> None:
    begun, go = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert go.wait(AT_ONCE_S)
        return "done"

    def flow(ctx: Context) -> Node:
        return Task("work", str, run=work)

    workflow, host = Workflow(flow), Host(stage.path, clock=clock)
    handle = workflow.start(host, run_id="r1")
    assert begun.wait(AT_ONCE_S)
    clock.ahead_ms += 8 * HOUR_MS
    other = Host(stage.path, clock=clock)
    row = find_resumable(other.store, "r1", None)
    with pytest.raises(RunOwned):
        other.claim(row)
    other.close()
    go.set()
    assert handle.ended.result(AT_ONCE_S).state.word == "finished"
    host.close()
