"""What a task's output is made from: the parts of its key in the cache, each as a hash."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from smithers.errors import CacheByFailed, MissingOutput, Place

from .failure import author_place, text_of
from .fingerprint import chain_mark, code_mark, shape_mark

if TYPE_CHECKING:
    from smithers.nodes import Cache
    from smithers.ports import Agent

    from .job import Job


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The parts, and what is found by all of them together."""

    parts: Mapping[str, str]
    """Hashes in hexadecimal, by the names that people are shown."""
    unknown: tuple[str, ...]
    """Parts that cannot be said: code without a file, a captured value that only this process has."""

    @property
    def mark(self) -> bytes:
        """16 bytes, the same in every process."""
        return blake2b(canonical(self.parts).encode(), digest_size=16).digest()


def key_of(job: Job, cache: Cache, agents: tuple[Agent, ...], prompt: str | None) -> CacheKey:
    """The key of an attempt's output.

    Args:
        agents: the whole chain, whichever of it makes this attempt.
        prompt: finished; None where the task has none.
    Raises:
        CacheByFailed: `by` raised, or returned what JSON cannot hold.
        MissingOutput: `by`, or `deps`, reads what is not there yet.
    """
    task = job.task
    marks: dict[str, bytes | None] = {"schema": shape_mark(task, job.model)}
    if cache.by is not None:
        marks["by"] = mark_of(_called(job, cache))
    if cache.version is not None:
        marks["version"] = mark_of(canonical(cache.version))
    if prompt is not None:
        marks["prompt"] = mark_of(prompt)
        marks["agent"] = chain_mark(agents)
    else:
        marks["code"] = code_mark(task)
    if prompt is None and task.deps is not None:
        # What an agent is given stands in its prompt.
        marks["deps"] = mark_of(canonical(_given(job)))
    return CacheKey(
        {name: mark.hex() for name, mark in sorted(marks.items()) if mark is not None},
        tuple(name for name, mark in sorted(marks.items()) if mark is None),
    )


def _given(job: Job) -> list[tuple[str, str]]:
    """What `deps` hands over: names, and outputs as they are stored."""
    task = job.task
    if isinstance(task.deps, Mapping):
        named = [(name, task.needs.get(name, name)) for name in task.deps]
    else:
        named = [("", dep.id) for dep in task.deps or ()]
    found = []
    for name, node in named:
        row = job.view.newest(node)
        if row is None:
            raise MissingOutput(f"{node} has no output yet", node=node)
        found.append((name, row.body))
    return found


# --- by -----------------------------------------------------------------------------------------


def _called(job: Job, cache: Cache) -> str:
    """What `by` returns, as canonical JSON."""
    by = cache.by
    if by is None:
        return ""

    def call() -> Any:
        job.enter()
        return by(job.ctx)

    try:
        value = contextvars.copy_context().run(call)
    except Exception as error:
        if isinstance(error, MissingOutput) and "node" in error.details:
            raise  # the task waits for it
        raise CacheByFailed(
            f"Task {job.task.id}: by= of its cache raised {type(error).__name__}: {text_of(error)}",
            place=author_place(error) or _place_of(cache),
        ) from error
    try:
        text = canonical(value)
        text.encode()
    except Exception as error:  # noqa: BLE001 - a model in it may have serializers of the author's
        raise CacheByFailed(
            f"Task {job.task.id}: by= of its cache returned what JSON cannot hold: {text_of(error)}",
            place=_place_of(cache),
        ) from None
    return text


def _place_of(cache: Cache) -> Place | None:
    """Where `by` is written, as far as it says so."""
    code = getattr(cache.by, "__code__", None)
    return cache.place if code is None else Place(code.co_filename, code.co_firstlineno)


def canonical(value: Any) -> str:
    """One text for equal JSON: names in order, no blanks."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    )


def _plain(value: Any) -> Any:
    """What a read of `ctx` gives, as JSON. Nothing else: a set, for one, has no order of its own."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", warnings=False)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")


def mark_of(text: str) -> bytes:
    """16 bytes that tell one text from another."""
    return blake2b(text.encode(), digest_size=16).digest()
