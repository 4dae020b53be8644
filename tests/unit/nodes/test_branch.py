"""One of two: the other side does not exist."""

from __future__ import annotations

from typing import Any

import pytest

from smithers import Branch, Node, Task
from smithers.errors import ChildRefused, InvalidNode, Place
from smithers.ids import NodeKey
from smithers.nodes import Lowering, children_of
from smithers.plan import HolePlan, PlanNode, SequencePlan, TaskPlan

yes, no = Task("yes", str, value=""), Task("no", str, value="")


class Calls:
    def render(self, make: Any, key: NodeKey, place: Place | None) -> tuple[Node, ...]:
        return children_of((make(),), place)

    def pass_at(self, key: NodeKey) -> Any:
        raise AssertionError("not a loop")


def chosen(node: Node) -> PlanNode:
    made = Lowering(Calls()).tree(node)
    return made.expand(NodeKey(made.id)) if isinstance(made, HolePlan) else made


@pytest.mark.parametrize("then", [yes, lambda: yes, [yes], lambda: [None, yes]])
@pytest.mark.parametrize("condition", [True, lambda: True])
def test_the_first_side_is_taken_if_the_condition_holds(condition: Any, then: Any) -> None:
    made = chosen(Branch(condition, then, no))
    assert isinstance(made, TaskPlan)
    assert made.id == "yes"


@pytest.mark.parametrize("condition", [False, lambda: False])
def test_the_other_side_is_taken_if_it_does_not(condition: Any) -> None:
    made = chosen(Branch(condition, yes, no))
    assert isinstance(made, TaskPlan)
    assert made.id == "no"


@pytest.mark.parametrize("condition", [False, lambda: False])
def test_without_another_side_nothing_is_there(condition: Any) -> None:
    made = chosen(Branch(condition, yes))
    assert isinstance(made, SequencePlan)
    assert made.children == ()


def test_several_nodes_on_one_side_are_a_sequence() -> None:
    made = chosen(Branch(True, [yes, no]))
    assert isinstance(made, SequencePlan)
    assert len(made.children) == 2


def test_the_side_that_is_not_taken_is_not_called() -> None:
    def never() -> Node:
        raise AssertionError("called")

    assert isinstance(chosen(Branch(lambda: True, yes, never)), TaskPlan)


@pytest.mark.parametrize("condition", ["yes", 1, None, yes])
def test_a_condition_that_is_neither_a_bool_nor_a_function_is_refused_and_named(condition: Any) -> None:
    with pytest.raises(InvalidNode) as refused:
        Branch(condition, yes)
    assert repr(condition) in refused.value.message
    assert refused.value.place is not None


def test_a_side_that_is_no_child_is_refused_even_if_it_is_not_taken() -> None:
    other: Any = "no"
    with pytest.raises(ChildRefused, match="'no'"):
        Branch(True, yes, other)


def test_a_branch_that_is_decided_later_is_called_by_its_kind_and_the_first_task_inside() -> None:
    made = Lowering(Calls()).tree(Branch(lambda: True, None, no))
    assert isinstance(made, HolePlan)
    assert made.id == "branch:no"
    named = Lowering(Calls()).tree(Branch(lambda: True, yes, no, id="gate"))
    assert isinstance(named, HolePlan)
    assert named.id == "gate"
