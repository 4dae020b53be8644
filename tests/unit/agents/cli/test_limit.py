"""When a limit ends, by what is said of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from smithers.agents.cli import instant_ms, reset_ms

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""A Thursday."""


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def told(text: str, now: datetime = NOON) -> datetime | None:
    found = reset_ms(text, ms(now))
    return None if found is None else datetime.fromtimestamp(found / 1000, UTC)


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands nine hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Please try again in 20ms.", timedelta(milliseconds=20)),
        ("Please try again in 1.386s. Visit …", timedelta(seconds=1.386)),
        ("Please try again in 6m0s.", timedelta(minutes=6)),
        ("try again in 2h 5m", timedelta(hours=2, minutes=5)),
        ("or try again in 3 days 19 hours 4 minutes.", timedelta(days=3, hours=19, minutes=4)),
        ("try again in 2 hours and 5 minutes", timedelta(hours=2, minutes=5)),
        ("try again in about 2 hours", timedelta(hours=2)),
        ("try again in 1 week", timedelta(weeks=1)),
        ("Your quota will reset after 5h12m3s.", timedelta(hours=5, minutes=12, seconds=3)),
        ("Please retry in 34.074824224s.", timedelta(seconds=34.074824)),
        ('"retryDelay": "34s"', timedelta(seconds=34)),
        ("Rate limited. Retry after 120 seconds", timedelta(minutes=2)),
        ("retry-after: 120", timedelta(minutes=2)),
        ('{"resets_in_seconds": 3600}', timedelta(hours=1)),
        ("limit resets in 1 hr 30 mins", timedelta(hours=1, minutes=30)),
    ],
)
def test_a_span_counts_from_now(text: str, span: timedelta) -> None:
    assert told(text) == NOON + timedelta(milliseconds=round(span / timedelta(milliseconds=1)))


@pytest.mark.parametrize(
    "text",
    [
        "Claude AI usage limit reached|1767276000",
        "usage limit reached|1767276000000",
        '{"resets_at":1767276000,"plan":"pro"}',
        '"resetsAt": 1767276000',
        "resets at 1767276000",
        "Your limit will reset at 2026-01-01 14:00:00",
        "resets at 2026-01-01T14:00:00Z",
        "available again 2026-01-01T16:00:00+02:00",
        "try again at 2026-01-01T14:00:00.123456789+0000 or later",
        "2026-01-01T11:59:00Z error: quota exceeded, resets 2026-01-01T14:00:00Z",
        "resets 2pm (UTC)",
        "Your limit will reset at 2pm (Etc/UTC).",
        "You've hit your 5-hour limit · resets 2:00pm (Europe/London)",
        "limit reached ∙ resets 3pm (Europe/Berlin)",
        "try again at 9:00 AM EST",
        "resets at 14:00 UTC",
        "resets: 2 p.m. UTC",
        "again at Jan 1st, 2026 2:00 PM UTC",
        "resets Jan 1, 2pm (UTC)",
        "resets Thursday 2pm (UTC)",
        "resets today at 2pm (UTC)",
    ],
)
def test_an_instant_is_understood_in_every_form(text: str) -> None:
    found = told(text)
    assert found is not None
    assert found.replace(microsecond=0) == NOON + timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("resets 9am (UTC)", datetime(2026, 1, 2, 9, tzinfo=UTC)),
        ("resets 12pm (UTC)", datetime(2026, 1, 2, 12, tzinfo=UTC)),
        ("resets 12am (UTC)", datetime(2026, 1, 2, 0, tzinfo=UTC)),
        ("resets Mon 9:00 AM (UTC)", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("resets Thu, 9am (UTC)", datetime(2026, 1, 8, 9, tzinfo=UTC)),
        ("resets tomorrow at 3am UTC", datetime(2026, 1, 2, 3, tzinfo=UTC)),
        ("resets Feb 3, 2:15pm (UTC)", datetime(2026, 2, 3, 14, 15, tzinfo=UTC)),
        ("try again at Feb 3rd, 2026 2:15 PM UTC.", datetime(2026, 2, 3, 14, 15, tzinfo=UTC)),
    ],
)
def test_what_has_passed_today_is_the_next_one(text: str, at: datetime) -> None:
    assert told(text) == at


