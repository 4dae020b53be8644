"""SIGKILL, resume, repeat: no finished task is lost, none is run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.storm import FULL, storm, table, undisturbed

IN_FLIGHT_SHARE = 0.7
"""At least so many kills must cut an attempt off; the others hit start-up and exit."""


def test_no_finished_task_is_lost_or_run_twice_however_often_the_process_is_killed(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    kills, seeds, first = (pytestconfig.getoption(name) for name in ("--kills", "--seeds", "--first-seed"))
    reference, span_s = undisturbed(tmp_path / "undisturbed", FULL)
    print(f"\nundisturbed: {len(reference.nodes)} tasks in {span_s:.2f} s")
    tallies = []
    for number in range(seeds):
        # What does not divide evenly goes to the first seeds.
        share = kills // seeds + (number < kills % seeds)
        tallies.append(storm(tmp_path, first + number, share, FULL, reference, span_s))
    print(table(tallies))
    violations = [text for tally in tallies for text in tally.violations]
    print(*violations, sep="\n")
    done = sum(tally.kills for tally in tallies)
    assert (sum(tally.lost for tally in tallies), sum(tally.twice for tally in tallies)) == (0, 0)
    assert violations == []
    assert done == kills
    assert sum(tally.in_flight for tally in tallies) >= IN_FLIGHT_SHARE * done
