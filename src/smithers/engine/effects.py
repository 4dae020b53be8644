"""All that an engine reaches the world by; a simulator brings its own."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from smithers.clock import Clock
from smithers.ports import Leases, Writer
from smithers.process import Processes
from smithers.records import Owner

from .author import Author


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