def test_a_date_without_a_year_may_be_in_the_next_one() -> None:
    december = datetime(2025, 12, 30, tzinfo=UTC)
    assert told("resets Jan 5, 3pm (UTC)", december) == datetime(2026, 1, 5, 15, tzinfo=UTC)


@pytest.mark.usefixtures("in_tokyo")
def test_a_time_of_day_without_a_zone_is_one_of_this_machines() -> None:
    assert told("try again at 2:15 AM.") == datetime(2026, 1, 1, 17, 15, tzinfo=UTC)
    assert told("resets at 02:15 and not before") == datetime(2026, 1, 1, 17, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "text", "at"),
    [
        # In spring the hour from two to three is not there.
        ((2026, 3, 8, 6, 30), "resets 2:30am (America/New_York)", (2026, 3, 8, 7, 30)),
        ((2026, 3, 7, 20, 0), "resets 3pm (America/New_York)", (2026, 3, 8, 19, 0)),
        # In autumn the hour from one to two is there twice; it is 0:50, 1:40 and once more 1:40.
        ((2026, 11, 1, 4, 50), "resets 1:30am (America/New_York)", (2026, 11, 1, 5, 30)),
        ((2026, 11, 1, 5, 40), "resets 1:30am (America/New_York)", (2026, 11, 1, 6, 30)),
        ((2026, 11, 1, 6, 40), "resets 1:30am (America/New_York)", (2026, 11, 2, 6, 30)),
    ],
)
def test_a_clock_that_is_set_forward_or_back_is_read_as_people_read_it(
    now: tuple[int, ...], text: str, at: tuple[int, ...]
) -> None:
    assert told(text, datetime(*now, tzinfo=UTC)) == datetime(*at, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Too many requests",
        "You're out of usage credits.",
        "This request would exceed your rate limit of 50,000 input tokens per minute",
        "try again later",
        "resets soon",
        "reset in 2 months",
        "retry 3 times",
        "call 1767276000 for help",
        "resets 15pm (UTC)",
        "resets 25:00 (UTC)",
        "resets 3pm (Atlantis/Poseidonis)",
        "resets 3pm (etc/passwd)",
        "resets 3pm (UTC/UTC)",
        "resets Feb 30, 3pm (UTC)",
        "resets at 2025-12-31T14:00:00Z",
        "limit reached|1000000000",
        "limit reached|9999999999",
        "try again in 99999999999999999999 days",
        "try again in 61 days",
        "resets at 2026-13-45T99:99:99Z",
        "resets at 9999-12-31T23:59:59-23:59",
        "resets Dec 24, 2030 3pm (UTC)",
    ],
)
def test_what_is_not_said_or_cannot_be_is_not_made_up(text: str) -> None:
    assert told(text) is None


def test_half_a_sentence_after_a_time_is_not_taken_for_a_zone() -> None:
    assert told("resets at 14:00 UTC and so on") == NOON + timedelta(hours=2)
    assert reset_ms("resets 3pm and so on", ms(NOON)) is not None


@pytest.mark.parametrize(
    "text",
    ["again in " + "1d " * 50_000, "resets " + " " * 100_000, "until " + "on " * 50_000,
     "again in " + "9" * 100_000 + "d", "|9999999999 " * 10_000, "retry_after" + "-" * 100_000],
    ids=["spans", "blanks", "on", "digits", "numbers", "dashes"],
)  # fmt: skip
def test_a_text_that_is_made_to_take_long_does_not(text: str) -> None:
    begun = time.process_time()
    assert reset_ms(text, ms(NOON)) is None
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("number", "ms_later"),
    [(1767276000, 7_200_000), (1767276000.5, 7_200_500), (1767276000000, 7_200_000), (None, None), (0, None),
     (-5, None), (1e308, None), (1767268799, None), (1e18, None)],
)  # fmt: skip
def test_an_instant_as_a_number_is_in_seconds_or_milliseconds_and_to_come(
    number: float | None, ms_later: int | None
) -> None:
    assert instant_ms(number, ms(NOON)) == (None if ms_later is None else ms(NOON) + ms_later)
