"""Owners that sleep through their lease, and owners that are interrupted."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import checker
from tests.chaos.checker import Rows
from tests.chaos.harness import Place

LEASE_S = 15.0
"""As documented; written down again, because a longer one would break the promise to take over."""
CANCELLED, PAUSED = 6, 3


@pytest.fixture(name="gate")
def _gate(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, "gate")
    yield place
    place.close()


@pytest.fixture(name="stubborn")
def _stubborn(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, "stubborn")
    yield place
    place.close()


def look(place: Place) -> Rows:
    rows = place.look()
    assert rows is not None
    assert checker.check_rows(rows) == []
    return rows


def executed(place: Place) -> list[tuple[str, int, int]]:
    return [(line.key, line.attempt, line.pid) for line in place.lines() if line.what == "start"]


# --- Two owners ---------------------------------------------------------------------------------


def test_an_owner_that_wakes_after_its_lease_writes_nothing_and_leaves_quietly(gate: Place) -> None:
    sleeper = gate.start()
    gate.wait_for("hold")
    sleeper.signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    asleep = look(gate)

    early = gate.resume()
    assert early.wait() == 4
    assert f"driven by process {sleeper.pid} " in early.said()

    # The lease was renewed at most LEASE_S before its owner was stopped, and is compared to the millisecond.
    time.sleep(max(0.0, stopped_at + LEASE_S + 0.5 - time.monotonic()))
    heir = gate.resume()
    gate.wait_for("hold", attempt=2)
    taken = look(gate)
    assert taken.run.fence == asleep.run.fence + 1

    # Both tasks go on at once, the sleeper's too: its result must not count.
    (gate.folder / "open").touch()
    sleeper.signal(signal.SIGCONT)
    assert heir.wait() == 0
    code = sleeper.wait()
    assert code == 1
    assert "LEASE_LOST" in sleeper.said()
    assert "Traceback" not in sleeper.said()
    assert len(sleeper.said().splitlines()) < 10

    rows = look(gate)
    assert rows.run.state == checker.RUN_FINISHED
    assert rows.run.fence == taken.run.fence
    assert checker.check_history(asleep, taken) == []
    assert checker.check_history(taken, rows, has_new_owner=False) == []
    assert executed(gate) == [
        ("before", 1, sleeper.pid),
        ("hold", 1, sleeper.pid),
        ("hold", 2, heir.pid),
        ("behind", 1, heir.pid),
    ]
    resumed = [event for event in rows.events if event.type == checker.RUN_RESUMED]
    assert len(resumed) == 1
    assert gate.leftovers() == []


# --- Interrupts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_paused_run_that_resumes_at_once(gate: Place, number: signal.Signals) -> None:
    up = gate.start()
    gate.wait_for("hold")
    up.signal(number)
    assert up.wait() == 128 + number
    paused = look(gate)
    assert (paused.run.state, paused.run.owner) == (PAUSED, None)
    (cut,) = [row for (key, _, _), row in paused.attempts.items() if key.node == "hold"]
    assert (cut.state, cut.counted) == (CANCELLED, 0)

    (gate.folder / "open").touch()
    again = gate.resume()
    assert again.wait() == 0
    rows = look(gate)
    assert checker.check_history(paused, rows) == []
    assert [key for key, _, _ in executed(gate)] == ["before", "hold", "hold", "behind"]
    assert gate.leftovers() == []


def test_a_second_interrupt_leaves_at_once_even_if_a_task_does_not_listen(stubborn: Place) -> None:
    up = stubborn.start()
    stubborn.wait_for("hold")
    up.signal(signal.SIGINT)
    stubborn.wait_for("hold", what="cancelled")
    asked_at = time.monotonic()
    up.signal(signal.SIGINT)
    assert up.wait() == 130
    assert time.monotonic() - asked_at < 1.0

    left = look(stubborn)
    (stubborn.folder / "open").touch()
    again = stubborn.resume()
    assert again.wait() == 0
    rows = look(stubborn)
    assert rows.run.state == checker.RUN_FINISHED
    assert checker.check_history(left, rows) == []
    assert checker.check_process_death(left, rows) == []
    assert executed(stubborn) == [("before", 1, up.pid), ("hold", 1, up.pid), ("hold", 2, again.pid)]
    assert stubborn.leftovers() == []


def test_a_task_that_does_not_listen_holds_a_pause_back_for_a_few_seconds_only(stubborn: Place) -> None:
    up = stubborn.start()
    stubborn.wait_for("hold")
    asked_at = time.monotonic()
    up.signal(signal.SIGINT)
    assert up.wait() == 130
    assert time.monotonic() - asked_at < 8.0
    assert look(stubborn).run.state == PAUSED
    assert stubborn.leftovers() == []
