"""All that an engine reaches the world by; a simulator brings its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from smithers.clock import Clock
from smithers.ports import Leases, Writer
from smithers.process import Processes
from smithers.records import Owner

from .author import Author


def _nothing_left(run: int, name: str) -> None:
    """Where no programs are started there are none to end."""


@dataclass(frozen=True, slots=True)
class Effects:
    """All that an engine reaches the world by."""

    writer: Writer
    """Its own; used from the engine's thread only."""
    leases: Leases
    """Of the registered `owner`."""
    owner: Owner
    clock: Clock
    random: Random
    processes: Processes
    """What attempts start programs with; whoever made it closes it."""
    author: Author
    reap: Callable[[int, str], None] = _nothing_left
    """Ends what former owners of a claimed run have left running: its number and name."""
    look_at_accounts: Callable[[], bool] = lambda: False
    """Learns whose limits others have found used up; called when somebody else has written. Whether that has
    changed."""
    deliver: Callable[[], None] = lambda: None
    """Called after a commit that held notices."""
