"""The process dies at every statement of a run with children that goes on as a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.kin import die_everywhere, undisturbed


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_family_comes_to_the_same_end_wherever_its_process_dies(
    tmp_path: Path, pytestconfig: pytest.Config, moment: str
) -> None:
    wanted, sites = undisturbed(tmp_path / "undisturbed")
    assert set(wanted.runs) == {"r1", "r1.one", "r1.one.own", "r1-2", "r1-2.one", "r1-2.one.own"}
    every = 10 if pytestconfig.getoption("--quick") else 1
    found = die_everywhere(tmp_path, wanted, sites, moment, every=every)
    print(f"\n{found}")
    assert found.violations == []
    assert found.died >= 0.8 * found.sites
