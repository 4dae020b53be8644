"""Places for agents at work: how many of a kind, and of an account, run at once over all runs of a store."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from smithers.clock import Clock
from smithers.errors import SmithersError
from smithers.ports import Agent
from smithers.records import PlaceWanted

from .desk import account_of

if TYPE_CHECKING:
    from smithers.ports import Places as StoredPlaces

_log = logging.getLogger("smithers")

TRY_EVERY_MS: Final = 250
"""How often a full pool is looked at again, for places that other processes have given back."""
AGENT_BYTES: Final = 512 << 20
"""Memory that a working agent may need, with what it starts."""


def pool_of(agent: Agent) -> str | None:
    """Which agents an agent shares places with; None: it needs none."""
    found: Any = getattr(agent, "pool", None)
    return found if isinstance(found, str) and found else None


@cache
def default_size() -> int:
    """Places of a pool of which nobody has said it: two a processor, as many as memory allows, at most 16."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30
    return max(1, min(16, 2 * (os.cpu_count() or 1), memory // AGENT_BYTES))


class Place:
    """A place that is taken; give it back when nothing of the agent is left. From any thread, once or more
    often."""

    def __init__(self, number: int, wanted: PlaceWanted, places: AgentPlaces) -> None:
        self._number: int | None = number
        self._wanted = wanted
        self._places = places

    def give_back(self) -> None:
        number, self._number = self._number, None
        if number is not None:
            self._places.free(number)

    def is_for(self, agent: Agent) -> bool:
        """Whether it is still taken, and would do for an agent."""
        is_fit = (self._wanted.pool, self._wanted.account) == (pool_of(agent), account_of(agent))
        return self._number is not None and is_fit

    def __del__(self) -> None:
        # An attempt that was never begun: its frame came to nothing. No lock may be waited for here.
        if self._number is not None:
            self._places.forgotten.append(self._number)


class AgentPlaces:
    """From any thread; it blocks for less than a millisecond, unless the store is busy.

    Args:
        owner: gives the number of this process as an owner of runs.
        open_places: called when a place is first asked for.
    """

    def __init__(
        self, clock: Clock, owner: Callable[[], int], open_places: Callable[[], StoredPlaces]
    ) -> None:
        self._clock = clock
        self._owner = owner
        self._open = open_places
        self._lock = threading.Lock()
        self._stored: StoredPlaces | None = None
        self._full_until: dict[tuple[str, str], int] = {}
        """Pools and accounts without a free place, and when they are looked at again: monotonic ms."""
        self.forgotten: deque[int] = deque()
        """Places that nobody gave back, and whose holders are gone."""

    def take(self, agent: Agent, run: str, node: str) -> Place | int | None:
        """Take a place for an agent; None: it needs none; a number: there is none, try again in so many
        ms."""
        pool = pool_of(agent)
        if pool is None:
            return None
        wanted = PlaceWanted(pool, account_of(agent), run, node)
        now_ms = self._clock.monotonic_ms()
        again_ms = self._full_until.get(wanted[:2], 0) - now_ms
        if again_ms > 0:
            return again_ms
        while self.forgotten:
            self.free(self.forgotten.popleft())
        number = self._opened().take(self._owner(), wanted, default_size())
        if number is not None:
            return Place(number, wanted, self)
        self._full_until[wanted[:2]] = now_ms + TRY_EVERY_MS
        return TRY_EVERY_MS

    def free(self, number: int) -> None:
        """Give a place back. What goes wrong costs a place until this process ends, and nothing else."""
        self._full_until.clear()
        try:
            self._opened().free([number])
        except SmithersError as error:
            _log.debug("a place was not given back: %s", error)

    def _opened(self) -> StoredPlaces:
        with self._lock:
            if self._stored is None:
                self._stored = self._open()
            return self._stored

    def close(self) -> None:
        """Close the connection; places are free as soon as their owner is gone."""
        with self._lock:
            stored, self._stored = self._stored, None
        if stored is not None:
            stored.close()
