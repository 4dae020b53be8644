"""Looking into JSON of which nothing is promised: what is not as it should be is not there. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

LARGEST_COUNT: Final = 1 << 53
"""What counts more than that counts nothing: no number in JSON is exact beyond it."""


def at(value: Any, *path: str | int) -> Any:
    """What stands at a path of keys and indexes; None: nothing does."""
    # Of a parsed line all objects are dicts; asking for any Mapping costs ten times as much, event for event.
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str:
    """The text that stands there; empty: none does."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def count_at(value: Any, *path: str | int) -> int:
    """The whole number of things that stands there; 0: none does, or one that cannot be a count."""
    found = number_at(value, *path)
    return int(found) if found is not None and 0 <= found <= LARGEST_COUNT else 0


def number_at(value: Any, *path: str | int) -> float | None:
    """The finite number that stands there; None: none does."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    try:
        number = float(found)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def list_at(value: Any, *path: str | int) -> Iterator[Any]:
    """The elements of the list that stands there."""
    found = at(value, *path)
    return iter(found if isinstance(found, list) else ())


def content_text(value: Any) -> str:
    """The text of a message's content: a text itself, or a list of parts with a `text` each."""
    if isinstance(value, str):
        return value
    return "".join(text_at(part, "text") if not isinstance(part, str) else part for part in list_at(value))
