from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from smithers.agents import CallableAgent, RehearsalAgent, as_agent
from smithers.errors import InvalidNode
from smithers.ids import NodeKey
from smithers.ports import Agent, AgentReply, AgentRequest
from smithers.records import Usage

if TYPE_CHECKING:
    from fractions import Fraction as OnlyForTheTypeChecker

REQUEST = AgentRequest("do it", None, NodeKey("draft"), "run-1", attempt=2)


class Draft(BaseModel):
    summary: str


def ask(fn: Callable[..., Any], **options: Any) -> AgentReply:
    return asyncio.run(CallableAgent(fn, **options).call(REQUEST))


def test_a_sync_function_gets_the_prompt_and_its_text_is_the_answer() -> None:
    assert ask(lambda prompt: prompt.upper()) == AgentReply(text="DO IT")


def test_an_async_function_is_awaited() -> None:
    async def answer(prompt: str) -> str:
        await asyncio.sleep(0)
        return f"did {prompt}"

    assert ask(answer).text == "did do it"


def test_a_lambda_around_an_async_function_is_awaited() -> None:
    async def answer(prompt: str, prefix: str) -> str:
        return prefix + prompt

    assert ask(lambda prompt: answer(prompt, "> ")).text == "> do it"


def test_an_object_with_an_async_call_is_awaited() -> None:
    class Machine:
        async def __call__(self, request: AgentRequest) -> int:
            return request.attempt

    assert ask(Machine()).output == 2
    assert CallableAgent(Machine()).name == "callable"


def test_a_function_annotated_with_the_request_gets_the_request() -> None:
    def answer(request: AgentRequest) -> str:
        return f"{request.task} {request.attempt}"

    assert ask(answer).text == "draft 2"


def test_the_request_is_recognised_beside_a_name_that_only_a_type_checker_sees() -> None:
    def answer(request: AgentRequest, extra: OnlyForTheTypeChecker | None = None) -> str:
        return request.run_id

    assert ask(answer).text == "run-1"


def test_a_method_and_a_partial_recognise_the_request() -> None:
    class Team:
        def answer(self, request: AgentRequest) -> str:
            return request.prompt

    def prefixed(request: AgentRequest, prefix: str) -> str:
        return prefix + request.prompt

    assert ask(Team().answer).text == "do it"
    assert ask(functools.partial(prefixed, prefix="> ")).text == "> do it"


def test_a_model_is_a_structured_output_and_a_reply_passes_through() -> None:
    assert ask(lambda prompt: Draft(summary=prompt)).output == Draft(summary="do it")
    reply = AgentReply(text="t", session="s", usage=Usage(input_tokens=3))
    assert ask(lambda prompt: reply) is reply


def test_a_sync_function_does_not_block_the_event_loop() -> None:
    released = threading.Event()

    async def both() -> str:
        in_flight = asyncio.create_task(_call(lambda prompt: "late" if released.wait(10) else "never"))
        await asyncio.sleep(0)
        released.set()
        return (await in_flight).text

    async def _call(fn: Callable[[str], str]) -> AgentReply:
        return await CallableAgent(fn).call(REQUEST)

    assert asyncio.run(both()) == "late"


def test_a_sync_function_sees_the_context_variables_of_its_caller() -> None:
    current: ContextVar[str] = ContextVar("current")

    async def call() -> str:
        current.set("this task")
        return (await CallableAgent(lambda prompt: current.get()).call(REQUEST)).text

    assert asyncio.run(call()) == "this task"


def test_what_the_function_raises_passes_through() -> None:
    def broken(prompt: str) -> str:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        ask(broken)


def test_an_agent_is_named_after_its_function() -> None:
    def reviewer(prompt: str) -> str:
        return prompt

    assert CallableAgent(reviewer).name == "reviewer"
    assert CallableAgent(lambda prompt: prompt).name == "lambda"
    assert CallableAgent(functools.partial(reviewer)).name == "callable"
    assert CallableAgent(reviewer, name="critic").name == "critic"


@pytest.mark.parametrize("fn", [lambda: "", lambda one, two: ""])
def test_a_function_that_cannot_take_one_argument_is_refused(fn: Callable[..., str]) -> None:
    with pytest.raises(InvalidNode, match=r"takes one argument.*lambda\("):
        CallableAgent(fn)


def test_an_agent_stays_itself_and_a_function_becomes_one() -> None:
    rehearsal = RehearsalAgent()
    assert as_agent(rehearsal) is rehearsal
    made = as_agent(lambda prompt: prompt)
    assert isinstance(made, Agent)
    assert made.name == "lambda"


def test_what_is_neither_agent_nor_function_is_refused_by_name() -> None:
    with pytest.raises(InvalidNode, match="not an agent: 'opus'"):
        as_agent("opus")


def test_a_class_is_refused_with_the_call_that_was_forgotten() -> None:
    with pytest.raises(InvalidNode) as caught:
        as_agent(RehearsalAgent)
    assert caught.value.hint == "make one of it: RehearsalAgent()"
