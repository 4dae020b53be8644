"""Runs that nobody drives: how they stand, and how often they were found so."""

from __future__ import annotations

from typing import NamedTuple

from .row import Owner, OwnerHealth
from .state import RunState


class Revival(NamedTuple):
    """How often in a row a run was lost, or could not be resumed, and nothing settled in between."""

    fence: int
    """Of the owner that was lost last."""
    deaths: int
    at_ms: int
    """When the last of them was found."""
    settled: int
    """Tasks that had settled by then."""
    why: str | None
    """Why it could not be resumed; None: its owner has died."""


class Standing(NamedTuple):
    """A run that is nobody's child, as far as it matters for who should drive it."""

    run: int
    name: str
    workflow: str
    source: str
    """As in `RunRow`."""
    state: RunState
    fence: int
    moved_ms: int
    """When its last frame was stored."""
    due_ms: int | None
    """Its earliest deadline."""
    came_ms: int | None
    """The latest of its deadlines that have come."""
    message_ms: int | None
    """Since when a message for it, or for a run within it, was not taken."""
    cancel_ms: int | None
    """Since when a cancel of it was not taken."""
    settled: int
    """Tasks that have settled, in it and in the runs that belong to it."""
    owner: Owner | None
    health: OwnerHealth
    revival: Revival | None = None
