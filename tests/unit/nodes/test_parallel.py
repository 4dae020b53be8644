"""Things side by side: caps, what a failure does to the others, children from a function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smithers import Node, Parallel, Task
from smithers.errors import ChildRefused, InvalidNode, Place
from smithers.ids import NodeKey
from smithers.nodes import Lowering, children_of
from smithers.plan import HolePlan, ParallelPlan


class Calls:
    """Calls bodies at once, and counts."""

    def __init__(self) -> None:
        self.keys: list[NodeKey] = []

    def render(self, make: Any, key: NodeKey, place: Place | None) -> tuple[Node, ...]:
        self.keys.append(key)
        return children_of((make(),), place)

    def pass_at(self, key: NodeKey) -> Any:
        raise AssertionError("not a loop")


def tasks(count: int) -> list[Node]:
    return [Task(f"t{n}", str, value="") for n in range(count)]


def test_a_cap_and_the_failure_rule_reach_the_plan() -> None:
    made = Lowering().tree(Parallel(tasks(3), max_concurrency=2, on_failure="cancel"))
    assert isinstance(made, ParallelPlan)
    assert (made.cap, made.cancel_on_failure, len(made.children)) == (2, True, 3)


def test_without_options_there_is_no_cap_and_a_failure_lets_the_others_end() -> None:
    made = Lowering().tree(Parallel(tasks(1), None, tasks(0)))
    assert isinstance(made, ParallelPlan)
    assert (made.cap, made.cancel_on_failure, len(made.children)) == (None, False, 1)


@pytest.mark.parametrize("cap", [0, -1, 1.5, "2", True])
def test_a_cap_that_is_no_count_is_refused_and_named(cap: Any) -> None:
    with pytest.raises(InvalidNode) as refused:
        Parallel(max_concurrency=cap)
    assert f"max_concurrency={cap!r}" in refused.value.message
    assert refused.value.place is not None
    assert Path(refused.value.place.file).name == Path(__file__).name


def test_an_unknown_failure_rule_is_refused_and_named() -> None:
    with pytest.raises(InvalidNode, match="on_failure='ignore'"):
        Parallel(on_failure="ignore")  # type: ignore[arg-type]


def test_a_function_of_no_argument_gives_the_children_when_the_place_is_reached() -> None:
    calls = Calls()
    made = Lowering(calls).tree(Parallel(lambda: tasks(2), max_concurrency=1, id="fan"))
    assert isinstance(made, HolePlan)
    assert calls.keys == []

    expanded = made.expand(NodeKey("fan"))

    assert calls.keys == [NodeKey("fan")]
    assert isinstance(expanded, ParallelPlan)
    assert [child.id for child in expanded.children] == ["t0", "t1"]
    assert expanded.cap == 1


def test_what_a_body_returns_is_checked_like_any_child_and_blamed_on_the_container() -> None:
    body: Any = lambda: [3]  # noqa: E731
    node = Parallel(body)
    made = Lowering(Calls()).tree(node)
    assert isinstance(made, HolePlan)
    with pytest.raises(ChildRefused, match="3 is not a node") as refused:
        made.expand(NodeKey("x"))
    assert refused.value.place == node.place


def test_a_function_beside_other_children_is_no_body() -> None:
    with pytest.raises(ChildRefused):
        Parallel(tasks(1), lambda: tasks(1))
