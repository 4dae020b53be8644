"""The short version of tests/chaos: kills, crashes, zombies, full disks, a race; and everything checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import kin, sites
from tests.chaos.race import Finish, race
from tests.chaos.storm import SHORT, storm, table, undisturbed
from tests.chaos.zombie import Graveyard, raise_one


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


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_at_some_of_the_stores_statements_loses_nothing(tmp_path: Path, moment: str) -> None:
    wanted = sites.undisturbed(tmp_path / "undisturbed", "fan")
    found = sites.crash_everywhere(tmp_path, wanted, moment, every=17)
    print(f"\n{found}")
    assert found.violations == []
    assert found.died > 5
    assert found.cut_off > 0, "no death hit anything: the test would pass whatever a resume does"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_family_of_runs_comes_to_the_same_end_wherever_its_process_dies(
    tmp_path: Path, moment: str
) -> None:
    wanted, count = kin.undisturbed(tmp_path / "undisturbed")
    found = kin.die_everywhere(tmp_path, wanted, count, moment, every=19)
    print(f"\n{found}")
    assert found.violations == []
    assert found.died > 5


@pytest.mark.slow
@pytest.mark.parametrize("is_queued", [True, False])
def test_an_owner_woken_after_a_takeover_writes_nothing(tmp_path: Path, is_queued: bool) -> None:
    found = Graveyard()
    raise_one(tmp_path, found, is_queued=is_queued)
    assert found.violations == []
    assert (found.queued, found.rows_written) == (is_queued, 0)


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_a_run_which_continues_with_more_room(tmp_path: Path) -> None:
    wanted = sites.undisturbed(tmp_path / "undisturbed", "grow")
    found = sites.fail_at(tmp_path, wanted, "pages", [{"pages": pages} for pages in (2, 30, 60, 100)])
    print(f"\n{found}")
    assert found.violations == []
    assert found.said == {"STORE_FULL": 4}
