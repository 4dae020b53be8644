"""Clocks for tests: one that stands still until it is told to move, and one by which nobody waits."""

from __future__ import annotations

from datetime import timedelta

from smithers.clock import SystemClock

PACE = 1_000
"""How much faster a hurried wall clock goes: a second of back-off is over in a millisecond."""


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


class HurriedClock:
    """Implements `smithers.clock.Clock`: the machine's clocks, but for a wall clock that hurries.

    Back-offs are told by the wall clock; leases and the limits of tasks by the monotonic one, which is real.
    """

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._wall_ms = self._clock.now_ms()
        self._began_ms = self._clock.monotonic_ms()

    def now_ms(self) -> int:
        return self._wall_ms + PACE * (self._clock.monotonic_ms() - self._began_ms)

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms()
