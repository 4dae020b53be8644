"""`RunResult.cost`: what agents have told that a run has cost in all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from smithers import (
    AgentReply,
    AgentRequest,
    Context,
    ContinueAsNew,
    Node,
    RunResult,
    Sequence,
    Subflow,
    Task,
    Workflow,
)
from smithers.errors import AgentError, StoreBusy
from smithers.records import Spending, Usage
from smithers.store import Store
from tests.unit.engine.play import Play, Word

CENT = Usage(100, 20, 60, 0, 0.01, "cli", "opus")


class Spender:
    """Costs a cent a call."""

    name = "spender"

    def __init__(self, *, fails: int = 0, usage: Usage = CENT) -> None:
        self.fails = fails
        self.usage = usage

    async def call(self, request: AgentRequest) -> AgentReply:
        if self.fails:
            self.fails -= 1
            raise AgentError("broken")
        return AgentReply(output={"text": "done"}, usage=self.usage)


def one(agent: object, name: str = "a") -> Node:
    return Task(name, Word, agent=agent, prompt="Go.", retries=0)  # type: ignore[arg-type]


def test_a_run_says_what_its_agents_have_told(play: Play) -> None:
    result = play.run(lambda ctx: Sequence(one(Spender()), one(Spender(usage=Usage(5, 1)), "b")))
    assert result.cost == Spending(Usage(105, 21, 60, 0, 0.01, "cli", ""), 2, 2, 1)
    assert (result.cost.usd, result.cost.tokens, result.cost.is_priced) == (0.01, 126, False)


def test_so_it_does_where_it_is_awaited(play: Play) -> None:
    flow = Workflow(lambda ctx: one(Spender()))

    async def twice() -> list[RunResult[Any]]:
        first = await flow.run(run_id="r", store=play.store)
        return [first, await flow.run(run_id="r", store=play.store, resume=True)]

    first, again = asyncio.run(twice())
    assert first.cost.usd == 0.01
    assert again.cost == first.cost


def test_without_an_agent_that_told_there_is_nothing_to_say(play: Play) -> None:
    assert not play.run(lambda ctx: Task("a", Word, value={"text": ""})).cost
    assert not play.run(lambda ctx: one(lambda prompt: {"text": ""}), run_id="r2").cost
    assert not play.run(lambda ctx: one(Spender()), run_id="r3", rehearse=True).cost


def test_a_resume_has_cost_all_attempts_since_the_run_began(play: Play) -> None:
    agent = Spender()
    broken = Spender(fails=1)

    def flow(ctx: Context) -> Node:
        return Sequence(one(agent), one(broken, "b"))

    assert play.run(flow).cost.usd == 0.01
    assert play.resume(flow).cost.usd == 0.02
    assert play.resume(flow).cost.usd == 0.02  # it has finished, and nothing is run
    assert play.resume(flow, rerun=["a"]).cost.usd == 0.03  # an older generation was paid for as well


def test_what_another_process_has_spent_counts_too(play: Play) -> None:
    def end() -> Word:
        if play.call("end") == 1:
            raise ValueError
        return Word(text="")

    flow = Workflow(lambda ctx: Sequence(one(Spender()), Task("end", Word, run=end, retries=0)))
    assert flow.run_sync(run_id="r", store=play.store).status == "failed"
    play.close()  # as if it were gone: no agent is asked by the next
    assert flow.run_sync(run_id="r", store=play.store, resume=True).cost.usd == 0.01


def test_runs_within_it_and_before_it_are_part_of_it(play: Play) -> None:
    inner = Workflow(lambda ctx: one(Spender()), output=Word, name="inner")

    def flow(ctx: Context) -> Node:
        again = None if ctx.state() else ContinueAsNew({"second": True})
        return Sequence(one(Spender()), Subflow("sub", inner, Word, input={}), again)

    assert play.run(flow).cost.usd == 0.04


@contextmanager
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(self: Store) -> None:
        raise StoreBusy("somebody has it")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "reader", refuse)
        yield


def test_a_store_that_cannot_be_read_takes_no_result_away(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Spender()
    play.run(lambda ctx: one(agent))
    with unreadable(monkeypatch):
        result = play.run(lambda ctx: one(agent), run_id="r2")
    assert (result.status, bool(result.cost)) == ("finished", False)


def test_many_runs_at_once_each_know_their_own(play: Play) -> None:
    flow = Workflow(lambda ctx: one(Spender()))

    async def all_() -> list[float | None]:
        results = await asyncio.gather(*(flow.run(run_id=f"r{n}", store=play.store) for n in range(20)))
        return [result.cost.usd for result in results]

    assert asyncio.run(all_()) == [0.01] * 20
