"""When a task's stored output may stand in for a new one, in this run and in others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from smithers.errors import InvalidNode, Place

from .node import here
from .span import Span, span_ms


@dataclass(frozen=True, slots=True)
class Cache:
    """Take the output from the cache where one was stored that was made from the same.

    The key is made of all that an attempt goes by: the finished prompt and the whole chain of agents, or
    the code of `run` or `value` and what `deps` hands to it; the output schema; the task's id; and what
    stands here.
    """

    by: Callable[[Any], object] | None = None
    """A function of `ctx` that returns JSON: whatever else the output is made from.

    It is called at the start of each attempt, on a thread, and reads what that attempt reads.
    """
    version: str | int | None = None
    """Change it, and nothing that was stored before is found."""
    ttl: Span | None = None
    """What was stored longer ago counts as not there; None: it never does."""
    scope: Literal["run", "workflow"] = "workflow"
    """`workflow`: what any run of this workflow in the same store has stored; `run`: only this run."""
    ttl_ms: int | None = field(init=False, repr=False, compare=False)
    """`ttl` in milliseconds."""
    place: Place | None = field(init=False, repr=False, compare=False)
    """Where it was written."""

    def __post_init__(self) -> None:
        place = here()
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "ttl_ms", None if self.ttl is None else span_ms(self.ttl, "ttl", place))
        if self.by is not None:
            _check_by(self.by, place)
        if isinstance(self.version, bool) or not isinstance(self.version, (str, int, type(None))):
            raise InvalidNode(f"version={self.version!r} is neither text nor a whole number", place=place)
        if self.scope not in ("run", "workflow"):
            raise InvalidNode(f'scope={self.scope!r} is not "run" or "workflow"', place=place)


def _check_by(by: object, place: Place | None) -> None:
    if not callable(by):
        raise InvalidNode(
            f"by={by!r} is not a function", hint="write by=lambda ctx: …, which returns JSON", place=place
        )
    if inspect.iscoroutinefunction(by):
        raise InvalidNode(
            "by= is an async function",
            hint="a plain function may block: it is called on a thread",
            place=place,
        )
    try:
        inspect.signature(by).bind(None)
    except TypeError:
        raise InvalidNode("by= does not take one argument, which is `ctx`", place=place) from None
    except ValueError:
        pass  # written in C: it does not say what it takes


def check_cache(cache: object, mode: str, value: object, id: str, place: Place | None) -> None:
    """Raise `InvalidNode` unless this is a cache that a task of this mode can have."""
    if cache is None:
        return
    if not isinstance(cache, Cache):
        raise InvalidNode(
            f"Task {id}: cache={cache!r} is not a Cache",
            hint="from smithers import Cache, then cache=Cache(by=lambda ctx: …)",
            place=place,
        )
    if mode == "value" and not callable(value):
        raise InvalidNode(
            f"Task {id}: cache= with a plain value=",
            hint="there is nothing to spare; leave cache= out, or pass value= a function",
            place=place,
        )
