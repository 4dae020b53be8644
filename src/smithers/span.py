"""Spans of time as people write them: `30s`, `1h 30m`."""

from __future__ import annotations

import re
from typing import Final

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def span_of(text: str) -> float | None:
    """Milliseconds of a span such as `"30s"`, `"1h 30m"` or `"1.5d"`; None: it is none."""
    bare = text.replace(" ", "")
    if not _SPAN.fullmatch(bare):
        return None
    return sum(float(count) * _UNITS_MS[unit] for count, unit in _PART.findall(bare))
