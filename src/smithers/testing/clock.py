"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import timedelta


class FakeClock:
    """Implements `smithers.clock.Clock`.

    Args:
        wall_ms: where the wall clock starts; the default is in June 2025.
        uptime_ms: where the monotonic clock starts.
    """

    def __init__(self, wall_ms: int = 1_750_000_000_000, uptime_ms: int = 1_000_000) -> None:
        self.wall_ms = wall_ms
        self.uptime_ms = uptime_ms

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.uptime_ms

    def advance(self, span: timedelta | float) -> None:
        """Let time pass: both clocks move. A number is seconds."""
        span_ms = round((span.total_seconds() if isinstance(span, timedelta) else span) * 1000)
        if span_ms < 0:
            raise ValueError("time does not pass backwards; `set_wall` sets the wall clock")
        self.wall_ms += span_ms
        self.uptime_ms += span_ms

    def set_wall(self, wall_ms: int) -> None:
        """Set the wall clock, as somebody with a watch would; the monotonic clock does not notice."""
        self.wall_ms = wall_ms
