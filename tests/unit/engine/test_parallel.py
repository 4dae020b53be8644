"""Side by side: limits that nest, and what a failure does to the others."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from smithers import Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task
from smithers.records import AttemptState
from tests.unit.engine.play import QUICK, Number, Overlap, Play, until


def busy(overlap: Overlap, name: str, *groups: str, seconds: float = 0.03, **options: Any) -> Task[Number]:
    async def run() -> Number:
        with overlap.inside("all", *groups):
            await asyncio.sleep(seconds)
        return Number(n=1)

    return Task(name, Number, run=run, **options)


def test_without_a_limit_sixteen_attempts_run_at_once(play: Play) -> None:
    overlap = Overlap()
    play.run(lambda ctx: Parallel(busy(overlap, f"t{n}") for n in range(40)))
    assert overlap.most["all"] == 16


def test_a_run_may_set_its_own_limit(play: Play) -> None:
    overlap = Overlap()
    play.run(lambda ctx: Parallel(busy(overlap, f"t{n}") for n in range(12)), max_concurrency=3)
    assert overlap.most["all"] == 3


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_limit_holds_for_the_children_of_its_container(play: Play, limit: int) -> None:
    overlap = Overlap()
    play.run(lambda ctx: Parallel([busy(overlap, f"t{n}") for n in range(10)], max_concurrency=limit))
    assert overlap.most["all"] == limit


def test_limits_nest(play: Play) -> None:
    overlap = Overlap()

    def group(name: str) -> Node:
        return Parallel([busy(overlap, f"{name}{n}", name) for n in range(6)], max_concurrency=2, id=name)

    play.run(lambda ctx: Parallel(group("a"), group("b"), group("c"), max_concurrency=2))
    assert max(overlap.most[name] for name in "abc") == 2
    assert overlap.most["all"] <= 4


def test_a_child_counts_once_however_much_runs_in_it(play: Play) -> None:
    overlap = Overlap()

    def child(name: str) -> Node:
        return Parallel([busy(overlap, f"{name}{n}", name) for n in range(4)])

    play.run(lambda ctx: Parallel(child("a"), child("b"), max_concurrency=1))
    assert overlap.most["a"] == overlap.most["b"] == overlap.most["all"] == 4


def test_a_back_off_holds_no_slot(play: Play) -> None:
    went_by = threading.Event()

    def flaky() -> Number:
        if play.call("flaky") == 1:
            raise ValueError("once")
        assert went_by.is_set()
        return Number(n=1)

    def other() -> Number:
        went_by.set()
        return Number(n=2)

    slow = RetryPolicy(initial_delay=0.2, retries=1)
    result = play.run(
        lambda ctx: Parallel(
            Task("flaky", Number, run=flaky, retry_policy=slow),
            Task("other", Number, run=other),
            max_concurrency=1,
        )
    )
    assert result.status == "finished"


def test_candidates_start_in_document_order(play: Play) -> None:
    def run(n: int) -> Any:
        def note() -> Number:
            play.see(n)
            return Number(n=n)

        return note

    play.run(lambda ctx: Parallel([Task(f"t{n}", Number, run=run(n)) for n in range(8)], max_concurrency=1))
    assert play.seen == list(range(8))


def test_an_unmet_edge_holds_no_slot(play: Play) -> None:
    b = Task("b", Number, run=lambda: {"n": 1})
    a = Task("a", Number, deps=b, run=lambda found: found)
    assert play.run(lambda ctx: Parallel(a, b, max_concurrency=1)).status == "finished"


# --- A failure among the children ---------------------------------------------------------------


def test_an_unhandled_failure_starts_nothing_new_and_lets_what_runs_end(play: Play) -> None:
    failed = threading.Event()

    def fail() -> Number:
        failed.set()
        raise ValueError("no")

    def slow() -> Number:
        assert failed.wait(10)
        time.sleep(0.2)
        return Number(n=play.call("slow"))

    result = play.run(
        lambda ctx: Parallel(
            Sequence(Task("slow", Number, run=slow), Task("never", Number, run=lambda: play.call("never"))),
            Task("fail", Number, run=fail, no_retry=True),
        )
    )
    assert result.status == "failed"
    assert play.calls == {"slow": 1}
    assert play.states()["slow"] == "finished"


def test_on_failure_cancel_ends_the_others_below(play: Play) -> None:
    async def slow() -> Number:
        play.call("slow")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            play.call("cancelled")
            raise
        return Number(n=1)

    def fail() -> Number:
        until(lambda: play.calls["slow"] == 2)
        raise ValueError("no")

    began = time.monotonic()
    result = play.run(
        lambda ctx: Parallel(
            Task("slow1", Number, run=slow),
            Sequence(Task("slow2", Number, run=slow)),
            Task("fail", Number, run=fail, no_retry=True),
            on_failure="cancel",
        )
    )
    assert result.status == "failed"
    assert time.monotonic() - began < 10
    assert play.calls == {"slow": 2, "cancelled": 2}
    assert play.states()["fail"] == "failed"
    ends = {row.key.node: row.state for row in play.attempts()}
    assert ends["slow1"] is ends["slow2"] is AttemptState.CANCELLED
    assert result.error is not None
    assert "fail failed: no" in result.error["message"]


def test_on_failure_cancel_leaves_what_stands_elsewhere(play: Play) -> None:
    def outside() -> Number:
        until(lambda: play.calls["fail"] == 1)
        time.sleep(0.15)
        return Number(n=play.call("outside"))

    async def fail() -> Number:
        play.call("fail")
        raise ValueError("no")

    result = play.run(
        lambda ctx: Parallel(
            Task("outside", Number, run=outside),
            Parallel(Task("fail", Number, run=fail, no_retry=True), on_failure="cancel"),
        )
    )
    assert result.status == "failed"
    assert play.calls == {"fail": 1, "outside": 1}


def test_a_tolerated_failure_disturbs_nobody(play: Play) -> None:
    def fail() -> Number:
        raise ValueError("no")

    result = play.run(
        lambda ctx: Sequence(
            Parallel(
                Task("fail", Number, run=fail, continue_on_fail=True),
                Task("other", Number, run=lambda: {"n": 1}),
                on_failure="cancel",
            ),
            Task("after", Number, run=lambda: {"n": 2}),
        )
    )
    assert (result.status, result.output) == ("partial", {"n": 2})


def test_a_fan_out_of_many_children_over_what_was_found(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def check(n: int) -> Node:
            return Task(f"check:{n}", Number, run=lambda: Number(n=n))

        def found() -> list[Node]:
            return [check(n) for n in range(ctx.output(Number, "find").n)]

        return Sequence(
            Task("find", Number, run=lambda: {"n": 50}),
            Parallel(found, max_concurrency=8),
            Task("sum", Number, run=lambda: {"n": sum(one.n for one in ctx.outputs(Number)) - 50}),
        )

    assert play.run(flow).output == {"n": sum(range(50))}


def test_a_limit_holds_over_the_passes_of_loops(play: Play) -> None:
    overlap = Overlap()
    play.run(
        lambda ctx: Parallel(
            [Loop(busy(overlap, f"t{n}"), max_iterations=3) for n in range(4)], max_concurrency=2
        )
    )
    assert overlap.most["all"] == 2


def test_a_retry_in_a_crowded_container_comes_to_its_turn(play: Play) -> None:
    def flaky() -> Number:
        if play.call("flaky") < 3:
            raise ValueError("x" * play.calls["flaky"])
        return Number(n=1)

    overlap = Overlap()
    result = play.run(
        lambda ctx: Parallel(
            Task("flaky", Number, run=flaky, retry_policy=QUICK),
            [busy(overlap, f"t{n}") for n in range(6)],
            max_concurrency=1,
        )
    )
    assert result.status == "finished"
    until(lambda: play.states()["flaky"] == "finished")
