"""Waits for people, messages and times: when they are open, what they come to, and what goes on meanwhile."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from smithers import (
    Approval,
    ApprovalDecision,
    ApprovalGate,
    ApprovalOption,
    Context,
    HumanTask,
    Loop,
    Node,
    Parallel,
    Sequence,
    Signal,
    Task,
    Timer,
    TryCatchFinally,
    WaitForEvent,
    Workflow,
    auto_approve,
)
from smithers.engine.hosts import host_for
from smithers.errors import AlreadyDecided, AnswerUnfit, NotAllowed, NotWaiting
from smithers.records import EventType, InboxKind
from tests.unit.engine.play import Number, Play, Word, quick, until
from tests.unit.engine.voice import Voice


class Even(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def is_even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n


@pytest.fixture
def voice(play: Play) -> Voice:
    return Voice(play)


def task(play: Play, name: str, **options: Any) -> Task[Number]:
    return Task(name, Number, run=lambda *args: Number(n=play.call(name)), **options)


# --- What is open, and what goes on -------------------------------------------------------------


def test_all_waits_are_open_at_once_and_work_beside_them_goes_on(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        gates = [Approval(f"gate{n}") for n in range(5)]
        others = [HumanTask("ask", Word, prompt="Which?"), WaitForEvent("ping"), Timer("late", duration="2h")]
        return Parallel(*gates, *others, Sequence(task(play, "a"), task(play, "b")))

    assert play.run(flow).status == "waiting"
    assert play.calls == {"a": 1, "b": 1}
    assert voice.open() == ["ask", "gate0", "gate1", "gate2", "gate3", "gate4", "late", "ping"]


def test_a_wait_holds_no_place_of_what_may_run_at_once(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(Approval("g1"), Approval("g2"), task(play, "a"), task(play, "b"), max_concurrency=1)

    assert play.run(flow, max_concurrency=1).status == "waiting"
    assert (play.calls, voice.open()) == ({"a": 1, "b": 1}, ["g1", "g2"])


def test_a_loop_goes_on_though_something_beside_it_waits(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(Approval("gate"), Loop(task(play, "work"), id="l", max_iterations=4))

    assert play.run(flow).status == "waiting"
    assert play.calls["work"] == 4
    voice.approve()
    assert play.resume(flow).status == "finished"


def test_what_stands_behind_a_gate_begins_when_it_is_decided_and_not_before(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(task(play, "a"), Approval("gate"), task(play, "b"))

    assert play.run(flow).status == "waiting"
    assert play.resume(flow).status == "waiting"
    assert play.calls == {"a": 1}
    voice.approve(note="fine")
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1}
    assert voice.votes() == [("gate", "approve", "ann")]


def test_an_owner_that_lives_hears_of_each_decision(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(Approval("g1"), Approval("g2"), task(play, "last"))

    handle = voice.start(flow)
    for name in ("g1", "g2"):
        voice.await_open(name)
        voice.approve(name)
    assert handle.ended.result(10).state.word == "finished"
    assert play.calls == {"last": 1}


def test_async_lets_the_sequence_go_on_and_the_run_does_not_end_while_it_is_open(
    play: Play, voice: Voice
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        gate = Approval("gate", async_=True)
        return Sequence(gate, task(play, "a"), task(play, "b", deps=gate))

    assert play.run(flow).status == "waiting"
    assert (play.calls, voice.open()) == ({"a": 1}, ["gate"])
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1}


def test_a_pass_does_not_end_while_something_async_of_it_is_open(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Loop(Sequence(WaitForEvent("go", async_=True), task(play, "work")), id="l", max_iterations=2)

    assert play.run(flow).status == "waiting"
    assert play.calls["work"] == 1
    voice.signal("go")
    assert play.resume(flow).status == "waiting"
    assert play.calls["work"] == 2
    voice.signal("go")
    assert play.resume(flow).status == "finished"


# --- Approvals ----------------------------------------------------------------------------------


def test_the_decision_is_what_tasks_and_reads_get(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        gate = Approval("gate", mode="select", options=["a", ApprovalOption("b", "Bee")])

        def use(decision: ApprovalDecision) -> Word:
            play.see(decision)
            return Word(text=f"{decision.selected} {ctx.output(gate).approved} {ctx.output(gate).by}")

        return Sequence(gate, Task("use", Word, deps=gate, run=use))

    play.run(flow)
    voice.approve(select="b", note="because")
    result = play.resume(flow)
    assert result.output["text"] == "b True ann"
    (decision,) = play.seen
    assert (decision.selected, decision.by, decision.note) == ("b", "ann", "because")
    assert abs(decision.at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("on_deny", "status", "gate", "after"),
    [
        ("fail", "failed", "failed", None),
        ("continue", "finished", "finished", "finished"),
        ("skip", "finished", "skipped", "skipped"),
    ],
)
def test_what_a_denial_comes_to_is_what_on_deny_says(
    play: Play, voice: Voice, on_deny: Any, status: str, gate: str, after: str | None
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        one = Approval("gate", on_deny=on_deny)
        return Sequence(one, Task("after", Word, deps=one, run=lambda d: Word(text=str(d.approved))))

    play.run(flow)
    voice.deny(note="no")
    result = play.resume(flow)
    states = play.states()
    assert (result.status, states["gate"], states.get("after")) == (status, gate, after)
    if on_deny == "fail":
        assert result.error is not None
        assert result.error["details"]["error"]["code"] == "APPROVAL_DENIED"
        assert "denied by ann: no" in result.error["message"]
    if on_deny == "continue":
        assert result.output["text"] == "False"


def test_after_a_denial_a_resume_asks_again(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(task(play, "a"), Approval("gate"), task(play, "b"))

    play.run(flow)
    voice.deny()
    assert play.resume(flow).status == "failed"
    assert play.resume(flow).status == "waiting"
    voice.approve(by="bob")
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1}
    assert voice.ended() == {"gate/0": "settled", "gate/1": "settled"}
    assert voice.votes() == [("gate", "deny", "ann"), ("gate", "approve", "bob")]


@pytest.mark.parametrize(
    ("on_expire", "on_deny", "status", "gate"),
    [
        ("deny", "fail", "failed", "failed"),
        ("deny", "continue", "finished", "finished"),
        ("deny", "skip", "finished", "skipped"),
        ("approve", "fail", "finished", "finished"),
        ("fail", "continue", "failed", "failed"),
        ("skip", "fail", "finished", "skipped"),
    ],
)
def test_what_its_deadline_comes_to_is_what_on_expire_says(
    play: Play, voice: Voice, on_expire: Any, on_deny: Any, status: str, gate: str
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Approval("gate", expires_in=0.05, on_expire=on_expire, on_deny=on_deny)

    result = play.run(flow)
    assert (result.status, play.states()["gate"]) == (status, gate)
    if gate == "finished":
        assert (result.output["approved"], result.output["by"]) == (
            on_expire == "approve",
            "smithers:expired",
        )
    if on_expire == "fail":
        assert result.error is not None
        assert result.error["details"]["error"]["code"] == "WAIT_TIMED_OUT"
    with pytest.raises((NotWaiting, AlreadyDecided)):
        voice.approve("gate")


def test_a_task_that_needs_approval_runs_once_it_is_approved_and_never_before(
    play: Play, voice: Voice
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(task(play, "a"), task(play, "b", needs_approval="Really?"), task(play, "c"))

    assert play.run(flow).status == "waiting"
    assert play.resume(flow).status == "waiting"
    assert play.calls == {"a": 1}
    (row,) = voice.waits()
    assert row.spec["title"] == "Really?"
    voice.approve("b")
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1, "c": 1}


def test_a_task_that_needs_approval_may_let_the_sequence_go_on(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(task(play, "a", needs_approval=True, async_=True), task(play, "b"))

    assert play.run(flow).status == "waiting"
    assert play.calls == {"b": 1}
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1}


def test_a_task_that_was_denied_has_failed_and_a_resume_asks_again(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return task(play, "a", needs_approval=True)

    play.run(flow)
    voice.deny(note="not now")
    result = play.resume(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert "denied by ann: not now" in result.error["message"]
    assert play.resume(flow).status == "waiting"
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1}


def test_what_was_approved_once_is_tried_again_without_asking(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        def run() -> Number:
            if play.call("a") < 3:
                raise OSError("not yet")
            return Number(n=1)

        return Task("a", Number, run=run, needs_approval=True, retry_policy=quick(3))

    play.run(flow)
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert len(voice.waits()) == 1


def test_a_quorum_counts_different_people_and_one_denies(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(
            Approval("yes", quorum=2, allowed_users=["ann", "bob", "cy"]),
            Approval("no", quorum=2, on_deny="continue"),
        )

    play.run(flow)
    assert not voice.approve("yes", by="ann").is_decided
    with pytest.raises(AlreadyDecided):
        voice.approve("yes", by="ann")
    with pytest.raises(NotAllowed):
        voice.approve("yes", by="eve")
    assert play.resume(flow).status == "waiting"
    assert voice.approve("yes", by="cy").is_decided
    with pytest.raises((AlreadyDecided, NotWaiting)):
        voice.approve("yes", by="bob")
    assert not voice.approve("no", by="ann").is_decided
    assert voice.deny("no", by="bob").is_decided
    assert play.resume(flow).status == "finished"
    assert len(voice.votes()) == 4


def test_who_has_approved_may_still_deny_while_it_is_open(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Approval("gate", quorum=2)

    play.run(flow)
    voice.approve(by="ann")
    assert voice.deny(by="ann").is_decided
    assert play.resume(flow).status == "failed"


@pytest.mark.parametrize(
    "gate",
    [
        lambda: Approval("gate", auto_approve=auto_approve()),
        lambda: Approval("gate", auto_approve=auto_approve(condition=lambda: True, audit=False)),
        lambda: ApprovalGate("gate", when=False),
        lambda: ApprovalGate("gate", when=lambda: False),
    ],
)
def test_what_a_rule_of_the_workflow_decides_nobody_is_asked(play: Play, voice: Voice, gate: Any) -> None:
    result = play.run(lambda ctx: gate())
    assert (result.status, result.output["approved"]) == ("finished", True)
    assert result.output["by"].startswith("smithers:")
    assert [row.state.word for row in voice.waits()] == ["settled"]


def test_a_rule_says_so_in_the_log_unless_it_is_not_to_be_audited(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(
            Approval("loud", auto_approve=auto_approve()),
            Approval("quiet", auto_approve=auto_approve(audit=False)),
        )

    play.run(flow)
    said = [text for text in voice.messages() if "was approved by" in text]
    assert len(said) == 1
    assert "loud" in said[0]


def test_a_gate_asks_when_its_condition_holds_for_its_deps(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        score = task(play, "score")
        return Sequence(
            score,
            ApprovalGate("low", when=lambda n: n.n > 1, deps=score),
            ApprovalGate("high", when=lambda n: n.n >= 1, deps=score, title=lambda n: f"Score {n.n}?"),
        )

    assert play.run(flow).status == "waiting"
    assert voice.open() == ["high"]
    assert [row.spec["title"] for row in voice.waits() if row.is_open] == ["Score 1?"]


def test_a_gate_in_nested_loops_is_its_own_gate_on_each_pass(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        inner = Loop(Sequence(task(play, "work"), Approval("gate")), id="inner", max_iterations=2)
        return Loop(inner, id="outer", max_iterations=2)

    handle = voice.start(flow)
    seen: list[str] = []
    for _ in range(4):
        until(lambda: [name for name in voice.open() if name not in seen] != [])
        (name,) = voice.open()
        seen.append(name)
        voice.approve(name)
    assert handle.ended.result(10).state.word == "finished"
    assert len(set(seen)) == 4
    assert play.calls["work"] == 4
    assert len(voice.waits()) == 4


# --- Questions ----------------------------------------------------------------------------------


def test_an_answer_that_the_model_refuses_is_asked_again_with_the_error(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return HumanTask("ask", Even, prompt="An even number?", max_attempts=3)

    play.run(flow)
    with pytest.raises(AnswerUnfit):
        voice.answer({"n": "x"})
    voice.answer({"n": 3})
    assert play.resume(flow).status == "waiting"
    (row,) = voice.waits()
    assert "odd" in row.spec["error"]
    voice.answer({"n": 4})
    assert play.resume(flow).output == {"n": 4}


def test_answers_that_do_not_fit_are_used_up_and_a_resume_asks_again(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return HumanTask("ask", Even, prompt="An even number?", max_attempts=2)

    play.run(flow)
    voice.answer({"n": 3}, by="ann")
    assert play.resume(flow).status == "waiting"
    voice.answer({"n": 5}, by="bob")
    result = play.resume(flow)
    assert result.error is not None
    assert (result.status, result.error["details"]["error"]["code"]) == ("failed", "ANSWERS_USED_UP")
    assert play.resume(flow).status == "waiting"
    voice.answer({"n": 6})
    assert play.resume(flow).status == "finished"


def test_the_one_whose_answer_did_not_fit_may_answer_again(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return HumanTask("ask", Even, prompt="An even number?")

    handle = voice.start(flow)
    voice.await_open("ask")
    voice.answer({"n": 1}, by="ann")
    until(lambda: any("error" in row.spec for row in voice.waits()))
    voice.answer({"n": 2}, by="ann")
    assert handle.ended.result(10).state.word == "finished"


def test_plain_text_is_an_answer_where_text_is_asked_for(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return HumanTask("ask", str, prompt=lambda: "Name?")

    play.run(flow)
    with pytest.raises(AnswerUnfit):
        voice.answer({"n": 1})
    voice.answer("Ada")
    assert play.resume(flow).output == "Ada"


@pytest.mark.parametrize(("on_timeout", "status"), [("fail", "failed"), ("skip", "finished")])
def test_a_question_that_nobody_answers_in_time(play: Play, on_timeout: Any, status: str) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return HumanTask("ask", str, prompt="?", timeout=0.05, on_timeout=on_timeout)

    assert play.run(flow).status == status


# --- Signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_timeout", "status", "state"),
    [("fail", "failed", "failed"), ("skip", "finished", "skipped"), ("continue", "finished", "finished")],
)
def test_a_signal_that_does_not_come_in_time(play: Play, on_timeout: Any, status: str, state: str) -> None:
    def flow(ctx: Context[Any]) -> Node:
        more = {"default": {"n": 7}} if on_timeout == "continue" else {}
        return WaitForEvent("ping", Number, timeout=0.05, on_timeout=on_timeout, **more)

    result = play.run(flow)
    assert (result.status, play.states()["ping"]) == (status, state)
    if on_timeout == "continue":
        assert result.output == {"n": 7}


def test_a_signal_from_before_its_wait_is_kept_and_each_wait_takes_one(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        first = WaitForEvent("one", Number, event="ping")
        return Sequence(Approval("gate"), first, WaitForEvent("two", Number, event="ping"))

    play.run(flow)
    assert voice.signal("ping", {"n": 1}).taken_by == []
    voice.approve()
    assert play.resume(flow).status == "waiting"
    assert voice.open() == ["two"]
    voice.signal("ping", {"n": 2})
    assert play.resume(flow).output == {"n": 2}


def test_all_that_wait_for_a_signal_take_it_when_it_comes(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(*(WaitForEvent(f"w{n}", Number, event="ping") for n in range(3)))

    play.run(flow)
    assert len(voice.signal("ping", {"n": 1}).taken_by) == 3
    assert play.resume(flow).status == "finished"


def test_correlations_keep_signals_apart(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        about = [WaitForEvent(name, event="paid", correlation=name) for name in ("a", "b")]
        return Parallel(*about, WaitForEvent("any", event="paid"))

    play.run(flow)
    with pytest.raises(NotWaiting):
        voice.signal("paid", correlation="c")
    voice.signal("paid", correlation="b")
    assert play.resume(flow).status == "waiting"
    assert voice.open() == ["a", "any"]
    voice.signal("paid")
    assert play.resume(flow).status == "waiting"
    assert voice.open() == ["a"]
    voice.signal("paid", correlation="a")
    assert play.resume(flow).status == "finished"


def test_a_kept_signal_that_does_not_fit_is_passed_over_with_a_warning(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(Approval("gate"), WaitForEvent("ping", Even))

    play.run(flow)
    voice.signal("ping", {"n": "x"})
    voice.signal("ping", {"n": 1})
    voice.signal("ping", {"n": 2})
    voice.approve()
    result = play.resume(flow)
    assert (result.status, result.output) == ("finished", {"n": 2})
    assert len([text for text in voice.messages() if "does not fit" in text]) == 2


def test_a_payload_that_only_the_model_refuses_is_warned_of_and_waited_on(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return WaitForEvent("ping", Even)

    play.run(flow)
    with pytest.raises(AnswerUnfit):
        voice.signal("ping", {"n": "x"})
    voice.signal("ping", {"n": 1})
    assert play.resume(flow).status == "waiting"
    voice.signal("ping", {"n": 2})
    assert play.resume(flow).status == "finished"


def test_a_loop_takes_one_signal_each_pass(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Loop(WaitForEvent("ping", Number), id="l", max_iterations=3)

    play.run(flow)
    voice.signal("ping", {"n": 1})
    voice.signal("ping", {"n": 2})
    assert play.resume(flow).status == "waiting"
    voice.signal("ping", {"n": 3})
    assert play.resume(flow).output == {"n": 3}
    assert play.states() == {"ping": "finished", "ping[1]": "finished", "ping[2]": "finished"}


def test_what_a_signal_goes_on_with_is_made_of_its_payload(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Signal("deploy", Word, lambda word: Task("to", Word, run=lambda: Word(text=f"to {word.text}")))

    play.run(flow)
    voice.signal("deploy", {"text": "berlin"})
    assert play.resume(flow).output == {"text": "to berlin"}


def test_a_signal_with_something_behind_it_stands_in_a_loop(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        def then(word: Word) -> Node:
            return Task("to", Word, run=lambda: Word(text=f"to {word.text}"))

        return Loop(Signal("deploy", Word, then), id="l", max_iterations=2)

    play.run(flow)
    voice.signal("deploy", {"text": "a"})
    assert play.resume(flow).status == "waiting"
    voice.signal("deploy", {"text": "b"})
    assert play.resume(flow).output == {"text": "to b"}


def test_a_loop_without_a_limit_works_until_it_is_told_to_stop(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        stop = Signal("stop")
        return Parallel(
            stop,
            Loop(
                task(play, "work"), Timer("pause", duration=0.02),
                id="l", until=lambda: ctx.output_maybe(stop) is not None, max_iterations=None,
            ),
        )  # fmt: skip

    handle = voice.start(flow)
    until(lambda: play.calls["work"] > 2)
    voice.signal("stop")
    assert handle.ended.result(10).state.word == "finished"


# --- Times --------------------------------------------------------------------------------------


def test_a_timer_goes_on_after_its_time_and_says_when(play: Play) -> None:
    began = time.time()
    result = play.run(lambda ctx: Timer("nap", duration=0.2))
    assert time.time() - began >= 0.2
    due, fired = (datetime.fromisoformat(result.output[name]) for name in ("due", "fired"))
    assert due <= fired < due + timedelta(seconds=5)


def test_a_timer_may_be_skipped(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(Timer("nap", duration="2h"), task(play, "a"))

    assert play.run(flow).status == "waiting"
    voice.skip()
    result = play.resume(flow)
    assert (result.status, play.calls) == ("finished", {"a": 1})


def test_a_time_that_has_passed_when_its_turn_comes_is_over_at_once(play: Play) -> None:
    def flow(ctx: Context[Any]) -> Node:
        first = task(play, "a")
        past = Timer("past", until=lambda _: datetime.now(UTC) - timedelta(days=1), deps=first)
        return Sequence(first, past)

    assert play.run(flow).status == "finished"


def test_timers_of_a_loop_are_counted_from_each_pass(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Loop(Timer("nap", duration=0.1), id="l", max_iterations=3)

    began = time.time()
    assert play.run(flow).status == "finished"
    assert time.time() - began >= 0.3


# --- What withdraws them, and what keeps them ---------------------------------------------------


def test_a_try_body_that_fails_withdraws_its_open_waits(play: Play, voice: Voice) -> None:
    def fail() -> Number:
        raise ValueError("no")

    def flow(ctx: Context[Any]) -> Node:
        return TryCatchFinally(
            Parallel(Approval("gate"), Timer("nap", duration="3h"), Task("bad", Number, run=fail, retries=0)),
            catch=task(play, "caught"),
            finally_=task(play, "last"),
        )

    assert play.run(flow).status == "finished"
    assert voice.ended() == {"gate/0": "withdrawn", "nap/0": "withdrawn"}
    assert play.calls == {"caught": 1, "last": 1}


def test_a_gate_in_a_finally_block_is_asked_there(play: Play, voice: Voice) -> None:
    def fail() -> Number:
        raise ValueError("no")

    def flow(ctx: Context[Any]) -> Node:
        return TryCatchFinally(
            Task("bad", Number, run=fail, retries=0), finally_=Sequence(Approval("gate"), task(play, "last"))
        )

    assert play.run(flow).status == "waiting"
    voice.approve()
    assert play.resume(flow).status == "failed"
    assert play.calls == {"last": 1}


def test_a_run_that_fails_leaves_no_wait_open(play: Play, voice: Voice) -> None:
    def fail() -> Number:
        raise ValueError("no")

    def flow(ctx: Context[Any]) -> Node:
        return Parallel(
            Approval("gate", async_=True), HumanTask("ask", str, prompt="?"), WaitForEvent("e"),
            Timer("t", duration="3h"), Task("bad", Number, run=fail, retries=0),
        )  # fmt: skip

    assert play.run(flow).status == "failed"
    assert set(voice.ended().values()) == {"withdrawn"}
    with pytest.raises(NotWaiting):
        voice.approve()
    with pytest.raises(NotWaiting):
        voice.signal("e")


def test_a_cancelled_run_leaves_no_wait_open_and_a_resume_asks_anew_with_new_deadlines(
    play: Play, voice: Voice
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(Approval("gate", expires_in="2h"), WaitForEvent("e"))

    handle = voice.start(flow)
    voice.await_open("gate", "e")
    first = {str(row.key): row.due_ms for row in voice.waits()}
    handle.cancel()
    assert handle.ended.result(10).state.word == "cancelled"
    assert set(voice.ended().values()) == {"withdrawn"}
    assert play.resume(flow).status == "waiting"
    assert voice.open() == ["e", "gate"]
    for row in voice.waits():
        before = first[str(row.key)]
        assert (row.due_ms is None) is (before is None)
        if row.due_ms is not None and before is not None:
            assert row.due_ms > before
            assert row.due_ms - row.opened_ms == 7_200_000
    voice.approve()
    voice.signal("e")
    assert play.resume(flow).status == "finished"


def test_a_paused_run_keeps_its_waits_and_takes_what_is_said_meanwhile(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(Approval("gate"), WaitForEvent("e", Number), HumanTask("ask", str, prompt="?"))

    handle = voice.start(flow)
    voice.await_open("gate", "e", "ask")
    handle.pause()
    assert handle.ended.result(10).state.word == "paused"
    assert set(voice.ended().values()) == {"open"}
    voice.approve()
    voice.signal("e", {"n": 1})
    voice.answer("x")
    assert play.resume(flow).status == "finished"


def test_a_gate_that_an_edit_takes_away_is_withdrawn_and_comes_back_with_its_first_deadline(
    play: Play, voice: Voice
) -> None:
    def with_gate(ctx: Context[Any]) -> Node:
        return Parallel(Approval("gate", expires_in="2h"), Approval("other"))

    def without(ctx: Context[Any]) -> Node:
        return Parallel(Approval("other"))

    def due() -> int | None:
        return next(row.due_ms for row in voice.waits() if row.key.node == "gate")

    assert play.run(with_gate).status == "waiting"
    first = due()
    assert play.resume(without).status == "waiting"
    assert voice.ended() == {"gate/0": "withdrawn", "other/0": "open"}
    with pytest.raises(NotWaiting):
        voice.approve("gate")
    assert play.resume(with_gate).status == "waiting"
    assert voice.ended() == {"gate/0": "open", "other/0": "open"}
    assert due() == first
    voice.approve("gate")
    voice.approve("other")
    assert play.resume(with_gate).status == "finished"


def test_a_render_that_takes_a_gate_away_withdraws_it(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        fast = WaitForEvent("fast")
        return Parallel(fast, Approval("slow") if ctx.output_maybe(fast) is None else task(play, "a"))

    play.run(flow)
    assert voice.open() == ["fast", "slow"]
    voice.signal("fast")
    assert play.resume(flow).status == "finished"
    assert voice.ended() == {"fast/0": "settled", "slow/0": "withdrawn"}


def test_a_render_that_reads_what_a_wait_has_come_to_is_made_before_the_run_ends(
    play: Play, voice: Voice
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        gate = Approval("gate")
        return Sequence(gate, task(play, "a") if ctx.output_maybe(gate) is not None else None)

    play.run(flow)
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1}


def test_a_wait_that_is_skipped_is_never_open(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(Approval("gate", skip_if=True), Timer("nap", duration="2h", skip_if=lambda: True))

    assert play.run(flow).status == "finished"
    assert voice.waits() == []


def test_a_failure_that_is_tolerated_lets_the_run_go_on(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(Approval("gate", continue_on_fail=True), task(play, "a"))

    play.run(flow)
    voice.deny()
    assert play.resume(flow).status == "partial"
    assert play.calls == {"a": 1}


def test_people_are_told_again_while_it_waits(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Approval("gate", remind_every=0.05)

    handle = voice.start(flow)
    until(lambda: len(play.events(EventType.WAIT_REMINDED)) >= 2)
    voice.approve()
    assert handle.ended.result(10).state.word == "finished"
    told = len(play.events(EventType.WAIT_REMINDED))
    assert told < 50


def test_what_was_approved_and_cut_off_is_tried_again_without_asking(play: Play, voice: Voice) -> None:
    goes_on = threading.Event()

    def work() -> Number:
        if play.call("a") == 1:
            goes_on.wait(10)
        return Number(n=1)

    def flow(ctx: Context[Any]) -> Node:
        return Task("a", Number, run=work, needs_approval=True)

    play.run(flow)
    voice.approve()
    host = host_for(play.store)
    with play.reader() as reader:
        Workflow(flow).resume(host, host.claim(reader.run("r")))
    until(lambda: play.calls["a"] == 1)
    play.close()
    assert play.resume(flow).status == "finished"
    goes_on.set()
    assert (play.calls, voice.ended()) == ({"a": 2}, {"a/0": "settled"})


def test_a_cancel_withdraws_what_is_open_and_asks_what_its_last_parts_ask(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        last = Sequence(Approval("undo"), task(play, "b"))
        return TryCatchFinally(Sequence(task(play, "a"), Approval("gate")), finally_=last)

    handle = voice.start(flow)
    voice.await_open("gate")
    with voice.desk() as (_, outsider, run):
        outsider.post(run.id, InboxKind.CANCEL, "ann")
    voice.await_open("undo")
    voice.approve()
    assert handle.ended.result(10).state.word == "cancelled"
    assert voice.ended() == {"gate/0": "withdrawn", "undo/0": "settled"}
    assert play.calls == {"a": 1, "b": 1}


def test_a_gate_is_asked_again_if_somebody_wants_it_to_be(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        gate = Approval("gate")
        return Sequence(gate, task(play, "after", deps=gate))

    play.run(flow)
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert play.resume(flow, rerun=["gate"]).status == "waiting"
    voice.approve(by="bob")
    assert play.resume(flow).status == "finished"
    assert play.calls == {"after": 2}
    assert voice.ended() == {"gate/0": "settled", "gate/1": "settled"}


def test_a_link_counts_once(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Parallel(Approval("one", quorum=2), Approval("two"))

    play.run(flow)
    voice.approve("one", link="nonce")
    with pytest.raises(AlreadyDecided, match="used before"):
        voice.approve("one", by="bob", link="nonce")
    with pytest.raises(AlreadyDecided, match="used before"):
        voice.approve("two", link="nonce")
    assert len(voice.votes()) == 1


def test_what_needs_a_gate_that_was_skipped_is_not_asked_for_either(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        first = Approval("first", on_deny="skip")
        return Sequence(first, Approval("second", deps=first), task(play, "a", deps=first))

    play.run(flow)
    voice.deny()
    assert play.resume(flow).status == "finished"
    assert play.states() == {"first": "skipped", "second": "skipped", "a": "skipped"}
    assert list(voice.ended()) == ["first/0"]


def test_a_title_that_reads_what_is_not_there_yet_waits_for_it(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        late = task(play, "late")
        return Parallel(Approval("gate", title=lambda: f"{ctx.output(late).n}?"), Sequence(late))

    assert play.run(flow).status == "waiting"
    assert [row.spec["title"] for row in voice.waits()] == ["1?"]
