"""Runs that go on as new ones: when, with what, and who follows them."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    Context,
    ContinueAsNew,
    Loop,
    Node,
    Parallel,
    RetryPolicy,
    Saga,
    SagaStep,
    Sequence,
    Subflow,
    Task,
    TryCatchFinally,
    Workflow,
)
from smithers.engine.hosts import host_for
from smithers.errors import InvalidNode, SmithersError, StaleOutput, StateInvalid, StateTooLarge
from smithers.records import EventType, InboxKind, RunFilter, RunRow, RunState
from tests.unit.engine.play import Number, Play, until


class Cursor(BaseModel):
    at: int


def runs(play: Play) -> dict[str, str]:
    with play.reader() as reader:
        return {run.name: run.state.word for run in reader.runs(RunFilter())}


def row(play: Play, name: str) -> RunRow:
    with play.reader() as reader:
        return reader.run(name)


def counting(play: Play, times: int) -> Any:
    """Goes on as new until it has run so many times."""

    def flow(ctx: Context) -> Node:
        last = ctx.state(Cursor)
        at = last.at if last is not None else 0

        def run() -> Number:
            play.call(f"step {at}")
            return Number(n=at + 1)

        step = Task("step", Number, run=run)
        more = at + 1 < times
        return Sequence(step, ContinueAsNew(lambda: Cursor(at=ctx.output(step).n)) if more else None)

    return flow


def test_a_run_goes_on_as_a_new_one_with_what_its_author_carries(play: Play) -> None:
    result = play.run(counting(play, 3), {"word": "same"})
    assert (result.run_id, result.status, result.output) == ("r-3", "finished", {"n": 3})
    assert runs(play) == {"r": "continued", "r-2": "continued", "r-3": "finished"}
    assert play.calls == {"step 0": 1, "step 1": 1, "step 2": 1}
    second = row(play, "r-2")
    assert second.input == '{"word":"same"}'
    assert (second.kin.previous, second.kin.next, second.kin.number) == ("r", "r-3", 2)
    assert row(play, "r").kin.next == "r-2"
    with play.reader() as reader:
        assert reader.carried(second.id) == '{"at":1}'
        assert [str(one.key) for one in reader.outputs(second.id)] == ["step"]


def test_the_first_of_a_lineage_has_no_state(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.see((ctx.run_id, ctx.state()))
        return ContinueAsNew([1, {"a": None}]) if ctx.run_id == "r" else Task("a", Number, value=Number(n=1))

    play.run(flow)
    assert play.seen[0] == ("r", None)
    run, (one, other) = play.seen[-1]
    assert (run, one, other.a) == ("r-2", 1, None)


def test_it_takes_effect_when_everything_else_has_settled_and_nothing_follows_it(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        if ctx.state() is not None:
            return Task("new", Number, value=Number(n=ctx.state().sum))

        def fails_once() -> Number:
            if play.call("again") == 1:
                raise ValueError("once")
            return Number(n=10)

        async def slow() -> Number:
            await asyncio.sleep(0.05)
            return Number(n=5)

        again = Task("again", Number, run=fails_once, retry_policy=RetryPolicy(initial_delay=0.05))
        late = Task("late", Number, run=slow)
        ends = ContinueAsNew(lambda: {"sum": ctx.output(again).n + ctx.output(late).n})
        return Parallel(Sequence(ends, Task("after", Number, value=Number(n=1))), again, late)

    # With one slot only: what waits for the end of the run holds none.
    result = play.run(flow, max_concurrency=1)
    assert (result.status, result.output) == ("finished", {"n": 15})
    assert play.states("r") == {"again": "finished", "late": "finished", "continue-as-new": "finished"}


def test_a_loop_goes_on_in_a_new_run_with_no_history(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        done = ctx.state() or 0
        step = Task("step", Number, run=lambda: Number(n=play.call("step")))
        full = ctx.iteration_count(step) >= 2
        return Loop(step, ContinueAsNew(done + 2) if full else None, until=done >= 4, max_iterations=None)

    assert play.run(flow).status == "finished"
    assert runs(play) == {"r": "continued", "r-2": "continued", "r-3": "finished"}
    assert play.calls["step"] == 5


def test_a_failure_elsewhere_fails_the_run_and_it_does_not_go_on(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def bad() -> Number:
            if play.call("bad") == 1:
                raise ValueError("bad")
            return Number(n=1)

        if ctx.state() is not None:
            return Task("new", Number, value=Number(n=2))
        return Parallel(ContinueAsNew(1), Task("bad", Number, run=bad, no_retry=True))

    assert play.run(flow).status == "failed"
    assert runs(play) == {"r": "failed"}
    assert play.resume(flow).run_id == "r-2"
    assert runs(play) == {"r": "continued", "r-2": "finished"}


# --- State that cannot be carried ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"a": [1, math.nan]}, r"a\[1\]: nan"),
        ({"a": object()}, "not JSON"),
        ({"a": {1, 2}}, "not JSON"),
        (b"bytes", "not JSON"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(play: Play, state: Any, says: str) -> None:
    with pytest.raises(StateInvalid, match=rf"{says}.*\(.*test_continuation.py:\d+\)"):
        play.run(lambda ctx: ContinueAsNew(state))
    assert runs(play) == {}


def test_state_of_more_than_ten_megabytes_is_refused(play: Play) -> None:
    with pytest.raises(StateTooLarge, match="10000002 bytes; at most 10000000"):
        play.run(lambda ctx: ContinueAsNew("x" * 10_000_000))


def test_ten_megabytes_are_carried_over(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        if ctx.state() is None:
            return ContinueAsNew("x" * 9_999_998)
        return Task("a", Number, value=Number(n=len(ctx.state())))

    assert play.run(flow).output == {"n": 9_999_998}
    assert list((play.store.parent / "blobs").rglob("*"))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (lambda: {"n": math.inf}, "STATE_INVALID"),
        (lambda: 1 / 0, "RENDER_FAILED"),
        (lambda: "x" * 10_000_001, "STATE_TOO_LARGE"),
    ],
)
def test_a_function_that_gives_no_state_fails_the_run_with_its_place(
    play: Play, state: Any, code: str
) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(Task("a", Number, run=lambda: Number(n=1)), ContinueAsNew(state))

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == code
    assert "test_continuation.py" in result.error["place"]
    assert runs(play) == {"r": "failed"}


def test_a_class_is_no_state() -> None:
    with pytest.raises(InvalidNode, match="is a class"):
        ContinueAsNew(Cursor)


def test_state_that_does_not_fit_its_model_says_where(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return (
            ContinueAsNew({"at": "x"})
            if ctx.state() is None
            else Task(f"a{ctx.state(Cursor)}", Number, value=1)
        )

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == StaleOutput.code
    assert "r-2 does not fit Cursor: at:" in result.error["message"]


@pytest.mark.parametrize(
    "around",
    [
        lambda last: TryCatchFinally(last, finally_=Task("clean", Number, value=Number(n=1))),
        lambda last: Saga(SagaStep(last, Task("undo", Number, value=Number(n=1)))),
    ],
)
def test_a_block_that_owes_something_is_not_left(play: Play, around: Any) -> None:
    with pytest.raises(
        InvalidNode, match=r"the run would go on without what that owes \(.*test_continuation"
    ):
        play.run(lambda ctx: around(ContinueAsNew(lambda: 1)))


def test_a_catch_may_let_the_run_go_on(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def run() -> Number:
            if play.call("bad") < 3:
                raise ValueError("no")
            return Number(n=1)

        tries = (ctx.state() or 0) + 1
        return TryCatchFinally(Task("bad", Number, run=run, no_retry=True), catch=ContinueAsNew(tries))

    result = play.run(flow)
    assert (result.run_id, result.status) == ("r-3", "finished")


# --- Who follows --------------------------------------------------------------------------------


def endless(play: Play) -> Any:
    def flow(ctx: Context) -> Node:
        async def run() -> Number:
            play.call("step")
            await asyncio.sleep(0.005)
            return Number(n=1)

        return Sequence(Task("step", Number, run=run), ContinueAsNew((ctx.state() or 0) + 1))

    return flow


@pytest.mark.parametrize(
    ("kind", "state"), [(InboxKind.CANCEL, RunState.CANCELLED), (InboxKind.PAUSE, RunState.PAUSED)]
)
def test_an_order_to_the_newest_stops_a_lineage_that_would_go_on_for_ever(
    play: Play, kind: InboxKind, state: RunState
) -> None:
    host = host_for(play.store)
    handle = Workflow(endless(play)).start(host, run_id="r")
    until(lambda: len(runs(play)) > 3)
    # Posted to whichever is the newest then: it may have gone on by the time it is written.
    outsider = host.store.outsider()
    asked: set[int] = set()
    while not handle.ended.done():
        with play.reader() as reader:
            newest = reader.newest(reader.run("r").id).id
        if newest not in asked:
            outsider.post(newest, kind, "somebody")
            asked.add(newest)
    outsider.close()
    assert handle.ended.result(10).state is state
    words = [word for word in runs(play).values() if word != "continued"]
    assert words == [state.word]


def test_a_resume_of_an_older_run_means_the_newest(play: Play) -> None:
    calls = 0

    def flow(ctx: Context) -> Node:
        nonlocal calls
        calls += 1

        def fails() -> Number:
            if play.call("late") == 1:
                raise ValueError("once")
            return Number(n=1)

        if ctx.state() is None:
            return ContinueAsNew(1)
        return Task("late", Number, run=fails, no_retry=True)

    assert play.run(flow).status == "failed"
    result = play.resume(flow)
    assert (result.run_id, result.status) == ("r-2", "finished")


def test_a_name_that_is_taken_is_passed_over(play: Play) -> None:
    play.run(lambda ctx: Task("a", Number, value=Number(n=1)), run_id="r-2")
    assert play.run(counting(play, 3)).run_id == "r-4"
    assert runs(play) == {"r-2": "finished", "r": "continued", "r-3": "continued", "r-4": "finished"}


def test_many_names_that_are_taken_are_not_walked_through(play: Play) -> None:
    for number in range(2, 14):
        play.run(lambda ctx: Task("a", Number, value=Number(n=1)), run_id=f"r-{number}")
    name = play.run(counting(play, 2)).run_id
    assert re.fullmatch(r"r-[0-9a-f]{6}", name)


def test_two_endings_take_the_first_of_them(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        if ctx.state() is not None:
            return Task("a", Number, value=Number(n=ctx.state()))
        return Parallel(ContinueAsNew(1, id="one"), ContinueAsNew(2, id="two"))

    assert play.run(flow).output == {"n": 1}


def test_the_log_tells_of_both_ends(play: Play) -> None:
    play.run(counting(play, 2))
    assert len(play.events(EventType.RUN_CONTINUED)) == 1
    with play.reader() as reader:
        first = reader.events(reader.run("r-2").id)[0]
    assert (first.type, first.data) == (EventType.RUN_STARTED, '{"continues":"r"}')


def test_a_store_that_loses_its_owner_between_two_runs_leaves_one_to_resume(play: Play) -> None:
    from smithers.engine.message import Lost

    host = host_for(play.store)
    handle = Workflow(endless(play)).start(host, run_id="r")
    until(lambda: len(runs(play)) > 2)
    host.engine.post(Lost())
    with pytest.raises(SmithersError):
        handle.ended.result(10)
    assert [word for word in runs(play).values() if word != "continued"] == ["running"]


def test_a_run_does_not_go_on_while_a_child_of_it_is_paused(play: Play) -> None:
    def child(ctx: Context) -> Node:
        async def wait() -> Number:
            if play.call("b") == 1:
                await asyncio.sleep(60)
            return Number(n=7)

        return Task("b", Number, run=wait)

    own = Workflow(child, output=Number)

    def flow(ctx: Context) -> Node:
        if ctx.state() is not None:
            return Task("end", Number, value=Number(n=1))
        return Parallel(Subflow("one", own), ContinueAsNew(1))

    host = host_for(play.store)
    handle = Workflow(flow).start(host, run_id="r")
    until(lambda: play.calls["b"] > 0)
    outsider = host.store.outsider()
    outsider.post(row(play, "r.one").id, InboxKind.PAUSE, "somebody", '{"now":true}')
    outsider.close()
    assert handle.ended.result(10).state is RunState.PAUSED
    assert play.resume(flow).run_id == "r-2"
    assert runs(play) == {"r": "continued", "r.one": "finished", "r-2": "finished"}
