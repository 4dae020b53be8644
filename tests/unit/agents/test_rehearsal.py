from __future__ import annotations

import asyncio
import time
from typing import Any

from pydantic import BaseModel

from smithers.agents import RehearsalAgent
from smithers.agents.correction import parse_reply
from smithers.ids import NodeKey
from smithers.ports import Agent, AgentEvent, AgentReply, AgentRequest, TextEvent
from smithers.records import Usage

REVIEW = NodeKey("review")


class Review(BaseModel):
    approved: bool
    feedback: str = ""


def ask(
    agent: RehearsalAgent,
    schema: type[BaseModel] | None = Review,
    key: NodeKey = REVIEW,
    **more: Any,
) -> AgentReply:
    request = AgentRequest("?", schema, key, more.pop("run_id", "r"), more.pop("attempt", 1), **more)
    return asyncio.run(agent.call(request))


def test_a_rehearsal_answers_with_what_the_task_asks_for_and_says_so() -> None:
    agent = RehearsalAgent()
    assert isinstance(agent, Agent)
    reply = ask(agent)
    review = parse_reply(reply, Review)
    assert review.approved
    assert review.feedback.startswith("rehearsed feedback")
    assert reply.usage == Usage(model="rehearsal")


def test_a_retry_and_another_run_get_the_same_answer() -> None:
    assert ask(RehearsalAgent(), attempt=1, run_id="a") == ask(RehearsalAgent(), attempt=7, run_id="b")


def test_another_task_and_another_iteration_get_other_answers() -> None:
    keys = [NodeKey("a"), NodeKey("b"), NodeKey("a", iteration=1), NodeKey("a", scope="outer=1", iteration=1)]
    answers = {parse_reply(ask(RehearsalAgent(), key=key), Review).feedback for key in keys}
    assert len(answers) == len(keys)


def test_a_text_task_gets_a_short_sentence() -> None:
    reply = ask(RehearsalAgent(), None)
    assert reply.text == "This is a rehearsed answer of review."
    assert reply.usage == Usage(model="rehearsal")


def test_answers_given_by_task_id_win() -> None:
    agent = RehearsalAgent(answers={"review": {"approved": False}, "raw": '{"approved": true}'})
    assert parse_reply(ask(agent), Review) == Review(approved=False)
    assert parse_reply(ask(agent, key=NodeKey("review", iteration=3)), Review) == Review(approved=False)
    assert parse_reply(ask(agent, key=NodeKey("raw")), Review) == Review(approved=True)
    assert ask(agent).usage == Usage(model="rehearsal")


def test_answers_changed_by_the_caller_later_do_not_change_the_agent() -> None:
    answers = {"review": {"approved": False}}
    agent = RehearsalAgent(answers=answers)
    answers.clear()
    assert not parse_reply(ask(agent), Review).approved


def test_an_answer_takes_as_long_as_asked() -> None:
    began = time.monotonic()
    ask(RehearsalAgent(delay=0.05))
    assert time.monotonic() - began >= 0.05


def test_a_rehearsal_shows_a_sign_of_life() -> None:
    seen: list[AgentEvent] = []
    ask(RehearsalAgent(), emit=seen.append)
    assert seen == [TextEvent("rehearsing review")]


def test_agents_of_different_names_answer_alike() -> None:
    coder, reviewer = RehearsalAgent("coder"), RehearsalAgent(name="reviewer")
    assert (coder.name, reviewer.name) == ("coder", "reviewer")
    assert ask(coder) == ask(reviewer)
