"""Asking agents: who of a chain is asked, in which conversation, and what is remembered of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    AgentReply,
    AgentRequest,
    Context,
    Loop,
    Node,
    Parallel,
    Sequence,
    Subflow,
    Task,
    Workflow,
)
from smithers.clock import SystemClock
from smithers.engine.conversation import BEGUN_BEFORE, INTERRUPTED
from smithers.engine.hosts import host_for
from smithers.engine.permission import PolicyRequest
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentMissing,
    AgentQuota,
    AgentSessionLost,
    AgentStalled,
    AgentThrottled,
    InvalidNode,
)
from smithers.ports import SessionEvent, UsageEvent
from smithers.records import CallRow, EventType, FailureClass, RunState, Usage
from smithers.store import Store
from tests.unit.engine.play import Play, quick, until


class Word(BaseModel):
    text: str


class Actor:
    """Does what it is told, one thing a call, in conversations with numbers."""

    def __init__(self, *plays: Any, name: str = "actor", account: str = "") -> None:
        self.name = name
        if account:
            self.account = account
        self._plays = list(plays)
        self.requests: list[AgentRequest] = []

    async def call(self, request: AgentRequest) -> AgentReply:
        self.requests.append(request)
        number = len(self.requests)
        session = request.session if request.session and not request.forks else f"{self.name}-{number}"
        request.emit(SessionEvent(session))
        play = self._plays.pop(0) if self._plays else f"word {number}"
        if callable(play) and not isinstance(play, type):
            play = play(request)
            if asyncio.iscoroutine(play):
                play = await play
        if isinstance(play, BaseException):
            raise play
        if isinstance(play, AgentReply):
            return play
        return AgentReply(output={"text": play}, session=session, usage=Usage(10, 5))

    @property
    def prompts(self) -> list[str]:
        return [request.prompt for request in self.requests]

    @property
    def sessions(self) -> list[str | None]:
        return [request.session for request in self.requests]


def calls(play: Play, run: str = "r") -> list[CallRow]:
    with closing(Store(play.store, durability="full", clock=SystemClock()).reader()) as reader:
        return reader.calls(reader.run(run).id)


def later(ms: int) -> int:
    return int(time.time() * 1000) + ms


# --- Who is asked -------------------------------------------------------------------------------


def test_a_used_up_limit_asks_the_next_agent_at_once_and_counts_for_nothing(play: Play) -> None:
    first = Actor(AgentQuota("limit", resets_ms=later(60_000)), name="first")
    second = Actor(name="second")
    result = play.run(lambda ctx: Task("a", Word, agent=[first, second], prompt="Go.", retries=0))
    assert result.output == {"text": "word 1"}
    (attempt,) = play.attempts("a")
    assert (attempt.agent, attempt.failure) == ("second", None)


def test_after_a_used_up_limit_nothing_of_that_account_is_asked_by_any_run(play: Play) -> None:
    first = Actor(AgentQuota("limit", resets_ms=later(60_000)), name="first", account="shared")
    same = Actor(name="same", account="shared")
    other = Actor(name="other")

    def flow(ctx: Context) -> Node:
        tasks = [Task(f"t{n}", Word, agent=[same, other], prompt="Go.") for n in range(5)]
        return Sequence(Task("a", Word, agent=[first, other], prompt="Go."), *tasks)

    assert play.run(flow).status == "finished"
    assert play.run(flow, run_id="another").status == "finished"
    assert (len(first.requests), len(same.requests), len(other.requests)) == (1, 0, 12)


def test_a_run_whose_agents_are_all_parked_goes_on_by_itself_at_the_reset(play: Play) -> None:
    resets_ms = later(1_500)
    agent = Actor(AgentQuota("limit", resets_ms=resets_ms))
    result = play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retries=0))
    assert result.status == "finished"
    assert 0 <= time.time() * 1000 - resets_ms < 1000
    first, second = play.attempts("a")
    assert (first.failure, first.counted) == (FailureClass.QUOTA, False)
    assert second.counted
    assert agent.prompts[1] == INTERRUPTED + "Go."


def test_tasks_that_begin_while_all_their_agents_are_parked_make_no_attempt(play: Play) -> None:
    resets_ms = later(1_500)
    agent = Actor(AgentQuota("limit", resets_ms=resets_ms), account="shared")

    def flow(ctx: Context) -> Node:
        first = Task("a", Word, agent=[agent, lambda prompt: {"text": "fine"}], prompt="Go.")
        return Sequence(first, Task("b", Word, agent=agent, prompt="Go on."))

    assert play.run(flow).status == "finished"
    assert len(play.attempts("b")) == 1
    assert time.time() * 1000 >= resets_ms
    assert len(agent.requests) == 2


def test_an_account_that_somebody_unparks_is_asked_at_once(play: Play) -> None:
    agent = Actor(AgentQuota("limit", resets_ms=later(60_000)), account="mine")

    def is_parked() -> bool:
        with closing(host_for(play.store).store.calls()) as desk:
            return bool(desk.accounts())

    def free() -> dict[str, str]:
        until(is_parked)
        return {"text": ""}

    def made(ctx: Context) -> Node:
        first = Task("a", Word, agent=agent, prompt="Go.")
        second = Task("b", Word, agent=[agent], prompt="Go.", depends_on="free")
        return Parallel(first, Task("free", Word, run=free), second)

    handle = Workflow(made, name="flow").start(host_for(play.store), {}, run_id="r")
    until(lambda: "free" in play.states())
    time.sleep(0.2)
    assert len(agent.requests) == 1
    with closing(host_for(play.store).store.calls()) as desk:
        assert desk.release("mine")
    assert handle.ended.result(timeout=10).state is RunState.FINISHED


def test_a_resume_looks_again_whether_a_limit_is_still_used_up(play: Play) -> None:
    agent = Actor(AgentQuota("limit", resets_ms=later(60_000)), account="mine")
    flow = Workflow(lambda ctx: Task("a", Word, agent=agent, prompt="Go."), name="flow")
    handle = flow.start(host_for(play.store), {}, run_id="r", linger_ms=0)
    assert handle.ended.result(timeout=10).state is RunState.WAITING
    again = flow.resume(host_for(play.store), _claim(play), linger_ms=0)
    assert again.ended.result(timeout=10).state is RunState.WAITING
    assert len(agent.requests) == 1
    with closing(host_for(play.store).store.calls()) as desk:
        assert desk.release("mine")
    last = flow.resume(host_for(play.store), _claim(play), linger_ms=0)
    assert last.ended.result(timeout=10).state is RunState.FINISHED
    assert len(play.attempts("a")) == 2


def _claim(play: Play) -> Any:
    host = host_for(play.store)
    with play.reader() as reader:
        return host.claim(reader.run("r"))


def test_a_limit_that_is_moved_is_waited_for_again(play: Play) -> None:
    agent = Actor(
        lambda request: AgentQuota("limit", resets_ms=later(150)),
        lambda request: AgentQuota("limit", resets_ms=later(250)),
    )
    result = play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retries=0))
    assert (result.status, len(agent.requests)) == ("finished", 3)


def test_a_reset_that_has_passed_is_tried_soon(play: Play) -> None:
    agent = Actor(AgentQuota("limit", resets_ms=later(-5_000)))
    before = time.monotonic()
    result = play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retries=0))
    assert (result.status, len(agent.requests)) == ("finished", 2)
    assert 0.9 <= time.monotonic() - before < 10


def test_a_limit_without_a_reset_is_left_alone_longer_each_time(play: Play) -> None:
    calls = Store(play.store, durability="full", clock=SystemClock())
    play.run(lambda ctx: Task("a", Word, value={"text": ""}))
    with closing(calls.calls()) as desk:
        now_ms = later(0)
        first = desk.park("acc", None, "limit", first_ms=100, cap_ms=300)
        assert 90 <= first - now_ms <= 1_100
        assert desk.park("acc", None, "limit", first_ms=100, cap_ms=300) == first
        (row,) = desk.accounts()
        assert (row.account, row.strikes, row.reason) == ("acc", 1, "limit")
        time.sleep(0.12)
        desk.park("acc", None, "limit", first_ms=100, cap_ms=300)
        assert desk.accounts()[0].strikes == 2
        assert desk.park("acc", later(5_000), "limit", first_ms=100, cap_ms=300) > later(4_000)
        assert desk.accounts()[0].strikes == 0
        assert desk.release("acc")
        assert not desk.release("acc")


def test_an_agent_that_nobody_has_signed_in_to_is_asked_once_in_a_run(play: Play) -> None:
    first = Actor(AgentAuth("not signed in"), name="first", account="mine")
    second = Actor(name="second")

    def flow(ctx: Context) -> Node:
        return Sequence(Task(f"t{n}", Word, agent=[first, second], prompt="Go.") for n in range(4))

    assert play.run(flow).status == "finished"
    assert (len(first.requests), len(second.requests)) == (1, 4)


def test_without_an_agent_left_the_task_fails_at_once_and_says_what_to_do(play: Play) -> None:
    first = Actor(AgentMissing("no program", hint="install it: `get it`"), name="first")
    second = Actor(AgentAuth("not signed in", hint="sign in: `log in`"), name="second")
    result = play.run(lambda ctx: Task("a", Word, agent=[first, second], prompt="Go."))
    assert result.status == "failed"
    assert len(play.attempts("a")) == 1
    error = play.attempts("a")[0].error
    assert error is not None
    assert error["hint"] == "install it: `get it`; or sign in: `log in`"


def test_a_limit_beside_a_missing_program_is_waited_for(play: Play) -> None:
    first = Actor(AgentMissing("no program"), AgentMissing("no program"), name="first")
    second = Actor(lambda request: AgentQuota("limit", resets_ms=later(200)), name="second")
    result = play.run(lambda ctx: Task("a", Word, agent=[first, second], prompt="Go.", retries=0))
    assert result.output == {"text": "word 2"}
    assert len(first.requests) == 1


def test_a_provider_that_wants_to_be_left_alone_is(play: Play) -> None:
    agent = Actor(AgentThrottled("busy", retry_after_s=0.3))
    before = time.monotonic()
    result = play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(0)))
    assert result.status == "finished"
    assert time.monotonic() - before >= 0.3
    assert not play.attempts("a")[0].counted


# --- In which conversation ----------------------------------------------------------------------


@pytest.mark.parametrize("error", [AgentStalled("silent"), AgentError("crash"), AgentThrottled("busy")])
def test_an_attempt_that_was_cut_short_is_gone_on_with_in_its_conversation(
    play: Play, error: AgentError
) -> None:
    agent = Actor(error)
    play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(3)))
    assert agent.sessions == [None, "actor-1"]
    assert agent.prompts == ["Go.", INTERRUPTED + "Go."]
    first, second = calls(play)
    assert (first.session, first.is_continued) == ("actor-1", False)
    assert (second.session, second.is_continued, second.usage) == ("actor-1", True, Usage(10, 5))


def test_a_conversation_that_crashes_again_is_not_gone_on_with_for_ever(play: Play) -> None:
    agent = Actor(AgentError("crash 1"), AgentError("crash 2"))
    play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(3)))
    assert agent.sessions == [None, "actor-1", None]
    assert agent.prompts[2] == BEGUN_BEFORE + "Go."


def test_another_agent_is_told_that_it_is_not_the_first(play: Play) -> None:
    first, second = Actor(AgentStalled("silent"), name="first"), Actor(name="second")
    play.run(lambda ctx: Task("a", Word, agent=[first, second], prompt="Go.", retry_policy=quick(3)))
    assert second.sessions == [None]
    assert second.prompts == [BEGUN_BEFORE + "Go."]


def test_a_conversation_that_is_lost_is_begun_anew_within_the_attempt(play: Play) -> None:
    agent = Actor(AgentStalled("silent"), AgentSessionLost("gone"))
    result = play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(1)))
    assert result.status == "finished"
    assert agent.sessions == [None, "actor-1", None]
    assert len(play.attempts("a")) == 2


def test_a_paused_attempt_goes_on_in_its_conversation_when_the_run_is_resumed(play: Play) -> None:
    async def hang(request: AgentRequest) -> str:
        await asyncio.Event().wait()
        return ""

    agent = Actor(hang)
    flow = Workflow(lambda ctx: Task("a", Word, agent=agent, prompt="Go."), name="flow")
    handle = flow.start(host_for(play.store), {}, run_id="r")
    while not agent.requests:
        time.sleep(0.01)
    handle.pause()
    assert handle.ended.result(timeout=10).state is RunState.PAUSED
    result = flow.run_sync(run_id="r", resume=True, store=play.store)
    assert result.status == "finished"
    assert agent.sessions == [None, "actor-1"]
    assert agent.prompts[1] == INTERRUPTED + "Go."


def test_a_later_task_goes_on_with_the_conversation_of_an_earlier_one_or_a_copy_of_it(play: Play) -> None:
    agent = Actor()

    def flow(ctx: Context) -> Node:
        plan = Task("plan", Word, agent=agent, prompt="Plan.")
        copy = Task("copy", Word, agent=agent, prompt="Another way?", fork=plan)
        return Sequence(plan, copy, Task("build", Word, agent=agent, prompt="Build.", continue_="plan"))

    assert play.run(flow).status == "finished"
    assert [(request.session, request.forks) for request in agent.requests] == [
        (None, False), ("actor-1", True), ("actor-1", False),
    ]  # fmt: skip
    assert agent.prompts == ["Plan.", "Another way?", "Build."]


def test_a_loop_goes_on_with_the_conversation_of_its_own_pass(play: Play) -> None:
    agent = Actor()

    def flow(ctx: Context) -> Node:
        plan = Task("plan", Word, agent=agent, prompt="Plan.")
        build = Task("build", Word, agent=agent, prompt="Build.", continue_=plan)
        return Loop(plan, build, until=False, max_iterations=2)

    assert play.run(flow).status == "finished"
    assert agent.sessions == [None, "actor-1", None, "actor-3"]


def test_an_agent_that_had_no_part_in_a_conversation_cannot_go_on_with_it(play: Play) -> None:
    one, two = Actor(name="one"), Actor(name="two")

    def flow(ctx: Context) -> Node:
        plan = Task("plan", Word, agent=one, prompt="Plan.")
        return Sequence(plan, Task("build", Word, agent=two, prompt="Build.", continue_=plan))

    assert play.run(flow).status == "failed"
    (attempt,) = play.attempts("build")
    assert attempt.failure is FailureClass.FATAL
    assert two.requests == []


@pytest.mark.parametrize(
    "options",
    [
        {"continue_": "a", "fork": "a"},
        {"continue_": 3},
        {"allow_tools": "Bash"},
        {"allow_tools": [3]},
    ],
)
def test_what_says_nothing_to_an_agent_is_refused_where_it_is_written(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNode):
        Task("t", Word, agent=Actor(), prompt="Go.", **options)
    with pytest.raises(InvalidNode):
        Task("t", Word, value={"text": ""}, **{name: options[name] for name in list(options)[:1]})


# --- What is remembered -------------------------------------------------------------------------


def test_what_corrections_cost_is_added_up_and_counters_of_the_conversation_are_handed_back(
    play: Play,
) -> None:
    agent = Actor(
        AgentReply(text="no", session="s", usage=Usage(100, 10, cost_usd=0.25, cost_source="cli"),
                   counted=Usage(100, 10)),
        AgentReply(output={"text": "yes"}, session="s", usage=Usage(50, 5, cost_usd=0.5, cost_source="cli"),
                   counted=Usage(150, 15)),
    )  # fmt: skip
    assert play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.")).status == "finished"
    assert [request.counted for request in agent.requests] == [Usage(), Usage(100, 10)]
    (call,) = calls(play)
    assert call.usage == Usage(150, 15, cost_usd=0.75, cost_source="cli")
    assert call.counted == Usage(150, 15)


def test_what_a_failed_call_has_cost_is_remembered(play: Play) -> None:
    def fail(request: AgentRequest) -> AgentError:
        request.emit(UsageEvent(Usage(70, 7)))
        request.emit(UsageEvent(Usage(90, 9)))
        return AgentError("crash")

    agent = Actor(fail)
    play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retries=0))
    assert [call.usage for call in calls(play)] == [Usage(90, 9)]


def test_functions_and_rehearsals_leave_no_rows(play: Play) -> None:
    play.run(lambda ctx: Task("a", Word, agent=lambda prompt: {"text": "x"}, prompt="Go."))
    assert calls(play) == []


# --- Tools and policies -------------------------------------------------------------------------


def test_the_tools_of_a_task_reach_its_agent(play: Play) -> None:
    agent = Actor()

    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("a", Word, agent=agent, prompt="Go.", allow_tools=["Bash"]),
            Task("b", Word, agent=agent, prompt="Go.", allow_tools=[]),
            Task("c", Word, agent=agent, prompt="Go."),
        )

    play.run(flow)
    assert [tuple(request.tools) for request in agent.requests] == [
        (("Bash",), False), ((), False), (None, False),
    ]  # fmt: skip
    play.run(flow, run_id="strict", agent_tools="explicit-only")
    assert [request.tools.explicit_only for request in agent.requests[3:]] == [True] * 3


def test_a_policy_sees_every_attempt_and_can_deny_it_with_a_reason(play: Play) -> None:
    seen: list[tuple[str, int, str, tuple[str, ...]]] = []

    def policy(request: PolicyRequest) -> str | None:
        seen.append((request.node, request.attempt, request.mode, request.agents))
        return "not on Fridays" if request.node == "b" else None

    agent = Actor(AgentError("crash"))
    flow = Workflow(
        lambda ctx: Sequence(
            Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(1)),
            Task("run", Word, run=lambda: {"text": "x"}),
            Task("b", Word, agent=agent, prompt="Go."),
        ),
        name="flow",
        policy=policy,
    )
    result = flow.run_sync({}, run_id="r", store=play.store)
    assert result.status == "failed"
    assert seen == [
        ("a", 1, "agent", ("actor",)), ("a", 2, "agent", ("actor",)), ("run", 1, "run", ()),
        ("b", 1, "agent", ("actor",)),
    ]  # fmt: skip
    assert len(agent.requests) == 2
    (attempt,) = play.attempts("b")
    assert attempt.error is not None
    assert (attempt.error["code"], attempt.failure) == ("POLICY_DENIED", FailureClass.FATAL)
    assert "not on Fridays" in attempt.error["message"]


@pytest.mark.parametrize("answer", [False, "", 3, ZeroDivisionError()])
def test_in_doubt_a_policy_denies(play: Play, answer: object) -> None:
    def policy(request: PolicyRequest) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    agent = Actor()
    flow = Workflow(lambda ctx: Task("a", Word, agent=agent, prompt="Go."), name="flow", policy=policy)
    assert flow.run_sync({}, run_id="r", store=play.store).status == "failed"
    assert agent.requests == []


def test_a_policy_has_a_word_in_sub_workflows_too(play: Play) -> None:
    agent = Actor()
    child = Workflow(lambda ctx: Task("inner", Word, agent=agent, prompt="Go."), name="child", output=Word)
    parent = Workflow(
        lambda ctx: Subflow("sub", child, Word),
        name="parent",
        policy=lambda request: "no agents here" if request.mode == "agent" else None,
    )
    assert parent.run_sync({}, run_id="r", store=play.store).status == "failed"
    assert agent.requests == []


@pytest.mark.parametrize("nested", [False, True])
def test_the_policy_of_an_inline_workflow_has_a_word_in_its_tasks_alone(play: Play, nested: bool) -> None:
    agent, free = Actor(), Actor()
    asked: list[str] = []

    def policy(request: PolicyRequest) -> str | None:
        asked.append(request.node)
        return "no agents here" if request.mode == "agent" else None

    inner = Workflow(
        lambda ctx: Task("inner", Word, agent=agent, prompt="Go."), name="inner", output=Word, policy=policy
    )
    outer = Workflow(lambda ctx: Subflow("deep", inner, Word, mode="inline"), name="outer", output=Word)
    parent = Workflow(
        lambda ctx: Parallel(
            Subflow("sub", outer if nested else inner, Word, mode="inline"),
            Task("free", Word, agent=free, prompt="Go."),
        ),
        name="parent",
    )
    assert parent.run_sync({}, run_id="r", store=play.store).status == "failed"
    assert (len(agent.requests), len(free.requests)) == (0, 1)
    assert asked
    assert all(node.startswith("sub/") for node in asked)


def test_the_policy_of_an_inline_workflow_has_a_word_in_its_child_runs(play: Play) -> None:
    agent = Actor()
    child = Workflow(lambda ctx: Task("inner", Word, agent=agent, prompt="Go."), name="child", output=Word)
    middle = Workflow(
        lambda ctx: Subflow("deep", child, Word),
        name="middle",
        output=Word,
        policy=lambda request: "no agents here" if request.mode == "agent" else None,
    )
    parent = Workflow(lambda ctx: Subflow("sub", middle, Word, mode="inline"), name="parent")
    assert parent.run_sync({}, run_id="r", store=play.store).status == "failed"
    assert agent.requests == []


@pytest.mark.parametrize("policy", ["no", 3])
def test_what_is_no_policy_is_refused_where_it_is_written(policy: Any) -> None:
    with pytest.raises(InvalidNode):
        Workflow(lambda ctx: None, name="flow", policy=policy)


def test_what_an_agent_does_not_price_itself_is_priced_by_the_list(play: Play) -> None:
    agent = Actor(AgentReply(output={"text": "x"}, usage=Usage(1_000_000, 0, model="gpt-4o")))
    play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go."))
    (call,) = calls(play)
    assert call.usage.cost_source == "prices"
    assert call.usage.cost_usd is not None
    assert 0 < call.usage.cost_usd < 100


def test_a_call_that_was_ended_from_outside_is_priced_too(play: Play) -> None:
    async def hang(request: AgentRequest) -> None:
        request.emit(UsageEvent(Usage(1_000_000, 0, model="gpt-4o")))
        await asyncio.sleep(60)

    play.run(lambda ctx: Task("a", Word, agent=Actor(hang), prompt="Go.", timeout=0.2, retries=0))
    (call,) = calls(play)
    assert call.usage.cost_source == "prices"
    assert call.usage.cost_usd


def test_a_failed_call_is_priced_too_and_an_unknown_model_is_not(play: Play) -> None:
    def fail(request: AgentRequest) -> AgentError:
        request.emit(UsageEvent(Usage(1_000_000, 0, model="gpt-4o")))
        return AgentError("crash")

    agent = Actor(fail, AgentReply(output={"text": "x"}, usage=Usage(10, 0, model="nobody-knows-1")))
    play.run(lambda ctx: Task("a", Word, agent=agent, prompt="Go.", retry_policy=quick(1)))
    first, second = calls(play)
    assert first.usage.cost_usd is not None
    assert second.usage.cost_usd is None


# --- Placeholders -------------------------------------------------------------------------------


class Review(BaseModel):
    summary: str
    findings: list[str]


STUB = AgentReply(text='{"summary": "test", "findings": []}', session="s")
"""What is said at last by somebody who only wants to be left alone."""


def test_a_last_ditch_placeholder_is_stored_and_said_to_be_suspect(play: Play) -> None:
    agent = Actor(
        AgentReply(text="I looked at the parser, and it is wrong in three places.", session="s"), STUB
    )
    result = play.run(lambda ctx: Task("a", Review, agent=agent, prompt="Review."))
    assert result.status == "finished"
    assert (play.node("a").reason or "").startswith("suspect: ")
    assert len(play.events(EventType.RUN_WARNING)) == 1


def test_a_placeholder_can_be_refused_as_any_answer_that_does_not_fit(play: Play) -> None:
    good = '{"summary": "Three faults in the parser.", "findings": ["off by one in the lexer"]}'
    agent = Actor(AgentReply(text="no json", session="s"), STUB, AgentReply(text=good, session="s"))
    result = play.run(lambda ctx: Task("a", Review, agent=agent, prompt="Review.", on_suspect="fail"))
    assert result.output["summary"].startswith("Three faults")
    assert "placeholder" in agent.prompts[2]
    assert play.node("a").reason is None


def test_a_placeholder_is_taken_where_the_task_accepts_it(play: Play) -> None:
    agent = Actor(AgentReply(text="no json", session="s"), STUB)
    play.run(lambda ctx: Task("a", Review, agent=agent, prompt="Review.", on_suspect="accept"))
    assert play.node("a").reason is None


def test_a_first_answer_of_a_function_is_believed(play: Play) -> None:
    play.run(lambda ctx: Task("a", Review, agent=lambda prompt: STUB.text, prompt="Review."))
    assert play.node("a").reason is None
