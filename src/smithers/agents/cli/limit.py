"""When a limit ends, by what a provider's message says of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

LONGEST_MS: Final = 60 * 86_400_000
"""A reset further away than this is no reset but a misreading."""

LONGEST_WAIT_S: Final = 60.0
"""A retry of a program's own that is further away is left to the run: it survives meanwhile."""

_UNIT: Final = r"(?:weeks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|ms|[wdhms])(?![a-z])"
_SPAN: Final = rf"(?:\d+(?:\.\d+)?\s*{_UNIT}\W*(?:and\s+)?)+"
_DAY: Final = (
    r"(?P<weekday>(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?|today|tomorrow),?"
    r"\s+(?:at\s+)?"
)
_DATE: Final = (
    r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+"
    r"(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?:(?P<year>\d{4}),?\s+)?(?:at\s+)?"
)
_HOUR: Final = (
    r"(?:(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?::\d\d)?\s*(?P<half>[ap])\.?m\b\.?"
    r"|(?P<hour24>\d{1,2}):(?P<minute24>\d\d)(?::\d\d)?)"
)
_ZONES: Final = {
    **dict.fromkeys(("UTC", "GMT", "Z"), "UTC"),
    **dict.fromkeys(("PT", "PST", "PDT"), "America/Los_Angeles"),
    **dict.fromkeys(("MT", "MST", "MDT"), "America/Denver"),
    **dict.fromkeys(("CT", "CST", "CDT"), "America/Chicago"),
    **dict.fromkeys(("ET", "EST", "EDT"), "America/New_York"),
    **dict.fromkeys(("CET", "CEST"), "Europe/Berlin"),
    "BST": "Europe/London",
    "JST": "Asia/Tokyo",
}
"""What messages call zones that have other names in the database of zones."""

_EPOCH: Final = re.compile(r"(?:\||resets?(?:_?at| at)?\W{1,3})(\d{10}(?:\d{3})?)\b", re.IGNORECASE)
_IN: Final = re.compile(
    rf"(?:again|resets?|retry|retrydelay)\W+(?:(?:after|in)\W+(?:about\s+|approximately\s+)?)?({_SPAN})",
    re.IGNORECASE,
)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[wdhms])", re.IGNORECASE)
_SECONDS: Final = re.compile(
    r"(?:retry[-_ ]?after|(?:resets?|retry)_(?:in|after)_seconds)\W{1,4}"
    r"(\d{1,7}(?:\.\d+)?)(?![\d.]*\d|\s*[a-z])",
    re.IGNORECASE,
)
"""Headers and fields that count seconds without saying so."""
_ISO: Final = re.compile(r"\b(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)")
_CLOCK: Final = re.compile(
    rf"(?:resets?|again|until)[\s:]+(?:at\s+|on\s+)*(?:{_DAY})?(?:{_DATE})?{_HOUR}"
    rf"(?:\s*\((?P<place>[\w/+-]+)\)|\s*(?P<zone>(?-i:{'|'.join(_ZONES)}))\b)?",
    re.IGNORECASE,
)
_UNITS_S: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def reset_ms(text: str, now_ms: int) -> int | None:
    """Wall clock, in ms, at which a limit ends: `resets 3pm (Europe/Berlin)`, `try again in 2h 5m`, …

    None: the text does not say, or says something that cannot be. A time of day without a zone is one of this
    machine's.
    """
    # Messages are short; what is not must not be searched to its end.
    text = text[:_LONGEST_TEXT]
    for found in _candidates(text, now_ms):
        if _is_near(found, now_ms):
            return round(found)
    return None


def instant_ms(number: float | None, now_ms: int) -> int | None:
    """The same, where it stands as a number, in seconds or in milliseconds since 1970."""
    if number is None:
        return None
    return next((round(one) for one in (number * 1000, number) if _is_near(one, now_ms)), None)


_LONGEST_TEXT: Final = 4000


def _is_near(at_ms: float, now_ms: int) -> bool:
    return now_ms < at_ms <= now_ms + LONGEST_MS


def _candidates(text: str, now_ms: int) -> Iterator[float]:
    """Instants that the text may mean; the surest ones first."""
    for found in _EPOCH.finditer(text):
        yield int(found[1]) * (1000 if len(found[1]) == 10 else 1)
    for found in _IN.finditer(text):
        spans = (float(count) * _UNITS_S[unit.lower()] for count, unit in _PART.findall(found[1]))
        yield now_ms + 1000 * sum(spans)
    for found in _SECONDS.finditer(text):
        yield now_ms + 1000 * float(found[1])
    for found in _ISO.finditer(text):
        yield from _instant(found[1])
    for found in _CLOCK.finditer(text):
        yield from _time_of_day(found, now_ms)


def _instant(text: str) -> Iterator[float]:
    try:
        at = datetime.fromisoformat(text.replace(" ", "T"))
        yield (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        return


def _time_of_day(found: re.Match[str], now_ms: int) -> Iterator[float]:
    try:
        now = datetime.fromtimestamp(now_ms / 1000, _zone(found["place"] or found["zone"]))
        hour, minute = _hour(found)
        at = now.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
        if found["month"] is not None:
            at = _on_date(at, found, now)
        elif found["weekday"] is not None:
            at += timedelta(days=_days_to(found["weekday"].lower(), now))
        # An hour that a clock shows twice may be its second one; a day that has passed is the next one.
        step = timedelta(days=7 if (found["weekday"] or "")[:3].lower() in _WEEKDAYS else 1)
        again = [] if found["month"] is not None else [at + step]
        yield from (one.timestamp() * 1000 for one in (at, at.replace(fold=1), *again))
    except (LookupError, OSError, ValueError, OverflowError):  # no such zone, day or hour
        return


def _hour(found: re.Match[str]) -> tuple[int, int]:
    """Hour and minute."""
    if found["half"] is None:
        return int(found["hour24"]), int(found["minute24"])
    hour = int(found["hour"])
    if hour > 12:
        raise ValueError(hour)
    return hour % 12 + (12 if found["half"].lower() == "p" else 0), int(found["minute"] or 0)


def _on_date(at: datetime, found: re.Match[str], now: datetime) -> datetime:
    month = _MONTHS.index(found["month"].lower()) + 1
    at = at.replace(day=1).replace(year=int(found["year"] or now.year), month=month)
    at = at.replace(day=int(found["day"]))
    return at.replace(year=now.year + 1) if at < now and found["year"] is None else at


def _days_to(weekday: str, now: datetime) -> int:
    if weekday in ("today", "tomorrow"):
        return int(weekday == "tomorrow")
    return (_WEEKDAYS.index(weekday[:3]) - now.weekday()) % 7


def _zone(name: str | None) -> tzinfo | None:
    """None: this machine's.

    Raises:
        LookupError, OSError, ValueError: there is no such zone.
    """
    return ZoneInfo(_ZONES.get(name.upper(), name)) if name else None
