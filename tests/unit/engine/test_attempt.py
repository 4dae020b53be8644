"""One attempt: signs of life, time limits, corrections, and what a task can ask about itself."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    AgentReply,
    AgentRequest,
    Context,
    Node,
    Parallel,
    RetryPolicy,
    Sequence,
    Task,
    Workflow,
    current,
)
from smithers.engine.conversation import BEGUN_BEFORE
from smithers.engine.hosts import host_for
from smithers.errors import HeartbeatRefused, OutsideTask
from smithers.ports import TextEvent
from smithers.records import AttemptState, FailureClass, RunState
from tests.unit.engine.play import QUICK, Number, Play, quick, until

# --- Heartbeats ---------------------------------------------------------------------------------


def test_an_attempt_that_says_nothing_does_not_hide_what_an_earlier_one_had_done(play: Play) -> None:
    stop = [True]

    def run() -> Number:
        play.see(current().last_heartbeat)
        if play.call("t") == 1:
            current().heartbeat("half")
            until(lambda: play.attempts("t")[0].heartbeat is not None)
        if stop:
            raise ValueError(f"no luck {current().attempt * 'x'}")
        return Number(n=1)

    def flow(ctx: Context) -> Node:
        return Task("t", Number, run=run, retry_policy=RetryPolicy(retries=None, initial_delay=0.4))

    handle = Workflow(flow).start(host_for(play.store), run_id="r")
    until(lambda: play.calls["t"] == 2)
    handle.pause()
    assert handle.ended.result().state is RunState.PAUSED
    stop.clear()
    assert play.resume(flow).status == "finished"
    # Also after a resume, which knows the attempts by their rows alone.
    assert play.seen == [None, "half", "half"]


def test_data_of_a_heartbeat_is_stored_and_given_to_the_next_attempt(play: Play) -> None:
    def run() -> Number:
        play.see(current().last_heartbeat)
        if play.call("run") == 1:
            current().heartbeat({"done": [1, 2], "of": "drei"})
            until(lambda: play.attempts("t")[0].heartbeat is not None)
            raise ValueError("cut off")
        return Number(n=1)

    play.run(lambda ctx: Task("t", Number, run=run, retry_policy=QUICK))
    assert play.seen == [None, {"done": [1, 2], "of": "drei"}]
    assert play.attempts("t")[0].heartbeat == {"done": [1, 2], "of": "drei"}


def test_data_survives_an_attempt_that_sent_none(play: Play) -> None:
    def run() -> Number:
        play.see(current().last_heartbeat)
        count = play.call("run")
        if count == 1:
            current().heartbeat("mark")
            until(lambda: play.attempts("t")[0].heartbeat is not None)
        if count < 3:
            raise ValueError(f"cut off {'x' * count}")
        return Number(n=1)

    play.run(lambda ctx: Task("t", Number, run=run, retry_policy=QUICK))
    assert play.seen == [None, "mark", "mark"]


def test_data_sent_just_before_a_failure_is_given_to_the_next_attempt(play: Play) -> None:
    def run() -> Number:
        play.see(current().last_heartbeat)
        if play.call("run") == 1:
            current().heartbeat(1)
            current().heartbeat(2)
            raise ValueError("cut off")
        return Number(n=1)

    play.run(lambda ctx: Task("t", Number, run=run, retry_policy=QUICK))
    assert play.seen == [None, 2], "the newest wins"


def test_data_is_stored_at_most_once_per_third_of_the_window(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smithers.store.writer import SqliteWriter

    stored: list[float] = []
    original = SqliteWriter.heartbeats

    def heartbeats(self: SqliteWriter, rows: Any) -> None:
        stored.append(time.monotonic())
        original(self, rows)

    monkeypatch.setattr(SqliteWriter, "heartbeats", heartbeats)

    def run() -> Number:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            current().heartbeat({"x": play.call("beat")})
            time.sleep(0.005)
        return Number(n=1)

    play.run(lambda ctx: Task("t", Number, run=run, heartbeat_timeout=0.6))
    assert play.calls["beat"] > 20
    assert 1 <= len(stored) <= 3
    assert all(later - before > 0.19 for before, later in pairwise(stored))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_silence_longer_than_the_window_is_a_stall(play: Play, kind: str) -> None:
    def sync() -> Number:
        if play.call("run") == 1:
            time.sleep(0.4)  # longer than the window, and over before the window has passed twice
        return Number(n=play.calls["run"])

    async def later() -> Number:
        if play.call("run") == 1:
            await asyncio.sleep(30)
        return Number(n=play.calls["run"])

    task: Task[Any]
    if kind == "sync":
        task = Task("t", Number, run=sync, heartbeat_timeout=0.25, retry_policy=QUICK)
    else:
        task = Task("t", Number, run=later, heartbeat_timeout=0.25, retry_policy=QUICK)
    result = play.run(lambda ctx: task)
    assert result.output == {"n": 2}
    first = play.attempts("t")[0]
    assert (first.state, first.failure) == (AttemptState.FAILED, FailureClass.STALLED)
    assert first.error is not None
    assert first.error["code"] == "HEARTBEAT_TIMEOUT"


def test_signs_of_life_without_data_keep_an_attempt_alive(play: Play) -> None:
    def run() -> Number:
        for _ in range(12):
            current().heartbeat()
            time.sleep(0.04)
        return Number(n=1)

    assert play.run(lambda ctx: Task("t", Number, run=run, heartbeat_timeout=0.25)).status == "finished"
    assert len(play.attempts("t")) == 1
    assert play.attempts("t")[0].heartbeat is None


def test_any_event_of_an_agent_is_a_sign_of_life(play: Play) -> None:
    async def answer(request: AgentRequest) -> Number:
        for _ in range(12):
            request.emit(TextEvent("working"))
            await asyncio.sleep(0.04)
        return Number(n=1)

    task = Task("t", Number, agent=answer, prompt="x", heartbeat_timeout=0.25, retries=0)
    assert play.run(lambda ctx: task).status == "finished"


@pytest.mark.parametrize(
    "data", [math.nan, math.inf, {"a": [math.inf]}, object(), {1, 2}, b"x", "x" * 1_000_001]
)
def test_data_that_json_cannot_hold_or_that_is_too_long_is_refused(play: Play, data: Any) -> None:
    def run() -> Number:
        try:
            current().heartbeat(data)
        except HeartbeatRefused as error:
            play.see(error.code)
        return Number(n=1)

    assert play.run(lambda ctx: Task("t", Number, run=run)).status == "finished"
    assert play.seen == ["HEARTBEAT_REFUSED"]


# --- Time limits --------------------------------------------------------------------------------


def test_a_coroutine_over_its_time_is_cancelled_and_tried_again(play: Play) -> None:
    async def run() -> Number:
        if play.call("run") == 1:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                play.see("cancelled")
                raise
        return Number(n=2)

    began = time.monotonic()
    result = play.run(lambda ctx: Task("t", Number, run=run, timeout=0.1, retry_policy=QUICK))
    assert (result.status, result.output, play.seen) == ("finished", {"n": 2}, ["cancelled"])
    assert time.monotonic() - began < 5
    first = play.attempts("t")[0]
    assert first.failure is FailureClass.TIMEOUT
    assert first.error is not None
    assert first.error["code"] == "TASK_TIMEOUT"


def test_a_coroutine_that_does_not_listen_is_given_up(play: Play) -> None:
    ended = threading.Event()

    async def run() -> Number:
        for _ in range(40):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                play.call("asked")
        ended.set()
        return Number(n=1)

    began = time.monotonic()
    result = play.run(lambda ctx: Task("t", Number, run=run, timeout=0.1, retries=0))
    assert result.status == "failed"
    assert time.monotonic() - began < 3.5
    assert not ended.is_set()
    assert play.calls["asked"] >= 1


def test_a_function_over_its_time_is_given_up_and_its_late_result_discarded(play: Play) -> None:
    done = threading.Event()

    def run() -> Number:
        time.sleep(0.5)
        done.set()
        return Number(n=1)

    def after() -> Number:
        assert done.wait(5)
        time.sleep(0.1)
        return Number(n=2)

    result = play.run(
        lambda ctx: Sequence(
            Task("t", Number, run=run, timeout=0.1, retries=0, continue_on_fail=True),
            Task("after", Number, run=after),
        )
    )
    assert (result.status, result.output) == ("partial", {"n": 2})
    assert play.states() == {"t": "failed", "after": "finished"}


def test_a_function_is_not_tried_again_while_it_still_runs(play: Play) -> None:
    inside = threading.Semaphore(1)

    def run() -> Number:
        assert inside.acquire(blocking=False), "two at once"
        try:
            if play.call("run") == 1:
                time.sleep(0.45)
        finally:
            inside.release()
        return Number(n=play.calls["run"])

    result = play.run(lambda ctx: Task("t", Number, run=run, timeout=0.3, retry_policy=QUICK))
    assert (result.status, result.output) == ("finished", {"n": 2})


def test_a_function_that_hangs_for_its_timeout_again_fails_and_says_so(play: Play) -> None:
    release = threading.Event()

    def run() -> Number:
        play.call("run")
        release.wait(20)
        return Number(n=1)

    try:
        result = play.run(lambda ctx: Task("t", Number, run=run, timeout=0.15, retry_policy=QUICK))
    finally:
        release.set()
    assert result.status == "failed"
    assert play.calls["run"] == 1
    assert result.error is not None
    assert "still running" in result.error["message"]
    assert "150 ms" in result.error["message"]


def test_a_function_that_blocks_does_not_hold_the_others_back(play: Play) -> None:
    release = threading.Event()

    def block() -> Number:
        assert release.wait(10)
        return Number(n=1)

    async def quick_one() -> Number:
        return Number(n=2)

    def last() -> Number:
        release.set()
        return Number(n=3)

    result = play.run(
        lambda ctx: Parallel(
            Task("block", Number, run=block),
            Sequence(Task("quick", Number, run=quick_one), Task("last", Number, run=last)),
        )
    )
    assert result.status == "finished"


def test_a_time_limit_holds_for_an_agent(play: Play) -> None:
    async def answer(prompt: str) -> Number:
        if play.call("agent") == 1:
            await asyncio.sleep(30)
        return Number(n=1)

    task = Task("t", Number, agent=answer, prompt="x", timeout=0.1, retry_policy=QUICK)
    assert play.run(lambda ctx: task).status == "finished"
    assert play.attempts("t")[0].failure is FailureClass.TIMEOUT


# --- Corrections --------------------------------------------------------------------------------


class Talker:
    """Gives these answers, one a call, in a session."""

    name = "talker"

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.requests: list[AgentRequest] = []

    async def call(self, request: AgentRequest) -> AgentReply:
        self.requests.append(request)
        return AgentReply(text=self.answers.pop(0), session="s1")


def test_an_answer_that_does_not_fit_is_corrected_within_the_attempt_in_the_same_session(play: Play) -> None:
    talker = Talker("no json at all", '{"n": "many"}', '{"n": 3}')
    result = play.run(lambda ctx: Task("t", Number, agent=talker, prompt="Count.", retries=0))
    assert (result.status, result.output) == ("finished", {"n": 3})
    assert len(play.attempts("t")) == 1
    assert [request.session for request in talker.requests] == [None, "s1", "s1"]
    assert [request.attempt for request in talker.requests] == [1, 1, 1]
    assert talker.requests[0].prompt == "Count."
    assert "n" in talker.requests[2].prompt
    assert "many" in talker.requests[2].prompt
    assert "no json at all" not in talker.requests[2].prompt


class Forgetful(Talker):
    """Has no sessions."""

    async def call(self, request: AgentRequest) -> AgentReply:
        return AgentReply(text=(await super().call(request)).text)


def test_an_agent_without_sessions_is_told_the_task_once_with_each_correction(play: Play) -> None:
    agent = Forgetful(*["nothing"] * 3, '{"n": 3}')
    assert play.run(lambda ctx: Task("t", Number, agent=agent, prompt="Count it.")).status == "finished"
    assert [request.prompt.count("Count it.") for request in agent.requests] == [1, 1, 1, 1]
    assert [request.prompt.count("could not be used") for request in agent.requests] == [0, 1, 1, 1]


def test_an_agent_that_remembers_its_session_is_not_told_the_task_again(play: Play) -> None:
    talker = Talker("nothing", '{"n": 3}')
    play.run(lambda ctx: Task("t", Number, agent=talker, prompt="Count it."))
    assert "Count it." not in talker.requests[1].prompt


def test_after_three_corrections_the_attempt_has_failed(play: Play) -> None:
    talker = Talker(*["nothing"] * 10)
    result = play.run(lambda ctx: Task("t", Number, agent=talker, prompt="Count.", retries=0))
    assert result.status == "failed"
    assert len(talker.requests) == 4
    assert play.attempts("t")[0].failure is FailureClass.BAD_OUTPUT


def test_a_new_attempt_starts_a_new_conversation(play: Play) -> None:
    talker = Talker(*["nothing"] * 4, '{"n": 1}')
    result = play.run(lambda ctx: Task("t", Number, agent=talker, prompt="Count.", retry_policy=quick(1)))
    assert result.status == "finished"
    assert talker.requests[4].session is None
    assert talker.requests[4].prompt == BEGUN_BEFORE + "Count."


def test_the_agent_is_told_output_schema_and_the_output_model_is_what_is_stored(play: Play) -> None:
    class Wide(BaseModel):
        n: int
        why: str

    talker = Talker('{"n": 3, "why": "because"}')
    task = Task("t", Number, agent=talker, prompt="x", output_schema=Wide, retries=0)
    result = play.run(lambda ctx: task)
    assert talker.requests[0].schema is Wide
    assert (result.status, result.output) == ("finished", {"n": 3})


def test_a_text_task_takes_the_text_as_it_is(play: Play) -> None:
    talker = Talker("just words {not json}")
    result = play.run(lambda ctx: Task("t", str, agent=talker, prompt="x"))
    assert result.output == "just words {not json}"
    assert talker.requests[0].schema is None


# --- current() ----------------------------------------------------------------------------------


def test_a_task_knows_its_run_its_key_and_its_attempt(play: Play) -> None:
    def look() -> None:
        attempt = current()
        play.see((attempt.run_id, attempt.node, attempt.iteration, attempt.attempt))

    def sync() -> Number:
        look()
        if play.call("sync") == 1:
            raise ValueError("again")
        return Number(n=1)

    async def later() -> Number:
        await asyncio.sleep(0)
        look()
        return Number(n=2)

    def answer(prompt: str) -> Number:
        look()
        return Number(n=3)

    play.run(
        lambda ctx: Sequence(
            Task("sync", Number, run=sync, retry_policy=QUICK),
            Task("later", Number, run=later),
            Task("agent", Number, agent=answer, prompt="x"),
        )
    )
    assert play.seen == [("r", "sync", 0, 1), ("r", "sync", 0, 2), ("r", "later", 0, 1), ("r", "agent", 0, 1)]


def test_the_idempotency_key_is_the_same_in_every_attempt_and_another_in_every_task(play: Play) -> None:
    def run() -> Number:
        play.see(current().idempotency_key)
        if play.call("run") < 3:
            raise ValueError(f"{'x' * play.calls['run']}")
        return Number(n=1)

    play.run(lambda ctx: [Task("a", Number, run=run, retry_policy=QUICK), Task("b", Number, run=run)])
    assert len(play.seen) == 4
    assert len(set(play.seen[:3])) == 1
    assert play.seen[3] not in play.seen[:3]


def test_current_outside_a_task_is_refused(play: Play) -> None:
    with pytest.raises(OutsideTask):
        current()


@pytest.mark.parametrize("make", [lambda: current().ctx, current])
def test_what_one_task_sets_for_itself_is_not_seen_by_the_next(play: Play, make: Callable[[], Any]) -> None:
    play.run(lambda ctx: Task("t", str, run=lambda: str(make())))
    with pytest.raises(OutsideTask):
        make()
