"""A cancel that finds its run without an owner: what has begun is seen to its end, nothing else begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from smithers import Context, Node, Saga, SagaStep, Sequence, Task, TryCatchFinally, Workflow
from smithers.engine import cancelling
from smithers.engine.hosts import host_for
from smithers.errors import LastPartsOwed, SmithersError
from smithers.records import FrameWrite, InboxKind, RunState
from tests.unit.engine.play import Number, Play, until

Flow = Callable[[Context[Any]], object]


class Bench:
    """Tasks that note that they were called; some never end, until they are let go."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.held: set[str] = set()

    def task(self, name: str) -> Task[Number]:
        async def run() -> Number:
            self.play.see(name)
            if name in self.held:
                await asyncio.Event().wait()
            return Number(n=self.play.call(name))

        return Task(name, Number, run=run, retries=0)

    def cut_off(self, flow: Flow, *held: str, resume: bool = False) -> None:
        """Drive run `r` until these tasks run, and let go of it without another word."""
        self.held = set(held)
        before = len(self.play.seen)
        if resume:
            host = host_for(self.play.store)
            with self.play.reader() as reader:
                row = reader.run("r")
            Workflow(flow).resume(host, host.claim(row))
        else:
            Workflow(flow).start(host_for(self.play.store), run_id="r")
        until(lambda: set(held) <= set(self.play.seen[before:]))
        self.play.close()
        self.held = set()
        assert self.state is RunState.RUNNING

    @property
    def state(self) -> RunState:
        with self.play.reader() as reader:
            return reader.run("r").state

    def cancel(self) -> None:
        """Leave the order where the next owner finds it."""
        with closing(host_for(self.play.store).store.outsider()) as outsider, self.play.reader() as reader:
            outsider.post(reader.run("r").id, InboxKind.CANCEL, "somebody")


@pytest.fixture
def bench(play: Play) -> Bench:
    return Bench(play)


def trip(t: Callable[[str], Task[Number]]) -> Node:
    saga = Saga(SagaStep(t("a"), t("ua")), SagaStep(t("b"), t("ub")), SagaStep(t("c"), t("uc")))
    return Sequence(TryCatchFinally(saga, finally_=t("f")), t("after"))


def test_a_resume_carries_a_cancel_out_that_waits_for_it(play: Play, bench: Bench) -> None:
    bench.cut_off(lambda ctx: trip(bench.task), "c")
    bench.cancel()
    assert play.resume(lambda ctx: trip(bench.task)).status == "cancelled"
    assert play.seen == ["a", "b", "c", "ub", "ua", "f"]
    assert [row.state.word for row in play.attempts("c")] == ["lost"]


def test_what_was_undone_before_its_owner_died_is_not_undone_again(play: Play, bench: Bench) -> None:
    def flow(ctx: Context) -> Node:
        return trip(bench.task)

    bench.cut_off(flow, "c")
    bench.cancel()
    bench.cut_off(flow, "ua", resume=True)
    assert play.resume(flow).status == "cancelled"
    assert play.seen == ["a", "b", "c", "ub", "ua", "ua", "f"]


def test_a_cancel_that_waits_for_a_run_without_open_blocks_is_overruled_by_a_resume(
    play: Play, bench: Bench
) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(TryCatchFinally(bench.task("a"), finally_=bench.task("f")), bench.task("b"))

    bench.cut_off(flow, "b")
    bench.cancel()
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "f", "b", "b"]


def scripts(bench: Bench) -> Callable[[Context[Any]], Awaitable[None]]:
    async def flow(ctx: Context) -> None:
        t = bench.task
        async with ctx.finally_(t("f1")):
            async with ctx.finally_(t("f0")):
                await ctx.run(t("a"))
            beside = asyncio.ensure_future(ctx.run(Sequence(t("b1"), t("b2"))))
            await ctx.run(t("b"))
            beside.cancel()
            async with ctx.finally_(t("f2")):
                await ctx.run(Saga(SagaStep(t("s"), t("us")), SagaStep(t("c"))))
                await ctx.run(t("never"))
        await ctx.run(t("after"))

    return flow


def test_a_script_gets_back_to_its_blocks_and_goes_no_further(play: Play, bench: Bench) -> None:
    flow = scripts(bench)
    bench.cut_off(flow, "b1", "c")
    before = len(play.seen)
    bench.cancel()
    assert play.resume(flow).status == "cancelled"
    assert play.seen[before:] == ["us", "f2", "f1"]


@pytest.mark.parametrize("held", ["us", "f2", "f1"])
def test_a_script_that_died_in_its_last_parts_goes_on_with_them(play: Play, bench: Bench, held: str) -> None:
    flow = scripts(bench)
    bench.cut_off(flow, "b1", "c")
    before = len(play.seen)
    bench.cancel()
    bench.cut_off(flow, held, resume=True)
    assert play.resume(flow).status == "cancelled"
    order = ["us", "f2", "f1"]
    again = order.index(held)
    assert play.seen[before:] == [*order[: again + 1], *order[again:]]


def test_a_cancel_that_finds_a_script_on_its_way_back_waits_for_its_blocks(play: Play, bench: Bench) -> None:
    gate: list[asyncio.Event] = []

    async def flow(ctx: Context) -> None:
        await ctx.run(bench.task("a"))
        if play.calls["a"] and gate:
            play.see("waits")
            await asyncio.sleep(0.2)  # not durable: it comes again in each process
        async with ctx.finally_(bench.task("f")):
            await ctx.run(bench.task("b"))

    bench.cut_off(flow, "b")
    gate.append(asyncio.Event())
    host = host_for(play.store)
    with play.reader() as reader:
        row = reader.run("r")
    handle = Workflow(flow).resume(host, host.claim(row))
    until(lambda: "waits" in play.seen)
    bench.cancel()
    assert handle.ended.result(10).state is RunState.CANCELLED
    assert play.seen == ["a", "b", "waits", "f"]


