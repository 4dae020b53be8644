"""`@workflow`: what it takes a function for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Context, Node, Task, Workflow, workflow
from smithers.errors import InputError, InvalidNode


class Ticket(BaseModel):
    goal: str


class Report(BaseModel):
    text: str


def task(text: str = "") -> Node:
    return Task("a", Report, value={"text": text})


def test_a_workflow_is_named_after_its_function_with_dashes() -> None:
    @workflow
    def ship_it(ctx: Context) -> Node:
        """Ships it."""
        return task()

    assert (ship_it.name, ship_it.__name__, ship_it.__doc__) == ("ship-it", "ship_it", "Ships it.")
    assert Path(ship_it.place.file) == Path(__file__)


def test_options_are_given_in_brackets() -> None:
    @workflow(name="other", output=Report, durability="normal", max_concurrency=3, outputs={"r": Report})
    def ship_it(ctx: Context) -> Node:
        return task()

    definition = ship_it.definition
    assert (ship_it.name, definition.output_model) == ("other", "Report")
    assert (definition.durability, definition.max_concurrency) == ("normal", 3)
    assert definition.outputs == {"r": Report}


def test_the_input_model_is_read_off_the_annotation() -> None:
    @workflow
    def typed(ctx: Context[Ticket]) -> Node:
        return task(ctx.input.goal)

    @workflow
    def bare(ctx: Context) -> Node:
        return task()

    @workflow
    def anything(ctx: Context[Any]) -> Node:
        return task()

    def unannotated(ctx):  # type: ignore[no-untyped-def]
        return task()

    assert typed.definition.input_model is Ticket
    assert bare.definition.input_model is None
    assert anything.definition.input_model is None
    assert Workflow(unannotated).definition.input_model is None


def test_a_model_that_is_local_to_a_function_is_found_too() -> None:
    class Local(BaseModel):
        n: int

    @workflow
    def flow(ctx: Context[Local]) -> Node:
        return task()

    assert flow.definition.input_model is Local


def test_an_annotation_that_names_nothing_is_refused_with_its_name_and_place() -> None:
    def flow(ctx: Context[Nowhere]) -> Node:  # type: ignore[name-defined]  # noqa: F821
        return task()

    with pytest.raises(InvalidNode, match="Nowhere") as refused:
        Workflow(flow)
    assert refused.value.place is not None
    assert Path(refused.value.place.file) == Path(__file__)


def task_of_nothing() -> Node:
    return task()


@pytest.mark.parametrize("count", [0, 2])
def test_a_workflow_takes_one_parameter(count: int) -> None:
    functions: dict[int, Any] = {0: task_of_nothing, 2: lambda ctx, more: task()}
    with pytest.raises(InvalidNode, match=f"takes {count}") as refused:
        Workflow(functions[count])
    assert refused.value.place is not None


def test_a_parameter_with_a_default_is_one_more_all_the_same() -> None:
    def flow(ctx: Context, size: int = 3) -> Node:
        return task()

    wrong: Any = flow
    with pytest.raises(InvalidNode, match="takes 2"):
        Workflow(wrong)


@pytest.mark.parametrize("value", [3, "flow"])
def test_what_is_no_function_is_refused_and_shown(value: Any) -> None:
    with pytest.raises(InvalidNode, match=str(value)):
        workflow(value)


def test_an_unknown_durability_is_refused_and_named() -> None:
    wrong: Any = "none"
    with pytest.raises(InvalidNode, match="durability='none'"):
        workflow(durability=wrong)(lambda ctx: task())


@pytest.mark.parametrize("limit", [0, -1, 2.5, "4", True])
def test_a_limit_that_is_no_count_is_refused_and_named(limit: Any) -> None:
    with pytest.raises(InvalidNode, match="max_concurrency="):
        workflow(max_concurrency=limit)(lambda ctx: task())


def test_a_workflow_shows_its_name_and_its_place() -> None:
    @workflow
    def ship_it(ctx: Context) -> Node:
        return task()

    assert repr(ship_it) == f"<workflow ship-it at {ship_it.place}>"


def test_a_workflow_says_how_to_load_it_again_relative_to_its_project() -> None:
    @workflow
    def ship_it(ctx: Context) -> Node:
        return task()

    folder = Path(__file__).resolve().parent
    assert ship_it.source(folder) == "test_authoring.py:ship_it"
    assert ship_it.source(Path("/elsewhere")) == f"{Path(__file__).resolve().as_posix()}:ship_it"


def test_graph_refuses_the_input_that_a_run_would_refuse() -> None:
    @workflow
    def typed(ctx: Context[Ticket]) -> Node:
        return task(ctx.input.goal)

    with pytest.raises(InputError, match="goal"):
        typed.graph({})
    assert typed.graph({"goal": "x"}).id == "a"
