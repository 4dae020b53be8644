"""Waits of scripts, of runs within runs, and of runs whose frames come to nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from smithers import (
    Approval,
    Context,
    HumanTask,
    Loop,
    Node,
    Parallel,
    Sequence,
    Signal,
    Subflow,
    Task,
    TaskFailed,
    Timer,
    WaitForEvent,
    Workflow,
    workflow,
)
from smithers.engine.hosts import host_for
from smithers.errors import CommitUnknown
from smithers.observe.waits import open_below
from smithers.reply.fit import decision
from smithers.store.writer import SqliteWriter
from tests.unit.engine.play import Number, Play, Word, until
from tests.unit.engine.voice import Voice


@pytest.fixture
def voice(play: Play) -> Voice:
    return Voice(play)


def task(play: Play, name: str, **options: Any) -> Task[Number]:
    return Task(name, Number, run=lambda *args: Number(n=play.call(name)), **options)


# --- Scripts ------------------------------------------------------------------------------------


def test_a_script_awaits_a_decision_and_goes_on_in_another_process(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Number:
        first = await ctx.run(task(play, "a"))
        decision = await ctx.run(Approval("gate"))
        play.see(decision.by)
        last = await ctx.run(task(play, "b"))
        return Number(n=first.n + last.n)

    assert play.run(flow).status == "waiting"
    assert play.resume(flow).status == "waiting"
    voice.approve()
    result = play.resume(flow)
    assert (result.status, play.calls, play.seen) == ("finished", {"a": 1, "b": 1}, ["ann"])


def test_a_denial_is_raised_in_the_script(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Number:
        try:
            await ctx.run(Approval("gate"))
        except TaskFailed as error:
            play.see(error)
            return await ctx.run(task(play, "instead"))
        return Number(n=0)

    play.run(flow)
    voice.deny(note="no")
    assert play.resume(flow).status == "finished"
    assert "denied by ann: no" in str(play.seen[0])


def test_a_script_gathers_several_waits(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Word:
        gate, answer, payload = await ctx.gather(
            Approval("gate"), HumanTask("ask", str, prompt="?"), WaitForEvent("ping", Number)
        )
        return Word(text=f"{gate.approved} {answer} {payload.n}")

    play.run(flow)
    assert voice.open() == ["ask", "gate", "ping"]
    voice.answer("x")
    assert play.resume(flow).status == "waiting"
    voice.signal("ping", {"n": 3})
    voice.approve()
    assert play.resume(flow).output == Word(text="True x 3")


def test_the_loser_of_a_race_is_withdrawn(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Word:
        won = await ctx.race(Approval("gate"), Timer("late", duration=0.1))
        play.see(won)
        await ctx.run(Approval("second"))
        return Word(text="done")

    assert play.run(flow).status == "waiting"
    assert voice.ended() == {"gate/0": "withdrawn", "late/0": "settled", "second/0": "open"}
    voice.approve()
    assert play.resume(flow).status == "finished"
    assert voice.ended()["gate/0"] == "withdrawn"
    assert "fired" in play.seen[0]


def test_the_winner_of_a_race_withdraws_the_timer(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Word:
        won = await ctx.race(Approval("gate"), Timer("late", duration="5h"))
        return Word(text=won.by)

    assert play.run(flow).status == "waiting"
    voice.approve()
    assert play.resume(flow).output == Word(text="ann")
    assert voice.ended() == {"gate/0": "settled", "late/0": "withdrawn"}


def test_a_gate_of_a_loop_in_a_script_is_its_own_on_each_pass(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Number:
        async for _ in ctx.loop("l", max_iterations=5):
            await ctx.run(task(play, "work"))
            if (await ctx.run(Approval("gate", on_deny="continue"))).approved:
                break
        return Number(n=play.calls["work"])

    assert play.run(flow).status == "waiting"
    voice.deny()
    assert play.resume(flow).status == "waiting"
    assert voice.open() == ["gate[1]"]
    voice.approve()
    assert play.resume(flow).output == Number(n=2)


def test_a_script_that_is_on_its_way_to_its_gate_keeps_it_open(play: Play, voice: Voice) -> None:
    """Nothing durable keeps it busy before: who answers meanwhile is not told that nobody waits."""
    gone = threading.Event()

    async def flow(ctx: Context[Any]) -> Number:
        if play.calls["resumed"]:
            await asyncio.to_thread(gone.wait)
        await ctx.run(Approval("gate"))
        return await ctx.run(task(play, "b"))

    assert play.run(flow).status == "waiting"
    play.call("resumed")
    host = host_for(play.store)
    with play.reader() as reader:
        claim = host.claim(reader.run("r"))
    handle = Workflow(flow).resume(host, claim)
    until(lambda: len(play.frames()) > 1)
    assert voice.open() == ["gate"]
    voice.approve()
    gone.set()
    assert handle.ended.result(10).state.word == "finished"
    assert len(voice.waits()) == 1


def test_what_a_script_does_not_come_to_any_more_is_withdrawn(play: Play, voice: Voice) -> None:
    async def before(ctx: Context[Any]) -> Number:
        await ctx.run(Approval("old"))
        return Number(n=1)

    async def after(ctx: Context[Any]) -> Number:
        await ctx.run(Approval("new"))
        return Number(n=2)

    assert play.run(before).status == "waiting"
    assert play.resume(after).status == "waiting"
    assert voice.open() == ["new"]


def test_a_script_works_until_it_is_told_to_stop(play: Play, voice: Voice) -> None:
    async def flow(ctx: Context[Any]) -> Number:
        async def work() -> None:
            async for _ in ctx.loop("l", max_iterations=None):
                if ctx.output_maybe(stop) is not None:
                    break
                await ctx.run(task(play, "work"))

        stop = Signal("stop")
        await asyncio.gather(work(), ctx.run(stop))
        return Number(n=1)

    handle = voice.start(flow)
    until(lambda: play.calls["work"] > 2)
    voice.signal("stop")
    assert handle.ended.result(10).state.word == "finished"


# --- Runs within runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [False, True])
def test_a_gate_of_a_run_within_a_run_is_answered_by_the_one_that_is_known(
    play: Play, voice: Voice, inline: bool
) -> None:
    @workflow(output=Number)
    def inner(ctx: Context[Any]) -> Node:
        gate = Approval("gate")
        return Sequence(task(play, "a"), gate, task(play, "b"))

    def flow(ctx: Context[Any]) -> Node:
        part = Subflow("part", inner, input={}, **({"mode": "inline"} if inline else {}))
        return Sequence(part, task(play, "last"))

    assert play.run(flow).status == "waiting"
    (name,) = voice.open()
    voice.approve(name)
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1, "last": 1}


def test_waits_of_several_runs_within_a_run_are_open_at_once(play: Play, voice: Voice) -> None:
    @workflow(output=Number)
    def inner(ctx: Context[Any]) -> Node:
        return Sequence(Approval("gate"), task(play, "b"))

    def flow(ctx: Context[Any]) -> Node:
        parts = [Subflow(f"p{n}", inner, input={}) for n in range(3)]
        return Parallel(*parts, Approval("own"))

    assert play.run(flow).status == "waiting"
    assert voice.open() == ["gate", "gate", "gate", "own"]
    voice.approve("own")
    with voice.desk() as (reader, outsider, run):
        for view in open_below(reader, run):
            outsider.vote(decision(view, is_approved=True, by="ann", now_ms=0))
    assert play.resume(flow).status == "finished"
    assert play.calls["b"] == 3


def test_a_signal_to_a_run_reaches_the_runs_within_it_that_wait_for_it(play: Play, voice: Voice) -> None:
    @workflow(output=Number)
    def inner(ctx: Context[Any]) -> Node:
        return WaitForEvent("ping", Number)

    def flow(ctx: Context[Any]) -> Node:
        return Subflow("part", inner, input={})

    handle = voice.start(flow)
    voice.await_open("ping")
    voice.signal("ping", {"n": 4})
    end = handle.ended.result(10)
    assert (end.state.word, end.output) == ("finished", '{"n":4}')


def test_a_denial_within_a_run_fails_what_is_around_it_and_a_resume_asks_again(
    play: Play, voice: Voice
) -> None:
    @workflow(output=Number)
    def inner(ctx: Context[Any]) -> Node:
        return Sequence(Approval("gate"), task(play, "b"))

    def flow(ctx: Context[Any]) -> Node:
        return Subflow("part", inner, input={}, retries=0)

    assert play.run(flow).status == "waiting"
    voice.deny()
    assert play.resume(flow).status == "failed"
    assert play.resume(flow).status == "waiting"
    voice.approve()
    assert play.resume(flow).status == "finished"


def test_a_task_of_a_loop_that_needs_approval_is_asked_for_on_each_pass(play: Play, voice: Voice) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Loop(Sequence(task(play, "a", needs_approval=True)), id="l", max_iterations=2)

    assert play.run(flow).status == "waiting"
    voice.approve()
    assert play.resume(flow).status == "waiting"
    voice.approve("a[1]")
    assert play.resume(flow).status == "finished"
    assert play.calls["a"] == 2


# --- Frames that come to nothing ----------------------------------------------------------------


@pytest.mark.parametrize("fails", [1, 2])
@pytest.mark.parametrize("stores", [0, 1])
def test_a_run_whose_frames_are_in_doubt_goes_on_by_what_was_decided(
    play: Play, voice: Voice, monkeypatch: pytest.MonkeyPatch, fails: int, stores: int
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(
            Parallel(Approval("gate", remind_every="1h"), WaitForEvent("ping", Number, correlation="c")),
            HumanTask("ask", str, prompt="?"),
            task(play, "b"),
        )

    commit, left = SqliteWriter.commit, [0]

    def doubtful(self: SqliteWriter, frames: Any) -> Any:
        found = commit(self, frames) if len(frames) % 2 == stores else None
        if left[0]:
            left[0] -= 1
            raise CommitUnknown("the answer was lost")
        return commit(self, frames) if found is None else found

    monkeypatch.setattr(SqliteWriter, "commit", doubtful)
    handle = voice.start(flow)
    voice.await_open("gate", "ping")
    left[0] = fails
    voice.approve()
    until(lambda: voice.open() == ["ping"])
    left[0] = fails
    voice.signal("ping", {"n": 1}, "c")
    voice.await_open("ask")
    left[0] = fails
    voice.answer("x")
    assert handle.ended.result(10).state.word == "finished"
    assert set(voice.ended().values()) == {"settled"}
    assert play.calls == {"b": 1}


def before_the_end_of_a_wait(monkeypatch: pytest.MonkeyPatch, say: Callable[[], object]) -> None:
    """Have somebody say something in the instant before the first frame that ends a wait is stored."""
    commit, said = SqliteWriter.commit, [False]

    def late(self: SqliteWriter, frames: Any) -> Any:
        if not said[0] and any(frame.wait_ends for frame in frames):
            said[0] = True
            say()
        return commit(self, frames)

    monkeypatch.setattr(SqliteWriter, "commit", late)


def test_a_decision_in_the_instant_of_the_deadline_wins_and_stands_alone(
    play: Play, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(Approval("gate", expires_in=0.1), task(play, "b"))

    before_the_end_of_a_wait(monkeypatch, lambda: voice.approve(note="just in time"))
    assert play.run(flow).status == "finished"
    (row,) = voice.waits()
    assert row.result is not None
    assert (row.result["by"], row.result["note"]) == ("ann", "just in time")
    assert play.calls == {"b": 1}


def test_a_decision_in_the_instant_the_run_fails_is_kept_for_the_resume(
    play: Play, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> Number:
        if play.call("bad") == 1:
            raise ValueError("no")
        return Number(n=1)

    def flow(ctx: Context[Any]) -> Node:
        return Parallel(Sequence(Approval("gate"), task(play, "b")), Task("bad", Number, run=work, retries=0))

    before_the_end_of_a_wait(monkeypatch, voice.approve)
    assert play.run(flow).status == "failed"
    assert voice.ended() == {"gate/0": "decided"}
    assert play.resume(flow).status == "finished"
    assert play.calls == {"bad": 2, "b": 1}


def test_a_signal_in_the_instant_of_the_deadline_wins(
    play: Play, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flow(ctx: Context[Any]) -> Node:
        return Sequence(
            WaitForEvent("ping", Number, timeout=0.1, on_timeout="skip"),
            WaitForEvent("again", Number, event="ping"),
        )

    before_the_end_of_a_wait(monkeypatch, lambda: voice.signal("ping", {"n": 1}))
    assert play.run(flow).status == "waiting"
    assert (play.states(), voice.open()) == ({"ping": "finished"}, ["again"])


def test_a_run_that_is_told_something_each_time_it_is_about_to_leave_reads_it_all(
    play: Play, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, gone = [f"g{n}" for n in range(9)], threading.Event()

    def work() -> Number:
        gone.wait(10)
        return Number(n=1)

    def flow(ctx: Context[Any]) -> Node:
        gates = Parallel(*(Approval(f"g{n}") for n in range(9)))
        return Parallel(Sequence(gates, task(play, "b")), Task("beside", Number, run=work))

    commit = SqliteWriter.commit

    def late(self: SqliteWriter, frames: Any) -> Any:
        if left and any(frame.run_change and frame.run_change.release for frame in frames):
            voice.approve(left.pop())
        return commit(self, frames)

    handle = Workflow(flow).start(host_for(play.store), run_id="r")
    voice.await_open(*left)
    monkeypatch.setattr(SqliteWriter, "commit", late)
    gone.set()
    assert handle.ended.result(10).state.word == "finished"
    assert (play.calls, left) == ({"b": 1}, [])
