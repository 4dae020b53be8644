"""What may stand in a container, what containers are called, and where nodes say they were written."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from smithers import Branch, Loop, Node, Parallel, Sequence, Task
from smithers.errors import ChildRefused
from smithers.nodes import Lowering
from smithers.nodes.node import children_of
from smithers.plan import LoopPlan, ParallelPlan, PlanNode, SequencePlan, TaskPlan

HERE = Path(__file__).name


def task(name: str) -> Task[str]:
    return Task(name, str, value=name)


def ids(plan: PlanNode) -> list[str]:
    """Task ids in document order."""
    match plan:
        case TaskPlan(id=name):
            return [name]
        case SequencePlan(children=children) | ParallelPlan(children=children):
            return [name for child in children for name in ids(child)]
        case LoopPlan(body=body):
            return ids(body)
        case _:
            return []


def plan(node: Any) -> PlanNode:
    return Lowering().tree(node)


# --- Children -----------------------------------------------------------------------------------


def test_none_and_false_are_absent() -> None:
    assert ids(plan(Sequence(None, task("a"), False, task("b"), None))) == ["a", "b"]


def test_iterables_of_children_are_opened_in_place_at_any_depth() -> None:
    deep = [[[[[task("b")]]]]]
    children: list[Any] = [task("a"), deep, (task(f"c{n}") for n in range(2)), (None, [False, task("d")])]
    assert ids(plan(Parallel(*children))) == ["a", "b", "c0", "c1", "d"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("draft", "str"),
        (b"draft", "bytes"),
        (3, "int"),
        (0, "int"),
        (True, "bool"),
        ({"a": 1}, "dict"),
        (Task, "type"),
        (object, "type"),
    ],
)
@pytest.mark.parametrize("container", [Sequence, Parallel, Loop])
def test_anything_else_is_refused_where_it_is_written_naming_the_value(
    container: Any, value: Any, kind: str
) -> None:
    line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
    with pytest.raises(ChildRefused) as refused:
        container(task("a"), [value])
    error = refused.value
    assert repr(value)[:57] in error.message
    assert kind in error.message
    assert error.place is not None
    assert Path(error.place.file).name == HERE
    assert error.place.line == line + 2


def test_a_refused_value_of_great_length_is_shown_in_part() -> None:
    with pytest.raises(ChildRefused) as refused:
        children_of(["x" * 10_000])
    assert len(refused.value.message) < 200


def test_a_component_that_was_not_called_is_refused_with_the_advice_to_call_it() -> None:
    def component() -> Node:
        return task("a")

    with pytest.raises(ChildRefused) as refused:
        children_of([component])
    assert "call it" in refused.value.hint


def test_a_container_without_children_is_allowed() -> None:
    assert ids(plan(Sequence(Parallel(), Loop()))) == []
    assert children_of((None, False, [])) == ()


# --- Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "name"),
    [
        (Sequence(task("a"), task("b")), "sequence:a"),
        (Parallel(task("a"), task("b")), "parallel:a"),
        (Loop(task("a")), "loop:a"),
        (Loop(task("a"), id="refine"), "refine"),
        (Sequence(task("a"), id="chain"), "chain"),
        (Parallel(task("a"), id="fan"), "fan"),
        (Sequence(None, Parallel(Loop(task("deep")))), "sequence:loop:deep"),
        (Loop(Loop(task("a"), id="inner")), "loop:inner"),
        (Sequence(), "sequence"),
        (Parallel(lambda: task("a")), "parallel"),
        (Loop(lambda i: task("a")), "loop"),
    ],
)
def test_a_container_is_called_by_its_kind_and_the_first_task_or_loop_inside(node: Node, name: str) -> None:
    made = plan(node)
    assert not isinstance(made, TaskPlan)
    assert made.id == name


def test_a_body_function_gives_its_name_to_the_container() -> None:
    def findings() -> list[Node]:
        return []

    made = plan(Parallel(findings))
    assert not isinstance(made, TaskPlan)
    assert made.id == "parallel:findings"


def test_two_containers_with_one_default_name_are_told_apart() -> None:
    made = plan(Parallel(Sequence(), Sequence(), Sequence()))
    assert isinstance(made, ParallelPlan)
    assert [getattr(child, "id", None) for child in made.children] == ["sequence", "sequence~2", "sequence~3"]


def test_default_names_do_not_depend_on_what_stands_elsewhere() -> None:
    alone = plan(Sequence(task("x"), Loop(task("a"))))
    beside = plan(Sequence(task("x"), Loop(task("first")), Loop(task("a"))))
    assert isinstance(alone, SequencePlan)
    assert isinstance(beside, SequencePlan)
    assert getattr(alone.children[1], "id", None) == getattr(beside.children[2], "id", None) == "loop:a"


def test_several_nodes_returned_together_are_a_sequence() -> None:
    made = plan([task("a"), None, task("b")])
    assert isinstance(made, SequencePlan)
    assert made.id == "sequence:a"
    assert ids(made) == ["a", "b"]


def test_one_node_returned_in_a_list_stands_for_itself() -> None:
    assert isinstance(plan([task("a")]), TaskPlan)


def test_nothing_returned_is_an_empty_sequence() -> None:
    assert plan(None) == SequencePlan((), "sequence")


# --- Places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Task("a", str, value=""),
        lambda: Sequence(id="s"),
        lambda: Parallel(id="p"),
        lambda: Loop(id="l"),
        lambda: Branch(True, None),
    ],
)
def test_a_node_knows_the_line_on_which_it_was_written(make: Any) -> None:
    node = make()
    assert Path(node.place.file).name == HERE
    assert node.place.line == make.__code__.co_firstlineno


def test_a_plan_keeps_the_place_of_its_node() -> None:
    node = task("a")
    made = plan(node)
    assert made.place == node.place
    assert getattr(made, "payload", None) is node
