"""How an attempt meets the cache: it looks before anything is called, and leaves what it made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.context import from_stored
from smithers.errors import BugError, SmithersError, fault_path
from smithers.records import CacheEntry, CachePlace, CacheRow, Lookup, LookupVerdict

from .cache_key import key_of
from .cache_reader import CacheReader
from .failure import text_of

if TYPE_CHECKING:
    from smithers.nodes import Cache
    from smithers.ports import Agent

    from .job import Job


@dataclass(slots=True)
class Caching:
    """One attempt and the cache. Filled in on the author's side, before the attempt is reported."""

    reader: CacheReader
    cache: Cache
    agents: tuple[Agent, ...]
    """The whole chain, whichever of it makes this attempt."""
    workflow: str
    unread: LookupVerdict | None = None
    """Why nobody is to look, though what is made is stored."""
    lookup: Lookup | None = None
    """What was found."""
    entry: CacheEntry | None = None
    """What is stored if the attempt finishes."""
    reads: tuple[str, ...] = ()
    """What the attempt had read whose output was found."""


def look_up(job: Job, prompt: str | None = None) -> str | None:
    """The stored text of an output that was made from the same; None: it has to be made.

    It calls `by` and blocks on the store: not for an event loop.

    Args:
        prompt: finished; None where the task has none.
    Raises:
        CacheByFailed: `by` raised, or returned what JSON cannot hold.
        MissingOutput: `by`, or `deps`, reads what is not there yet.
    """
    caching = job.caching
    if caching is None:
        raise BugError(f"{job} has no cache")
    key = key_of(job, caching.cache, caching.agents, prompt)
    if key.unknown:
        caching.lookup = Lookup("unknown", differs=key.unknown)
        return None
    mark = key.mark
    place = CachePlace(caching.workflow, job.key.node, job.run if caching.cache.scope == "run" else 0)
    entry = CacheEntry(place, mark, key.parts, job.key, job.generation)
    if caching.unread is not None:
        caching.lookup, caching.entry = Lookup(caching.unread, mark.hex()), entry
        return None
    try:
        row, near = caching.reader.find(place, mark)
    except SmithersError as error:
        # The next commit says what is wrong with the store; a cache that cannot be read is an empty one.
        caching.lookup, caching.entry = Lookup("unreadable", mark.hex(), detail=error.message), entry
        return None
    if row is None:
        caching.lookup, caching.entry = _nearest(entry, near), entry
        return None
    verdict, detail = _judge(row, job.model, caching.cache.ttl_ms, caching.reader.now_ms())
    caching.lookup = Lookup(verdict, mark.hex(), (), row.run, str(row.key), row.stored_ms, detail)
    if verdict != "hit":
        caching.entry = entry
        return None
    caching.reads = row.reads
    return row.body


def _judge(
    row: CacheRow, model: type[Any] | None, ttl_ms: int | None, now_ms: int
) -> tuple[LookupVerdict, str]:
    """Whether an entry may stand in, and what speaks against it."""
    if ttl_ms is not None and now_ms - row.stored_ms >= ttl_ms:
        return "expired", ""
    fault = _fault(row.body, model)
    return ("unfit", fault) if fault else ("hit", "")


def _fault(text: str, model: type[Any] | None) -> str:
    """Why a stored text does not fit a model as it is now; empty: it fits."""
    from pydantic import ValidationError

    try:
        if model is not None and model is not str:
            from_stored(model, text)
            return ""
        value = json.loads(text)
        fits = isinstance(value, dict) and (model is None or isinstance(value.get("text"), str))
        return "" if fits else "it is of another kind"
    except ValidationError as error:
        first = error.errors()[0]
        return f"{fault_path(first['loc']) or '$'}: {first['msg']}"
    except Exception as error:  # noqa: BLE001 - an author's validators may raise anything: it does not fit
        return f"{type(error).__name__}: {text_of(error)}"


def _nearest(entry: CacheEntry, near: list[CacheRow]) -> Lookup:
    """What a miss is told of: in what the nearest entry differs; of equally near ones, the newest."""
    mark = entry.mark.hex()
    if not near:
        return Lookup("empty", mark)
    row = min(near, key=lambda one: len(_differing(entry, one)))
    differs = _differing(entry, row)
    who = (row.run, str(row.key), row.stored_ms)
    if not differs:
        return Lookup("unreadable", mark, (), *who, "its output is gone")
    return Lookup("differs", mark, differs, *who)


def _differing(entry: CacheEntry, row: CacheRow) -> tuple[str, ...]:
    names = entry.parts.keys() | row.parts.keys()
    return tuple(name for name in sorted(names) if entry.parts.get(name) != row.parts.get(name))
