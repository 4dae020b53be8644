"""Seed after seed, each in a world of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from smithers.store.memory import MemoryStore
from smithers.testing.clock import FakeClock

from .eye import Eye
from .process import Connections
from .world import Outcome, World


class Simulator:
    """Runs seeds on one store, which is emptied before each."""

    def __init__(self) -> None:
        self._connections = Connections()
        self._store = MemoryStore(FakeClock(), connect=self._connections.connect)
        self._eye = Eye(self._store)
        # The first output makes a view, which stays: every seed must find it, the first one too.
        self._warm_up()

    def _warm_up(self) -> None:
        seed = 0
        while not self._eye.has_views:
            self.run(seed)
            seed += 1

    def run(self, seed: int) -> Outcome:
        """Simulate one seed; the same seed does the same."""
        self._store.empty()
        world = World(seed, self._store, self._connections, self._eye)
        self._eye.begin(world.clock)
        return world.run()

    def run_all(self, seeds: Iterable[int]) -> Iterator[Outcome]:
        return map(self.run, seeds)

    def close(self) -> None:
        self._eye.close()
        self._connections.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
