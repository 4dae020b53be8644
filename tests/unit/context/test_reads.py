"""Reads in real runs: what a render, a callable and a later task see."""

from __future__ import annotations

import asyncio
import threading

import pytest

from smithers import Context, Loop, Node, Parallel, Sequence, Task
from tests.unit.engine.play import QUICK, Number, Play, Word, until


def counting(play: Play, name: str = "t") -> Task[Number]:
    return Task(name, Number, run=lambda: {"n": play.call(name)})


def test_a_callable_reads_the_output_of_its_own_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = counting(play)

        def read() -> Word:
            play.see((ctx.iteration, ctx.output(t).n))
            return Word(text="")

        return Loop(t, Task("read", Word, run=read), max_iterations=3)

    play.run(flow)
    assert play.seen == [(0, 1), (1, 2), (2, 3)]


def test_earlier_passes_are_read_by_latest(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = Task("t", Number, run=lambda: {"n": play.call("t")})

        def read() -> Word:
            now, last = ctx.output_maybe(t), ctx.latest(t)
            play.see((now.n if now else None, last.n if last else None))
            return Word(text="")

        return Loop(Task("read", Word, run=read), t, max_iterations=3)

    play.run(flow)
    assert play.seen == [(None, None), (None, 1), (None, 2)]


def test_after_the_loop_its_last_pass_is_read(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = counting(play)

        def read() -> Number:
            assert ctx.output(t) == ctx.output_maybe(t) == ctx.latest(t)
            return ctx.output(t)

        return Sequence(Loop(t, max_iterations=4), Task("read", Number, run=read))

    assert play.run(flow).output == {"n": 4}


def test_nested_loops_read_only_their_own_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = counting(play)

        def read() -> Word:
            last = ctx.latest(t)
            play.see((last.n if last else None, ctx.iteration_count(t)))
            return Word(text="")

        inner = Loop(Task("read", Word, run=read), t, max_iterations=2, id="inner")
        return Loop(inner, max_iterations=2, id="outer")

    play.run(flow)
    assert play.seen == [(None, 0), (1, 1), (None, 0), (3, 1)]


def test_the_outer_body_reads_the_last_inner_pass_of_its_own_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = counting(play)

        def read() -> Word:
            play.see(ctx.output(t).n)
            return Word(text="")

        inner = Loop(t, max_iterations=3, id="inner")
        return Loop(inner, Task("read", Word, run=read), max_iterations=2, id="outer")

    play.run(flow)
    assert play.seen == [3, 6]


def test_a_render_reads_the_pass_of_the_only_loop(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        now, last = ctx.output_maybe(Number, "t"), ctx.latest(Number, "t")
        play.see((ctx.iteration, now.n if now else None, last.n if last else None))
        return Loop(counting(play), until=False, max_iterations=2)

    play.run(flow)
    assert play.seen[0] == (0, None, None)
    assert (0, 1, 1) in play.seen, "the end of the first pass"
    assert (1, None, 1) in play.seen, "the beginning of the second"
    assert (1, 2, 2) in play.seen


def test_until_reads_the_pass_that_has_just_ended(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = counting(play)

        def done() -> bool:
            play.see((ctx.iteration, ctx.output(t).n))
            return False

        return Loop(t, until=done, max_iterations=3)

    play.run(flow)
    assert play.seen == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_attempt_reads_the_state_at_its_start_and_not_what_came_meanwhile(play: Play, kind: str) -> None:
    gate = threading.Event()

    def flow(ctx: Context) -> Node:
        def open_gate() -> Number:
            gate.set()
            return Number(n=5)

        other = Task("other", Number, run=open_gate)

        def read() -> Word:
            before = ctx.output_maybe(other)
            if kind == "sync":
                gate.wait(5)
                until(lambda: "other" in play.states())
            after = ctx.output_maybe(other)
            play.see((before, after, ctx.outputs(Number)))
            return Word(text="")

        async def read_later() -> Word:
            await asyncio.to_thread(gate.wait, 5)
            await asyncio.to_thread(until, lambda: "other" in play.states())
            return read()

        reader = Task("read", Word, run=read if kind == "sync" else read_later)
        return Parallel(reader, other)

    play.run(flow)
    assert play.seen == [(None, None, [])]


def test_a_later_attempt_reads_what_came_since_the_first(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        other = Task("other", Number, run=lambda: {"n": 5})

        def read() -> Word:
            play.see(ctx.output_maybe(other) is not None)
            if play.call("read") == 1:
                until(lambda: "other" in play.states())
                raise ValueError("again")
            return Word(text="")

        return Parallel(Task("read", Word, run=read, retry_policy=QUICK), other)

    play.run(flow)
    assert play.seen == [False, True]


def test_a_prompt_is_made_when_its_task_starts(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        t = counting(play)
        echo = Task("echo", str, agent=lambda prompt: prompt, prompt=lambda: f"now {ctx.output(t).n}")
        return Sequence(t, echo)

    assert play.run(flow).output == "now 1"


def test_a_prompt_written_in_the_render_is_of_the_frame_in_which_its_task_starts(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.output_maybe(Number, "t")
        text = f"then {found.n}" if found else "nothing yet"
        return Sequence(counting(play), Task("echo", str, agent=lambda prompt: prompt, prompt=text))

    assert play.run(flow).output == "then 1"


def test_outputs_of_a_model_come_from_all_tasks_and_passes_in_order(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        last = Task("last", str, run=lambda: str([found.n for found in ctx.outputs(Number)]))
        return Sequence(Loop(counting(play, "a"), max_iterations=3), counting(play, "b"), last)

    assert play.run(flow).output == "[1, 2, 3, 1]"


def test_a_failure_can_be_read(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def fail() -> Number:
            raise ValueError("the cupboard is bare")

        bad = Task("bad", Number, run=fail, continue_on_fail=True)

        def read() -> str:
            error = ctx.failure(bad)
            assert error is not None
            return f"{ctx.status(bad)}: {error['message']} {ctx.output(bad)}"

        return Sequence(bad, Task("read", str, run=read))

    assert play.run(flow).output == "failed: the cupboard is bare None"


def test_a_value_of_another_process_is_the_same_bytes(play: Play) -> None:
    """An output is read as it was stored, not as it was returned."""

    def flow(ctx: Context) -> Node:
        first = Task("first", Number, run=lambda: {"n": "7"})
        return Sequence(first, Task("read", str, deps=first, run=repr))

    assert play.run(flow).output == "Number(n=7)"


def test_input_cannot_be_spoiled_for_the_next_reader(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def spoil() -> str:
            with pytest.raises(AttributeError):
                ctx.input.who.append("bob")
            return str(list(ctx.input.who))

        return Task("a", str, run=spoil)

    assert play.run(flow, {"who": ["ann"]}).output == "['ann']"


def test_a_text_written_in_the_render_is_of_the_pass_in_which_its_task_starts(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.output_maybe(Number, "t")
        text = f"{ctx.iteration} {found.n if found else None}"

        def hear(prompt: str) -> str:
            play.see(prompt)
            return ""

        before = Task("before", str, agent=hear, prompt=text)
        return Loop(before, counting(play), until=lambda: False, max_iterations=3)

    play.run(flow)
    assert play.seen == ["0 None", "1 None", "2 None"]
