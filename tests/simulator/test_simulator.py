"""The simulator: what it promises holds over many seeds, and a fault that is planted is found."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from smithers.engine.dispatch import Dispatch
from smithers.engine.fleet import Fleet
from smithers.engine.job import Job
from smithers.engine.memory import Memory
from smithers.engine.timetable import Timetable
from smithers.ids import NodeKey
from smithers.records import AttemptRow, FrameWrite, StoredRun
from smithers.store import queries
from smithers.store.frame import FrameStatements
from smithers.testing.simulator import Outcome, Simulator

ROOT = Path(__file__).parents[2]
SEEDS = 2_000
"""Within so many a planted fault must be found."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A simulated disk fails often, and the engine says so each time."""
    logger = logging.getLogger("smithers")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before


def first_found(seeds: range = range(SEEDS)) -> Outcome | None:
    with Simulator() as simulator:
        return next((found for found in simulator.run_all(seeds) if found.violation), None)


@pytest.mark.parametrize("start", range(0, SEEDS, 500))
def test_no_seed_breaks_a_promise(start: int) -> None:
    found = first_found(range(start, start + 500))
    assert found is None, f"seed {found.seed}: {found.violation}"


def test_the_same_seed_has_the_same_history_in_every_process() -> None:
    program = (
        "import logging; logging.disable(50)\n"
        "from smithers.testing.simulator import Simulator\n"
        "with Simulator() as simulator:\n"
        "    print(*(one.trace for one in simulator.run_all(range(60))))\n"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": number, "PATH": ""},
        ).stdout
        for number in ("1", "2")
    }
    assert len(traces) == 1


def test_a_history_does_not_depend_on_the_seeds_before_it() -> None:
    with Simulator() as simulator:
        in_a_row = [one.trace for one in simulator.run_all(range(20))]
    for seed in (19, 7):
        with Simulator() as simulator:
            assert simulator.run(seed).trace == in_a_row[seed]


def test_different_seeds_have_different_histories() -> None:
    with Simulator() as simulator:
        assert len({one.trace for one in simulator.run_all(range(100))}) > 95


# --- Planted faults -----------------------------------------------------------------------------------


def test_a_planted_double_dispatch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Dispatch.start

    def twice(self: Dispatch, jobs: Sequence[Job]) -> None:
        # As if the start of a wide frame had been retried: only its last job runs twice.
        start(self, [*jobs, jobs[-1]] if len(jobs) > 2 else jobs)

    monkeypatch.setattr(Dispatch, "start", twice)
    found = first_found()
    assert found is not None
    assert "dispatched twice" in str(found.violation)


def test_a_planted_lost_wake_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wake = Timetable.wake
    dice = Random(1)

    def forgetful(self: Timetable, run: int, at_ms: int | None) -> None:
        if dice.random() > 0.02:
            wake(self, run, at_ms)
        elif at_ms is not None:
            self._noted[run] = at_ms  # noted, and never put into the heap

    monkeypatch.setattr(Timetable, "wake", forgetful)
    found = first_found()
    assert found is not None
    assert "nobody will do" in str(found.violation)


def test_a_planted_stale_write_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fence = FrameStatements._fence

    def careless(self: FrameStatements, frame: FrameWrite) -> int:
        # A writer that asks the store where it stands, where it should have asked whether it still may.
        found = self._connection.execute(
            "SELECT fence, seq, frame FROM smithers_runs WHERE id = ?", (frame.run,)
        ).fetchone()
        if found and found[0] > frame.fence:
            ahead = found[1] - frame.seq
            frame.fence, frame.seq, frame.frame = found[0], found[1], found[2] + 1
            frame.events = [event._replace(seq=event.seq + ahead) for event in frame.events]
        return fence(self, frame)

    monkeypatch.setattr(FrameStatements, "_fence", careless)
    found = first_found()
    assert found is not None
    assert "wrote under fence" in str(found.violation)


def test_a_planted_stale_release_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = queries.statements

    def unfenced(name: str) -> dict[str, str]:
        found = dict(plain(name))
        if "release" in found:
            found["release"] = found["release"].replace("AND fence = ?", "AND ? > 0")
        return found

    monkeypatch.setattr("smithers.store.lease.statements", unfenced)
    found = first_found()
    assert found is not None
    assert "wrote under fence" in str(found.violation)


def test_work_that_is_done_before_it_is_stored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Fleet._commit

    def hasty(self: Fleet, steps: Sequence[object]) -> None:
        for step in steps:
            drive = step.driven.drive  # type: ignore[attr-defined]
            if drive.run:
                self._dispatch.carry_out([drive])
        commit(self, steps)  # type: ignore[arg-type]

    monkeypatch.setattr(Fleet, "_commit", hasty)
    found = first_found()
    assert found is not None


def test_a_planted_block_that_forgets_where_it_was_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Memory.restore

    def forgetful(self: Memory, stored: StoredRun, in_flight: set[NodeKey]) -> list[AttemptRow]:
        # A resume that begins every try block and every saga anew, its finished tasks kept.
        stored.blocks = []
        return restore(self, stored, in_flight)

    monkeypatch.setattr(Memory, "restore", forgetful)
    assert first_found() is not None
