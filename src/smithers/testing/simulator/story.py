"""What a simulated run does, and what must come of it whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeAlias

from smithers.engine.definition import Definition
from smithers.engine.terms import Terms
from smithers.testing.tape import CutOff

from .ending import Ending


class Story(Protocol):
    """One workflow, told in one world."""

    @property
    def definition(self) -> Definition:
        """The workflow; the same one in each of the world's processes."""
        ...

    @property
    def input(self) -> str:
        """JSON text."""
        ...

    def terms(self, random: Random) -> Terms:
        """What each of its processes drives it under."""
        ...

    def begin(self, is_cut_off: CutOff) -> None:
        """The world begins.

        Args:
            is_cut_off: whether an attempt came to nothing.
        """
        ...

    def end(self) -> None:
        """The world is over."""
        ...

    def wrong_with(self, ending: Ending) -> str | None:
        """What should have come of it and did not; None: all is well."""
        ...


Tell: TypeAlias = Callable[[Random], Story]
"""Makes the story of a world, from its seed."""
