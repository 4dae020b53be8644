"""Several processes resume one run at once: one does, the others are told who."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.race import Finish, race

REFUSED_WITHIN_S = 1.0


@pytest.mark.parametrize("racers", [2, 4, 8])
def test_of_several_resumers_one_owns_the_run_and_the_others_are_told_who_within_a_second(
    tmp_path: Path, pytestconfig: pytest.Config, racers: int
) -> None:
    finish = Finish(racers)
    quick = pytestconfig.getoption("--quick")
    for _ in range(2 if quick else pytestconfig.getoption("--races")):
        race(tmp_path, racers, finish)
    print(f"\n{finish}")
    print(*finish.violations, sep="\n")
    assert finish.violations == []
    # Wall clock, as a person feels it; where the machine has other work to do, it takes its share.
    share = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert max(finish.loser_s) < REFUSED_WITHIN_S * share, f"load average {os.getloadavg()[0]:.1f}"
