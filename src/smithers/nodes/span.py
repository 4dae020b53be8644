"""Spans of time as authors write them: `timedelta`, seconds, or text such as `"30s"`."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeAlias

from smithers.errors import InvalidNode, Place
from smithers.span import span_of

Span: TypeAlias = timedelta | float | str
"""A length of time: `timedelta(minutes=2)`, `120` (seconds), `"2m"`; units `ms`, `s`, `m`, `h`, `d`."""


def span_ms(value: Span, name: str, place: Place | None = None) -> int:
    """`value` in whole milliseconds, at least 1.

    Args:
        name: the property it was given for, named in the error.
    Raises:
        InvalidNode: not a positive, finite span.
    """
    ms: float = 0
    try:
        if isinstance(value, timedelta):
            ms = value.total_seconds() * 1000
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            ms = float(value) * 1000
        elif isinstance(value, str):
            ms = span_of(value) or 0
    except OverflowError:
        ms = math.inf
    if not math.isfinite(ms) or ms <= 0:
        raise InvalidNode(
            f"{name}={value!r} is not a positive span of time",
            hint='write a timedelta, seconds, or text such as "30s", "5m", "2h"',
            place=place,
        )
    return max(1, round(ms))
