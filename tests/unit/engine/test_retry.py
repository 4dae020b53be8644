"""Retries: whether, how soon, by whom; first the pure judgement, then real runs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import RetryPolicy, Task
from smithers.agents import CallableAgent
from smithers.engine.policy import rule_of
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentMissing,
    AgentQuota,
    AgentRefusal,
    AgentStalled,
    AgentThrottled,
    TaskError,
)
from smithers.nodes import Span
from smithers.records import AttemptState, FailureClass
from smithers.scheduler.retry import (
    SAME_CLASS,
    UNCOUNTED,
    Again,
    PastFailure,
    RetryRule,
    Stop,
    judge_failure,
    rung,
    signature,
)
from tests.unit.engine.play import QUICK, Number, Play, quick

COUNTED = sorted(set(FailureClass) - UNCOUNTED - {FailureClass.FATAL})


def past(*classes: FailureClass, message: str = "same") -> list[PastFailure]:
    return [PastFailure(one, message) for one in classes]


def different(count: int, kind: FailureClass = FailureClass.CRASH) -> list[PastFailure]:
    return [PastFailure(kind, f"message {chr(97 + n)}") for n in range(count)]


def final_after(rule: RetryRule, failure: Callable[[int], PastFailure], most: int = 100) -> int | None:
    """How many failures end a task; None: it goes on."""
    found: list[PastFailure] = []
    for n in range(most):
        found.append(failure(n))
        if isinstance(judge_failure(rule, found, 0.5), Stop):
            return len(found)
    return None


# --- Unset: until nothing new can come of it ----------------------------------------------------


def test_the_same_class_and_message_five_times_in_a_row_is_final() -> None:
    assert final_after(RetryRule(), lambda n: PastFailure(FailureClass.CRASH, "same")) == 5


def test_the_same_class_twenty_times_in_a_row_is_final_whatever_it_says() -> None:
    assert final_after(RetryRule(), lambda n: PastFailure(FailureClass.CRASH, f"m{chr(97 + n)}")) == 20


def test_failures_that_differ_go_on_without_end() -> None:
    kinds = (FailureClass.CRASH, FailureClass.TIMEOUT)
    assert final_after(RetryRule(), lambda n: PastFailure(kinds[n % 2], "same")) is None


def test_another_failure_in_between_begins_the_count_anew() -> None:
    before = [*past(*[FailureClass.CRASH] * 4), *different(1), *past(*[FailureClass.CRASH] * 4)]
    assert isinstance(judge_failure(RetryRule(), before, 0.5), Again)


def test_a_bug_is_final_after_two_equal_tries() -> None:
    assert final_after(RetryRule(is_agent=False), lambda n: PastFailure(FailureClass.LOGIC, "same")) == 2


def test_two_different_bugs_are_not_final() -> None:
    bugs = [PastFailure(FailureClass.LOGIC, "one"), PastFailure(FailureClass.LOGIC, "two")]
    assert isinstance(judge_failure(RetryRule(is_agent=False), bugs, 0.5), Again)


def test_a_value_that_does_not_fit_is_final_at_once_from_a_function_but_not_from_an_agent() -> None:
    fault = past(FailureClass.BAD_OUTPUT)
    assert isinstance(judge_failure(RetryRule(is_agent=False), fault, 0.5), Stop)
    assert isinstance(judge_failure(RetryRule(is_agent=True), fault, 0.5), Again)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("port 8080 is taken", "port 8081 is taken"),
        ("at 0x7f3a2b1c", "at 0x7f3a2b1d"),
        ("object deadbeefcafe1234 is gone", "object 0123456789abcdef is gone"),
        ("cannot open /tmp/a1/x.txt", "cannot open /tmp/b2/y.txt"),
    ],
)
def test_digits_hexadecimal_words_and_paths_do_not_make_a_message_another(one: str, other: str) -> None:
    assert signature(one) == signature(other)


def test_different_words_make_a_message_another() -> None:
    assert signature("connection refused") != signature("connection reset")


# --- Explicit: to the letter --------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 3, 40])
@pytest.mark.parametrize("kind", COUNTED)
def test_an_explicit_count_is_obeyed_to_the_letter(kind: FailureClass, retries: int) -> None:
    rule = RetryRule(retries, is_explicit=True, is_agent=False)
    assert final_after(rule, lambda n: PastFailure(kind, "same")) == retries + 1


def test_an_explicit_none_has_no_end_at_all() -> None:
    rule = RetryRule(None, is_explicit=True, is_agent=False)
    for kind in COUNTED:
        same = PastFailure(kind, "same")
        assert isinstance(judge_failure(rule, [same] * SAME_CLASS * 3, 0.5), Again)


@pytest.mark.parametrize("kind", [FailureClass.QUOTA, FailureClass.THROTTLE, FailureClass.LOST])
def test_quota_throttle_and_lost_use_up_no_retry(kind: FailureClass) -> None:
    rule = RetryRule(1, is_explicit=True)
    failures = [*past(kind, kind), *different(1)]
    assert isinstance(judge_failure(rule, failures, 0.5), Again)
    assert isinstance(judge_failure(rule, [*failures, *different(1)], 0.5), Stop)


@pytest.mark.parametrize("kind", [FailureClass.AUTH, FailureClass.MISSING_BINARY, FailureClass.FATAL])
def test_what_a_retry_cannot_help_is_final(kind: FailureClass) -> None:
    assert isinstance(judge_failure(RetryRule(), past(kind), 0.5), Stop)


def test_lost_three_times_in_a_row_is_a_crash_loop_and_otherwise_tried_at_once() -> None:
    lost = FailureClass.LOST
    assert judge_failure(RetryRule(), past(lost), 0.5) == Again(0)
    assert judge_failure(RetryRule(0, is_explicit=True), past(lost, lost), 0.5) == Again(0)
    assert isinstance(judge_failure(RetryRule(), past(lost, lost, lost), 0.5), Stop)
    assert judge_failure(RetryRule(), past(lost, lost, FailureClass.CRASH, lost), 0.5) == Again(0)


# --- How soon -----------------------------------------------------------------------------------


def delays(rule: RetryRule, count: int, roll: float = 0.5) -> list[int]:
    found = []
    for n in range(1, count + 1):
        verdict = judge_failure(rule, different(n), roll)
        assert isinstance(verdict, Again)
        found.append(verdict.delay_ms)
    return found


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("fixed", [100] * 5), ("linear", [100, 200, 300, 400, 450]), ("exponential", [100, 200, 400, 450, 450])],
)
def test_an_explicit_policy_spaces_retries_exactly_up_to_its_cap(backoff: Any, expected: list[int]) -> None:
    rule = RetryRule(None, True, backoff, first_ms=100, cap_ms=450, has_jitter=False)
    assert delays(rule, 5) == expected


def test_the_default_grows_from_a_second_to_five_minutes() -> None:
    assert delays(RetryRule(), 12)[:4] == [1_000, 2_000, 4_000, 8_000]
    assert delays(RetryRule(), 12)[-1] == 300_000


def test_jitter_stays_within_a_quarter() -> None:
    assert delays(RetryRule(), 1, 0.0) == [750]
    assert delays(RetryRule(), 1, 0.999999) == [1_250]


def test_a_long_history_does_not_overflow_the_delay() -> None:
    rule = RetryRule(None, is_explicit=True, has_jitter=False)
    many = [PastFailure(FailureClass.CRASH, "x")] * 5_000
    assert judge_failure(rule, many, 0.5) == Again(300_000)


# --- By whom ------------------------------------------------------------------------------------


def test_each_counted_failure_moves_one_agent_on_and_the_last_one_stays() -> None:
    assert [rung(different(n), 3) for n in range(6)] == [0, 1, 2, 2, 2, 2]


def test_uncounted_failures_do_not_move_the_chain() -> None:
    assert rung(past(FailureClass.QUOTA, FailureClass.LOST, FailureClass.THROTTLE), 3) == 0


# --- Real runs ----------------------------------------------------------------------------------


def failing(play: Play, *errors: Exception) -> Callable[[], Number]:
    """A function that raises these, one a call, and then returns how often it was called."""

    def run() -> Number:
        count = play.call("run")
        if count <= len(errors):
            raise errors[count - 1]
        return Number(n=count)

    return run


def test_a_failed_function_is_tried_again_until_it_returns(play: Play) -> None:
    run = failing(play, ValueError("a"), OSError("b"), TimeoutError("c"))
    result = play.run(lambda ctx: Task("t", Number, run=run, retry_policy=QUICK))
    assert (result.status, result.output) == ("finished", {"n": 4})
    assert [row.attempt for row in play.attempts()] == [1, 2, 3, 4]
    assert [row.state for row in play.attempts()] == [AttemptState.FAILED] * 3 + [AttemptState.FINISHED]


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (2, 3)])
def test_retries_counts_further_attempts(play: Play, retries: int, calls: int) -> None:
    run = failing(play, *[ValueError("same")] * 10)
    result = play.run(lambda ctx: Task("t", Number, run=run, retry_policy=QUICK, retries=retries))
    assert (result.status, play.calls["run"]) == ("failed", calls)


def test_no_retry_makes_one_attempt(play: Play) -> None:
    run = failing(play, *[ValueError("same")] * 10)
    assert play.run(lambda ctx: Task("t", Number, run=run, no_retry=True)).status == "failed"
    assert play.calls["run"] == 1


@pytest.mark.parametrize(
    ("error", "kind", "counted"),
    [
        (ValueError("x"), FailureClass.CRASH, True),
        (TypeError("x"), FailureClass.LOGIC, True),
        (NameError("x"), FailureClass.LOGIC, True),
        (AttributeError("x"), FailureClass.LOGIC, True),
        (KeyError("x"), FailureClass.CRASH, True),
        (TaskError("x"), FailureClass.CRASH, True),
        (AgentError("x"), FailureClass.CRASH, True),
        (AgentQuota("x"), FailureClass.QUOTA, False),
        (AgentThrottled("x"), FailureClass.THROTTLE, False),
        (AgentAuth("x"), FailureClass.AUTH, False),
        (AgentMissing("x"), FailureClass.MISSING_BINARY, False),
        (AgentRefusal("x"), FailureClass.REFUSAL, True),
        (AgentStalled("x"), FailureClass.STALLED, True),
        (SystemExit(3), FailureClass.CRASH, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_was_raised_is_stored_by_class_with_the_attempt(
    play: Play, error: Exception, kind: FailureClass, counted: bool
) -> None:
    play.run(lambda ctx: Task("t", Number, run=failing(play, *[error] * 3), retry_policy=quick(0)))
    first = play.attempts()[0]
    assert (first.failure, first.counted) == (kind, counted)
    assert first.error is not None
    assert {"code", "message"} <= first.error.keys()


def test_an_error_of_the_author_is_stored_with_its_type_message_and_line(play: Play) -> None:
    def run() -> Number:
        raise ValueError("the cupboard is bare")

    play.run(lambda ctx: Task("t", Number, run=run, no_retry=True))
    error = play.attempts()[0].error
    assert error is not None
    assert (error["code"], error["message"]) == ("ValueError", "the cupboard is bare")
    assert error["place"] == f"{__file__}:{run.__code__.co_firstlineno + 1}"


def test_a_failed_run_says_which_task_failed_and_why(play: Play) -> None:
    task = Task("t", Number, run=failing(play, ValueError("the cupboard is bare")), no_retry=True)
    result = play.run(lambda ctx: task)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "TASK_FAILED"
    assert "t failed: the cupboard is bare" in result.error["message"]
    assert result.error["place"] == str(task.place)
    assert result.output is None


def test_a_bug_ends_a_task_without_a_policy_after_two_tries(play: Play) -> None:
    def run() -> Number:
        play.call("run")
        return len(3)  # type: ignore[arg-type, return-value]

    assert play.run(lambda ctx: Task("t", Number, run=run)).status == "failed"
    assert play.calls["run"] == 2


def test_a_value_that_does_not_fit_ends_a_function_at_once_and_names_path_and_value(play: Play) -> None:
    class Report(BaseModel):
        lines: list[Number]

    def run() -> Any:
        play.call("run")
        return {"lines": [{"n": 1}, {"n": "many"}]}

    result = play.run(lambda ctx: Task("t", Report, run=run))
    assert (result.status, play.calls["run"]) == ("failed", 1)
    error = play.attempts()[0].error
    assert error is not None
    assert error["code"] == "INVALID_OUTPUT"
    assert "lines[1].n" in error["message"]
    assert "'many'" in error["message"]


@pytest.mark.parametrize("delay", [0.15, "150ms"])
def test_an_explicit_delay_is_waited_for(play: Play, delay: Span) -> None:
    run = failing(play, ValueError("a"), ValueError("b"))
    policy = RetryPolicy(retries=2, backoff="fixed", initial_delay=delay)
    play.run(lambda ctx: Task("t", Number, run=run, retry_policy=policy))
    times = [(row.started_ms, row.ended_ms or 0) for row in play.attempts()]
    assert all(later[0] - before[1] >= 149 for before, later in pairwise(times))
    assert len(times) == 3


# --- Tolerated failures -------------------------------------------------------------------------


def test_a_tolerated_failure_of_a_function_is_not_retried_unless_asked_for(play: Play) -> None:
    run = failing(play, *[ValueError("same")] * 10)
    result = play.run(lambda ctx: Task("t", Number, run=run, continue_on_fail=True))
    assert (result.status, play.calls["run"]) == ("partial", 1)


@pytest.mark.parametrize(
    ("task", "retries"),
    [
        (Task("t", Number, agent=str, prompt="x", continue_on_fail=True), 1),
        (Task("t", Number, agent=[str, str, str], prompt="x", continue_on_fail=True), 2),
        (Task("t", Number, run=lambda: 1, continue_on_fail=True), 0),
        (Task("t", Number, agent=str, prompt="x", continue_on_fail=True, retries=5), 5),
        (Task("t", Number, agent=str, prompt="x", continue_on_fail=True, retry_policy=quick(3)), 3),
        (
            Task("t", Number, agent=str, prompt="x", continue_on_fail=True, retry_policy=quick(3), retries=0),
            0,
        ),
        (Task("t", Number, agent=str, prompt="x"), None),
        (Task("t", Number, run=lambda: 1), None),
    ],
)
def test_how_many_retries_a_task_has_without_saying_so(task: Task[Any], retries: int | None) -> None:
    """Tolerated: one for agents, and at least one try for each of them; none for functions."""
    assert rule_of(task).retries == retries


def test_an_explicit_policy_holds_for_tolerated_failures_too(play: Play) -> None:
    run = failing(play, *[ValueError("same")] * 10)
    task = Task("t", Number, run=run, continue_on_fail=True, retry_policy=quick(3))
    assert play.run(lambda ctx: task).status == "partial"
    assert play.calls["run"] == 4


# --- Chains of agents ---------------------------------------------------------------------------


def agent(play: Play, name: str, *errors: Exception) -> CallableAgent:
    """Raises these, one a call, and then answers."""

    def call(prompt: str) -> Number:
        count = play.call(name)
        play.see(name)
        if count <= len(errors):
            raise errors[count - 1]
        return Number(n=count)

    return CallableAgent(call, name=name)


def test_attempt_n_is_made_by_agent_n_and_the_last_one_from_then_on(play: Play) -> None:
    crash = [ValueError("same")] * 10
    chain = [agent(play, "a", *crash), agent(play, "b", *crash), agent(play, "c", *crash[:2])]
    result = play.run(lambda ctx: Task("t", Number, agent=chain, prompt="x", retry_policy=QUICK))
    assert result.status == "finished"
    assert play.seen == ["a", "b", "c", "c", "c"]
    assert [row.agent for row in play.attempts()] == ["a", "b", "c", "c", "c"]


def test_the_fallback_agent_makes_the_attempts_after_the_chain(play: Play) -> None:
    first, last = agent(play, "a", ValueError("x")), agent(play, "z")
    task = Task("t", Number, agent=first, fallback_agent=last, prompt="x", retry_policy=QUICK)
    assert play.run(lambda ctx: task).status == "finished"
    assert play.seen == ["a", "z"]


def test_with_retries_0_one_agent_makes_one_attempt(play: Play) -> None:
    chain = [agent(play, "a", ValueError("x")), agent(play, "b")]
    assert play.run(lambda ctx: Task("t", Number, agent=chain, prompt="x", retries=0)).status == "failed"
    assert play.seen == ["a"]


@pytest.mark.parametrize("error", [AgentAuth("x"), AgentMissing("x"), AgentQuota("x")])
def test_an_agent_that_cannot_be_used_is_passed_over_within_the_attempt(play: Play, error: Exception) -> None:
    chain = [agent(play, "a", *[error] * 10), agent(play, "b")]
    result = play.run(lambda ctx: Task("t", Number, agent=chain, prompt="x", retries=0))
    assert result.status == "finished"
    assert play.seen == ["a", "b"]
    assert len(play.attempts()) == 1


def test_the_agent_that_answered_is_stored_with_the_attempt(play: Play) -> None:
    chain = [agent(play, "a", AgentAuth("x")), agent(play, "b")]
    play.run(lambda ctx: Task("t", Number, agent=chain, prompt="x"))
    assert [row.agent for row in play.attempts()] == ["b"]


def test_a_chain_of_which_no_agent_can_be_used_fails_without_a_retry(play: Play) -> None:
    chain = [agent(play, "a", *[AgentAuth("x")] * 9), agent(play, "b", *[AgentMissing("x")] * 9)]
    assert play.run(lambda ctx: Task("t", Number, agent=chain, prompt="x")).status == "failed"
    assert play.seen == ["a", "b"]
