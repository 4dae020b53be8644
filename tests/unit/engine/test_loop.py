"""Loops: when `until` is asked, what ends them, how they nest."""

from __future__ import annotations

from typing import Any

import pytest

from smithers import Context, Loop, Node, Parallel, Pass, Sequence, Task
from smithers.records import EventType
from tests.unit.engine.play import QUICK, Number, Play


def counting(play: Play, name: str = "t", **options: Any) -> Task[Number]:
    return Task(name, Number, run=lambda: {"n": play.call(name)}, **options)


def test_a_loop_makes_one_pass_even_if_its_condition_already_holds(play: Play) -> None:
    assert play.run(lambda ctx: Loop(counting(play), until=True)).status == "finished"
    assert play.calls["t"] == 1


def test_until_as_a_function_is_asked_once_at_the_end_of_each_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        first, second = counting(play, "first"), counting(play, "second")

        def until() -> bool:
            play.see((play.calls["first"], play.calls["second"]))
            return ctx.output(second).n >= 3

        return Loop(first, second, until=until)

    play.run(flow)
    assert play.seen == [(1, 1), (2, 2), (3, 3)]


def test_until_as_a_bool_is_computed_after_the_pass_has_ended(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.latest(Number, "t")
        return Loop(counting(play), until=found is not None and found.n >= 3)

    play.run(flow)
    assert play.calls["t"] == 3


def test_until_does_not_cut_a_pass_short(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.latest(Number, "first")
        return Loop(
            counting(play, "first"), counting(play, "second"), until=found is not None and found.n >= 2
        )

    play.run(flow)
    assert play.calls == {"first": 2, "second": 2}


def test_a_done_loop_never_reopens(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        after = ctx.output_maybe(Number, "after") is not None
        return Sequence(
            Loop(counting(play), until=not after, max_iterations=3),
            counting(play, "after"),
            counting(play, "last"),
        )

    play.run(flow)
    assert play.calls == {"t": 1, "after": 1, "last": 1}


@pytest.mark.parametrize("limit", [1, 3])
def test_max_iterations_ends_a_loop_and_the_run_goes_on_with_the_last_pass(play: Play, limit: int) -> None:
    def flow(ctx: Context) -> Node:
        task = counting(play)
        return Sequence(
            Loop(task, max_iterations=limit), Task("after", Number, deps=task, run=lambda found: found)
        )

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", {"n": limit})
    assert list(play.states()) == [*(f"t[{n}]" if n else "t" for n in range(limit)), "after"]


def test_reaching_the_limit_fails_the_run_if_asked_to_with_the_loop_and_its_line(play: Play) -> None:
    loop = Loop(counting(play), max_iterations=2, on_max_reached="fail", id="refine")
    result = play.run(lambda ctx: Sequence(loop, counting(play, "after")))
    assert result.status == "failed"
    assert play.calls == {"t": 2}
    assert result.error is not None
    assert result.error["code"] == "LOOP_MAX_REACHED"
    assert "refine" in result.error["message"]
    assert result.error["place"] == str(loop.place)


def test_a_loop_that_failed_at_its_limit_goes_on_after_a_resume_with_a_greater_one(play: Play) -> None:
    def flow(limit: int) -> Any:
        return lambda ctx: Loop(
            counting(play),
            until=lambda: ctx.output(Number, "t").n >= 4,
            max_iterations=limit,
            on_max_reached="fail",
        )

    assert play.run(flow(2)).status == "failed"
    assert play.resume(flow(6)).status == "finished"
    assert play.calls["t"] == 4


def test_without_a_limit_a_loop_goes_on_past_the_default(play: Play) -> None:
    play.run(
        lambda ctx: Loop(counting(play), until=lambda: ctx.output(Number, "t").n >= 12, max_iterations=None)
    )
    assert play.calls["t"] == 12


def test_a_loop_advances_while_other_nodes_wait(play: Play) -> None:
    def slow() -> Number:
        from tests.unit.engine.play import until

        until(lambda: play.calls["t"] >= 3)
        return Number(n=0)

    flow = Parallel(Task("slow", Number, run=slow), Loop(counting(play), max_iterations=3))
    assert play.run(lambda ctx: flow).status == "finished"


def test_a_pass_waits_for_a_retry(play: Play) -> None:
    def flaky() -> Number:
        if play.call("flaky") % 2:
            raise ValueError("once")
        return Number(n=1)

    play.run(
        lambda ctx: Loop(
            Task("flaky", Number, run=flaky, retry_policy=QUICK), counting(play, "after"), max_iterations=2
        )
    )
    assert play.calls == {"flaky": 4, "after": 2}


def test_loops_nest_and_each_inner_loop_begins_anew_in_every_outer_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        inner = Loop(counting(play, "in"), until=lambda: ctx.iteration == 1, max_iterations=9, id="inner")
        return Loop(inner, counting(play, "out"), max_iterations=3, id="outer")

    play.run(flow)
    assert play.calls == {"in": 6, "out": 3}
    assert set(play.states()) == {
        *(f"in[{i}]@outer={o}" for o in range(3) for i in range(2)),
        *("out", "out[1]", "out[2]"),
    }


def test_loops_nest_directly_and_three_deep(play: Play) -> None:
    node = Loop(
        Loop(Loop(counting(play), max_iterations=2, id="c"), max_iterations=2, id="b"),
        max_iterations=2,
        id="a",
    )
    assert play.run(lambda ctx: node).status == "finished"
    assert set(play.states()) == {f"t[{k}]@a={i},b={j}" for i in range(2) for j in range(2) for k in range(2)}


# A loop that is judged by a bool is rendered once more at the end of each pass: its body is asked again.
JUDGED: list[Any] = [False, lambda: False]


@pytest.mark.parametrize("until", JUDGED, ids=["bool", "function"])
def test_a_body_function_sees_its_pass_and_the_one_before(play: Play, until: Any) -> None:
    def body(i: Pass) -> Node:
        before = i.previous(Task("t", Number, value={"n": 0}))
        play.see((i.index, before.n if before else None))
        return Task("t", Number, run=lambda: {"n": (before.n if before else 0) + 10})

    result = play.run(lambda ctx: Loop(body, until=until, max_iterations=3, id="l"))
    assert sorted(set(play.seen), key=str) == [(0, None), (1, 10), (2, 20)]
    assert result.output == {"n": 30}


@pytest.mark.parametrize("until", JUDGED, ids=["bool", "function"])
def test_previous_in_a_nested_loop_stays_in_the_outer_pass(play: Play, until: Any) -> None:
    def outer(o: Pass) -> Node:
        def inner(i: Pass) -> Node:
            before = i.previous((Number, "t"))
            play.see((o.index, i.index, before.n if before else None))
            return Task("t", Number, run=lambda: {"n": o.index * 10 + i.index})

        return Loop(inner, until=until, max_iterations=2, id="inner")

    play.run(lambda ctx: Loop(outer, until=until, max_iterations=2, id="outer"))
    assert set(play.seen) == {(0, 0, None), (0, 1, 0), (1, 0, None), (1, 1, 10)}


@pytest.mark.parametrize("until", JUDGED, ids=["bool", "function"])
def test_previous_is_none_if_the_task_was_skipped_in_the_pass_before(play: Play, until: Any) -> None:
    def body(i: Pass) -> Node:
        before = i.previous((Number, "t"))
        play.see((i.index, before.n if before else None))
        return Task("t", Number, run=lambda: {"n": i.index}, skip_if=i.index == 1)

    play.run(lambda ctx: Loop(body, until=until, max_iterations=3, id="l"))
    assert set(play.seen) == {(0, None), (1, 0), (2, None)}


@pytest.mark.parametrize("until", JUDGED, ids=["bool", "function"])
def test_a_body_reads_only_its_own_pass_however_often_it_is_asked(play: Play, until: Any) -> None:
    def flow(ctx: Context) -> Node:
        ctx.outputs(str)  # makes the whole tree stale in the middle of a pass

        def outer(o: Pass) -> Node:
            def inner(i: Pass) -> Node:
                now, last = ctx.output_maybe(Number, "t"), ctx.latest(Number, "t")
                play.see((o.index, i.index, now.n if now else None, last.n if last else None))
                return Sequence(
                    Task("t", Number, run=lambda: {"n": o.index * 10 + i.index}),
                    Task("word", str, run=lambda: "x"),
                )

            return Loop(inner, until=until, max_iterations=2, id="inner")

        return Loop(outer, until=until, max_iterations=2, id="outer")

    play.run(flow)
    assert set(play.seen) == {
        (0, 0, None, None),
        (0, 0, 0, 0),
        (0, 1, None, 0),
        (0, 1, 1, 1),
        (1, 0, None, None),
        (1, 0, 10, 10),
        (1, 1, None, 10),
        (1, 1, 11, 11),
    }


def test_each_pass_is_announced_and_the_last_as_the_loops_end(play: Play) -> None:
    play.run(lambda ctx: Loop(counting(play), max_iterations=3, id="l"))
    assert len(play.events(EventType.PASS_ENDED)) == 2
    assert len(play.events(EventType.LOOP_DONE)) == 1


def test_an_empty_loop_ends(play: Play) -> None:
    assert play.run(lambda ctx: Loop(max_iterations=3)).status == "finished"


def test_an_unhandled_failure_in_a_pass_ends_the_loop(play: Play) -> None:
    def run() -> Number:
        if play.call("t") == 2:
            raise ValueError("no")
        return Number(n=1)

    result = play.run(lambda ctx: Loop(Task("t", Number, run=run, no_retry=True), counting(play, "after")))
    assert result.status == "failed"
    assert play.calls == {"t": 2, "after": 1}
