"""`ctx`: how reads are named, and what they return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Context, Task
from smithers.context import LoopPass, OutputText, Record, Standing, View, ambient
from smithers.errors import MissingOutput, ReadRefused
from smithers.ids import NodeKey
from smithers.records import NodeState
from tests.unit.context.state import PlainState


class Number(BaseModel):
    n: int


task = Task("t", Number, value={"n": 1})
tolerant = Task("t", Number, value={"n": 1}, continue_on_fail=True)

NAMES: list[tuple[Any, ...]] = [(task,), ((Number, "t"),), (Number, "t")]


@contextmanager
def standing(state: PlainState, at: Standing | None) -> Iterator[None]:
    token = ambient.set(View(state, at))
    try:
        yield
    finally:
        ambient.reset(token)


@pytest.fixture
def state() -> PlainState:
    made = PlainState({"t": Standing()})
    made.put("t", (0,), 7)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_read_names_a_task_a_pair_or_a_model_and_an_id(state: PlainState, name: Any) -> None:
    ctx: Context = Context(state)
    assert ctx.output(*name) == ctx.output_maybe(*name) == ctx.latest(*name) == Number(n=7)
    assert ctx.iteration_count(*name) == 1


@pytest.mark.parametrize("name", NAMES)
def test_without_an_output_one_read_raises_and_two_return_none(name: Any) -> None:
    ctx: Context = Context(PlainState({"t": Standing()}))
    assert ctx.output_maybe(*name) is None
    assert ctx.latest(*name) is None
    assert ctx.iteration_count(*name) == 0
    with pytest.raises(MissingOutput, match="t has no output"):
        ctx.output(*name)


@pytest.mark.parametrize("target", [3, None, object(), ("t",), (Number, "t", 1), Number])
def test_what_names_nothing_is_refused_and_shown(state: PlainState, target: Any) -> None:
    with pytest.raises(ReadRefused, match="cannot read"):
        Context(state).output(target)


def test_a_model_is_built_anew_by_each_read(state: PlainState) -> None:
    ctx: Context = Context(state)
    first = ctx.output(task)
    first.n = 99
    assert ctx.output(task) == Number(n=7)


def test_a_text_output_is_a_text(state: PlainState) -> None:
    state.rows.add(OutputText(NodeKey("s"), 9, "str", '{"text":"hello"}'))
    ctx: Context = Context(state)
    assert ctx.output(str, "s") == "hello"
    assert ctx.outputs(str) == ["hello"]


def test_a_named_output_is_an_immutable_object(state: PlainState) -> None:
    state.rows.add(OutputText(NodeKey("d"), 9, "results", '{"done":[true]}'))
    ctx: Context = Context(state)
    assert ctx.outputs("results") == [Record({"done": [True]})]
    named: Task[Any] = Task("d", "results", value={})
    assert ctx.output(named).done == (True,)


def test_outputs_come_in_the_order_they_were_made(state: PlainState) -> None:
    state.put("b", (0,), 3)
    state.put("c", (0,), 11)
    assert Context(state).outputs(Number) == [Number(n=3), Number(n=7), Number(n=11)]


def test_a_tolerated_failure_reads_as_none_and_one_that_is_not_over_raises() -> None:
    state = PlainState({"t": Standing()})
    ctx: Context = Context(state)
    with pytest.raises(MissingOutput):
        ctx.output(tolerant)
    state.states[NodeKey("t")] = NodeState.FAILED
    assert ctx.output(tolerant) is None
    with pytest.raises(MissingOutput):
        ctx.output(task)


def test_status_and_failure_are_of_this_pass() -> None:
    state = PlainState({"t": Standing(("l",), (1,))})
    state.states = {NodeKey("t"): NodeState.FAILED, NodeKey("t", "", 1): NodeState.RUNNING}
    state.failures = {NodeKey("t"): {"code": "X"}}
    ctx: Context = Context(state)
    assert (ctx.status(task), ctx.failure(task)) == ("running", None)
    with standing(state, Standing(("l",), (0,))):
        assert (ctx.status(task), ctx.failure(task)) == ("failed", {"code": "X"})


def test_what_is_not_mounted_is_pending_without_a_failure(state: PlainState) -> None:
    ctx: Context = Context(state)
    assert (ctx.status((Number, "ghost")), ctx.failure((Number, "ghost"))) == ("pending", None)


def test_iteration_is_the_pass_of_the_innermost_loop_around_the_reader(state: PlainState) -> None:
    ctx: Context = Context(state)
    assert ctx.iteration == 0
    state.only_loop_pass = 4
    assert ctx.iteration == 4
    with standing(state, Standing(("a", "b"), (2, 5))):
        assert ctx.iteration == 5
    with standing(state, Standing()):
        assert ctx.iteration == 0


def test_input_and_run_id_are_those_of_the_run() -> None:
    ctx: Context = Context(PlainState(fields={"team": "otters"}, run_id="swift-otter-3f2"))
    assert (ctx.input.team, ctx.run_id) == ("otters", "swift-otter-3f2")


def test_previous_is_the_output_of_the_pass_before_in_the_same_outer_pass() -> None:
    state = PlainState({"t": Standing(("a", "b"), (1, 2))})
    for i in range(2):
        for j in range(3):
            state.put("t", (i, j), 10 * i + j)

    def previous(i: int, j: int) -> Any:
        return LoopPass(state, Standing(("a", "b"), (i, j))).previous(task)

    assert previous(1, 2) == Number(n=11)
    assert previous(0, 1) == Number(n=0)
    assert previous(1, 0) is None
    assert LoopPass(state, Standing(("a", "b"), (1, 2))).index == 2