def test_a_tree_that_a_script_cancels_does_not_cancel_its_run(play: Play, bench: Bench) -> None:
    async def flow(ctx: Context) -> None:
        beside = asyncio.ensure_future(ctx.run(Sequence(bench.task("b"), bench.task("b2"))))
        await ctx.run(bench.task("a"))
        beside.cancel()
        await ctx.run(bench.task("c"))

    bench.cut_off(flow, "b", "c")
    assert play.resume(flow).status == "finished"


def test_a_script_that_does_not_come_back_to_its_block_says_what_is_owed(
    play: Play, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def flow(ctx: Context) -> None:
        async with ctx.finally_(bench.task("f")):
            await ctx.run(bench.task("a"))

    async def edited(ctx: Context) -> None:
        await ctx.run(bench.task("a"))

    async def broken(ctx: Context) -> None:
        raise ValueError("half an edit")

    async def shorter(ctx: Context) -> None:
        play.see("returned")

    bench.cut_off(flow, "a")
    bench.cancel()
    for other in (broken, shorter, edited):
        if other is edited:
            monkeypatch.setattr(cancelling, "PATIENCE_MS", 50)
        with pytest.raises(LastPartsOwed, match=r"finally of finally:f \(f\)"):
            play.resume(other)
        assert bench.state is RunState.RUNNING
    assert play.resume(flow).status == "cancelled"
    assert play.seen == ["a", "returned", "f"]


def test_a_pause_puts_a_cancel_off_and_does_not_lose_it(play: Play, bench: Bench) -> None:
    async def flow(ctx: Context) -> None:
        async with ctx.finally_(bench.task("f")):
            await ctx.run(bench.task("a"))

    bench.cut_off(flow, "a")
    bench.cancel()
    bench.held = {"f"}
    host = host_for(play.store)
    with play.reader() as reader:
        row = reader.run("r")
    handle = Workflow(flow).resume(host, host.claim(row))
    until(lambda: "f" in play.seen)
    handle.pause()
    assert handle.ended.result(10).state is RunState.PAUSED
    bench.held = set()
    assert play.resume(flow).status == "cancelled"
    assert play.seen == ["a", "f", "f"]


def test_a_body_that_a_resume_executes_again_is_ended_again(play: Play, bench: Bench) -> None:
    async def flow(ctx: Context) -> None:
        async with ctx.finally_(Sequence(bench.task("f1"), bench.task("f2"))):
            async with ctx.finally_(bench.task("f0")):
                await ctx.run(bench.task("a"))
            async for _ in ctx.loop("passes", max_iterations=1):
                await ctx.run(bench.task("b"))
        await ctx.run(bench.task("after"))

    bench.cut_off(flow, "b")
    bench.cancel()
    assert play.resume(flow).status == "cancelled"
    assert play.seen == ["a", "f0", "b", "f1", "f2"]
    bench.cut_off(flow, "b", resume=True)
    # Once more, and in this process nothing has run in it: what it has begun again is owed all the same.
    bench.cancel()
    assert play.resume(flow).status == "cancelled"
    assert play.seen[5:] == ["b", "f1", "f2"]
    assert play.resume(flow).status == "finished"
    assert play.seen[8:] == ["b", "f1", "f2", "after"]


def test_a_failure_in_a_block_of_a_script_that_is_tried_again_is_ended_again(
    play: Play, bench: Bench
) -> None:
    def fails_once() -> Number:
        play.see("a")
        if play.call("a") == 1:
            raise ValueError("not yet")
        return Number(n=1)

    async def flow(ctx: Context) -> None:
        async with ctx.finally_(bench.task("f")):
            await ctx.run(Task("a", Number, run=fails_once, retries=0))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.seen == ["a", "f", "a", "f"]


@pytest.mark.parametrize("frames", range(1, 9))
@pytest.mark.parametrize("is_script", [False, True], ids=["tree", "script"])
def test_wherever_its_owner_dies_a_cancel_finishes_each_last_part_once(
    play: Play, bench: Bench, frames: int, is_script: bool
) -> None:
    flow: Flow = scripts(bench) if is_script else lambda ctx: trip(bench.task)
    bench.cut_off(flow, *(["b1", "c"] if is_script else ["c"]))
    before = len(play.seen)
    bench.cancel()
    stored = 0

    def die(_: FrameWrite) -> None:
        nonlocal stored
        stored += 1
        if stored == frames:
            raise RuntimeError("the end of this owner")

    host = host_for(play.store)
    with play.reader() as reader:
        row = reader.run("r")
    handle = Workflow(flow).resume(host, host.claim(row), watch=die)
    try:
        assert handle.ended.result(10).state is RunState.CANCELLED
    except SmithersError:
        assert stored == frames
    play.close()
    if bench.state is not RunState.CANCELLED:
        assert play.resume(flow).status == "cancelled"
    assert bench.state is RunState.CANCELLED
    last = ["us", "f2", "f1"] if is_script else ["ub", "ua", "f"]
    assert list(dict.fromkeys(play.seen[before:])) == last
    for name in last:
        assert [one.state.word for one in play.attempts(name)].count("finished") == 1
