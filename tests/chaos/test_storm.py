"""SIGKILL, resume, repeat: no finished task is lost, none is run twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.storm import FULL, Tally, storm, table, undisturbed

IN_FLIGHT_SHARE = 0.35
"""At least so many kills must cut an attempt off; the others hit start-up, resumes and exit."""
RESTORING_SHARE = 0.05
"""At least so many must hit a resume before its first frame."""
AT_ONCE = 2
"""Storms: their processes mostly wait for tasks."""


def test_no_finished_task_is_lost_or_run_twice_however_often_the_process_is_killed(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    kills, seeds, first = (pytestconfig.getoption(name) for name in ("--kills", "--seeds", "--first-seed"))
    if pytestconfig.getoption("--quick"):
        kills, seeds = 30, 2
    reference, span_s = undisturbed(tmp_path / "undisturbed", FULL)
    print(f"\nundisturbed: {len(reference.nodes)} tasks in {span_s:.2f} s")

    def one(number: int) -> Tally:
        # What does not divide evenly goes to the first seeds.
        share = kills // seeds + (number < kills % seeds)
        return storm(tmp_path, first + number, share, FULL, reference, span_s)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tallies = list(pool.map(one, range(seeds)))
    print(table(tallies))
    violations = [text for tally in tallies for text in tally.violations]
    print(*violations, sep="\n")
    done = sum(tally.kills for tally in tallies)
    assert (sum(tally.lost for tally in tallies), sum(tally.twice for tally in tallies)) == (0, 0)
    assert violations == []
    assert done == kills
    assert sum(tally.in_flight for tally in tallies) >= IN_FLIGHT_SHARE * done
    assert sum(tally.restoring for tally in tallies) >= RESTORING_SHARE * done
