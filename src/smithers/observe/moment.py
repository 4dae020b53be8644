"""Instants and spans as people write them. Arguments are milliseconds; instants count from the Unix epoch."""

from __future__ import annotations

from datetime import UTC, datetime

_SECOND = 1000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

UNKNOWN = "—"
"""What is not known is shown as this, never as 0."""


def span(ms: int) -> str:
    """A length of time to two units: `420ms`, `3.2s`, `48s`, `3m 12s`, `2h 5m`, `3d 4h`."""
    ms = max(ms, 0)
    if ms < _SECOND:
        return f"{ms}ms"
    if ms < 10 * _SECOND:
        return f"{ms // 100 / 10:g}s"
    if ms < _MINUTE:
        return f"{ms // _SECOND}s"
    for unit, name, part, part_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "m"),
        (_MINUTE, "m", _SECOND, "s"),
    ):
        if ms >= unit:
            rest = ms % unit // part
            return f"{ms // unit}{name}" + (f" {rest}{part_name}" if rest else "")
    raise AssertionError("unreachable: a minute is the smallest unit above")


def ago(at_ms: int, now_ms: int) -> str:
    """How long ago something was, to one unit: `just now`, `12s ago`, `3m ago`, `5d ago`."""
    # Clocks of two machines differ a little: an instant in the near future is "just now" as well.
    passed = now_ms - at_ms
    if passed < _SECOND:
        return "just now"
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if passed >= unit:
            return f"{passed // unit}{name} ago"
    return f"{passed // _SECOND}s ago"


def due(due_ms: int, now_ms: int) -> str:
    """When a deadline comes: `in 12s`, `now`, or `overdue by 3m 2s`."""
    left = due_ms - now_ms
    if left >= 0:
        # Rounded up, so that a countdown never reads `in 0ms` while there is still something to wait for.
        return f"in {span(-(-left // _SECOND) * _SECOND)}" if left else "now"
    return "now" if left > -5 * _SECOND else f"overdue by {span(-left)}"


def offset(ms: int) -> str:
    """Time since a run began, for log lines: `+00:03.250`, with hours once there are any."""
    sign = "-" if ms < 0 else "+"
    seconds, millis = divmod(abs(ms), _SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:" if hours else ""
    return f"{sign}{head}{minutes:02}:{seconds:02}.{millis:03}"


def iso(ms: int | None) -> str | None:
    """ISO 8601 in UTC with milliseconds, for JSON: `2026-01-31T12:00:00.000Z`."""
    if ms is None:
        return None
    seconds, millis = divmod(ms, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03}Z"


def until(at_ms: int, now_ms: int) -> str:
    """A clock time of this machine's zone, with its day unless that is today: `15:00`, `2026-02-01 15:00`."""
    at, now = (datetime.fromtimestamp(ms // _SECOND, UTC).astimezone() for ms in (at_ms, now_ms))
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def local(ms: int) -> str:
    """A clock time of this machine's zone, to the second: `2026-01-31 12:00:00`."""
    return f"{datetime.fromtimestamp(ms // _SECOND, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
