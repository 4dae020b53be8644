"""The scripted agent: the script decides, and every request is remembered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, workflow
from smithers.ids import NodeKey
from smithers.ports import Agent, AgentReply, AgentRequest
from smithers.testing import FakeClock, ScriptedAgent, temporary_store


class Review(BaseModel):
    approved: bool


def test_it_is_an_agent() -> None:
    assert isinstance(ScriptedAgent(), Agent)


def test_replies_come_in_order_and_exceptions_are_raised(smithers_store: Path) -> None:
    agent = ScriptedAgent(TimeoutError("slow"), {"approved": False}, Review(approved=True))

    @workflow
    def flow(ctx: Context) -> Node:
        found = ctx.latest(Review, "review")
        return Loop(
            Task(
                "review", Review, agent=agent, prompt="Look.", retry_policy=RetryPolicy(initial_delay=0.001)
            ),
            until=found is not None and found.approved,
        )

    result = flow.run_sync(store=smithers_store)
    assert result.status == "finished"
    assert agent.prompts == ["Look."] * 3
    assert agent.tasks == ["review", "review", "review[1]"]
    assert (agent.calls("review"), agent.calls("review[1]"), agent.calls("other")) == (3, 1, 0)


def test_tasks_may_have_scripts_of_their_own(smithers_store: Path) -> None:
    agent = ScriptedAgent("anybody's", by_task={"a": ["a's"], "b": [lambda request: f"to {request.prompt}"]})

    @workflow
    def flow(ctx: Context) -> Node:
        tasks = [Task(name, str, agent=agent, prompt=f"prompt of {name}") for name in "abc"]
        return Sequence(*tasks, Task("all", str, deps=tuple(tasks), value=lambda *texts: " | ".join(texts)))

    result = flow.run_sync(store=smithers_store)
    assert result.output == "a's | to prompt of b | anybody's"


@pytest.mark.parametrize("last", [True, False])
def test_the_end_of_a_script_is_an_error_unless_the_last_reply_goes_on(
    smithers_store: Path, last: bool
) -> None:
    agent = ScriptedAgent("the only one", last=last)

    @workflow
    def flow(ctx: Context) -> Node:
        return Parallel(Task(name, str, agent=agent, prompt="?", retries=0) for name in "ab")

    result = flow.run_sync(store=smithers_store)
    assert result.status == ("finished" if last else "failed")
    if not last:
        assert result.error is not None
        assert "asks for reply 2, and the script of scripted has 1" in str(result.error)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("text", AgentReply(text="text")),
        ({"a": 1}, AgentReply(output={"a": 1})),
        (AgentReply(text="whole"), AgentReply(text="whole")),
        (lambda request: AgentReply(text=request.prompt), AgentReply(text="asked")),
    ],
)
def test_a_reply_may_be_a_text_an_output_a_whole_reply_or_a_function(
    reply: Any, expected: AgentReply
) -> None:
    request = AgentRequest(prompt="asked", schema=None, task=NodeKey("a"), run_id="r", attempt=1)
    assert asyncio.run(ScriptedAgent(reply).call(request)) == expected


def test_a_script_does_not_change_what_the_agent_is() -> None:
    # A resume in a test goes on with another script: finished work must be found again.
    assert ScriptedAgent("a").identity == ScriptedAgent("b", "c").identity


def test_a_temporary_store_leaves_nothing_behind() -> None:
    @workflow
    def flow(ctx: Context) -> Node:
        return Task("a", str, value="x")

    with temporary_store() as store:
        assert flow.run_sync(store=store).output == "x"
        assert store.exists()
    assert not store.parent.exists()


def test_a_fake_clock_moves_when_it_is_told_to() -> None:
    clock = FakeClock(wall_ms=1_000, uptime_ms=5)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic_ms()) == (2_500, 1_505)
    clock.set_wall(0)
    assert (clock.now_ms(), clock.monotonic_ms()) == (0, 1_505)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
