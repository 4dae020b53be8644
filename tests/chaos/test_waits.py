"""Gates, signals and times under SIGKILL: who waits is woken, what was said counts, and counts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.answers import Tally, storm

KILLS = 500
STORMS = 8
AT_ONCE = 2
"""Each is three processes that mostly wait."""


def test_every_wait_is_decided_once_and_every_answer_counts_however_often_the_owner_is_killed(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    quick, first = pytestconfig.getoption("--quick"), pytestconfig.getoption("--first-seed")
    kills = 24 if quick else min(KILLS, pytestconfig.getoption("--kills"))
    storms = 2 if quick else min(STORMS, pytestconfig.getoption("--seeds"))

    def one(number: int) -> Tally:
        share = kills // storms + (number < kills % storms)
        return storm(tmp_path, ("waits", "waits_script")[number % 2], first + number, share)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tallies = list(pool.map(one, range(storms)))
    print("", *tallies, sep="\n")
    print(*(text for tally in tallies for text in tally.violations), sep="\n")
    assert [text for tally in tallies for text in tally.violations] == []
    assert sum(tally.kills for tally in tallies) == kills
    assert sum(tally.votes for tally in tallies) > kills / 4
    assert sum(tally.taken for tally in tallies) > kills / 8
