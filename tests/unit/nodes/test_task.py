"""What a task takes, what it refuses, and what it becomes in a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Node, Parallel, Prompt, Task
from smithers.agents import RehearsalAgent
from smithers.errors import InvalidId, InvalidNode, MissingOutputModel, RenderError
from smithers.nodes import Lowering, TaskOptions
from smithers.plan import Edge, TaskPlan


class Draft(BaseModel):
    summary: str


class Verdict(BaseModel):
    approved: bool


agent = RehearsalAgent()


def plan(node: Node) -> TaskPlan:
    made = Lowering().tree(node)
    assert isinstance(made, TaskPlan)
    return made


def edges(node: Node) -> dict[str, bool]:
    return {edge.target: edge.needs_output for edge in plan(node).edges}


# --- Refusals name the value and the place ------------------------------------------------------

A: Any = Task

REFUSED: list[tuple[Callable[[], object], type[RenderError], str]] = [
    (lambda: A("", Draft, value={}), InvalidId, "''"),
    (lambda: A("has space", Draft, value={}), InvalidId, "'has space'"),
    (lambda: A("../up", Draft, value={}), InvalidId, "'../up'"),
    (lambda: A("-x", Draft, value={}), InvalidId, "'-x'"),
    (lambda: A("x" * 201, Draft, value={}), InvalidId, "xxx"),
    (lambda: A("x\n", Draft, value={}), InvalidId, r"'x\n'"),
    (lambda: A(7, Draft, value={}), InvalidId, "7"),
    (lambda: A(None, Draft, value={}), InvalidId, "None"),
    (lambda: A("a", Draft), InvalidNode, "none of agent=, run= and value="),
    (lambda: A("a", Draft, run=len, value=1), InvalidNode, "run= and value="),
    (lambda: A("a", Draft, agent=agent, prompt="x", value=1), InvalidNode, "agent= and value="),
    (lambda: A("a", Draft, agent=agent, prompt="x", run=len), InvalidNode, "agent= and run="),
    (lambda: A("a", Draft, agent=agent), InvalidNode, "no prompt="),
    (lambda: A("a", Draft, agent=agent, prompt=""), InvalidNode, "empty prompt"),
    (lambda: A("a", Draft, agent=agent, prompt=" \n\t"), InvalidNode, "empty prompt"),
    (lambda: A("a", Draft, run=len, prompt="x"), InvalidNode, "prompt= but no agent="),
    (lambda: A("a", Draft, value=1, prompt="x"), InvalidNode, "prompt= but no agent="),
    (lambda: A("a", Draft, run="len"), InvalidNode, "run='len' is not a function"),
    (lambda: A("a", Draft, agent="claude", prompt="x"), InvalidNode, "'claude' is not an agent"),
    (lambda: A("a", Draft, agent=[agent, 3], prompt="x"), InvalidNode, "3 is not an agent"),
    (lambda: A("a", Draft, agent=[], prompt="x"), InvalidNode, "no agent in it"),
    (
        lambda: A("a", Draft, agent=agent, prompt="x", fallback_agent="codex"),
        InvalidNode,
        "'codex' is not an agent",
    ),
    (lambda: A("a", Draft, value={}, retrys=3), InvalidNode, "retrys"),
    (lambda: A("a", Draft, value={}, retries=-1), InvalidNode, "retries=-1"),
    (lambda: A("a", Draft, value={}, skip_if="no"), InvalidNode, "skip_if='no'"),
    (lambda: A("a", Draft, value={}, timeout=0), InvalidNode, "timeout=0"),
    (lambda: A("a", Draft, value={}, heartbeat_timeout="x"), InvalidNode, "heartbeat_timeout='x'"),
    (lambda: A("a", Draft, value={}, depends_on=3), InvalidNode, "depends_on=3"),
    (lambda: A("a", Draft, value={}, depends_on=["b", 4]), InvalidId, "4"),
    (lambda: A("a", Draft, value={}, needs={"x": "not an id"}), InvalidId, "'not an id'"),
    (lambda: A("a", Draft, value={}, deps=["b"]), InvalidNode, "'b', which is not a task"),
    (lambda: A("a", value={}), MissingOutputModel, "Task a is missing output table."),
    (lambda: A("a", agent=agent, prompt="x"), MissingOutputModel, "Task a is missing output table."),
    (lambda: A("a", dict, value={}), MissingOutputModel, "<class 'dict'> is not a pydantic model"),
    (lambda: A("a", 3, value={}), MissingOutputModel, "3 is not a pydantic model"),
    (lambda: A("a", Draft(summary=""), value={}), MissingOutputModel, "is not a pydantic model"),
    (lambda: A("a", run=lambda: 3), MissingOutputModel, "Task a is missing output table."),
]


@pytest.mark.parametrize(("make", "kind", "said"), REFUSED)
def test_a_refusal_names_the_value_and_the_line(
    make: Callable[[], object], kind: type[RenderError], said: str
) -> None:
    with pytest.raises(kind) as refused:
        make()
    assert said in refused.value.message
    assert refused.value.place is not None, "no place"
    assert Path(refused.value.place.file).name == Path(__file__).name
    assert refused.value.place.line in range(make.__code__.co_firstlineno, make.__code__.co_firstlineno + 5)


def test_an_awaitable_is_no_value() -> None:
    async def later() -> dict[str, Any]:
        return {}

    coroutine = later()
    try:
        with pytest.raises(InvalidNode, match="run= for what must be awaited"):
            Task("a", Draft, value=coroutine)
    finally:
        coroutine.close()


@pytest.mark.parametrize("name", ["a", "0", "draft:1", "src/app.py", "x.y-z_w", "x" * 200])
def test_an_id_may_be_made_of_letters_digits_and_five_signs(name: str) -> None:
    assert Task(name, Draft, value={}).id == name


# --- Modes and outputs --------------------------------------------------------------------------


def test_the_argument_given_chooses_the_mode() -> None:
    assert Task("a", Draft, agent=agent, prompt="x").mode == "agent"
    assert Task("a", Draft, run=lambda: None).mode == "run"
    assert Task("a", Draft, value={"summary": ""}).mode == "value"


def test_none_is_a_value_like_any_other() -> None:
    assert Task("a", Draft, value=None).mode == "value"


def test_a_prompt_may_be_text_a_template_or_a_function() -> None:
    for prompt in ("x", Prompt("a.md"), lambda: "x"):
        assert Task("a", Draft, agent=agent, prompt=prompt).prompt is prompt


def test_the_output_model_comes_from_the_function_if_it_is_annotated() -> None:
    def now() -> Draft:
        return Draft(summary="")

    async def later() -> Draft:
        return Draft(summary="")

    class Callable_:
        def __call__(self) -> Draft:
            return Draft(summary="")

    assert [Task("a", run=run).model for run in (now, later)] == [Draft, Draft]
    assert Task("a", run=Callable_()).model is Draft


def test_an_explicit_output_wins_over_the_annotation() -> None:
    def now() -> Draft:
        return Draft(summary="")

    assert Task("a", Verdict, run=now).model is Verdict


def test_a_text_output_is_called_str_and_has_no_schema() -> None:
    task = Task("a", str, agent=agent, prompt="x")
    assert (task.model, task.model_name, task.schema) == (str, "str", None)


def test_a_named_output_takes_its_name_and_what_output_schema_says() -> None:
    assert (Task("a", "results", value={}).model_name, Task("a", "results", value={}).model) == (
        "results",
        None,
    )
    named: Task[Any] = Task("a", "results", agent=agent, prompt="x", output_schema=Draft)
    assert (named.model_name, named.model, named.schema) == ("results", Draft, Draft)


def test_output_schema_is_what_the_agent_is_told_and_the_output_model_what_is_stored() -> None:
    task = Task("a", Draft, agent=agent, prompt="x", output_schema=Verdict)
    assert (task.model, task.schema) == (Draft, Verdict)


# --- Agents and options -------------------------------------------------------------------------


def test_the_fallback_agent_stands_last_in_the_chain() -> None:
    first, second, last = RehearsalAgent("1"), RehearsalAgent("2"), RehearsalAgent("3")
    task = Task("a", Draft, agent=[first, second], prompt="x", fallback_agent=last)
    assert task.agents == (first, second, last)
    assert Task("a", Draft, agent=first, prompt="x", fallback_agent=last).agents == (first, last)


def test_a_task_without_an_agent_has_no_chain() -> None:
    assert Task("a", Draft, value={}).agents == ()


def test_no_retry_is_retries_0() -> None:
    assert Task("a", Draft, value={}, no_retry=True).retries == 0
    assert Task("a", Draft, value={}, retries=0).retries == 0
    assert Task("a", Draft, value={}, retries=3, no_retry=True).retries == 0


def test_spans_may_be_written_in_three_ways() -> None:
    task = Task("a", Draft, value={}, timeout=timedelta(seconds=1), heartbeat_timeout="2m")
    assert (task.timeout_ms, task.heartbeat_timeout_ms) == (1_000, 120_000)
    assert Task("a", Draft, value={}, timeout=0.5).timeout_ms == 500


def test_every_option_is_taken_and_none_is_required() -> None:
    given: dict[str, Any] = {
        "output_schema": Draft,
        "depends_on": "b",
        "needs": {"x": "c"},
        "skip_if": True,
        "timeout": 1,
        "heartbeat_timeout": 1,
        "run_in": None,
        "cache": None,
        "allow_tools": None,
        "on_suspect": "flag",
        "continue_": None,
        "fork": None,
        "needs_approval": "Shall it?",
        "async_": True,
        "retries": 1,
        "no_retry": False,
        "retry_policy": None,
        "fallback_agent": agent,
        "label": "A",
        "meta": {"k": 1},
        "key": "k",
    }
    assert given.keys() == TaskOptions.__annotations__.keys(), "an option is missing from this test"
    task = Task("a", Draft, agent=agent, prompt="x", **given)
    assert (task.label, task.meta, task.skip_if) == ("A", {"k": 1}, True)


def test_key_has_no_effect() -> None:
    plain, keyed = Task("a", Draft, value={}), Task("a", Draft, value={}, key="k")
    assert (plan(plain).id, plan(plain).edges) == (plan(keyed).id, plan(keyed).edges)


# --- Edges --------------------------------------------------------------------------------------

b, c = Task("b", Draft, value={}), Task("c", Verdict, value={})


def test_deps_need_an_output_and_depends_on_only_an_order() -> None:
    assert edges(Task("a", str, deps=b, run=lambda d: "", depends_on="c")) == {"b": True, "c": False}


@pytest.mark.parametrize("deps", [b, (b,), [b]])
def test_deps_take_a_task_a_tuple_or_a_list(deps: Any) -> None:
    made = Task("a", str, deps=deps, run=lambda d: "")
    assert edges(made) == {"b": True}


def test_deps_by_name_wait_for_the_task_of_that_name_or_the_one_that_needs_says() -> None:
    made = Task("a", str, deps={"b": Draft, "verdict": Verdict}, needs={"verdict": "c"}, run=lambda d: "")
    assert edges(made) == {"b": True, "c": True}


def test_needs_alone_need_an_output() -> None:
    assert edges(Task("a", str, needs={"x": "b"}, value="")) == {"b": True}


@pytest.mark.parametrize("named", ["b", ["b"], ("b",), b, [b]])
def test_depends_on_takes_ids_and_nodes(named: Any) -> None:
    assert edges(Task("a", str, value="", depends_on=named)) == {"b": False}


def test_a_dependency_named_twice_is_one_edge_and_the_stronger_one() -> None:
    made = Task("a", str, deps=(b, b), run=lambda d, e: "", depends_on=["b", "c", "c"])
    assert plan(made).edges == (Edge("b", True), Edge("c"))


def test_depends_on_a_container_waits_for_all_of_it() -> None:
    everything = Parallel(b, c)
    made = Task("a", str, value="", depends_on=everything)
    assert edges(made).keys() >= {"b", "c"}


def test_a_task_without_dependencies_has_no_edges() -> None:
    assert plan(Task("a", Draft, value={})).edges == ()


def test_continue_on_fail_reaches_the_plan() -> None:
    assert plan(Task("a", Draft, value={}, continue_on_fail=True)).continue_on_fail
    assert not plan(Task("a", Draft, value={})).continue_on_fail


def test_a_partial_function_is_a_function() -> None:
    def of(n: int) -> Draft:
        return Draft(summary=str(n))

    task = Task("a", Draft, run=functools.partial(of, 3))
    assert (task.mode, task.model) == ("run", Draft)


def test_a_task_shows_its_id_and_its_output() -> None:
    assert repr(Task("a", Draft, value={})) == "Task('a', Draft)"
