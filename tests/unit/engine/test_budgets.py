"""Budgets: what is spent stays spent, what would be too much does not begin."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import Any, Literal

import pytest

from smithers import AgentReply, AgentRequest, Budget, Context, Loop, Node, Parallel, Sequence, Task
from smithers.clock import SystemClock
from smithers.errors import AgentError, InvalidNode
from smithers.records import WHOLE_RUN, BudgetRow, EventType, Usage
from smithers.store import Store
from tests.unit.engine.play import Overlap, Play, Word, quick


class Spender:
    """Costs so much a call."""

    name = "spender"

    def __init__(self, usd: float | None = 1.0, tokens: int = 100, delay: float = 0.0) -> None:
        self.usd, self.tokens, self.delay = usd, tokens, delay
        self.calls = 0
        self.overlap = Overlap()

    async def call(self, request: AgentRequest) -> AgentReply:
        self.calls += 1
        with self.overlap.inside("all"):
            await asyncio.sleep(self.delay)
        usage = Usage(self.tokens, 0, cost_usd=self.usd, cost_source="cli" if self.usd is not None else "")
        return AgentReply(output={"text": "done"}, usage=usage)


def asks(agent: Any, count: int, prefix: str = "t") -> list[Task[Word]]:
    return [Task(f"{prefix}{n}", Word, agent=agent, prompt="Go.") for n in range(count)]


def spent(play: Play, run: str = "r") -> dict[str, BudgetRow]:
    with closing(Store(play.store, durability="full", clock=SystemClock()).reader()) as reader:
        return {str(row.key): row for row in reader.budgets(reader.run(run).id)}


@pytest.mark.parametrize("limit", [{"usd": 2.5}, {"tokens": 250}, {"calls": 3}])
def test_what_would_be_too_much_does_not_begin(play: Play, limit: dict[str, Any]) -> None:
    agent = Spender()
    result = play.run(lambda ctx: Budget(*asks(agent, 5), **limit))
    assert result.status == "failed"
    assert agent.calls == 3
    error = play.attempts("t3")[0].error
    assert error is not None
    assert error["code"] == "BUDGET_EXCEEDED"
    assert "budget:t0" in error["message"]


def test_tasks_beside_a_budget_spend_none_of_it(play: Play) -> None:
    agent = Spender()
    result = play.run(lambda ctx: Sequence(*asks(agent, 3, "free"), Budget(*asks(agent, 2), usd=2.5)))
    assert (result.status, agent.calls) == ("finished", 5)
    rows = spent(play)
    assert (rows["budget:t0"].cost_micros, rows["budget:t0"].calls) == (2_000_000, 2)
    assert rows[str(WHOLE_RUN)].cost_micros == 5_000_000


def test_functions_and_values_cost_nothing(play: Play) -> None:
    agent = Spender()

    def flow(ctx: Context) -> Node:
        free = [Task("run", Word, run=lambda: {"text": "x"}), Task("value", Word, value={"text": "x"})]
        return Budget(*asks(agent, 1), *free, calls=1)

    assert play.run(flow).status == "finished"


def test_what_remains_is_skipped_and_the_run_is_partial(play: Play) -> None:
    agent = Spender()
    result = play.run(lambda ctx: Budget(*asks(agent, 4), usd=2, on_exceeded="skip-remaining"))
    assert result.status == "partial"
    assert play.states() == {"t0": "finished", "t1": "finished", "t2": "skipped", "t3": "skipped"}
    assert play.node("t2").reason == "budget exceeded: budget budget:t0, usd: 2.00 of 2.00"


def test_a_budget_that_warns_does_so_once_and_stops_nothing(play: Play) -> None:
    agent = Spender()
    assert play.run(lambda ctx: Budget(*asks(agent, 4), usd=2, on_exceeded="warn")).status == "finished"
    assert agent.calls == 4
    assert len(play.events(EventType.RUN_WARNING)) == 1


def test_a_budget_that_asks_pauses_the_run_and_a_larger_one_lets_it_go_on(play: Play) -> None:
    agent = Spender()

    def flow(usd: float) -> Any:
        def made(ctx: Context) -> Node:
            beside = Task("beside", Word, agent=agent, prompt="Go.")
            return Parallel(Budget(*asks(agent, 4), usd=usd, on_exceeded="ask"), beside)

        return made

    result = play.run(flow(2))
    assert result.status == "paused"
    assert result.error is not None
    assert result.error["code"] == "BUDGET_EXCEEDED"
    assert agent.calls == 3
    assert play.resume(flow(2)).status == "paused"
    assert agent.calls == 3
    assert play.resume(flow(10)).status == "finished"
    assert agent.calls == 5
    assert spent(play)["budget:t0"].cost_micros == 4_000_000


def test_a_run_has_a_budget_of_its_own_that_is_raised_on_resume(play: Play) -> None:
    agent = Spender()

    def flow(ctx: Context) -> Node:
        return Sequence(*asks(agent, 5))

    assert play.run(flow, max_usd=2).status == "paused"
    assert agent.calls == 2
    assert play.resume(flow).status == "paused"
    assert play.resume(flow, max_usd=4).status == "paused"
    assert agent.calls == 4
    assert play.resume(flow, max_usd=40).status == "finished"
    assert agent.calls == 5


@pytest.mark.parametrize("usd", [0, -1, float("nan"), float("inf"), "2", True])
def test_a_run_takes_no_budget_that_is_no_amount(play: Play, usd: Any) -> None:
    with pytest.raises(InvalidNode):
        play.run(lambda ctx: asks(Spender(), 1), max_usd=usd)


def test_budgets_within_each_other_all_count(play: Play) -> None:
    agent = Spender()

    def flow(ctx: Context) -> Node:
        inner = Budget(*asks(agent, 3), calls=5, id="inner")
        return Budget(inner, *asks(agent, 3, "u"), usd=4, id="outer", on_exceeded="skip-remaining")

    assert play.run(flow).status == "partial"
    rows = spent(play)
    assert (rows["inner"].calls, rows["outer"].calls, agent.calls) == (3, 4, 4)


def test_each_pass_of_a_loop_has_a_budget_of_its_own(play: Play) -> None:
    agent = Spender()
    body = Budget(*asks(agent, 2), calls=2, id="each")
    assert play.run(lambda ctx: Loop(body, until=False, max_iterations=3)).status == "finished"
    assert agent.calls == 6
    assert [row.calls for name, row in sorted(spent(play).items()) if name.startswith("each")] == [2, 2, 2]


def test_calls_in_flight_hold_back_what_they_may_use_up(play: Play) -> None:
    """With one dollar a call known, of ten that could run at once no more begin than can be paid."""
    agent = Spender(delay=0.05)

    def flow(ctx: Context) -> Node:
        first, *rest = asks(agent, 11)
        return Budget(first, Parallel(*rest), usd=4, on_exceeded="skip-remaining")

    assert play.run(flow).status == "partial"
    assert agent.calls == 4
    assert agent.overlap.most["all"] == 3


def test_a_task_that_was_held_back_runs_when_there_was_enough_after_all(play: Play) -> None:
    class Cheaper(Spender):
        async def call(self, request: AgentRequest) -> AgentReply:
            reply = await super().call(request)
            self.usd = 0.01
            return reply

    agent = Cheaper(delay=0.02)

    def flow(ctx: Context) -> Node:
        first, *rest = asks(agent, 4)
        return Budget(first, Parallel(*rest), usd=2.5)

    assert play.run(flow).status == "finished"
    assert agent.calls == 4


def test_what_failed_attempts_have_cost_is_spent(play: Play) -> None:
    class Failing(Spender):
        async def call(self, request: AgentRequest) -> AgentReply:
            from smithers.ports import UsageEvent

            self.calls += 1
            request.emit(UsageEvent(Usage(100, 0, cost_usd=1.0, cost_source="cli")))
            raise AgentError(f"crash {self.calls}")

    agent = Failing()

    def flow(ctx: Context) -> Node:
        return Budget(Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(50)), usd=3)

    assert play.run(flow).status == "failed"
    assert agent.calls == 3
    assert [row.error["code"] for row in play.attempts("a") if row.error][-1] == "BUDGET_EXCEEDED"


def test_time_counts_while_something_runs(play: Play) -> None:
    agent = Spender(delay=0.2)
    result = play.run(lambda ctx: Budget(*asks(agent, 5), minutes=0.3 / 60, on_exceeded="skip-remaining"))
    assert (result.status, agent.calls) == ("partial", 2)


def test_a_call_whose_cost_nobody_knows_is_warned_of_where_money_is_limited(play: Play) -> None:
    agent = Spender(usd=None)
    assert play.run(lambda ctx: Budget(*asks(agent, 3), usd=1)).status == "finished"
    assert len(play.events(EventType.RUN_WARNING)) == 1
    assert spent(play)["budget:t0"].unpriced == 3
    assert play.run(lambda ctx: Budget(*asks(agent, 3), tokens=1000), run_id="s").status == "finished"
    assert play.events(EventType.RUN_WARNING, run="s") == []


def test_what_was_put_aside_for_a_call_that_was_cut_off_stays_spent(play: Play) -> None:
    """A crash loop cannot spend without an end: the row that a dead owner leaves holds its reservations."""
    agent = Spender(delay=0.0)

    def flow(ctx: Context) -> Node:
        return Budget(*asks(agent, 6), usd=3, on_exceeded="ask")

    assert play.run(flow).status == "paused"
    play.close()
    with closing(sqlite3.connect(play.store, isolation_level=None)) as plain:
        plain.execute(
            "UPDATE smithers_budgets SET cost_micros = cost_micros + largest_micros WHERE node != 0"
        )

    def larger(ctx: Context) -> Node:
        return Budget(*asks(agent, 6), usd=5, on_exceeded="ask")

    assert play.resume(larger).status == "paused"
    assert agent.calls == 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"usd": 0},
        {"usd": "1"},
        {"tokens": 0},
        {"calls": 1.5},
        {"minutes": -1},
        {"usd": 1, "on_exceeded": "stop"},
    ],
)
def test_what_limits_nothing_is_refused_where_it_is_written(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNode):
        Budget(**options)


@pytest.mark.parametrize("policy", ["fail", "skip-remaining", "ask"])
def test_a_script_is_held_to_the_budget_of_the_run(
    play: Play, policy: Literal["fail", "skip-remaining", "ask"]
) -> None:
    agent = Spender()

    async def flow(ctx: Context) -> str:
        for n in range(2):
            await ctx.run(Task(f"s{n}", Word, agent=agent, prompt="Go."))
        await ctx.run(Budget(*asks(agent, 3), usd=1, on_exceeded=policy))
        return "done"

    result = play.run(flow)
    assert result.status == {"fail": "failed", "skip-remaining": "partial", "ask": "paused"}[policy]
    assert agent.calls == 3


def test_held_back_calls_do_not_keep_the_engine_busy(play: Play) -> None:
    agent = Spender(delay=0.6)

    def flow(ctx: Context) -> Node:
        first, *rest = asks(agent, 6)
        return Budget(first, Parallel(*rest), usd=2, on_exceeded="skip-remaining")

    before = time.process_time()
    play.run(flow)
    assert agent.calls == 2
    assert time.process_time() - before < 1.0
    assert len(play.frames()) < 30
