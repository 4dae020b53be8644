"""Random families of runs, in processes that die, or whose stores fail, again and again."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from smithers import Context, ContinueAsNew, Loop, Node, Parallel, Sequence, Subflow, Task, Workflow
from smithers.testing.simulator.fault import Kind, StoreFault
from tests.simulator.families import Family, family

SEEDS = int(os.environ.get("SMITHERS_FAMILIES", "25"))


class Maker:
    """Makes workflows within workflows; the same for the same seed."""

    def __init__(self, stage: Family, seed: int) -> None:
        self._stage = stage
        self._random = Random(seed)
        self._count = 0

    def workflow(self, depth: int) -> Workflow[Any, Any]:
        again = self._random.choice((0, 0, 0, 1, 2)) if depth else 0
        made = [self._node(depth) for _ in range(self._random.randint(1, 3))]
        last = self._task()

        def function(ctx: Context) -> Node:
            goes_on = (ctx.state() or 0) < again
            return Sequence(
                *(one() for one in made),
                last(),
                ContinueAsNew((ctx.state() or 0) + 1) if goes_on else None,
            )

        self._count += 1
        return Workflow(function, name=f"w{self._count}", output=str)

    def _node(self, depth: int) -> Callable[[], Node]:
        what = self._random.random()
        if what < 0.35 or depth == 0:
            return self._task()
        if what < 0.5:
            parts = [self._node(depth - 1) for _ in range(2)]
            cap = self._random.choice((None, 1))
            return lambda: Parallel(*(part() for part in parts), max_concurrency=cap)
        if what < 0.6:
            body, name, passes = self._node(depth - 1), self._name(), self._random.randint(1, 2)
            return lambda: Loop(body(), id=name, max_iterations=passes)
        name = self._name()
        if what < 0.8:
            child, retries = self.workflow(depth - 1), self._random.choice((0, 1))
            return lambda: Subflow(name, child, retries=retries)
        inside = self._tree(depth - 1)
        return lambda: Subflow(name, inside, mode="inline")

    def _tree(self, depth: int) -> Workflow[Any, Any]:
        """A workflow that does not go on as new: it has no run of its own."""
        made, last = [self._node(depth) for _ in range(2)], self._task()
        self._count += 1
        return Workflow(
            lambda ctx: Sequence(*(one() for one in made), last()), name=f"w{self._count}", output=str
        )

    def _task(self) -> Callable[[], Task[Any]]:
        name = self._name()
        work = self._stage.work(name, self._random.choice((0.0, 0.1, 2.0)))
        return lambda: Task(name, str, run=work)

    def _name(self) -> str:
        self._count += 1
        return f"n{self._count}"


def faults(random: Random, sites: int) -> list[tuple[StoreFault, ...]]:
    """For each of a few processes what goes wrong in it."""
    return [
        (StoreFault(random.choice(list(Kind)), random.randrange(max(sites, 1)), random.choice((1, 1, 3))),)
        for _ in range(random.randint(1, 2))  # a third death would make a crash loop of a task
    ]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_family_comes_to_the_same_end_whatever_goes_wrong(seed: int) -> None:
    def make(stage: Family) -> Workflow[Any, Any]:
        return Maker(stage, seed).workflow(3)

    with family(make) as stage:
        sites = stage.drive()
        wanted = stage.end()
        assert {row[0] for row in wanted.values()} <= {"finished", "continued"}
        assert set(stage.executed.values()) == {1}
    random = Random(seed)
    for _ in range(4):
        with family(make) as stage:
            planned = faults(random, sites)
            for one in planned:
                stage.drive(*one)
            stage.finish()
            assert stage.end() == wanted, planned
            assert stage.again == [], planned
