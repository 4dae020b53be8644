"""Edges that can never be met, found before anything runs."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

from smithers.errors import DependencyCycle
from smithers.plan import Edge

from .vertex import AnyVertex, BlockVertex, Group, Leaf, SequenceVertex, subtree

Moment: TypeAlias = int
"""A vertex's beginning (twice its number) or its end (one more)."""
Wait: TypeAlias = tuple[Leaf, Edge]


def check_cycles(root: AnyVertex, targets: dict[Leaf, list[tuple[Edge, AnyVertex]]]) -> None:
    """Refuse a tree in which tasks wait for each other, or for what comes after them.

    Args:
        targets: for each task with edges, what each of them waits for.
    Raises:
        DependencyCycle: names the tasks on the way round, with their lines.
    """
    vertices = subtree(root)
    number = {id(vertex): index for index, vertex in enumerate(vertices)}
    after, waits = _order(vertices, number, targets)
    left = _unordered(after, 2 * len(vertices))
    if left:
        raise _refusal(_one_cycle(after, left), waits)


def _order(
    vertices: list[AnyVertex],
    number: dict[int, int],
    targets: dict[Leaf, list[tuple[Edge, AnyVertex]]],
) -> tuple[dict[Moment, list[Moment]], dict[tuple[Moment, Moment], Wait]]:
    """Which moment must come before which; and which of these pairs an edge says."""
    after: dict[Moment, list[Moment]] = {}
    waits: dict[tuple[Moment, Moment], Wait] = {}

    def before(first: Moment, second: Moment) -> None:
        after.setdefault(first, []).append(second)

    for index, vertex in enumerate(vertices):
        begin, end = 2 * index, 2 * index + 1
        before(begin, end)
        if isinstance(vertex, Leaf):
            for edge, target in targets.get(vertex, ()):
                moment = 2 * number[id(target)] + 1
                before(moment, begin)
                waits[moment, begin] = (vertex, edge)
        elif isinstance(vertex, Group):
            children = [2 * number[id(child)] for child in vertex.children]
            for child in children:
                before(begin, child)
                before(child + 1, end)
            if isinstance(vertex, SequenceVertex | BlockVertex):
                for first, (one, next_) in zip(vertex.children, pairwise(children), strict=False):
                    lets_on = isinstance(first, Leaf) and first.plan.is_async
                    before(one if lets_on else one + 1, next_)
    return after, waits


def _unordered(after: dict[Moment, list[Moment]], count: int) -> set[Moment]:
    """What a topological sort cannot place (Kahn, 1962)."""
    open_ = [0] * count
    for follows in after.values():
        for moment in follows:
            open_[moment] += 1
    ready = [moment for moment in range(count) if not open_[moment]]
    left = set(range(count))
    while ready:
        moment = ready.pop()
        left.discard(moment)
        for next_ in after.get(moment, ()):
            open_[next_] -= 1
            if not open_[next_]:
                ready.append(next_)
    return left


def _one_cycle(after: dict[Moment, list[Moment]], left: set[Moment]) -> list[Moment]:
    """Moments of one way round, among those that cannot be ordered."""
    before: dict[Moment, Moment] = {}
    for first in left:
        for second in after.get(first, ()):
            if second in left:
                before.setdefault(second, first)
    trail: list[Moment] = []
    seen: dict[Moment, int] = {}
    moment = min(before)
    while moment not in seen:
        seen[moment] = len(trail)
        trail.append(moment)
        moment = before[moment]
    return trail[seen[moment] :][::-1]


def _refusal(cycle: list[Moment], waits: dict[tuple[Moment, Moment], Wait]) -> DependencyCycle:
    pairs = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    edges = [waits[pair] for pair in pairs if pair in waits]
    parts = [
        f"{leaf.key.node} waits for {edge.target}" + (f" ({leaf.plan.place})" if leaf.plan.place else "")
        for leaf, edge in edges
    ]
    if len(edges) == 1:
        parts.append(f"{edges[0][1].target} comes after {edges[0][0].key.node}, or contains it")
    return DependencyCycle(
        "; ".join(parts) or "tasks wait for each other",
        place=edges[0][0].plan.place if edges else None,
        nodes=[leaf.key.node for leaf, _ in edges],
    )
