"""Try blocks, sagas and quarantine as a run lives through them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from smithers import (
    Caught,
    Context,
    Loop,
    Node,
    Parallel,
    Saga,
    SagaStep,
    Sequence,
    Task,
    TryCatchFinally,
    Workflow,
)
from smithers.engine.hosts import host_for
from smithers.records import EventType
from tests.unit.engine.play import Number, Play, until


class Recorder:
    """Tasks that note that they were called, in order; some of them fail, some of them once only."""

    def __init__(self, play: Play, *failing: str, once: tuple[str, ...] = ()) -> None:
        self.play = play
        self.failing = failing
        self.once = once

    def task(self, name: str, **options: Any) -> Task[Number]:
        def run() -> dict[str, int]:
            number = self.play.call(name)
            self.play.see(name)
            if name in self.failing or (name in self.once and number == 1):
                raise ValueError(f"{name} does not work")
            return {"n": number}

        return Task(name, Number, run=run, retries=0, **options)


@pytest.fixture
def make(play: Play) -> Callable[..., Recorder]:
    return lambda *failing, **options: Recorder(play, *failing, **options)


def test_a_failure_is_caught_and_the_run_finishes(play: Play, make: Callable[..., Recorder]) -> None:
    t = make("a").task
    result = play.run(
        lambda ctx: Sequence(
            TryCatchFinally(t("a"), t("b"), catch=t("c"), finally_=t("f")),
            t("end"),
        )
    )
    assert result.status == "finished"
    assert play.seen == ["a", "c", "f", "end"]
    assert play.states()["b"] == "skipped"


def test_a_catch_is_told_what_failed_and_where(play: Play, make: Callable[..., Recorder]) -> None:
    told: list[Caught] = []

    def catch(error: Caught) -> Node:
        told.append(error)
        return Task("note", str, value=error.message)

    result = play.run(lambda ctx: TryCatchFinally(make("a").task("a"), catch=catch))
    assert result.output == "a does not work"
    (error,) = told
    assert (error.code, error.node) == ("ValueError", "a")
    assert error.place is not None
    assert __file__ in error.place


@pytest.mark.parametrize(("codes", "status"), [(["ValueError"], "finished"), (["timeout", "X"], "failed")])
def test_a_catch_takes_what_it_names(
    play: Play, make: Callable[..., Recorder], codes: list[str], status: str
) -> None:
    t = make("a").task
    result = play.run(lambda ctx: TryCatchFinally(t("a"), catch=t("c"), catch_errors=codes, finally_=t("f")))
    assert result.status == status
    assert play.seen == (["a", "c", "f"] if status == "finished" else ["a", "f"])


def test_a_failure_can_be_caught_by_its_class(play: Play, make: Callable[..., Recorder]) -> None:
    t = make("a").task
    assert (
        play.run(lambda ctx: TryCatchFinally(t("a"), catch=t("c"), catch_errors=["crash"])).status
        == "finished"
    )


def test_what_the_run_fails_of_is_what_no_block_took(play: Play, make: Callable[..., Recorder]) -> None:
    t = make("a", "f").task
    result = play.run(lambda ctx: TryCatchFinally(t("a"), finally_=t("f")))
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["message"] == "f failed: f does not work"


def test_a_loop_in_a_last_part_goes_on_while_the_run_unwinds(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("x").task

    def flow(ctx: Context) -> Node:
        found = ctx.latest(Number, "f")
        last = Loop(t("f"), until=found is not None and found.n >= 3)
        return Sequence(TryCatchFinally(Sequence(t("a"), t("x")), finally_=last), t("never"))

    assert play.run(flow).status == "failed"
    assert play.seen == ["a", "x", "f", "f", "f"]


def test_a_saga_undoes_what_is_done_and_the_run_ends_partial(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("c").task
    result = play.run(
        lambda ctx: Sequence(
            Saga(SagaStep(t("a"), t("ua")), SagaStep(t("b"), t("ub")), SagaStep(t("c"), t("uc"))), t("end")
        )
    )
    assert result.status == "partial"
    assert play.seen == ["a", "b", "c", "ub", "ua", "end"]
    assert play.events(EventType.BLOCK_ENDED) == ["saga:a"]


def test_a_compensation_that_fails_does_not_stop_the_others_and_fails_the_run(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("c", "ub").task
    saga = Saga(SagaStep(t("a"), t("ua")), SagaStep(t("b"), t("ub")), SagaStep(t("c")))
    result = play.run(lambda ctx: saga)
    assert result.status == "failed"
    assert play.seen == ["a", "b", "c", "ub", "ua"]


def test_a_quarantined_failure_skips_those_who_need_it_and_nobody_else(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("a").task
    first = t("a")
    result = play.run(
        lambda ctx: Sequence(
            Parallel(first, Sequence(t("b"), t("b2")), failure_policy="quarantine"),
            Task("needs", Number, deps=first, run=lambda found: found),
            t("end"),
        )
    )
    assert result.status == "partial"
    assert sorted(play.seen) == ["a", "b", "b2", "end"]
    assert play.states()["needs"] == "skipped"


def test_a_resume_keeps_a_finished_body_and_runs_the_rest_of_a_failed_block_again(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make(once=("b",)).task

    def flow(ctx: Context) -> Node:
        return Sequence(TryCatchFinally(t("a"), t("b"), t("c"), finally_=t("f")), t("end"))

    assert play.run(flow).status == "failed"
    assert play.seen == ["a", "b", "f"]
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "b", "f", "b", "c", "f", "end"]


def test_a_resume_does_not_try_again_what_a_catch_has_handled(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("a", once=("later",)).task

    def flow(ctx: Context) -> Node:
        return Sequence(TryCatchFinally(t("a"), catch=t("c")), t("later"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "c", "later", "later"]


def test_a_resume_leaves_what_was_handled_in_a_body_and_does_all_of_a_last_part_again(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("a", once=("b",)).task

    def flow(ctx: Context) -> Node:
        last = TryCatchFinally(t("x"), finally_=t("y"))
        return TryCatchFinally(TryCatchFinally(t("a"), t("a2"), catch=t("c")), t("b"), finally_=last)

    assert play.run(flow).status == "failed"
    assert play.seen == ["a", "c", "b", "x", "y"]
    assert play.resume(flow).status == "finished"
    assert play.seen[5:] == ["b", "x", "y"]
    assert (play.states()["a"], play.states()["a2"]) == ("failed", "skipped")


def test_a_resume_opens_blocks_in_blocks_that_a_failure_has_left(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make(once=("b",)).task

    def flow(ctx: Context) -> Node:
        inner = TryCatchFinally(t("a"), t("b"), finally_=t("f1"))
        return TryCatchFinally(inner, t("c"), finally_=t("f2"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "b", "f1", "f2", "b", "f1", "c", "f2"]


def test_a_resume_does_not_do_again_what_a_saga_has_undone(play: Play, make: Callable[..., Recorder]) -> None:
    t = make(once=("b",)).task
    saga = Saga(SagaStep(t("a"), t("ua")), SagaStep(t("b")), on_failure="compensate-and-fail")
    assert play.run(lambda ctx: saga).status == "failed"
    assert play.resume(lambda ctx: saga).status == "failed"
    assert play.seen == ["a", "b", "ua"]


def test_every_pass_of_a_loop_has_a_block_of_its_own(play: Play, make: Callable[..., Recorder]) -> None:
    t = make(once=("a",)).task

    def flow(ctx: Context) -> Node:
        return Loop(TryCatchFinally(t("a"), catch=t("c"), finally_=t("f")), max_iterations=2)

    assert play.run(flow).status == "finished"
    assert play.seen == ["a", "c", "f", "a", "f"]


def test_a_last_part_that_failed_is_gone_on_with_and_nothing_before_it_is_done_again(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make(once=("f2",)).task

    def flow(ctx: Context) -> Node:
        return Sequence(TryCatchFinally(t("a"), finally_=[t("f1"), t("f2"), t("f3")]), t("end"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "f1", "f2", "f2", "f3", "end"]


def test_a_catch_that_has_handled_its_failure_is_not_done_again_when_the_last_part_failed(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("a", once=("f2",)).task
    told: list[str] = []

    def catch(error: Caught) -> Node:
        told.append(error.node)
        return t("c")

    def flow(ctx: Context) -> Node:
        inner = TryCatchFinally(t("x"), finally_=t("f2"))
        return Sequence(TryCatchFinally(t("a"), t("b"), catch=catch, finally_=[t("f1"), inner]), t("end"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "c", "f1", "x", "f2", "f2", "end"]
    assert set(told) == {"a"}
    assert (play.states()["a"], play.states()["b"]) == ("failed", "skipped")


def test_a_catch_that_failed_has_handled_nothing_and_all_of_its_block_is_tried_again(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("a", once=("c2",)).task

    def flow(ctx: Context) -> Node:
        return TryCatchFinally(t("a"), catch=[t("c1"), t("c2")], finally_=t("f"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "c1", "c2", "f", "a", "c1", "c2", "f"]


def test_what_an_inner_block_does_again_is_ended_again_by_the_outer_ones_alone(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make(once=("f1",)).task

    def flow(ctx: Context) -> Node:
        inner = TryCatchFinally(t("a"), finally_=[t("f0"), t("f1")])
        return TryCatchFinally(inner, t("b"), finally_=t("f2"))

    assert play.run(flow).status == "failed"
    assert play.seen == ["a", "f0", "f1", "f2"]
    assert play.resume(flow).status == "finished"
    assert play.seen[4:] == ["f1", "b", "f2"]


def test_a_tolerated_failure_in_a_body_is_tried_again_and_its_last_part_with_it(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make(once=("a", "f2")).task

    def flow(ctx: Context) -> Node:
        return TryCatchFinally(t("a", continue_on_fail=True), finally_=[t("f1"), t("f2")])

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "f1", "f2", "a", "f1", "f2"]


def test_a_crash_after_a_last_part_was_reopened_loses_nothing_of_that(
    play: Play, make: Callable[..., Recorder]
) -> None:
    t = make("a", once=("f2",)).task

    def flow(ctx: Context) -> Node:
        return TryCatchFinally(t("a"), catch=t("c"), finally_=[t("f1"), t("f2"), last])

    hold = threading.Event()

    def run() -> dict[str, int]:
        play.see("last")
        return {"n": int(hold.wait(10))}

    last = Task("last", Number, run=run, retries=0)
    assert play.run(flow).status == "failed"
    host = host_for(play.store)
    with play.reader() as reader:
        row = reader.run("r")
    Workflow(flow).resume(host, host.claim(row))
    until(lambda: "last" in play.seen)
    play.close()
    hold.set()
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "c", "f1", "f2", "f2", "last", "last"]
