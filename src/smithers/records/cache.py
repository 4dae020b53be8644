"""The cache of outputs: what a frame adds to it, and what an attempt found in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from smithers.ids import NodeKey

LookupVerdict: TypeAlias = Literal[
    "hit", "differs", "expired", "unfit", "unreadable", "refused", "empty", "rerun", "unknown"
]
"""`hit`: the output was taken from the cache; all others are misses.

`differs`: nothing that was made from the same is stored; the nearest entry of the task differs in some parts.
`expired`, `unfit`, `unreadable`: there is an entry, and it is too old, does not fit the model any more, or
cannot be read. `refused`: a table of the user's has refused its row. `empty`: nothing is stored for the task.
`rerun`: the task was asked to be executed again, so nobody looked. `unknown`: it cannot be said what the task
is made from, so nothing is stored either.
"""


class CachePlace(NamedTuple):
    """Where entries of a task are."""

    workflow: str
    node: str
    run: int = 0
    """0: those for all runs of the workflow; else those that only this run may use."""


class CacheEntry(NamedTuple):
    """An output of this frame that later attempts may take instead of executing."""

    place: CachePlace
    mark: bytes
    """16-byte hash of all its parts: what it is found by."""
    parts: Mapping[str, str]
    """What the output was made from: a hash, in hexadecimal, by the name of the part."""
    key: NodeKey
    """Whose output it is."""
    generation: int
    seen: Mapping[str, str]
    """What its code had read by itself: a hash, in hexadecimal, by the words for what was read."""
    reads: tuple[str, ...] = ()
    """What the attempt had read beside what it was given, as its event has it."""


class CacheRow(NamedTuple):
    """An entry, as stored."""

    workflow: str
    is_of_run: bool
    """Only the run that stored it may use it."""
    mark: bytes
    parts: Mapping[str, str]
    run: str
    """Name of the run that stored it."""
    key: NodeKey
    generation: int
    stored_ms: int
    """Wall clock."""
    seen: Mapping[str, str]
    reads: tuple[str, ...] = ()


class Lookup(NamedTuple):
    """What an attempt found in the cache, and why."""

    verdict: LookupVerdict
    mark: str = ""
    """The key that was looked for, in hexadecimal; empty: it could not be said."""
    differs: tuple[str, ...] = ()
    """Parts, or things read, in which the nearest entry differs; or parts that could not be said."""
    run: str = ""
    """Who had stored the entry that was found, or that was nearest."""
    node: str = ""
    """Which of its nodes, such as `draft[1]`."""
    stored_ms: int | None = None
    """When; wall clock."""
    detail: str = ""

    @property
    def is_hit(self) -> bool:
        return self.verdict == "hit"


class LookupRow(NamedTuple):
    """The same for an attempt that ends in this frame."""

    key: NodeKey
    generation: int
    attempt: int
    lookup: Lookup
