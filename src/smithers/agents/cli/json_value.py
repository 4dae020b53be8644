"""Looking into JSON of which nothing is promised: what is not as it should be is not there. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def at(value: Any, *path: str | int) -> Any:
    """What stands at a path of keys and indexes; None: nothing does."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def text_at(value: Any, *path: str | int) -> str:
    """The text that stands there; empty: none does."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def count_at(value: Any, *path: str | int) -> int:
    """The whole number of things that stands there; 0: none does, or one below it."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return 0
    return max(0, int(found))


def number_at(value: Any, *path: str | int) -> float | None:
    """The finite number that stands there; None: none does."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return None
    return float(found)


def list_at(value: Any, *path: str | int) -> Iterator[Any]:
    """The elements of the list that stands there."""
    found = at(value, *path)
    return iter(found if isinstance(found, list) else ())


def content_text(value: Any) -> str:
    """The text of a message's content: a text itself, or a list of parts with a `text` each."""
    if isinstance(value, str):
        return value
    return "".join(text_at(part, "text") if not isinstance(part, str) else part for part in list_at(value))
