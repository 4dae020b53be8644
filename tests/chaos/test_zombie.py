"""An owner that slept through its lease writes nothing, not even the commit it was in the middle of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.zombie import Graveyard, raise_one

AT_ONCE = 3
"""They mostly wait for leases to end."""


def test_an_owner_woken_after_a_takeover_writes_nothing_and_says_so(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    count = 6 if pytestconfig.getoption("--quick") else pytestconfig.getoption("--zombies")
    yards = [Graveyard() for _ in range(AT_ONCE)]

    def fill(number: int) -> None:
        for one in range(number, count, AT_ONCE):
            raise_one(tmp_path / str(number), yards[number], is_queued=one % 2 == 0)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fill, range(AT_ONCE)))
    found = Graveyard(
        sum(yard.zombies for yard in yards),
        sum(yard.queued for yard in yards),
        sum(yard.rows_written for yard in yards),
        sum(yard.trees for yard in yards),
        [ms for yard in yards for ms in yard.left_ms],
        [text for yard in yards for text in yard.violations],
    )
    print(f"\n{found}")
    print(*found.violations, sep="\n")
    assert found.violations == []
    assert (found.zombies, found.rows_written, found.trees) == (count, 0, count)
    assert found.queued == (count + 1) // 2
