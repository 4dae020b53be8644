"""The words of `smithers.dynamic`, as a run lives through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smithers import AgentReply, AgentRequest, Context, RunResult, Workflow
from smithers.dynamic import agent, args, budget, log, parallel, phase, pipeline
from smithers.records import EventType, Usage
from tests.unit.engine.play import Play, Word

asked: list[str] = []


def answer(request: AgentRequest) -> dict[str, str] | str:
    asked.append(request.prompt)
    text = f"<{request.prompt}>"
    return text if request.schema is None else {"text": text}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    asked.clear()


def run(play: Play, function: Callable[[Context], Any], given: Any = None, **options: Any) -> RunResult[Any]:
    """Run, or resume."""
    made = Workflow(function, agents={"": answer, "other": answer})
    return made.run_sync(given, run_id="r", store=play.store, **options)


def said(play: Play) -> list[str]:
    with play.reader() as reader:
        rows = reader.events(reader.run("r").id, limit=1000)
    return [row.data or "" for row in rows if row.type is EventType.RUN_LOG]


def test_an_agent_gives_its_text_or_what_fits_the_schema(play: Play) -> None:
    async def flow(ctx: Context) -> list[Any]:
        text = await agent("a")
        word = await agent("b", schema=Word, model="other", label="Look here!")
        return [text, word and word.text]

    assert run(play, flow).output == ["<a>", "<b>"]
    first, second = [name for name in play.states() if name != "script"]
    assert {first.partition(":")[0], second.partition(":")[0]} == {"agent", "Look-here"}


def test_the_same_question_twice_is_two_calls(play: Play) -> None:
    async def flow(ctx: Context) -> list[Any]:
        return await parallel([agent("a"), agent("a")])

    assert run(play, flow).output == ["<a>", "<a>"]
    assert asked == ["a", "a"]


def test_parallel_gives_none_for_what_fails_and_says_so(play: Play) -> None:
    async def broken() -> str:
        raise ValueError("no luck")

    async def flow(ctx: Context) -> list[Any]:
        return await parallel([lambda: agent("a"), broken])

    result = run(play, flow)
    assert (result.status, result.output) == ("finished", ["<a>", None])
    assert said(play) == ['{"message":"dropped: no luck"}']


def test_a_pipeline_has_no_barrier_between_its_stages(play: Play) -> None:
    order: list[str] = []

    async def flow(ctx: Context) -> list[Any]:
        async def first(item: str) -> str:
            order.append(f"first {item}")
            return item if item == "quick" else str(await agent("slow"))

        async def second(made: str, item: str, index: int) -> str:
            order.append(f"second {item} {index}")
            return f"{made}!"

        return await pipeline(["slow", "quick"], first, second)

    assert run(play, flow).output == ["<slow>!", "quick!"]
    assert order == ["first slow", "first quick", "second quick 1", "second slow 0"]


def test_an_item_whose_stage_fails_is_dropped(play: Play) -> None:
    async def flow(ctx: Context) -> list[Any]:
        async def stage(item: int) -> int:
            if item == 1:
                raise ValueError("odd")
            return item

        return await pipeline(range(3), stage)

    assert run(play, flow).output == [0, None, 2]


def test_lines_are_logged_once_over_resumes(play: Play) -> None:
    async def flow(ctx: Context) -> None:
        phase("first")
        await agent("a")
        log("between")
        if len(asked) == 1:
            raise RuntimeError("once")
        await agent("b")
        log({"at": "the end"})

    assert run(play, flow).status == "failed"
    asked.append("resumed")
    assert run(play, flow, resume=True).status == "finished"
    assert asked == ["a", "resumed", "b"]
    assert said(play) == [
        '{"message":"── first"}',
        '{"message":"between"}',
        "{\"message\":\"{'at': 'the end'}\"}",
    ]


def test_args_are_the_input(play: Play) -> None:
    async def flow(ctx: Context) -> list[Any]:
        return [args.topic, args["topic"]]

    assert run(play, flow, {"topic": "otters"}).output == ["otters", "otters"]


def test_after_an_edit_those_calls_run_whose_question_is_another(play: Play) -> None:
    """In whatever order they stand, and with those that are made from their answers."""

    def made(*prompts: str) -> Callable[[Context], Any]:
        async def flow(ctx: Context) -> None:
            found = await parallel([agent(prompt) for prompt in prompts])
            await agent(f"about {found[0]}")
            await agent("about nothing")
            raise RuntimeError("again")

        return flow

    assert run(play, made("a", "b", "c", "d")).status == "failed"
    asked.clear()
    assert run(play, made("d", "c", "b", "new"), resume=True).status == "failed"
    assert sorted(asked) == ["about <d>", "new"]


def test_a_model_that_the_workflow_does_not_name_is_refused_with_those_it_does(play: Play) -> None:
    async def flow(ctx: Context) -> None:
        await parallel([lambda: agent("a", model="huge")])

    result = run(play, flow)
    assert result.error is not None
    assert result.error["code"] == "INVALID_NODE"
    assert "'other'" in result.error["message"]


def test_a_script_sees_what_is_left_and_a_resume_takes_the_same_way(play: Play) -> None:
    def dollar(request: AgentRequest) -> AgentReply:
        asked.append(request.prompt)
        return AgentReply(text="done", usage=Usage(10, 0, cost_usd=1.0, cost_source="cli"))

    ways: list[list[float]] = []

    async def flow(ctx: Context) -> int:
        seen: list[float] = []
        ways.append(seen)
        assert budget.total in (2.5, 9)
        done = 0
        while (left := await budget.remaining()) >= 0 and done < 4:
            seen.append(left)
            await agent(f"step {done}")
            done += 1
        return done

    made = Workflow(flow, agents=dollar)
    assert made.run_sync({}, run_id="r", store=play.store, max_usd=2.5).status == "paused"
    assert asked == ["step 0", "step 1", "step 2"]
    result = made.run_sync(run_id="r", store=play.store, resume=True, max_usd=9)
    assert (result.status, result.output) == ("finished", 4)
    assert asked == [f"step {n}" for n in range(4)]
    first, second = ways
    assert first == [2.5, 1.5, 0.5, 0.0]
    # What was spent is as it was; what may be spent is what it is now.
    assert second == [9.0, 8.0, 7.0, 6.0]


def test_without_a_limit_there_is_always_something_left(play: Play) -> None:
    async def flow(ctx: Context) -> str:
        return f"{budget.total} {await budget.remaining()} {await budget.spent()}"

    assert run(play, flow).output == "None inf 0.0"
