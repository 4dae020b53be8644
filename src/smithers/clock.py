"""The clock seam: wall time for people and deadlines, monotonic time for leases."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where all time comes from; a simulator replaces it."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the Unix epoch."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since this machine's boot; the same clock in every process of one boot."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        # CLOCK_MONOTONIC is shared by all processes of a boot, and it stops while a laptop sleeps:
        # a sleeping owner keeps its lease until it has had the chance to renew it.
        return time.monotonic_ns() // 1_000_000
