"""What a cache takes and what it refuses, where it is written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Cache, Task
from smithers.agents import RehearsalAgent
from smithers.errors import InvalidNode


class Draft(BaseModel):
    summary: str


async def later(ctx: Any) -> int:
    return 1


C: Any = Cache
A: Any = Task

REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: C(by=7), "by=7 is not a function"),
    (lambda: C(by="ctx.input"), "by='ctx.input' is not a function"),
    (lambda: C(by=later), "async"),
    (lambda: C(by=lambda: 1), "one argument"),
    (lambda: C(by=lambda ctx, more: 1), "one argument"),
    (lambda: C(version=1.5), "version=1.5"),
    (lambda: C(version=True), "version=True"),
    (lambda: C(version=["v1"]), r"version=\['v1'\]"),
    (lambda: C(ttl=0), "ttl=0"),
    (lambda: C(ttl="soon"), "ttl='soon'"),
    (lambda: C(ttl=timedelta(seconds=-1)), "ttl="),
    (lambda: C(scope="global"), "scope='global'"),
    (lambda: A("a", Draft, run=later, cache=True), "cache=True is not a Cache"),
    (lambda: A("a", Draft, run=later, cache=Cache), "is not a Cache"),
    (lambda: A("a", Draft, value={"summary": "x"}, cache=Cache()), "plain value="),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_no_cache_takes_is_refused_with_the_value_and_the_line(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(InvalidNode, match=message) as caught:
        make()
    place = caught.value.place
    assert place is not None
    assert (Path(place.file), place.line) == (Path(__file__), inspect.getsourcelines(make)[1])
    assert caught.value.hint


def test_a_ttl_is_a_span_of_time() -> None:
    made = [Cache(ttl=span).ttl_ms for span in (None, timedelta(hours=2), 7200, "2h")]
    assert made == [None, 7_200_000, 7_200_000, 7_200_000]


def test_by_may_be_anything_that_takes_ctx() -> None:
    def with_default(ctx: object, more: int = 1) -> int:
        return more

    for by in (with_default, functools.partial(with_default, more=2), str, lambda *all: 1):
        assert Cache(by).by is by


def test_caches_of_the_same_options_are_equal() -> None:
    assert Cache(version="v1", ttl="2h") == Cache(version="v1", ttl="2h")
    assert Cache(version="v1") != Cache(version="v2")


def test_every_mode_that_executes_something_takes_one() -> None:
    cache = Cache(version="v1")
    made = (
        Task("a", Draft, agent=RehearsalAgent(), prompt="x", cache=cache),
        Task("a", Draft, run=lambda: {"summary": "x"}, cache=cache),
        Task("a", Draft, value=lambda: {"summary": "x"}, cache=cache),
    )
    assert [task.cache for task in made] == [cache] * 3
    assert Task("a", Draft, value={"summary": "x"}, cache=None).cache is None
