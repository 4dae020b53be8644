"""Instants and spans as people write them."""

from __future__ import annotations

import time

import pytest

from smithers.observe import moment

S, M, H, D = 1000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0ms"),
        (420, "420ms"),
        (3_200, "3.2s"),
        (9_999, "9.9s"),
        (48 * S, "48s"),
        (3 * M + 12 * S, "3m 12s"),
        (4 * M, "4m"),
        (2 * H + 5 * M, "2h 5m"),
        (3 * D + 4 * H, "3d 4h"),
        (-5, "0ms"),
    ],
)
def test_a_span_has_at_most_two_units(ms: int, text: str) -> None:
    assert moment.span(ms) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (0, "just now"),
        (-3 * S, "just now"),
        (12 * S, "12s ago"),
        (3 * M + 59 * S, "3m ago"),
        (5 * D, "5d ago"),
    ],
)
def test_an_age_has_one_unit(passed: int, text: str) -> None:
    assert moment.ago(0, passed) == text


@pytest.mark.parametrize(
    ("left", "text"),
    [(12 * S, "in 12s"), (300, "in 1s"), (0, "now"), (-2 * S, "now"), (-60 * S, "overdue by 1m")],
)
def test_a_countdown_never_reads_zero_before_it_is_due(left: int, text: str) -> None:
    assert moment.due(left, 0) == text


def test_a_clock_time_names_its_day_unless_that_is_today() -> None:
    noon = int(time.mktime((2026, 3, 5, 12, 0, 0, 0, 0, -1))) * S
    assert moment.until(noon + 3 * H + 5 * M, noon) == "15:05"
    assert moment.until(noon + 13 * H, noon) == "2026-03-06 01:00"
    assert moment.until(noon - 13 * H, noon) == "2026-03-04 23:00"


def test_log_offsets_have_hours_only_when_there_are_any() -> None:
    assert moment.offset(3_250) == "+00:03.250"
    assert moment.offset(61 * M) == "+1:01:00.000"
    assert moment.offset(-1_500) == "-00:01.500"


def test_json_instants_are_utc_with_milliseconds() -> None:
    assert moment.iso(1_767_225_600_007) == "2026-01-01T00:00:00.007Z"
    assert moment.iso(None) is None
