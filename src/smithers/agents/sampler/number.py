"""Numbers within the bounds of a schema."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from .part import Node


def number_in(node: Node, pick: Callable[[int], int]) -> int | float:
    """A number within the node's bounds, small and with few digits where they allow it.

    Args:
        pick: chooses among so many numbers, counted from 0.
    """
    is_integer = node.get("type") == "integer"
    low, is_low_open = _bound(node, "minimum", "exclusiveMinimum", max)
    high, is_high_open = _bound(node, "maximum", "exclusiveMaximum", min)
    for step in _steps(node.get("multipleOf"), is_integer):
        first = None if low is None else math.ceil(low / step)
        last = None if high is None else math.floor(high / step)
        if first is not None and is_low_open and first * step == low:
            first += 1
        if last is not None and is_high_open and last * step == high:
            last -= 1
        if first is not None and last is not None and first > last:
            continue
        chosen = _among(first, last, 9 if step >= 1 else 99, pick) * step
        if is_integer:
            return int(chosen)
        found = float(chosen)
        if (low is None or found > low or (found == low and not is_low_open)) and (
            high is None or found < high or (found == high and not is_high_open)
        ):
            return found
    # Bounds closer together than any tidy number: the next one after the lower.
    return math.nextafter(float(low or 0), math.inf) if is_low_open else float(low or 0)


def _bound(
    node: Node, closed: str, opened: str, stricter: Callable[[Fraction, Fraction], Fraction]
) -> tuple[Fraction | None, bool]:
    given = [Fraction(node[name]) for name in (closed, opened) if name in node and math.isfinite(node[name])]
    if not given:
        return None, False
    bound = stricter(given[0], given[-1])
    return bound, opened in node and math.isfinite(node[opened]) and Fraction(node[opened]) == bound


def _steps(multiple: float | None, is_integer: bool) -> Iterator[Fraction]:
    if multiple is not None:
        step = Fraction(str(multiple))  # as written: 0.1 is a tenth
        yield step * step.denominator if is_integer else step
        return
    if is_integer:
        yield Fraction(1)
        return
    for digits in (1, 0, 2, 3, 4, 6, 9, 15, 30, 100, 300):
        yield Fraction(1, 10**digits)


def _among(first: int | None, last: int | None, width: int, pick: Callable[[int], int]) -> int:
    """One of at most `width` integers from `first` to `last`: the smallest positive ones if there are any."""
    low = first if first is not None and (first > 0 or (last is not None and last < 1)) else None
    if low is None:
        if last is None or last >= 1:
            low = 1
        else:
            return last - pick(width if first is None else min(width, last - first + 1))
    return low + pick(width if last is None else min(width, last - low + 1))
