"""`TryCatchFinally`, `Saga` and quarantine: what they mean, and what is refused where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smithers import Node, Parallel, Saga, SagaStep, Sequence, Task, TryCatchFinally
from smithers.errors import InvalidNode
from smithers.nodes import Lowering
from smithers.plan import HolePlan, ParallelPlan, PlanNode, SagaPlan, TryPlan


def task(name: str) -> Task[Any]:
    return Task(name, str, value="")


def lowered(node: Node) -> PlanNode:
    return node.lower(Lowering())


def test_a_try_block_has_its_parts_and_a_name_of_its_own() -> None:
    node = TryCatchFinally(
        task("a"), task("b"), catch=task("c"), catch_errors=["timeout"], finally_=[task("d"), task("e")]
    )
    plan = lowered(node)
    assert isinstance(plan, TryPlan)
    assert (plan.id, plan.catch_errors, plan.tolerates) == ("try:a", ("timeout",), False)
    assert plan.body.id == "sequence:a"
    assert plan.catch is not None
    assert plan.catch.id == "c"
    assert plan.finally_ is not None
    assert plan.finally_.id == "sequence:d"


def test_a_catch_that_is_a_function_is_made_when_it_is_reached() -> None:
    plan = lowered(TryCatchFinally(task("a"), catch=lambda error: task("c"), id="guard"))
    assert isinstance(plan, TryPlan)
    assert isinstance(plan.catch, HolePlan)
    assert plan.catch.id == "guard:catch"
    assert plan.finally_ is None


def test_a_catch_of_nothing_is_no_catch() -> None:
    plan = lowered(TryCatchFinally(task("a"), catch=None, finally_=False))
    assert isinstance(plan, TryPlan)
    assert (plan.catch, plan.finally_) == (None, None)


def test_a_saga_has_a_step_for_each_that_is_there() -> None:
    steps = [SagaStep(task("b")), None]
    plan = lowered(Saga(SagaStep([task("a"), task("a2")], task("ua")), False, steps))
    assert isinstance(plan, SagaPlan)
    assert plan.id == "saga:a"
    assert [step.compensation and step.compensation.id for step in plan.steps] == ["ua", None]


@pytest.mark.parametrize(
    ("how", "means"),
    [("compensate", (True, True)), ("compensate-and-fail", (True, False)), ("fail", (False, False))],
)
def test_what_a_failure_does_to_a_saga(how: Any, means: tuple[bool, bool]) -> None:
    plan = lowered(Saga(SagaStep(task("a")), on_failure=how))
    assert isinstance(plan, SagaPlan)
    assert (plan.compensates, plan.tolerates) == means


def test_each_child_of_a_quarantine_is_a_boundary() -> None:
    plan = lowered(Parallel(task("a"), Sequence(task("b")), failure_policy="quarantine", id="p"))
    assert isinstance(plan, ParallelPlan)
    assert [child.id for child in plan.children] == ["p/a", "p/sequence:b"]
    assert all(isinstance(child, TryPlan) and child.tolerates for child in plan.children)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: TryCatchFinally(task("a"), catch=task("c"), catch_errors="timeout"), "not a list of codes"),
    (lambda: TryCatchFinally(task("a"), catch=task("c"), catch_errors=[""]), "not a list of codes"),
    (lambda: TryCatchFinally(task("a"), catch_errors=["timeout"]), "without a catch"),
    (lambda: Saga(task("a")), "Task is not a step"),  # type: ignore[arg-type]
    (lambda: Saga("a"), "str is not a step"),  # type: ignore[arg-type]
    (lambda: Saga(SagaStep(task("a")), on_failure="undo"), "on_failure='undo'"),  # type: ignore[arg-type]
    (lambda: SagaStep(None, task("a")), "without an action"),
    (lambda: Parallel(task("a"), failure_policy="tolerate"), "failure_policy='tolerate'"),  # type: ignore[arg-type]
    (
        lambda: Parallel(task("a"), failure_policy="quarantine", on_failure="cancel"),
        "nothing to cancel",
    ),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_where_it_is_written(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidNode, match=words) as caught:
        make()
    assert caught.value.place is not None
    assert caught.value.place.file == __file__
    assert caught.value.hint


def test_who_waits_for_a_block_names_it_by_its_id() -> None:
    named = TryCatchFinally(task("a"), finally_=task("f"), id="guard")
    assert named.targets() == ("guard",)
    with pytest.raises(InvalidNode, match="not known before it is reached"):
        Task("b", str, value="", depends_on=TryCatchFinally(task("a"), finally_=task("f")))
