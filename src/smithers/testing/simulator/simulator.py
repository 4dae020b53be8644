"""Seed after seed, each in a world of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from smithers.store.memory import MemoryStore
from smithers.testing.clock import FakeClock

from .eye import Eye
from .process import Connections
from .random_story import RandomStory
from .story import Tell
from .world import Outcome, World


class Simulator:
    """Runs seeds on one store, which is emptied before each.

    Args:
        tell: makes the story of each.
    """

    def __init__(self, tell: Tell = RandomStory) -> None:
        self._tell = tell
        self._connections = Connections()
        self._store = MemoryStore(FakeClock(), connect=self._connections.connect)
        self._eye = Eye(self._store)
        # The first output makes a view, which stays: every seed must find it, the first one too.
        self.undisturbed = [self.run(seed, is_disturbed=False) for seed in range(2)]
        """Two runs to which nothing happens, but for the order in which they do things."""

    def run(self, seed: int, *, is_disturbed: bool = True) -> Outcome:
        """Simulate one seed; the same seed does the same."""
        self._store.empty()
        world = World(seed, self._store, self._connections, self._eye, self._tell, is_disturbed=is_disturbed)
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
