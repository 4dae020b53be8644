"""Authors' code that does its worst: it fails its own attempt or run, is named, and hangs nobody."""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import date
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

from smithers import Context, Loop, Node, Parallel, RunResult, Sequence, Task, Workflow
from smithers.errors import OutsideTask, RenderFailed, SmithersError, StoreNotFound, TooDeep
from smithers.records import FailureClass
from tests.unit.engine.play import Number, Overlap, Play, quick


def in_time(call: Callable[[], RunResult[Any]], seconds: float = 20) -> RunResult[Any]:
    """The call's result; a call that hangs fails the test instead of stopping it."""
    found: Future[RunResult[Any]] = Future()

    def run() -> None:
        try:
            found.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the test
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return found.result(timeout=seconds)


# --- Code that ends itself ----------------------------------------------------------------------


async def cancelled_await() -> Number:
    raise asyncio.CancelledError


async def cancels_itself() -> Number:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)
    return Number(n=1)


def cancelled_thread() -> Number:
    raise asyncio.CancelledError


@pytest.mark.parametrize("run", [cancelled_await, cancels_itself, cancelled_thread])
def test_a_task_that_is_cancelled_by_its_own_code_has_failed_and_the_run_is_not_finished(
    play: Play, run: Callable[[], Any]
) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("a", Number, run=run, no_retry=True), Task("b", Number, run=lambda: Number(n=play.call("b")))
        )

    assert in_time(lambda: play.run(flow)).status == "failed"
    assert play.attempts("a")[0].failure is FailureClass.CRASH
    assert play.calls["b"] == 0


def leave(*_: object) -> NoReturn:
    sys.exit("no input")


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def cancel(*_: object) -> NoReturn:
    raise asyncio.CancelledError


ENDINGS = pytest.mark.parametrize("end", [leave, interrupt, cancel])


@ENDINGS
def test_a_workflow_that_exits_is_refused_with_its_line(play: Play, end: Callable[..., Any]) -> None:
    with pytest.raises(RenderFailed) as caught:
        in_time(lambda: play.run(end))
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


@ENDINGS
def test_skip_if_and_until_that_exit_fail_the_run_and_the_next_one_runs(
    play: Play, end: Callable[..., Any]
) -> None:
    def work() -> Number:
        return Number(n=1)

    with pytest.raises(RenderFailed):
        in_time(lambda: play.run(lambda ctx: Task("a", Number, run=work, skip_if=end)))
    looped = in_time(
        lambda: play.run(lambda ctx: Loop(Task("a", Number, run=work), until=end, max_iterations=2))
    )
    assert looped.status == "failed"
    assert (
        in_time(lambda: play.run(lambda ctx: Task("a", Number, run=work), run_id="r2")).status == "finished"
    )


class Ambiguous:
    """Has no truth, as an array of numbers has none."""

    def __bool__(self) -> bool:  # noqa: PLE0304
        sys.exit("ambiguous")


@pytest.mark.parametrize("key", ["skip_if", "until"])
def test_a_condition_without_a_truth_is_the_authors_fault_and_the_next_run_runs(play: Play, key: str) -> None:
    def flow(ctx: Context) -> Node:
        task = Task("a", Number, run=lambda: Number(n=1), skip_if=Ambiguous if key == "skip_if" else False)
        return Loop(task, until=Ambiguous if key == "until" else False, max_iterations=2)

    if key == "until":
        assert in_time(lambda: play.run(flow)).status == "failed"
    else:
        with pytest.raises(RenderFailed, match="ambiguous"):
            in_time(lambda: play.run(flow))
    after = in_time(lambda: play.run(lambda ctx: Task("b", Number, value={"n": 1}), run_id="r2"))
    assert after.status == "finished"


class Fussy(BaseModel):
    n: int

    def model_post_init(self, _: object) -> None:
        raise RuntimeError("fussy")


