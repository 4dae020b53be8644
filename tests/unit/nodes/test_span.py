"""Spans of time as authors write them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from smithers.errors import InvalidNode, Place
from smithers.nodes import span_ms


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        (timedelta(minutes=2), 120_000),
        (timedelta(microseconds=1), 1),
        (30, 30_000),
        (0.25, 250),
        ("250ms", 250),
        ("30s", 30_000),
        ("1.5s", 1_500),
        ("2m", 120_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1h 30m", 5_400_000),
        ("1m30s500ms", 90_500),
    ],
)
def test_a_span_is_a_timedelta_seconds_or_text(written: Any, ms: int) -> None:
    assert span_ms(written, "timeout") == ms


TEXTS = ("", "s", "30", "30 seconds", "-5s", "1h!", "5M")


@pytest.mark.parametrize(
    "written",
    [*(0, -1, -0.5, timedelta(0), timedelta(seconds=-1), math.nan, math.inf, True, None, [30]), *TEXTS],
)
def test_what_is_no_positive_finite_span_is_refused_with_property_value_and_place(written: Any) -> None:
    place = Place("flow.py", 12)
    with pytest.raises(InvalidNode) as refused:
        span_ms(written, "timeout", place)
    assert f"timeout={written!r}" in str(refused.value)
    assert "flow.py:12" in str(refused.value)
    assert '"30s"' in refused.value.hint
