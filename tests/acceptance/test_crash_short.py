"""The short version of tests/chaos: a dozen kills, one race, and everything checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.race import Finish, race
from tests.chaos.storm import SHORT, storm, table, undisturbed


@pytest.mark.slow
def test_a_dozen_kills_lose_no_finished_task_and_run_none_twice(tmp_path: Path) -> None:
    reference, span_s = undisturbed(tmp_path / "undisturbed", SHORT)
    assert len(reference.nodes) == 60
    tally = storm(tmp_path, 1, 12, SHORT, reference, span_s)
    print(f"\n{table([tally])}")
    assert tally.violations == []
    assert (tally.kills, tally.lost, tally.twice) == (12, 0, 0)
    assert tally.cut_off > 0, "no kill hit anything: the test would pass whatever a resume does"


@pytest.mark.slow
def test_of_four_resumers_one_owns_the_run_and_three_are_told_who(tmp_path: Path) -> None:
    finish = Finish(4)
    race(tmp_path, 4, finish)
    print(f"\n{finish}")
    assert finish.violations == []
    assert len(finish.loser_s) == 3