def test_a_model_that_raises_over_a_static_value_fails_its_task(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        work = Task("a", Number, run=lambda: Number(n=1))
        return Sequence(work, Task("b", Fussy, value={"n": 1}, no_retry=True))

    assert in_time(lambda: play.run(flow)).status == "failed"
    assert play.attempts("b")[0].failure is FailureClass.CRASH


def test_a_generator_inside_a_list_is_rendered_like_the_rest(play: Play) -> None:
    def tasks(ctx: Context) -> Iterator[Node]:
        yield Task("a", Number, run=lambda: Number(n=1))
        if ctx.output_maybe((Number, "a")) is not None:
            yield Task("b", Number, run=lambda: Number(n=2))

    def broken() -> Iterator[Node]:
        yield Task("a", Number, run=lambda: Number(n=1))
        raise KeyError("late")

    assert in_time(lambda: play.run(lambda ctx: [tasks(ctx)])).output == {"n": 2}
    with pytest.raises(RenderFailed, match="KeyError"):
        in_time(lambda: play.run(lambda ctx: [broken()], run_id="r2"))


def test_a_tree_that_is_far_too_deep_is_refused_in_our_words(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        node: Node = Task("a", Number, run=lambda: Number(n=1))
        for _ in range(5000):
            node = Sequence(node)
        return node

    with pytest.raises(TooDeep):
        in_time(lambda: play.run(flow))


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def test_an_exception_that_cannot_be_printed_is_stored_by_its_type(play: Play) -> None:
    def run() -> NoReturn:
        raise Unspeakable

    result = in_time(lambda: play.run(lambda ctx: Task("a", Number, run=run, no_retry=True)))
    error = play.attempts("a")[0].error
    assert result.status == "failed"
    assert error is not None
    assert error["code"] == "Unspeakable"
    assert "__str__ raised ValueError" in error["message"]


def test_a_render_that_raises_what_cannot_be_printed_is_refused(play: Play) -> None:
    def flow(ctx: Context) -> NoReturn:
        raise Unspeakable

    with pytest.raises(RenderFailed, match="__str__ raised ValueError"):
        in_time(lambda: play.run(flow))


def test_text_that_utf8_cannot_hold_is_a_failure_of_its_attempt(play: Play) -> None:
    def run() -> NoReturn:
        raise ValueError("bad \ud800 name")

    failed = in_time(lambda: play.run(lambda ctx: Task("a", Number, run=run, no_retry=True)))
    error = play.attempts("a")[0].error
    assert failed.status == "failed"
    assert error is not None
    assert error["message"] == "bad \\ud800 name"
    text = Task("a", str, run=lambda: "\ud800", no_retry=True)
    assert in_time(lambda: play.run(lambda ctx: text, run_id="r2")).status == "failed"


def test_a_run_inside_a_render_is_refused_instead_of_waiting_for_itself(play: Play) -> None:
    inner = Workflow(lambda ctx: Task("x", Number, run=lambda: Number(n=1)))

    def flow(ctx: Context) -> Node:
        inner.run_sync(store=play.store)
        return Task("a", Number, run=lambda: Number(n=1))

    with pytest.raises(OutsideTask):
        in_time(lambda: play.run(flow))


def test_a_run_inside_a_task_runs(play: Play) -> None:
    inner = Workflow(lambda ctx: Task("x", Number, run=lambda: Number(n=4)))
    outer = Task("a", Number, run=lambda: inner.run_sync(store=play.store).output)
    assert in_time(lambda: play.run(lambda ctx: outer)).output == {"n": 4}


# --- Outputs that cannot be read back -----------------------------------------------------------


class Aliased(BaseModel):
    x: int = Field(alias="X")


class OneWay(BaseModel):
    x: int = Field(validation_alias="in", serialization_alias="out")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.x


@pytest.mark.parametrize("made", [Aliased(X=3), OneWay(**{"in": 3}), Computed(x=3)])  # type: ignore[arg-type]
def test_what_is_stored_of_a_model_can_be_read(play: Play, made: Any) -> None:
    source: Task[Any] = Task("a", type(made), run=lambda: made)
    reader = Task("b", Number, deps=source, run=lambda read: Number(n=read.x))
    assert in_time(lambda: play.run(lambda ctx: Sequence(source, reader))).output == {"n": 3}


class Hidden(BaseModel):
    x: int = Field(exclude=True)


UNREADABLE: list[BaseModel] = [
    Hidden(x=3),
    Number.model_construct(n="many"),  # type: ignore[arg-type]
    Number(n=10**4500),
]


@pytest.mark.parametrize("made", UNREADABLE, ids=["excluded", "unvalidated", "huge"])
def test_an_output_that_cannot_be_read_back_is_refused_before_it_is_acknowledged(
    play: Play, made: Any
) -> None:
    task: Task[Any] = Task("a", type(made), run=lambda: made, no_retry=True)
    assert in_time(lambda: play.run(lambda ctx: task)).status == "failed"
    assert play.attempts("a")[0].failure is FailureClass.BAD_OUTPUT


class Optional(BaseModel):
    x: int = 0


def test_a_model_that_shares_no_field_with_the_tasks_is_refused_instead_of_stored_as_defaults(
    play: Play,
) -> None:
    task: Task[Any] = Task("a", Optional, run=lambda: Number(n=3), no_retry=True)
    assert in_time(lambda: play.run(lambda ctx: task)).status == "failed"
    assert play.attempts("a")[0].failure is FailureClass.BAD_OUTPUT


def test_an_input_with_aliases_is_read_back(play: Play) -> None:
    def read(ctx: Context[Aliased]) -> Node:
        return Task("a", Number, value={"n": ctx.input.x})

    flow: Workflow[Aliased, Any] = Workflow(read)
    assert in_time(lambda: flow.run_sync({"X": 5}, store=play.store)).output == {"n": 5}


class Dated(BaseModel):
    day: date
    names: set[str]


def test_an_input_of_values_that_are_no_json_yet_is_taken_and_resumed(play: Play) -> None:
    def count(ctx: Context[Dated]) -> Node:
        return Task("a", Number, value={"n": ctx.input.day.year + len(ctx.input.names)})

    given = {"day": date(2030, 1, 2), "names": {"x"}}
    assert in_time(lambda: play.run(count, given)).output == {"n": 2031}
    assert in_time(lambda: play.resume(count, given=given)).output == {"n": 2031}


# --- The store, taken away ----------------------------------------------------------------------


def test_a_store_that_is_removed_under_a_run_is_told_and_never_called_finished(play: Play) -> None:
    def run() -> Number:
        shutil.rmtree(play.store.parent)
        return Number(n=1)

    with pytest.raises(SmithersError) as caught:
        in_time(lambda: play.run(lambda ctx: Task("a", Number, run=run)))
    assert isinstance(caught.value, StoreNotFound)


# --- A loop that is blocked ---------------------------------------------------------------------


def test_a_run_that_an_async_task_waits_for_without_awaiting_is_begun_on_another_loop(play: Play) -> None:
    async def answer() -> Number:
        return Number(n=play.call("inner"))

    inner = Workflow(lambda ctx: Task("x", Number, run=answer))

    async def blocks() -> Number:
        return Number(n=inner.run_sync(store=play.store).output["n"])

    async def bystander() -> Number:
        return Number(n=play.call("bystander"))

    def flow(ctx: Context) -> Node:
        return Parallel(Task("a", Number, run=blocks), Task("b", Number, run=bystander))

    assert in_time(lambda: play.run(flow)).status == "finished"
    assert play.calls == {"inner": 1, "bystander": 1}


def test_an_agent_that_is_a_function_that_blocks_is_not_called_again_while_it_still_runs(play: Play) -> None:
    calls = Overlap()

    def agent(prompt: str) -> str:
        play.call("agent")
        with calls.inside("agent"):
            time.sleep(1.6)
        return "late"

    def flow(ctx: Context) -> Node:
        return Task("a", str, agent=agent, prompt="x", timeout=0.3, retry_policy=quick(2))

    assert in_time(lambda: play.run(flow)).status == "failed"
    assert play.calls["agent"] >= 1
    assert calls.most["agent"] == 1
