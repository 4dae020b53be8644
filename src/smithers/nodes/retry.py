"""How often, and how soon, a failed task is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smithers.errors import InvalidNode, Place

from .span import Span, span_ms


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """An explicit policy, obeyed to the letter: no jitter, no early end."""

    retries: int | None = None
    """Further attempts after the first; None: no limit."""
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    """The delay before retry k: `initial_delay`, `k` times it, or `2 ** (k - 1)` times it."""
    initial_delay: Span = 1.0
    max_delay: Span = "5m"
    """No delay is longer."""

    def __post_init__(self) -> None:
        check_retries(self.retries)
        if self.backoff not in ("fixed", "linear", "exponential"):
            raise InvalidNode(f"backoff={self.backoff!r} is not fixed, linear or exponential")
        span_ms(self.initial_delay, "initial_delay")
        span_ms(self.max_delay, "max_delay")


def check_retries(value: object, place: Place | None = None) -> None:
    """Raise `InvalidNode` unless `value` is None or a whole number of at least 0."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidNode(f"retries={value!r} is not a whole number of at least 0", place=place)
