"""R14: clocks that jump, drift and sleep, processes that die: no firing is early, double or lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from smithers import (
    Approval,
    HumanTask,
    Node,
    Parallel,
    Sequence,
    Subflow,
    Task,
    Timer,
    WaitForEvent,
    Workflow,
)
from smithers.nodes.approval import auto_approve
from tests.simulator.clocks import SECOND, Count, World

SEEDS = int(os.environ.get("SMITHERS_CLOCKS", "200"))
FIRST_SEED = int(os.environ.get("SMITHERS_CLOCKS_SEED", "0"))
BEGAN = datetime.fromtimestamp(1_750_000_000, UTC)
"""Where the wall clock of a world starts."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Owners that lose their leases say so."""
    logger = logging.getLogger("smithers")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before


def test_no_firing_is_early_double_or_lost_whatever_the_clocks_do() -> None:
    total = Count()
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        total.add(World(seed).run())
    print(f"\n{total}")
    assert total.scenarios == SEEDS
    assert total.firings > 3 * SEEDS
    assert total.jumps > SEEDS
    assert total.latest_ms <= SECOND


class Number(BaseModel):
    n: int


def at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def back(world: World) -> None:
    world.jump(-1_000 * SECOND)


def ahead(world: World) -> None:
    world.jump(1_000 * SECOND)


def kill(world: World) -> None:
    world.kill()


def test_a_time_of_the_day_is_kept_when_the_clock_is_set_back_and_put_right_again() -> None:
    timer = Timer("until", until=at(30))
    # Behind by a quarter of an hour when its wake-up comes, and right again soon after.
    found = World(1, timer, [(600 * SECOND, back), (2_000 * SECOND, ahead)], [None]).run()
    assert (found.firings, found.latest_ms) == (1, 50)


def within(node: Node) -> Subflow[str]:
    tree = Sequence(node, Task("told", str, run=lambda: "over"))
    return Subflow("child", Workflow(lambda ctx: tree, name="within", output=str))


@pytest.mark.parametrize("linger_ms", [None, 0])
def test_a_child_that_waits_for_a_time_of_the_day_costs_nothing_while_the_clock_is_behind(
    linger_ms: int | None,
) -> None:
    tree = Parallel(within(Timer("until", until=at(30))), Timer("beside", duration=50 * 60))
    happens = [(600 * SECOND, back), (660 * SECOND, kill), (2_500 * SECOND, ahead)]
    found = World(1, tree, happens, [linger_ms]).run()
    assert found.firings == 2
    assert found.turns < 60


@pytest.mark.parametrize("linger_ms", [None, 0])
def test_people_are_reminded_whether_the_run_is_kept_or_parked(linger_ms: int | None) -> None:
    gate = Approval("gate", on_deny="continue", expires_in="55m", remind_every="10m")
    assert World(1, gate, (), [linger_ms]).run().reminders == 5


def test_a_child_that_is_parked_is_reminded_of_and_fires() -> None:
    gate = Approval("gate", on_deny="continue", expires_in="55m", remind_every="10m")
    found = World(1, within(gate), (), [0]).run()
    assert (found.firings, found.reminders) == (1, 5)


def test_a_wait_that_is_over_in_the_frame_that_opens_it_leaves_no_wake_up() -> None:
    gate = Approval("gate", auto_approve=auto_approve(), expires_in="1h", remind_every="5m")
    world = World(1, Sequence(gate, Timer("behind", duration=5)), (), [0])
    assert world.run().firings == 1  # each look of the world compares wake-ups with open waits


def test_a_child_that_ends_with_its_run_waits_for_nobody() -> None:
    late = WaitForEvent("late", timeout=5)
    world = World(1, Parallel(within(Timer("hour", duration="1h")), late), (), [0])
    assert world.run().firings == 4  # it fails, and is resumed three times, before nobody does any more


def test_a_question_of_a_run_that_has_failed_is_asked_anew_with_a_new_deadline() -> None:
    ask = HumanTask("ask", str, prompt="What?", timeout="1m", on_timeout="skip")
    late = WaitForEvent("late", timeout=20)
    found = World(1, Parallel(ask, late), (), [0]).run()
    # `late` fails at 20, 41, 62 and 83 s; the question never has a minute for itself.
    assert found.firings == 4
