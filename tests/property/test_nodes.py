"""The vocabulary over random trees: order, names, determinism."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers import Branch, Loop, Node, Parallel, Sequence, Task
from smithers.errors import InvalidId, InvalidNode
from smithers.nodes import Lowering, span_ms
from smithers.nodes.node import children_of
from smithers.plan import LoopPlan, ParallelPlan, PlanNode, SequencePlan, TaskPlan

LETTERS = string.ascii_letters + string.digits
IDS = st.text(LETTERS + "._:/-", min_size=1, max_size=12).filter(lambda text: text[0].isalnum())


KINDS = ["task", "sequence", "parallel", "loop", "branch"]


def task(name: str) -> Node:
    return Task(name, str, value=name)


@st.composite
def trees(draw: st.DrawFn) -> tuple[Node, list[str]]:
    """A tree without body functions, and its task ids in document order."""
    names = iter(draw(st.lists(IDS, unique=True, min_size=1, max_size=12)))
    used: list[str] = []

    def make(depth: int) -> Node:
        kind = (
            draw(st.sampled_from(["task", "sequence", "parallel", "loop", "branch"])) if depth < 4 else "task"
        )
        if kind == "task":
            name = next(names, None)
            if name is None:
                return Sequence()
            used.append(name)
            return task(name)
        children = [make(depth + 1) for _ in range(draw(st.integers(0, 3)))]
        match kind:
            case "sequence":
                return Sequence(*children)
            case "parallel":
                return Parallel(children)
            case "loop":
                return Loop(*children)
            case _:
                holds = draw(st.booleans())
                return Branch(True, children) if holds else Branch(False, None, children)

    return make(0), used


def walk(plan: PlanNode) -> Iterator[PlanNode]:
    yield plan
    match plan:
        case SequencePlan(children=children) | ParallelPlan(children=children):
            for child in children:
                yield from walk(child)
        case LoopPlan(body=body):
            yield from walk(body)
        case _:
            pass


@given(trees())
def test_lowering_keeps_every_task_once_and_in_document_order(made: tuple[Node, list[str]]) -> None:
    tree, names = made
    assert [plan.id for plan in walk(Lowering().tree(tree)) if isinstance(plan, TaskPlan)] == names


@given(trees())
def test_the_same_tree_is_the_same_plan_every_time(made: tuple[Node, list[str]]) -> None:
    tree, _ = made
    assert Lowering().tree(tree) == Lowering().tree(tree)


@given(trees())
def test_no_two_containers_have_one_name(made: tuple[Node, list[str]]) -> None:
    tree, _ = made
    names = [plan.id for plan in walk(Lowering().tree(tree)) if not isinstance(plan, TaskPlan)]
    assert len(names) == len(set(names))


@given(trees())
def test_every_node_of_a_plan_says_where_it_was_written(made: tuple[Node, list[str]]) -> None:
    tree, _ = made
    assert all(plan.place is not None for plan in walk(Lowering().tree(tree, tree.place)))


NESTED: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.just(False), IDS.map(task)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=20,
)


def leaves(value: Any) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    return [leaf for item in value for leaf in leaves(item)] if value else []


@given(st.lists(NESTED, max_size=5))
def test_children_are_flattened_in_order_whatever_they_are_nested_in(given_: list[Any]) -> None:
    assert list(children_of(given_)) == leaves(given_)
    assert children_of(iter(given_)) == children_of(given_)


@given(st.text(max_size=12))
def test_a_text_is_an_id_or_refused_and_never_changed(text: str) -> None:
    if text and text[0] in LETTERS and set(text) <= {*LETTERS, *"._:/-"}:
        assert task(text).first_id() == text
    else:
        with pytest.raises(InvalidId) as refused:
            task(text)
        assert repr(text) in refused.value.message


@given(st.integers(1, 10**9))
def test_a_span_means_the_same_however_it_is_written(ms: int) -> None:
    assert span_ms(timedelta(milliseconds=ms), "x") == span_ms(f"{ms}ms", "x") == ms
    assert span_ms(ms, "x") == span_ms(f"{ms}s", "x") == ms * 1000


@given(st.one_of(st.floats(), st.integers()))
def test_a_number_of_seconds_is_positive_and_finite_or_refused(seconds: float) -> None:
    if 0 < seconds < math.inf and math.isfinite(seconds * 1000):
        assert span_ms(seconds, "x") >= 1
    else:
        with pytest.raises(InvalidNode) as refused:
            span_ms(seconds, "x")
        assert repr(seconds) in refused.value.message
