"""A wall clock that never goes back: frames are stamped, and back-offs end, by it."""

from __future__ import annotations

from smithers.clock import Clock


class SteadyClock:
    """The machine's clocks, for one engine.

    Set back by an hour, a wall clock alone would hold up for an hour whatever was due in a second, and give a
    frame an earlier time than its parent's. This one goes on at the pace of the monotonic clock until the
    machine's has caught up. Ahead it follows at once: a laptop that slept has missed what was due meanwhile.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = clock.now_ms()
        self._seen_ms = clock.monotonic_ms()

    def now_ms(self) -> int:
        """Wall clock, or what it would have come to."""
        seen_ms = self._clock.monotonic_ms()
        self._last_ms = max(self._clock.now_ms(), self._last_ms + seen_ms - self._seen_ms)
        self._seen_ms = seen_ms
        return self._last_ms

    def monotonic_ms(self) -> int:
        """The machine's."""
        return self._clock.monotonic_ms()

    def not_before(self, instant_ms: int) -> None:
        """Go on from a time that something stored already has: the clock may have been set back since."""
        self._last_ms = max(self.now_ms(), instant_ms)
