"""The same thing again: limits, conditions, bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smithers import Loop, Node, Task
from smithers.errors import ChildRefused, InvalidId, InvalidNode, Place
from smithers.ids import NodeKey
from smithers.nodes import Lowering, children_of
from smithers.plan import HolePlan, LoopPlan, SequencePlan, TaskPlan

a, b = Task("a", str, value=""), Task("b", str, value="")


class Calls:
    """Bodies are given the key for a pass."""

    def render(self, make: Any, key: NodeKey, place: Place | None) -> tuple[Node, ...]:
        return children_of((make(),), place)

    def pass_at(self, key: NodeKey) -> Any:
        return key


def plan(node: Node) -> LoopPlan:
    made = Lowering(Calls()).tree(node)
    assert isinstance(made, LoopPlan)
    return made


def test_several_children_are_a_sequence_and_one_is_the_body_itself() -> None:
    assert isinstance(plan(Loop(a, b)).body, SequencePlan)
    assert isinstance(plan(Loop(a)).body, TaskPlan)


def test_a_loop_makes_at_most_five_passes_unless_it_says_otherwise() -> None:
    assert plan(Loop(a)).max_iterations == 5
    assert plan(Loop(a, max_iterations=1)).max_iterations == 1
    assert plan(Loop(a, max_iterations=None)).max_iterations is None


def test_reaching_the_limit_fails_only_if_asked_for() -> None:
    assert not plan(Loop(a)).fail_on_max
    assert plan(Loop(a, on_max_reached="fail")).fail_on_max


def test_loops_nest_directly() -> None:
    assert isinstance(plan(Loop(Loop(a))).body, LoopPlan)


@pytest.mark.parametrize("until", ["approved", None, 1, a])
def test_until_is_a_bool_or_a_function(until: Any) -> None:
    with pytest.raises(InvalidNode) as refused:
        Loop(a, until=until)
    assert f"until={until!r}" in refused.value.message
    assert "until=" in refused.value.hint
    assert refused.value.place is not None
    assert Path(refused.value.place.file).name == Path(__file__).name


@pytest.mark.parametrize("limit", [0, -1, 2.5, "5", True])
def test_a_limit_that_is_no_count_is_refused_and_named(limit: Any) -> None:
    with pytest.raises(InvalidNode) as refused:
        Loop(a, max_iterations=limit)
    assert f"max_iterations={limit!r}" in refused.value.message


def test_an_unknown_way_to_end_is_refused_and_named() -> None:
    with pytest.raises(InvalidNode, match="on_max_reached='stop'"):
        Loop(a, on_max_reached="stop")  # type: ignore[arg-type]


def test_an_id_of_a_loop_is_an_id() -> None:
    with pytest.raises(InvalidId, match="'my loop'"):
        Loop(a, id="my loop")


def test_a_body_function_is_given_the_pass() -> None:
    made = plan(Loop(lambda i: Task(f"t{i.iteration}", str, value=""), id="outer"))  # type: ignore[attr-defined]
    assert isinstance(made.body, HolePlan)
    assert made.body.id == "outer:body"
    for iteration in (0, 3):
        body = made.body.expand(NodeKey("outer:body", "", iteration))
        assert isinstance(body, TaskPlan)
        assert body.id == f"t{iteration}"


def test_a_function_beside_other_children_is_no_body() -> None:
    with pytest.raises(ChildRefused):
        Loop(a, lambda i: b)
