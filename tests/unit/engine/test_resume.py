"""What a resume tries again, what it keeps, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, RetryPolicy, RunResult, Sequence, Task, Workflow
from smithers.engine.handle import Handle
from smithers.engine.hosts import host_for
from smithers.errors import InputChanged, RunExists, RunNotFound, StaleOutput
from smithers.records import AttemptState, EventType, FailureClass, FrameWrite, InboxKind, RunState
from tests.unit.engine.play import QUICK, Number, Play, quick, until


def work(play: Play, name: str, *, fails: int = 0, **options: Any) -> Task[Any]:
    """Counts its calls; the first `fails` of them fail."""

    def run(*_: object) -> Number:
        count = play.call(name)
        if count <= fails:
            raise ValueError(f"{name} failed")
        return Number(n=count)

    options.setdefault("no_retry", "retry_policy" not in options)
    return Task(name, Number, run=run, **options)


def bodies(play: Play) -> dict[str, str]:
    with play.reader() as reader:
        return {str(row.key): row.body for row in reader.outputs(reader.run("r").id)}


# --- After a failure ----------------------------------------------------------------------------


def test_a_failed_run_tries_again_what_failed_and_runs_what_was_not_reached(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(work(play, "a"), work(play, "b", fails=1), work(play, "c"))

    assert play.run(flow).status == "failed"
    assert play.calls == {"a": 1, "b": 1}
    before = bodies(play)["a"]

    result = play.resume(flow)

    assert result.status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}
    assert bodies(play)["a"] == before
    assert [(row.generation, row.attempt) for row in play.attempts("a")] == [(0, 1)]
    assert [(row.generation, row.attempt) for row in play.attempts("b")] == [(0, 1), (1, 1)]
    assert [row.state for row in play.attempts("b")] == [AttemptState.FAILED, AttemptState.FINISHED]


def test_a_resume_gives_a_failed_task_its_whole_budget_again(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return work(play, "a", fails=5, retry_policy=quick(2))

    assert play.run(flow).status == "failed"
    assert play.calls["a"] == 3
    assert play.resume(flow).status == "finished"
    assert play.calls["a"] == 6
    assert [(row.generation, row.attempt) for row in play.attempts("a")][3:] == [(1, 1), (1, 2), (1, 3)]


def test_each_resume_of_a_task_that_goes_on_failing_is_a_generation(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return work(play, "a", fails=2)

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert [row.generation for row in play.attempts("a")] == [0, 1, 2]


def test_a_partial_run_tries_again_what_was_tolerated_and_who_was_skipped_for_it(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = work(play, "a", fails=1, continue_on_fail=True)
        return Sequence(a, work(play, "b", deps=a), work(play, "c"), work(play, "off", skip_if=True))

    assert play.run(flow).status == "partial"
    assert play.calls == {"a": 1, "c": 1}
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 2, "b": 1, "c": 1}
    assert play.states() == {"a": "finished", "b": "finished", "c": "finished", "off": "skipped"}


def test_a_tolerated_failure_in_an_earlier_pass_is_left_as_it_is(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(
            Loop(work(play, "a", fails=1, continue_on_fail=True), max_iterations=3), work(play, "b", fails=1)
        )

    assert play.run(flow).status == "failed"
    assert play.calls == {"a": 3, "b": 1}
    play.resume(flow)
    assert play.calls == {"a": 3, "b": 2}


def test_a_loop_goes_on_in_the_pass_in_which_it_failed(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def run() -> Number:
            count = play.call("t")
            if count == 3:
                raise ValueError("third")
            return Number(n=ctx.iteration)

        return Loop(Task("t", Number, run=run, no_retry=True), max_iterations=4)

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.calls["t"] == 5
    assert [row.key.iteration for row in play.attempts("t")] == [0, 1, 2, 2, 3]


def test_a_nested_loop_goes_on_where_it_stood(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def run() -> Number:
            if play.call("t") == 4:
                raise ValueError("fourth")
            return Number(n=1)

        inner = Loop(Task("t", Number, run=run, no_retry=True), max_iterations=2, id="inner")
        return Loop(inner, max_iterations=3, id="outer")

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    where = [(row.key.scope, row.key.iteration) for row in play.attempts("t")]
    assert where == [
        ("outer=0", 0),
        ("outer=0", 1),
        ("outer=1", 0),
        ("outer=1", 1),
        ("outer=1", 1),
        ("outer=2", 0),
        ("outer=2", 1),
    ]


def test_a_run_that_failed_in_a_render_goes_on_when_the_file_is_mended(play: Play) -> None:
    def flow(broken: bool) -> Any:
        def render(ctx: Context) -> Node:
            if ctx.output_maybe(Number, "a") and broken:
                raise ValueError("typo")
            return Sequence(work(play, "a"), work(play, "b"))

        return render

    assert play.run(flow(True)).status == "failed"
    assert play.resume(flow(False)).status == "finished"
    assert play.calls == {"a": 1, "b": 1}


# --- An edited workflow -------------------------------------------------------------------------


def test_finished_work_is_found_by_id_whatever_the_order(play: Play) -> None:
    play.run(lambda ctx: Sequence(work(play, "a"), work(play, "b"), work(play, "x", fails=1)))
    result = play.resume(
        lambda ctx: Parallel(work(play, "new"), Sequence(work(play, "b"), work(play, "a"), work(play, "x")))
    )
    assert result.status == "finished"
    assert play.calls == {"a": 1, "b": 1, "x": 2, "new": 1}


def test_a_failed_task_that_is_gone_from_the_file_fails_nothing(play: Play) -> None:
    play.run(lambda ctx: Sequence(work(play, "a"), work(play, "x", fails=9)))
    assert play.resume(lambda ctx: Sequence(work(play, "a"), work(play, "b"))).status == "finished"
    assert play.calls == {"a": 1, "x": 1, "b": 1}


# --- Cut off ------------------------------------------------------------------------------------


def start(play: Play, flow: Any) -> Handle:
    return Workflow(flow).start(host_for(play.store), run_id="r")


def interrupted(play: Play) -> Any:
    """A flow whose second task hangs in its first attempt."""

    def flow(ctx: Context) -> Node:
        async def run() -> Number:
            if play.call("b") == 1:
                await asyncio.sleep(60)
            return Number(n=play.calls["b"])

        return Sequence(work(play, "a"), Task("b", Number, run=run), work(play, "c"))

    return flow


def test_a_paused_run_goes_on_with_the_attempt_that_was_cut_off(play: Play) -> None:
    flow = interrupted(play)
    handle = start(play, flow)
    until(lambda: play.calls["b"] == 1)
    handle.pause()
    assert handle.ended.result(10).state.word == "paused"

    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}
    cut, done = play.attempts("b")
    assert (cut.generation, cut.attempt, cut.state, cut.counted) == (0, 1, AttemptState.CANCELLED, False)
    assert (done.generation, done.attempt, done.state) == (0, 2, AttemptState.FINISHED)


def test_a_cancelled_run_tries_again_what_was_cut_off_when_it_is_resumed(play: Play) -> None:
    flow = interrupted(play)
    handle = start(play, flow)
    until(lambda: play.calls["b"] == 1)
    handle.cancel()
    assert handle.ended.result(10).state.word == "cancelled"

    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}


def test_a_pause_in_a_back_off_keeps_the_failures_that_were_counted(play: Play) -> None:
    slow = RetryPolicy(retries=1, initial_delay=0.5)

    def flow(ctx: Context) -> Node:
        return work(play, "a", fails=9, retry_policy=slow)

    handle = start(play, flow)
    until(lambda: play.calls["a"] == 1)
    time.sleep(0.05)
    handle.pause()
    assert handle.ended.result(10).state.word == "paused"
    assert play.resume(flow).status == "failed"
    assert play.calls["a"] == 2


def test_frames_go_on_counting_over_a_resume(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(work(play, "a"), work(play, "b", fails=1))

    play.run(flow)
    count = len(play.frames())
    play.resume(flow)
    frames = play.frames()
    assert [frame.frame for frame in frames] == list(range(1, len(frames) + 1))
    assert len(frames) > count
    assert frames[count].rendered, "a resume renders again"


# --- Nothing to do, and refusals ----------------------------------------------------------------


def test_a_finished_run_says_so_and_runs_nothing(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return work(play, "a")

    first = play.run(flow)
    frames = len(play.frames())
    again = play.resume(flow)
    assert (again.status, again.output, again.run_id) == (first.status, first.output, first.run_id)
    assert play.calls == {"a": 1}
    assert len(play.frames()) == frames


def test_without_a_run_id_the_newest_unfinished_run_of_this_workflow_goes_on(play: Play) -> None:
    def mine(ctx: Context) -> Node:
        return work(play, "a", fails=2)

    def other(ctx: Context) -> Node:
        return work(play, "o", fails=9)

    play.run(mine, run_id="old")
    play.run(mine, run_id="new")
    play.run(other, run_id="other")
    result: RunResult[Any] = Workflow(mine).run_sync(store=play.store, resume=True)
    assert (result.run_id, result.status) == ("new", "finished")


def test_there_may_be_nothing_to_resume(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return work(play, "a")

    play.run(flow)
    with pytest.raises(RunNotFound):
        Workflow(flow).run_sync(store=play.store, resume=True)
    with pytest.raises(RunNotFound):
        play.resume(flow, run_id="unknown")


def test_another_input_is_refused_before_anything_is_looked_at(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return work(play, "a", fails=1)

    play.run(flow, {"team": "otters"})
    with pytest.raises(InputChanged):
        play.run(flow, {"team": "seals"}, resume=True)
    assert play.calls["a"] == 1
    assert play.run(flow, {"team": "otters"}, resume=True).status == "finished"


def test_a_taken_run_id_is_refused_without_resume(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return work(play, "a")

    play.run(flow)
    with pytest.raises(RunExists):
        play.run(flow)
    assert play.calls == {"a": 1}


def test_a_retry_in_flight_keeps_its_number_over_a_resume(play: Play) -> None:
    async def run() -> Number:
        count = play.call("a")
        if count == 1:
            raise ValueError("x")
        if count == 2:
            await asyncio.sleep(60)
        return Number(n=count)

    def flow(ctx: Context) -> Node:
        return Task("a", Number, run=run, retry_policy=QUICK)

    handle = start(play, flow)
    until(lambda: play.calls["a"] == 2)
    handle.pause()
    handle.ended.result(10)
    assert play.resume(flow).status == "finished"
    assert [row.attempt for row in play.attempts("a")] == [1, 2, 3]


def test_a_resume_knows_which_output_came_last(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        # The last to come stands in the middle: no order but that of their coming has it at an end.
        one = Task("one", str, run=lambda: "one")
        two = Task("two", str, depends_on="three", run=lambda: "two")
        three = Task("three", str, depends_on="one", run=lambda: "three")
        return Sequence(Parallel(one, two, three), work(play, "a", fails=1))

    flow_of_texts = Workflow(flow, output=str)
    assert flow_of_texts.run_sync(run_id="r", store=play.store).status == "failed"
    result = flow_of_texts.run_sync(run_id="r", store=play.store, resume=True)
    assert (result.status, result.output) == ("finished", "two")


def test_a_resume_supersedes_a_cancel_that_nobody_took(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(work(play, "a"), work(play, "b", fails=1))

    assert play.run(flow).status == "failed"
    store = host_for(play.store).store
    with closing(store.outsider()) as outsider, play.reader() as reader:
        outsider.post(reader.run("r").id, InboxKind.CANCEL, "somebody")
    # It was asked of an owner that did not live to hear it; whoever resumes the run wants it to go on.
    assert play.resume(flow).status == "finished"
    with play.reader() as reader:
        asked = [e for e in reader.events(reader.run("r").id) if e.type is EventType.CANCEL_REQUESTED]
    assert [json.loads(e.data or "{}") for e in asked] == [
        {"kind": "cancel", "by": "somebody", "superseded": True}
    ]


def test_what_a_frame_starts_and_a_cancel_overtakes_never_begins(play: Play) -> None:
    ran: list[str] = []

    def late() -> Number:
        ran.append("late")
        return Number(n=1)

    def flow(ctx: Context) -> Node:
        return Sequence(work(play, "a"), Task("late", Number, run=late))

    def pause(frame: FrameWrite) -> None:
        # On the engine's thread, between the commit that starts `late` and its dispatch.
        if any(start.key.node == "late" for start in frame.started):
            for drive in host_for(play.store).engine.fleet:
                drive.stop(RunState.PAUSED)

    handle = Workflow(flow).start(host_for(play.store), run_id="r", watch=pause)
    assert handle.ended.result().state is RunState.PAUSED
    time.sleep(0.1)  # a thread that had been started would have said so by now
    assert ran == []
    assert play.resume(flow).status == "finished"
    assert [row.state for row in play.attempts("late")] == [AttemptState.CANCELLED, AttemptState.FINISHED]


# --- After the model was edited -----------------------------------------------------------------


class Wide(BaseModel):
    n: int
    why: str


def test_a_stored_output_that_no_longer_fits_its_edited_model_names_the_field_and_loses_nothing(
    play: Play,
) -> None:
    def before(ctx: Context) -> Node:
        return Sequence(work(play, "a"), work(play, "b", fails=1))

    def edited(ctx: Context) -> Node:
        seen = ctx.output_maybe((Wide, "a"))
        return Sequence(work(play, "a"), seen and work(play, "b"))

    assert play.run(before).status == "failed"
    stored = bodies(play)
    with pytest.raises(StaleOutput) as caught:
        play.resume(edited)
    assert "why: Field required" in caught.value.message
    assert bodies(play) == stored
    assert play.resume(before).status == "finished"
    assert play.calls["a"] == 1


def test_a_task_that_reads_an_output_of_an_edited_model_is_not_tried_again(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        read = Task("b", Number, run=lambda: Number(n=len(ctx.output((Wide, "a")).why)))
        return Sequence(work(play, "a"), read)

    result = play.run(flow)
    assert result.status == "failed"
    assert len(play.attempts("b")) == 1
    assert play.attempts("b")[0].failure is FailureClass.FATAL


def test_what_failed_in_a_body_that_is_not_reached_at_once_is_tried_again_all_the_same(play: Play) -> None:
    def flow(new: bool) -> Any:
        def made(ctx: Context) -> Node:
            x = work(play, "x", fails=1)
            loop = Loop(lambda i: [work(play, "a"), x], max_iterations=1, id="l")
            return Sequence(work(play, "new") if new else None, loop)

        return made

    assert play.run(flow(False)).status == "failed"
    assert play.resume(flow(True)).status == "finished"
    assert play.calls == {"a": 1, "new": 1, "x": 2}
