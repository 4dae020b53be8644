"""What child runs spend is spent under the budgets around them, whichever process goes on with them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Budget, Context, ContinueAsNew, Node, Parallel, Sequence, Subflow, Task, Workflow
from smithers.clock import SystemClock
from smithers.observe import lookup
from smithers.observe.explanation import Explanation
from smithers.observe.node_view import NodeView, NodeViews
from smithers.observe.snapshot import take
from smithers.observe.why import why_node, why_run
from smithers.store import Store
from tests.unit.engine.play import Play, Word
from tests.unit.engine.test_budgets import Spender, asks


class Many(BaseModel):
    count: int


def child(agent: Any, name: str = "child", count: int = 5) -> Workflow[Any, Any]:
    return Workflow(lambda ctx: Sequence(*asks(agent, count)), name=name)


def sub(name: str, flow: Workflow[Any, Any], **options: Any) -> Subflow[Any]:
    return Subflow(name, flow, "any", **options)


def why(play: Play, run: str, node: str | None = None) -> Explanation:
    with closing(Store(play.store, durability="full", clock=SystemClock()).reader()) as reader:
        snapshot = take(reader, run)
    if node is None:
        return why_run(snapshot, SystemClock().now_ms())
    view = lookup.node(NodeViews(snapshot), run, node)
    assert isinstance(view, NodeView)
    return why_node(snapshot, view, SystemClock().now_ms())


@pytest.mark.parametrize("limit", [{"usd": 2.5}, {"tokens": 250}, {"calls": 3}])
def test_a_budget_sees_what_a_child_run_spends(play: Play, limit: dict[str, Any]) -> None:
    agent = Spender()
    result = play.run(lambda ctx: Budget(sub("a", child(agent)), **limit))
    assert result.status == "failed"
    assert agent.calls == 3


def test_a_budget_sees_what_the_runs_of_a_child_spend(play: Play) -> None:
    agent = Spender()
    middle = Workflow(lambda ctx: Sequence(sub("deep", child(agent))), name="middle")
    result = play.run(lambda ctx: Budget(sub("a", middle), calls=3))
    assert result.status == "failed"
    assert agent.calls == 3


def test_what_child_runs_have_spent_is_gone_for_those_beside_them(play: Play) -> None:
    agent, own = Spender(), Spender()

    def flow(ctx: Context) -> Node:
        inner = Sequence(sub("a", child(agent, "one", 2)), sub("b", child(agent, "two", 2)), *asks(own, 3))
        return Budget(inner, usd=5, on_exceeded="skip-remaining")

    assert play.run(flow).status == "partial"
    assert (agent.calls, own.calls) == (4, 1)


def test_child_runs_beside_a_budget_spend_none_of_it(play: Play) -> None:
    agent, own = Spender(), Spender()
    result = play.run(
        lambda ctx: Sequence(
            sub("a", child(agent)), Budget(*asks(own, 2), usd=2), sub("b", child(agent, "b"))
        )
    )
    assert (result.status, agent.calls, own.calls) == ("finished", 10, 2)


def test_the_limit_of_the_whole_run_is_one_for_all_its_child_runs(play: Play) -> None:
    agent = Spender()
    flow = Workflow(
        lambda ctx: Parallel(*(sub(f"s{n}", child(agent, f"c{n}", 3)) for n in range(4)), max_concurrency=1),
        name="flow",
    )
    result = flow.run_sync({}, run_id="r", store=play.store, max_usd=5)
    assert result.status == "paused"
    assert result.error is not None
    assert result.error["code"] == "BUDGET_EXCEEDED"
    assert "usd: 5.00 of 5.00" in result.error["message"]
    assert why(play, "r").commands == ["smithers up --resume r --max-usd 10"]
    assert why(play, "r.s1").commands == ["smithers up --resume r --max-usd 10"]
    assert why(play, "r", "s1").summary == "s1 waits: its run r.s1 is paused."
    assert agent.calls == 5
    again = flow.run_sync({}, run_id="r", store=play.store, resume=True, max_usd=8)
    assert again.status == "paused"
    assert agent.calls == 8
    last = flow.run_sync({}, run_id="r", store=play.store, resume=True, max_usd=100)
    assert last.status == "finished"
    assert agent.calls == 12


def test_what_a_child_run_spent_stays_spent_when_the_run_is_resumed(play: Play) -> None:
    agent = Spender()
    limit = 3

    def flow(ctx: Context) -> Node:
        return Budget(sub("a", child(agent, count=6)), calls=limit, on_exceeded="ask")

    made = Workflow(flow, name="flow")
    assert made.run_sync({}, run_id="r", store=play.store).status == "paused"
    assert agent.calls == 3
    assert made.run_sync({}, run_id="r", store=play.store, resume=True).status == "paused"
    assert agent.calls == 3
    limit = 5
    assert made.run_sync({}, run_id="r", store=play.store, resume=True).status == "paused"
    assert agent.calls == 5


def test_a_child_that_goes_on_as_another_run_has_spent_what_those_before_it_did(play: Play) -> None:
    agent = Spender()

    def made(ctx: Context) -> Node:
        before = ctx.state(Many)
        count = 0 if before is None else before.count
        ask = Task("ask", Word, agent=agent, prompt="Go.")
        return Sequence(ask, ContinueAsNew(Many(count=count + 1)) if count < 9 else None)

    endless = Workflow(made, name="endless")
    result = play.run(lambda ctx: Budget(sub("a", endless), calls=4))
    assert result.status == "failed"
    assert agent.calls == 4


def test_calls_of_several_child_runs_at_once_overspend_by_what_is_in_flight_at_most(play: Play) -> None:
    agent = Spender(delay=0.05)
    flow = Workflow(
        lambda ctx: Parallel(*(sub(f"s{n}", child(agent, f"c{n}", 6)) for n in range(4))), name="flow"
    )
    result = flow.run_sync({}, run_id="r", store=play.store, max_usd=6)
    assert result.status == "paused"
    assert 6 <= agent.calls <= 6 + 4


def test_a_budget_of_money_warns_of_a_child_that_does_not_say_what_it_costs(play: Play) -> None:
    agent = Spender(usd=None)
    assert play.run(lambda ctx: Budget(sub("a", child(agent, count=3)), usd=1)).status == "finished"
    assert agent.calls == 3
