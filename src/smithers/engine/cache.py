"""How an attempt meets the cache: it looks before anything is called, and leaves what it made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.context import Subject, from_stored
from smithers.errors import BugError, SmithersError, fault_path
from smithers.records import CacheEntry, CachePlace, CacheRow, Lookup

from .cache_key import key_of
from .cache_reader import CacheReader
from .cache_seen import seen_by, unlike
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
    unread: Lookup | None = None
    """Why nobody is to look, though what is made is stored; None: somebody is."""
    lookup: Lookup | None = None
    """What was found."""
    entry: CacheEntry | None = None
    """What is stored if the attempt finishes."""
    reads: tuple[str, ...] = ()
    """What the attempt had read whose output was found."""
    before: frozenset[Subject] = frozenset()
    """What was read before the task's own code ran."""


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
    _set_aside(job, caching)
    if key.unknown:
        caching.lookup = Lookup("unknown", differs=key.unknown)
        return None
    mark = key.mark
    place = CachePlace(caching.workflow, job.key.node, job.run if caching.cache.scope == "run" else 0)
    caching.entry = CacheEntry(place, mark, key.parts, job.key, job.generation, {})
    if caching.unread is not None:
        caching.lookup = caching.unread._replace(mark=mark.hex())
        return None
    try:
        caching.lookup, body = _find(job, caching, caching.entry)
    except SmithersError as error:
        # The next commit says what is wrong with the store; a cache that cannot be read is an empty one.
        caching.lookup, body = Lookup("unreadable", mark.hex(), detail=error.message), None
    if body is not None:
        caching.entry = None
    return body


def _set_aside(job: Job, caching: Caching) -> None:
    """Part what was read until now, by `skip_if`, `by` and the key, from what the code will read."""
    reads = job.view.reads
    if reads:
        caching.before = frozenset(reads)
        reads.clear()


def note_seen(job: Job) -> None:
    """Note what the attempt's code has read by itself; called once it has returned.

    What cannot be compared later keeps the output out of the cache. An author who has written `by` has said
    what the output is made from, and an agent has read its prompt.
    """
    caching = job.caching
    if caching is None or caching.entry is None or caching.lookup is None or caching.cache.by is not None:
        return
    seen = seen_by(job)
    if seen is not None:
        caching.entry = caching.entry._replace(seen=seen)
        return
    caching.entry = None
    detail = "not stored: its code reads what cannot be compared later, such as a status; name it in by="
    caching.lookup = caching.lookup._replace(detail=detail)


def _find(job: Job, caching: Caching, entry: CacheEntry) -> tuple[Lookup, str | None]:
    """What the cache has for an attempt, with the text to take.

    Raises:
        StoreError: it cannot be read.
    """
    reader, place, mark = caching.reader, entry.place, entry.mark.hex()
    rows = reader.entries(place, entry.mark)
    if not rows:
        near = reader.entries(place)
        return _nearest(mark, [(row, _differing(entry, row)) for row in near]), None
    differing = [(row, unlike(job, row.seen)) for row in rows]
    row = next((row for row, differs in differing if not differs), None)
    if row is None:
        return _nearest(mark, differing), None
    found = Lookup("hit", mark, (), row.run, str(row.key), row.stored_ms)
    ttl_ms = caching.cache.ttl_ms
    if ttl_ms is not None and reader.now_ms() - row.stored_ms >= ttl_ms:
        return found._replace(verdict="expired"), None
    body = reader.value(place, row)
    if body is None:
        return found._replace(verdict="unreadable", detail="its output is gone"), None
    if fault := _fault(body, job.model):
        return found._replace(verdict="unfit", detail=fault), None
    caching.reads = row.reads
    return found, body


def _nearest(mark: str, rows: list[tuple[CacheRow, tuple[str, ...]]]) -> Lookup:
    """What a miss is told of: in what the nearest entry differs; of equally near ones, the newest."""
    if not rows:
        return Lookup("empty", mark)
    row, differs = min(rows, key=lambda one: len(one[1]))
    return Lookup("differs", mark, differs, row.run, str(row.key), row.stored_ms)


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


def _differing(entry: CacheEntry, row: CacheRow) -> tuple[str, ...]:
    names = entry.parts.keys() | row.parts.keys()
    return tuple(name for name in sorted(names) if entry.parts.get(name) != row.parts.get(name))
