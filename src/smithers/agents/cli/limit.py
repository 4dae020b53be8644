"""When a limit ends, by what a provider's message says of it. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_EPOCH: Final = re.compile(r"(?:\||resets?(?:_at| at)?\W{1,3})(\d{10}(?:\d{3})?)\b", re.IGNORECASE)
_IN: Final = re.compile(
    r"(?:again|resets?|retry|reset)\s+(?:after|in)\s+((?:\d+(?:\.\d+)?\s*(?:days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|d|h|m|s)\W*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])", re.IGNORECASE)
_ISO: Final = re.compile(r"\b(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)")
_CLOCK: Final = re.compile(
    r"(?:resets?|reset at|again at|until)\s+(?:at\s+|on\s+)?"
    r"(?:(?P<month>[A-Z][a-z]{2})[a-z]*\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?:(?P<year>\d{4}),?\s+)?(?:at\s+)?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s*(?P<half>[ap])\.?m\.?(?:\s*\((?P<zone>[\w/+-]+)\))?",
    re.IGNORECASE,
)
_UNITS_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONGEST_MS: Final = 60 * 86_400_000
"""A reset further away than this is no reset but a misreading."""


def reset_ms(text: str, now_ms: int) -> int | None:
    """Wall clock, in ms, at which a limit ends: `resets 3pm (Europe/Berlin)`, `try again in 2h 5m`, …

    None: the text does not say, or says something that cannot be. A time of day without a zone is one of this
    machine's.
    """
    found = _epoch(text) or _after(text, now_ms) or _instant(text) or _time_of_day(text, now_ms)
    return found if found is not None and now_ms < found <= now_ms + LONGEST_MS else None


def _epoch(text: str) -> int | None:
    found = _EPOCH.search(text)
    if found is None:
        return None
    return int(found[1]) * (1000 if len(found[1]) == 10 else 1)


def _after(text: str, now_ms: int) -> int | None:
    found = _IN.search(text)
    if found is None:
        return None
    spans = (float(count) * _UNITS_S[unit.lower()] for count, unit in _PART.findall(found[1]))
    return now_ms + round(1000 * sum(spans))


def _instant(text: str) -> int | None:
    found = _ISO.search(text)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[1].replace(" ", "T"))
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)


def _time_of_day(text: str, now_ms: int) -> int | None:
    found = _CLOCK.search(text)
    if found is None:
        return None
    now = datetime.fromtimestamp(now_ms / 1000, _zone(found["zone"]))
    hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "p" else 0)
    try:
        at = now.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["month"] is not None:
            month = _MONTHS.index(found["month"].lower()) + 1
            at = at.replace(month=month, day=int(found["day"]), year=int(found["year"] or now.year))
            if at < now and found["year"] is None:
                at = at.replace(year=now.year + 1)
        elif at <= now:
            at += timedelta(days=1)
    except ValueError:
        return None
    return round(at.timestamp() * 1000)


def _zone(name: str | None) -> tzinfo | None:
    """None: this machine's."""
    try:
        return ZoneInfo(name) if name else None
    except (OSError, ValueError):  # unknown, or no name of a zone at all
        return None
