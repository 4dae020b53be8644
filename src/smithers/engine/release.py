"""Giving runs up, also while the store takes nothing."""

from __future__ import annotations

import logging

from smithers.clock import Clock
from smithers.errors import SmithersError
from smithers.ports import Leases

_log = logging.getLogger("smithers")

AGAIN_MS = 1_000


class Releases:
    """Gives up runs that this process held; what the store does not take is tried again.

    As long as this process lives, a run that it did not give up would count as driven.
    """

    def __init__(self, leases: Leases, clock: Clock) -> None:
        self._leases = leases
        self._clock = clock
        self._left: list[tuple[int, int]] = []
        """Runs that could not be given up yet, with their fences."""
        self._tried_ms = 0

    def __bool__(self) -> bool:
        return bool(self._left)

    def release(self, run: int, fence: int) -> None:
        """Give a run up, now or as soon as the store lets us."""
        try:
            self._leases.release(run, fence)
        except SmithersError as refused:
            _log.warning("the run is not released yet: %s", refused)
            self._left.append((run, fence))
            self._tried_ms = self._clock.monotonic_ms()

    def try_again(self) -> None:
        """Call it now and then."""
        if self._left and self._clock.monotonic_ms() - self._tried_ms >= AGAIN_MS:
            left, self._left = self._left, []
            for run, fence in left:
                self.release(run, fence)
