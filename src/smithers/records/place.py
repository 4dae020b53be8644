"""Places of agents that are at work, and how many there are."""

from __future__ import annotations

from typing import NamedTuple


class PlaceWanted(NamedTuple):
    """For whom a place is taken."""

    pool: str
    account: str
    run: str
    """Its name."""
    node: str


class PlaceRow(NamedTuple):
    """A place that is taken, by an owner that may be alive."""

    id: int
    owner: int
    pool: str
    account: str
    run: str
    node: str
    since_ms: int
    """Wall clock."""
