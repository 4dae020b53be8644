"""A user's own workflow in simulated worlds: what is sound holds, what is planted is found by its seed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    Context,
    Loop,
    Node,
    Parallel,
    RetryPolicy,
    Saga,
    SagaStep,
    Sequence,
    Task,
    TryCatchFinally,
    Workflow,
    workflow,
)
from smithers.engine.memory import Memory
from smithers.records import StoredRun
from smithers.testing import PromiseBroken, ScriptedAgent, simulate

SEEDS = range(150)


class Review(BaseModel):
    approved: bool


def step(name: str, takes_s: float = 3.0) -> Task[str]:
    async def run() -> str:
        await asyncio.sleep(takes_s)
        return name

    return Task(name, str, run=run)


def failing(name: str) -> Task[str]:
    def run() -> str:
        raise ValueError(f"{name} cannot")

    return Task(name, str, run=run, retries=0)


@workflow
def with_everything(ctx: Context) -> Node:
    return Sequence(
        Parallel(step("a"), step("b"), failing("d"), failure_policy="quarantine"),
        TryCatchFinally(step("body"), failing("bad"), catch=step("caught"), finally_=step("last")),
        Saga(SagaStep(step("book"), step("cancel")), SagaStep(failing("pay"))),
        Loop(step("again"), max_iterations=2),
    )


def test_a_sound_workflow_ends_alike_in_every_world() -> None:
    found = simulate(with_everything, seeds=SEEDS)
    assert (found.seeds, found.faults > 100, found.unsteady) == (len(SEEDS), True, ())
    assert str(found).startswith("150 seeds, ")


def test_scripted_agents_and_threads_of_asyncio_take_part() -> None:
    def flow() -> Workflow[Any, Any]:
        @workflow
        def flow(ctx: Context[dict[str, Any]]) -> Node:
            found = ctx.latest(Review, "review")
            words = Task("words", str, run=lambda: asyncio.to_thread(lambda: ctx.input["words"]))
            review = Task("review", Review, agent=ScriptedAgent(), prompt="Look.", retry_policy=RetryPolicy())
            return Sequence(words, Loop(review, until=found is not None and found.approved))

        return flow

    script = ScriptedAgent({"approved": False}, TimeoutError("slow"), {"approved": True})
    assert simulate(flow, {"words": "hello"}, seeds=range(60), agents=script).seeds == 60
    assert script.requests == []


def test_a_script_of_awaits_ends_alike_in_every_world() -> None:
    @workflow
    async def flow(ctx: Context) -> str:
        first = await ctx.run(step("first"))
        return first + "".join(await ctx.gather(step("one"), step("two", takes_s=30)))

    assert simulate(flow, seeds=range(100)).seeds == 100


def test_the_same_seed_breaks_the_same_promise_again(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Memory.restore

    def blind(self: Memory, stored: StoredRun, in_flight: Any) -> Any:
        found = restore(self, stored, in_flight)
        for row in stored.nodes:
            if row.key.node == "publish":
                self.log(row.key).last = row.attempt
                del self.facts.nodes[row.key]
        return found

    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(*map(step, ("write", "publish", "announce")))

    monkeypatch.setattr(Memory, "restore", blind)
    with pytest.raises(PromiseBroken) as first:
        simulate(flow, seeds=SEEDS)
    said = str(first.value)
    match = re.match(r"seed (\d+): publish runs again although it is stored as finished", said)
    assert match is not None, said
    assert f"again: simulate(…, seeds=[{match[1]}])" in said
    assert "begun publish 2" in said
    with pytest.raises(PromiseBroken) as again:
        simulate(flow, seeds=[int(match[1])])
    assert str(again.value) == said


def test_a_workflow_that_remembers_in_memory_is_found_and_one_made_anew_is_not() -> None:
    def flow() -> Workflow[Any, Any]:
        count = 0

        def run() -> str:
            nonlocal count
            count += 1
            return "first" if count == 1 else "later"

        def tree(ctx: Context) -> Node:
            return Task("count", str, run=run)

        return Workflow(tree, name="counting")

    shared = simulate(flow(), seeds=range(3))
    assert shared.unsteady == ("count",)
    with pytest.raises(PromiseBroken, match=r"the output of count is .*later.*, not .*first"):
        simulate(flow, seeds=SEEDS)


def test_time_that_runs_out_in_a_stopped_process_breaks_no_promise() -> None:
    @workflow
    def flow(ctx: Context) -> Node:
        async def run() -> str:
            await asyncio.sleep(10)
            return "in time"

        return Task("slow", str, run=run, timeout=12, retries=0)

    assert simulate(flow, seeds=SEEDS).seeds == len(SEEDS)


def test_runs_that_do_not_end_alike_undisturbed_cannot_be_compared() -> None:
    numbers = iter(range(100))

    @workflow
    def flow(ctx: Context) -> Node:
        return Task("a", str, run=lambda: "x") if made % 2 else Task("b", str, run=lambda: "x")

    def make() -> Workflow[Any, Any]:
        nonlocal made
        made = next(numbers)
        return flow

    made = 0
    with pytest.raises(PromiseBroken, match="do not end alike"):
        simulate(make, seeds=[1])
