"""Time as trials have it: nobody waits for a back-off to end."""

from __future__ import annotations

from smithers.clock import SystemClock

PACE = 1_000
"""How much faster the wall clock goes: a second of back-off is over in a millisecond."""


class HurriedClock:
    """Implements `smithers.clock.Clock`: a wall clock that hurries.

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
