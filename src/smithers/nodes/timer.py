"""A wait for a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

from typing_extensions import Unpack

from smithers.errors import InvalidNode, Place
from smithers.records import WaitKind

from .span import Span
from .wait import Question, WaitNode, WaitOptions, wait_ms

Until: TypeAlias = datetime | str
"""A time with its zone; as text, such as `"2027-01-31T09:00:00+01:00"`."""
FIRED: Final = "timer"
"""Name that the output of a timer is stored under."""


class Timer(WaitNode[Any]):
    """Settle after a span of time, or at a time; nothing runs meanwhile.

    Its output is `{"due": …, "fired": …}`, both in ISO 8601.

    Args:
        id: stable and unique, as of a task.
        duration: how long, from the moment its turn comes.
        until: when, by the wall clock; a function of the `deps` is called when its turn comes. Past by then:
            it settles at once.
        options: see `WaitOptions`.
    """

    __slots__ = ("after_ms", "until")

    def __init__(
        self,
        id: str,
        *,
        duration: Span | None = None,
        until: Until | Callable[..., Until] | None = None,
        **options: Unpack[WaitOptions],
    ) -> None:
        super().__init__(id, FIRED, options)
        if (duration is None) is (until is None):
            raise InvalidNode(
                f"Timer {id} has {'neither' if duration is None else 'both'} duration= and until=",
                hint='write duration="2h", or until= a time',
                place=self.place,
            )
        self.after_ms = wait_ms(duration, "duration", self.place)
        self.until = until
        if until is not None and not callable(until):
            _instant_ms(until, self.place)

    def question(self, args: tuple[Any, ...]) -> Question:
        at_ms = None
        if self.until is not None:
            until = self.until(*args) if callable(self.until) else self.until
            at_ms = _instant_ms(until, self.place)
        spec = {"title": self.title, "until": at_ms is not None}
        return Question(WaitKind.TIMER, spec, self.after_ms, at_ms)


def _instant_ms(value: object, place: Place | None) -> int:
    """A time as ms since 1970.

    Raises:
        InvalidNode: it is none, or its zone is not known.
    """
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidNode(
                f"until={value!r} is not a time: {error}",
                hint='write ISO 8601 up to the year 9999, such as "2027-01-31T09:00:00+01:00"',
                place=place,
            ) from None
    if not isinstance(found, datetime):
        raise InvalidNode(f"until={value!r} is not a time", place=place)
    if found.tzinfo is None:
        raise InvalidNode(
            f"until={value!r} does not say in which zone", hint="add one: tzinfo=UTC, or +00:00", place=place
        )
    try:
        return round(found.timestamp() * 1000)
    except (OverflowError, ValueError) as error:
        raise InvalidNode(f"until={value!r} is not a time that there is: {error}", place=place) from None
