"""The process dies at every statement of its store in turn: nothing is lost, nothing is run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.flows.cached import CACHED
from tests.chaos.flows.four import FOUR
from tests.chaos.flows.more import MORE
from tests.chaos.sites import Crashes, crash_everywhere, crash_twice, undisturbed

AT_LEAST = 60
"""Sites that the smallest of the workflows has; fewer would mean that they are not counted any more."""


def tell(found: Crashes) -> None:
    print(f"\n{found}")
    print(*found.violations, sep="\n")
    assert found.violations == []


@pytest.mark.parametrize("flow", [*FOUR, *MORE, *CACHED])
def test_a_death_at_any_statement_loses_nothing_and_runs_nothing_finished_again(
    tmp_path: Path, pytestconfig: pytest.Config, flow: str
) -> None:
    wanted = undisturbed(tmp_path / "undisturbed", flow)
    assert wanted.sites >= AT_LEAST
    every = 10 if pytestconfig.getoption("--quick") else 1
    for moment in ("before", "after"):
        found = crash_everywhere(tmp_path, wanted, moment, every=every)
        tell(found)
        # Attempts of a fan-out end in an order of their own: a run may take a few statements less.
        assert found.died >= 0.8 * found.sites


def test_a_second_death_at_any_statement_of_the_recovery_changes_nothing(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    wanted = undisturbed(tmp_path / "undisturbed", "sequence")
    every = 9 if pytestconfig.getoption("--quick") else 1
    total = Crashes("sequence, twice")
    for first in range(1, wanted.sites + 1, 30 if every > 1 else NESTED_EVERY):
        found = crash_twice(tmp_path, wanted, first, every=every)
        for name in ("sites", "died", "unborn", "cut_off", "executions", "violations"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
    tell(total)


NESTED_EVERY = 4
"""Each so-manieth site of the first process is followed by a death at each site of the next."""
