"""Workflows that are scripts: what an await gives, in what order, and what a resume does again."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any

import pytest

from smithers import (
    AgentRequest,
    Cache,
    Context,
    ContinueAsNew,
    Loop,
    Parallel,
    Sequence,
    SmithersError,
    Subflow,
    Task,
    TaskFailed,
    TryCatchFinally,
    Workflow,
)
from smithers.engine.hosts import host_for
from smithers.engine.verdict import Wish
from smithers.errors import RunSuspended
from smithers.ids import NodeKey
from smithers.plan import ScopePlan
from smithers.records import EventType, FrameWrite, InboxKind, RunFilter, RunState
from tests.unit.engine.play import Number, Play, Word, until


class Works:
    """Makes tasks that count their calls; some fail, some only for the first so many calls."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.failing: dict[str, int] = {}

    def __call__(self, name: str, n: int | None = None, **options: Any) -> Task[Number]:
        def run() -> Number:
            count = self.play.call(name)
            self.play.see(name)
            if count <= self.failing.get(name, 0):
                raise ValueError(f"{name} does not work")
            return Number(n=count if n is None else n)

        options.setdefault("no_retry", True)
        return Task(name, Number, run=run, **options)


@pytest.fixture
def work(play: Play) -> Works:
    return Works(play)


ALWAYS = 1_000


async def begun(play: Play) -> None:
    """Wait until `slow` has begun."""
    await asyncio.to_thread(until, lambda: play.calls["slow"] > 0)


# --- What an await gives ------------------------------------------------------------------------


def test_an_await_gives_the_tasks_output_and_the_script_returns_the_runs(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> Number:
        a = await ctx.run(work("a", 2))
        b = await ctx.run(work("b", a.n * 3))
        return Number(n=a.n + b.n)

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", Number(n=8))
    assert play.seen == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "given"),
    [(None, None), ("text", "text"), ([1, 2], [1, 2]), ({"a": 1}, {"a": 1}), (3, 3), (Number(n=1), {"n": 1})],
)
def test_a_script_may_return_any_json(play: Play, value: object, given: object) -> None:
    async def flow(ctx: Context):  # type: ignore[no-untyped-def]
        return value

    assert play.run(flow).output == given
    assert play.resume(flow).output == given


def test_a_value_that_does_not_fit_the_annotation_fails_the_run(play: Play) -> None:
    async def flow(ctx: Context) -> Number:
        return {"n": "many"}  # type: ignore[return-value]

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "INVALID_OUTPUT"


def test_gather_gives_outputs_in_the_order_of_its_nodes(play: Play) -> None:
    first_may_end = asyncio.Event

    async def flow(ctx: Context) -> list[int]:
        gate = first_may_end()

        async def slow() -> Number:
            await gate.wait()
            return Number(n=1)

        async def quick() -> Number:
            gate.set()
            return Number(n=2)

        a, b = await ctx.gather(Task("slow", run=slow), Task("quick", run=quick))
        more = await ctx.gather(Task(f"t:{n}", Number, value={"n": n}) for n in range(3))
        return [a.n, b.n, *(one.n for one in more), len(await ctx.gather())]

    assert play.run(flow).output == [1, 2, 0, 1, 2, 0]


def test_gather_raises_the_first_failure_after_all_have_settled(play: Play, work: Works) -> None:
    work.failing = {"a": ALWAYS, "c": ALWAYS}

    async def flow(ctx: Context) -> str:
        try:
            await ctx.gather(work("a"), work("b"), work("c"))
        except TaskFailed as error:
            assert ctx.status("b") == "finished"
            return f"{error.node}: {error.failure['message']}"
        return "no failure"

    result = play.run(flow, max_concurrency=1)
    assert (result.status, result.output) == ("finished", "a: a does not work")


def test_gather_can_return_failures(play: Play, work: Works) -> None:
    work.failing = {"b": ALWAYS}

    async def flow(ctx: Context) -> list[str]:
        found = await ctx.gather([work("a", 1), work("b"), work("c", 3)], return_failures=True)
        return [str(one.node if isinstance(one, TaskFailed) else one.n) for one in found]

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", ["1", "b", "3"])


def test_a_tolerated_failure_gives_none_and_the_run_ends_partial(play: Play, work: Works) -> None:
    work.failing = {"a": ALWAYS}

    async def flow(ctx: Context) -> str:
        found = await ctx.run(work("a", continue_on_fail=True))
        return "nothing" if found is None else "something"

    result = play.run(flow)
    assert (result.status, result.output) == ("partial", "nothing")


def test_a_skipped_task_gives_none(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> str:
        return str(await ctx.run(work("a", skip_if=True)))

    assert play.run(flow).output == "None"
    assert play.calls == {}


def test_a_task_whose_need_has_failed_is_a_failure_too(play: Play, work: Works) -> None:
    work.failing = {"a": ALWAYS}

    async def flow(ctx: Context) -> str:
        a = work("a")
        found = await ctx.gather(a, Task("b", Number, run=lambda n: n, deps=a), return_failures=True)
        return ", ".join(str(one) for one in found)

    result = play.run(flow)
    assert result.output is not None
    assert "b failed: upstream failed: a" in result.output


def test_map_runs_so_many_at_once(play: Play) -> None:
    now, most = 0, 0

    async def flow(ctx: Context) -> list[int]:
        async def one() -> Number:
            nonlocal now, most
            now += 1
            most = max(most, now)
            for _ in range(5):
                await asyncio.sleep(0)
            now -= 1
            return Number(n=1)

        found = await ctx.map(lambda n: Task(f"t:{n}", run=one), range(9), max_concurrency=2)
        return [one.n for one in found]

    assert play.run(flow).output == [1] * 9
    assert most == 2


def test_a_race_gives_the_first_that_finishes_and_cancels_the_others(play: Play, work: Works) -> None:
    work.failing = {"fails": ALWAYS}

    async def flow(ctx: Context) -> int:
        async def forever() -> Number:
            await asyncio.Event().wait()
            return Number(n=0)

        return (await ctx.race(work("fails"), Task("slow", run=forever), work("quick", 7))).n

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", 7)
    assert play.states()["slow"] == "cancelled"


def test_a_race_that_all_lose_raises_the_first_failure(play: Play, work: Works) -> None:
    work.failing = {"a": ALWAYS, "b": ALWAYS}

    async def flow(ctx: Context) -> str:
        try:
            await ctx.race([work("a"), work("b")])
        except TaskFailed as error:
            return error.node
        return ""

    assert play.run(flow, max_concurrency=1).output == "a"


def test_a_race_that_all_lose_raises_what_failed_first_wherever_it_stands(play: Play, work: Works) -> None:
    work.failing = {"b": ALWAYS}

    def fails_later() -> Number:
        until(lambda: play.states().get("b") == "failed")
        raise ValueError("it does not work either")

    async def flow(ctx: Context) -> str:
        try:
            await ctx.race(Task("a", run=fails_later, retries=0), work("b"))
        except TaskFailed as error:
            return error.node
        return ""

    assert play.run(flow).output == "b"


def test_a_script_runs_trees(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> int:
        d = work("d")
        await ctx.run(Sequence(work("a"), Parallel(work("b"), work("c")), Loop(d, max_iterations=3)))
        return ctx.output(d).n

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", 3)
    assert play.seen[0] == "a"
    assert play.seen[-3:] == ["d", "d", "d"]


def test_a_failure_in_a_tree_is_raised_with_the_task_that_failed(play: Play, work: Works) -> None:
    work.failing = {"b": ALWAYS}

    async def flow(ctx: Context) -> str:
        try:
            await ctx.run(Sequence(work("a"), work("b"), work("c")))
        except TaskFailed as error:
            return error.node
        return ""

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", "b")
    assert play.states()["c"] == "skipped"


def test_a_block_in_a_script_handles_its_own_failures(play: Play, work: Works) -> None:
    work.failing = {"b": ALWAYS}

    async def flow(ctx: Context) -> None:
        await ctx.run(TryCatchFinally(work("b"), catch=work("c"), finally_=work("f")))

    assert play.run(flow).status == "finished"
    assert play.seen == ["b", "c", "f"]


def test_the_same_node_may_be_awaited_again(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> list[int]:
        a = work("a")
        one, two = await asyncio.gather(ctx.run(a), ctx.run(a))
        return [one.n, two.n, (await ctx.run(a)).n]

    assert play.run(flow).output == [1, 1, 1]


def test_once_now_and_random_are_the_same_after_a_resume(play: Play, work: Works) -> None:
    work.failing = {"last": 1}
    seen: list[Any] = []

    async def flow(ctx: Context) -> None:
        async def made() -> list[int]:
            return [play.call("made")]

        seen.append((await ctx.now(), await ctx.now(), await ctx.random(), await ctx.once("o", made)))
        await ctx.run(work("last"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert seen[0] == seen[1]
    assert seen[0][0].tzinfo is not None
    assert 0 <= seen[0][2] < 1
    assert seen[0][3] == (1,)
    assert play.calls["made"] == 1


@pytest.mark.parametrize("is_awaited", [False, True])
def test_what_is_made_once_may_block(play: Play, work: Works, is_awaited: bool) -> None:
    """On a thread, as every function: the rest of the script goes on meanwhile."""
    gate = threading.Event()

    async def later(value: bool) -> bool:
        return value

    def made() -> Any:
        opened = gate.wait(10)
        return later(opened) if is_awaited else opened

    async def flow(ctx: Context) -> bool:
        async def opens() -> None:
            await ctx.run(work("a"))
            gate.set()

        opened, _ = await asyncio.gather(ctx.once("o", made), opens())
        return opened

    assert play.run(flow).output is True


# --- Loops --------------------------------------------------------------------------------------


def test_a_loop_has_the_keys_of_the_tree_form(play: Play, work: Works) -> None:
    async def script(ctx: Context) -> None:
        async for _ in ctx.loop("outer", max_iterations=2):
            await ctx.run(work("a"))
            async for _ in ctx.loop("inner", max_iterations=2):
                await ctx.run(work("b"))
        await ctx.run(work("c"))

    def tree(ctx: Context) -> Any:
        inner = Loop(work("b"), id="inner", max_iterations=2)
        return Sequence(Loop(work("a"), inner, id="outer", max_iterations=2), work("c"))

    assert play.run(script, run_id="script").status == "finished"
    assert play.run(tree, run_id="tree").status == "finished"
    found = play.states("script")
    assert found.pop("script") == "finished"
    assert found == play.states("tree")
    assert play.events(EventType.LOOP_DONE, "script") == play.events(EventType.LOOP_DONE, "tree")


def test_break_ends_a_loop_and_what_follows_stands_behind_it(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> list[int]:
        passes = []
        async for i in ctx.loop("refine"):
            passes.append((await ctx.run(work("a"))).n + i * 10)
            if i == 1:
                break
        await ctx.run(work("b"))
        return passes

    assert play.run(flow).output == [1, 12]
    assert set(play.states()) == {"a", "a[1]", "b", "script"}


def test_a_loop_that_an_error_leaves_is_left(play: Play, work: Works) -> None:
    work.failing = {"a": ALWAYS}

    async def flow(ctx: Context) -> None:
        try:
            async for _ in ctx.loop("refine"):
                await ctx.run(work("a"))
        except TaskFailed:
            await ctx.run(work("b"))

    assert play.run(flow).status == "finished"
    assert set(play.states()) == {"a", "b", "script"}


def test_a_loop_can_fail_when_its_passes_are_used_up(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> str:
        try:
            async for _ in ctx.loop("refine", max_iterations=2, on_max_reached="fail"):
                await ctx.run(work("a"))
        except TaskFailed as error:
            return str(error.failure["code"])
        return ""

    assert play.run(flow).output == "LOOP_MAX_REACHED"
    assert play.calls["a"] == 2


def test_reads_in_a_pass_are_of_that_pass(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> list[Any]:
        found = []
        async for i in ctx.loop("refine", max_iterations=2):
            before = ctx.output_maybe(Number, "a")
            await ctx.run(work("a"))
            after = ctx.output(Number, "a")
            found.append([i, ctx.iteration, before and before.n, after.n])
        return found

    assert play.run(flow).output == [[0, 0, None, 1], [1, 1, None, 2]]


# --- Order --------------------------------------------------------------------------------------


def test_a_resume_sees_results_in_the_order_in_which_they_came(play: Play, work: Works) -> None:
    """Coroutines of a script hear of stored results in their order, however many wait at once."""
    work.failing = {"last": 1}
    told: list[list[str]] = []

    async def flow(ctx: Context) -> None:
        heard: list[str] = []
        told.append(heard)
        gates = {name: asyncio.Event() for name in "abcd"}

        async def step(name: str, then: str | None) -> Number:
            await gates[name].wait()
            if then is not None:
                gates[then].set()
            return Number(n=1)

        async def branch(*names: tuple[str, str | None]) -> None:
            for name, then in names:
                await ctx.run(Task(name, Number, run=partial(step, name, then)))
                heard.append(name)
                # What a branch sees of the others is part of what must be the same.
                heard.append("".join(sorted(one for one in "abcd" if ctx.output_maybe(Number, one))))

        gates["c"].set()
        async with asyncio.TaskGroup() as group:
            group.create_task(branch(("a", "d"), ("b", None)))
            group.create_task(branch(("c", "a"), ("d", "b")))
        await ctx.run(work("last"))

    assert play.run(flow).status == "failed"
    assert sorted(told[0][::2]) == ["a", "b", "c", "d"]
    assert play.resume(flow).status == "finished"
    assert told[1] == told[0]


def test_a_foreign_await_keeps_the_run_going(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> int:
        await asyncio.sleep(0.05)
        await ctx.run(work("a"))
        await asyncio.to_thread(lambda: None)
        return (await ctx.run(work("b"))).n

    assert play.run(flow).output == 1


# --- Resume -------------------------------------------------------------------------------------


def test_a_resume_runs_only_what_has_not_finished(play: Play, work: Works) -> None:
    work.failing = {"b": 1}

    async def flow(ctx: Context) -> int:
        play.see("from the top")
        a = await ctx.run(work("a"))
        b = await ctx.run(work("b"))
        return a.n + b.n

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "TASK_FAILED"
    assert result.error["details"]["node"] == "b"
    assert play.resume(flow).output == 3
    assert play.calls == {"a": 1, "b": 2}
    assert play.seen == ["from the top", "a", "b", "from the top", "b"]
    assert play.resume(flow).output == 3
    assert play.seen.count("from the top") == 2


def test_a_failure_that_the_script_handled_is_raised_again_and_not_tried_again(
    play: Play, work: Works
) -> None:
    work.failing = {"a": ALWAYS, "c": 1}

    async def flow(ctx: Context) -> str:
        try:
            await ctx.run(work("a"))
        except TaskFailed:
            await ctx.run(work("b"))
        await ctx.run(work("c"))
        return "done"

    assert play.run(flow).status == "failed"
    assert play.resume(flow).output == "done"
    assert play.calls == {"a": 1, "b": 1, "c": 2}


def test_all_that_failed_in_a_gather_nobody_handled_is_tried_again(play: Play, work: Works) -> None:
    work.failing = {"t:4": 1, "t:57": 1}

    async def flow(ctx: Context) -> int:
        return len(await ctx.map(lambda n: work(f"t:{n}"), range(102)))

    assert play.run(flow).status == "failed"
    assert len(play.seen) == 102
    play.seen.clear()
    assert play.resume(flow).output == 102
    assert sorted(play.seen) == ["t:4", "t:57"]


def test_an_error_of_the_scripts_own_tries_again_what_it_came_from(play: Play, work: Works) -> None:
    work.failing = {"a": 1}

    async def flow(ctx: Context) -> None:
        try:
            await ctx.run(work("a"))
        except TaskFailed as error:
            raise RuntimeError("no luck") from error

    result = play.run(flow)
    assert result.error is not None
    assert result.error["code"] == "SCRIPT_FAILED"
    assert "raised RuntimeError: no luck" in result.error["message"]
    assert result.error["place"].startswith(__file__)
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 2}


def test_a_resume_tries_again_what_was_tolerated(play: Play, work: Works) -> None:
    work.failing = {"a": 1}

    async def flow(ctx: Context) -> str:
        return str(await ctx.run(work("a", continue_on_fail=True)))

    assert play.run(flow).output == "None"
    assert play.resume(flow).output == "n=2"


def test_a_tree_that_failed_unhandled_is_gone_on_with(play: Play, work: Works) -> None:
    work.failing = {"b": 1}

    async def flow(ctx: Context) -> None:
        await ctx.run(Sequence(work("a"), work("b"), work("c")))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}


def test_a_tree_whose_failure_was_handled_is_not_gone_on_with(play: Play, work: Works) -> None:
    work.failing = {"b": ALWAYS, "last": 1}

    async def flow(ctx: Context) -> None:
        try:
            await ctx.run(Sequence(work("a"), work("b"), work("c")))
        except TaskFailed:
            pass
        await ctx.run(work("last"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1, "last": 2}


def test_the_winner_of_a_race_stays_the_winner(play: Play, work: Works) -> None:
    work.failing = {"last": 1}

    async def flow(ctx: Context) -> int:
        async def forever() -> Number:
            play.call("slow")
            await asyncio.Event().wait()
            return Number(n=0)

        won = await ctx.race(Task("slow", run=forever), work("quick", 7))
        await ctx.run(work("last"))
        return won.n

    assert play.run(flow).status == "failed"
    assert play.resume(flow).output == 7
    assert play.calls["slow"] == 1
    assert play.calls["quick"] == 1


def test_loops_are_gone_through_again_without_running_anything(play: Play, work: Works) -> None:
    work.failing = {"b": 3}

    async def flow(ctx: Context) -> list[int]:
        found = [(await ctx.run(work("a"))).n async for _ in ctx.loop("refine", max_iterations=4)]
        await ctx.run(work("b"))
        return found

    for _ in range(3):
        assert play.run(flow, resume=play.calls["a"] > 0).status == "failed"
    assert play.resume(flow).output == [1, 2, 3, 4]
    assert play.calls == {"a": 4, "b": 4}
    assert play.events(EventType.LOOP_DONE) == ["refine"]


def test_an_edit_may_add_a_call_to_passes_that_are_over(play: Play, work: Works) -> None:
    work.failing = {"last": 1}

    def made(*names: str) -> Callable[[Context], Any]:
        async def flow(ctx: Context) -> None:
            async for _ in ctx.loop("refine", max_iterations=2):
                for name in names:
                    await ctx.run(work(name))
            await ctx.run(work("last"))

        return flow

    assert play.run(made("a")).status == "failed"
    assert play.resume(made("a", "new")).status == "finished"
    assert play.calls == {"a": 2, "new": 2, "last": 2}


# --- Cleanup ------------------------------------------------------------------------------------


def test_finally_runs_however_its_block_is_left(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> None:
        async with ctx.finally_(work("f1")):
            await ctx.run(work("a"))
        try:
            async with ctx.finally_(work("f2")):
                raise RuntimeError
        except RuntimeError:
            await ctx.run(work("b"))

    assert play.run(flow).status == "finished"
    assert play.seen == ["a", "f1", "f2", "b"]


def test_finally_runs_once_over_resumes(play: Play, work: Works) -> None:
    work.failing = {"last": 2}

    async def flow(ctx: Context) -> None:
        async with ctx.finally_(work("f")):
            await ctx.run(work("a"))
        await ctx.run(work("last"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "f": 1, "last": 3}


def test_a_loop_in_a_block_that_is_over_is_gone_through_again(play: Play, work: Works) -> None:
    work.failing = {"last": 1}

    async def flow(ctx: Context) -> None:
        async with ctx.finally_(work("f")):
            async for _ in ctx.loop("again", max_iterations=2):
                await ctx.run(work("a"))
        await ctx.run(work("last"))

    assert play.run(flow).status == "failed"
    told = play.events(EventType.BLOCK_MOVED), play.events(EventType.BLOCK_ENDED)
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 2, "f": 1, "last": 2}
    assert (play.events(EventType.BLOCK_MOVED), play.events(EventType.BLOCK_ENDED)) == told


def test_a_last_part_that_failed_unhandled_is_tried_again(play: Play, work: Works) -> None:
    work.failing = {"f": 1}

    async def flow(ctx: Context) -> None:
        async with ctx.finally_(work("f")):
            await ctx.run(work("a"))

    assert play.run(flow).status == "failed"
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "f": 2}


def test_a_cancel_runs_the_last_parts_of_a_script(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> None:
        async def forever() -> Number:
            play.call("slow")
            await asyncio.Event().wait()
            return Number(n=0)

        async with ctx.finally_(work("f")):
            await ctx.run(Task("slow", run=forever))
        await ctx.run(work("never"))

    host = host_for(play.store)
    handle = Workflow(flow).start(host, run_id="r")
    until(lambda: play.calls["slow"] > 0)
    with play.reader() as reader:
        number = reader.run("r").id
    with closing(host.store.outsider()) as outsider:
        outsider.post(number, InboxKind.CANCEL, "somebody")
    assert handle.ended.result(10).state is RunState.CANCELLED
    assert play.calls == {"slow": 1, "f": 1}


def test_a_last_part_that_fails_is_raised(play: Play, work: Works) -> None:
    work.failing = {"f": ALWAYS}

    async def flow(ctx: Context) -> str:
        try:
            async with ctx.finally_(work("f")):
                await ctx.run(work("a"))
        except TaskFailed as error:
            return error.node
        return ""

    assert play.run(flow).output == "f"


# --- Cancelling ---------------------------------------------------------------------------------


def test_an_await_that_the_script_cancels_cancels_its_node(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> str:
        async def forever() -> Number:
            play.call("slow")
            await asyncio.Event().wait()
            return Number(n=0)

        task = asyncio.ensure_future(ctx.run(Task("slow", run=forever)))
        await begun(play)
        task.cancel()
        await ctx.run(work("a"))
        return "gone on"

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", "gone on")
    assert play.states()["slow"] == "cancelled"


def test_a_node_that_another_await_holds_is_not_cancelled(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> int:
        gate = asyncio.Event()

        async def slow() -> Number:
            await gate.wait()
            return Number(n=5)

        node = Task("slow", run=slow)
        dropped, held = asyncio.ensure_future(ctx.run(node)), asyncio.ensure_future(ctx.run(node))
        await ctx.run(work("a"))
        dropped.cancel()
        await ctx.run(work("b"))
        gate.set()
        return (await held).n

    assert play.run(flow).output == 5


def test_a_time_limit_of_asyncio_works(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> str:
        async def forever() -> Number:
            await asyncio.Event().wait()
            return Number(n=0)

        try:
            await asyncio.wait_for(ctx.run(Task("slow", run=forever)), 0.05)
        except TimeoutError:
            await ctx.run(work("a"))
            return "too late"
        return ""

    assert play.run(flow).output == "too late"


def test_what_a_script_leaves_behind_is_cancelled(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> str:
        async def forever() -> Number:
            play.call("slow")
            await asyncio.Event().wait()
            return Number(n=0)

        left = asyncio.ensure_future(ctx.run(Task("slow", run=forever)))
        await begun(play)
        return f"done: {left.done()}"

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", "done: False")
    assert play.states()["slow"] == "cancelled"


def leaver(play: Play, *, ends_in_s: float, is_subflow: bool = False) -> Callable[[Context], Awaitable[str]]:
    """A script that returns while something of it runs, which takes its time to end."""

    def child(ctx: Context) -> Task[Number]:
        async def forever() -> Number:
            play.call("slow")
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(ends_in_s)
            return Number(n=0)

        return Task("slow", run=forever)

    async def flow(ctx: Context) -> str:
        play.call("script")
        left = Subflow("sub", Workflow(child), Number) if is_subflow else child(ctx)
        asyncio.ensure_future(ctx.run(left))  # noqa: RUF006 - users forget it too
        await begun(play)
        return "done"

    return flow


@pytest.mark.parametrize("is_subflow", [False, True])
@pytest.mark.parametrize("frames", range(1, 6))
def test_wherever_its_owner_dies_a_script_that_has_returned_does_not_run_again(
    play: Play, frames: int, is_subflow: bool
) -> None:
    flow = leaver(play, ends_in_s=0.05, is_subflow=is_subflow)
    stored = 0

    def die(_: FrameWrite) -> None:
        nonlocal stored
        stored += 1
        if stored == frames:
            raise RuntimeError("the end of this owner")

    handle = Workflow(flow).start(host_for(play.store), run_id="r", watch=die)
    with suppress(RuntimeError, SmithersError):
        handle.ended.result(10)
    play.close()
    before = play.calls["script"]
    has_returned = play.states().get("script") == "finished"
    result = play.resume(flow)
    assert (result.status, result.output) == ("finished", "done")
    assert play.calls["script"] == before + (not has_returned)
    with play.reader() as reader:
        assert all(row.state.has_ended for row in reader.runs(RunFilter()))


def test_a_pause_after_a_script_has_returned_does_not_run_it_again(play: Play) -> None:
    flow = leaver(play, ends_in_s=0.3)
    handle = Workflow(flow).start(host_for(play.store), run_id="r")
    handle.started.result(10)
    until(lambda: play.states().get("script") == "finished")
    handle.pause()
    assert handle.ended.result(10).state is RunState.PAUSED
    assert play.resume(flow).output == "done"
    assert play.calls == {"script": 1, "slow": 1}


def test_a_paused_script_is_closed_and_goes_on_where_it_was(play: Play, work: Works) -> None:
    closed: list[str] = []

    async def flow(ctx: Context) -> int:
        a = await ctx.run(work("a"))
        try:
            b = await ctx.run(slow)
        except RunSuspended:
            for _ in range(2):
                try:
                    await ctx.run(work("never"))
                except RunSuspended:
                    closed.append("again")
            raise
        return a.n + b.n

    async def wait() -> Number:
        if play.call("slow") == 1:
            await asyncio.Event().wait()
        return Number(n=10)

    slow = Task("slow", run=wait)
    made = Workflow(flow)

    async def drive() -> str:
        running = asyncio.ensure_future(made.run(run_id="r", store=play.store))
        await begun(play)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.to_thread(until, lambda: closed == ["again", "again"])
        return (await made.run(run_id="r", resume=True, store=play.store)).status

    assert asyncio.run(drive()) == "finished"
    assert play.calls == {"a": 1, "slow": 2}


def test_all_that_a_paused_script_began_is_closed(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """Also what waits for something of its own; cleaning up after a call may wait as well."""
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("background")
            raise

    async def flow(ctx: Context) -> None:
        asyncio.ensure_future(background())  # noqa: RUF006 - users forget it too
        asyncio.ensure_future(ctx.run(Task("slow", run=wait)))  # noqa: RUF006 - users forget it too
        try:
            await ctx.run(Task("slower", run=wait))
        finally:
            await asyncio.sleep(0.05)
            ended.append("script")

    async def wait() -> Number:
        play.call("slow")
        await asyncio.Event().wait()
        return Number(n=0)

    handle = Workflow(flow).start(host_for(play.store), run_id="r")
    until(lambda: play.calls["slow"] == 2)
    handle.pause()
    assert handle.ended.result(10).state is RunState.PAUSED
    until(lambda: len(ended) == 2)
    assert ended == ["background", "script"]
    gc.collect()
    assert not caplog.records


# --- Bad input ----------------------------------------------------------------------------------


def test_an_id_awaited_twice_for_different_work_is_refused_with_both_lines(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> None:
        await ctx.run(work("a"))
        await ctx.run(work("a"))

    result = play.run(flow)
    assert result.error is not None
    assert result.error["code"] == "DUPLICATE_ID"
    assert len(result.error["details"]["places"]) == 2


def test_an_id_within_a_tree_that_stands_already_is_refused_and_harms_nothing(
    play: Play, work: Works
) -> None:
    async def flow(ctx: Context) -> str:
        await ctx.run(work("a"))
        try:
            await ctx.run(Sequence(work("b"), Sequence(work("a"))))
        except SmithersError as error:
            await ctx.run(work("c"))
            return type(error).__name__
        return ""

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", "DuplicateId")
    assert play.calls == {"a": 1, "c": 1}


def test_what_is_no_node_is_refused(play: Play) -> None:
    async def flow(ctx: Context) -> None:
        await ctx.gather([Task("a", str, value="x"), "b"])  # type: ignore[arg-type]

    result = play.run(flow)
    assert result.error is not None
    assert "takes nodes" in result.error["message"]


def test_a_call_outside_a_script_is_refused(play: Play) -> None:
    def flow(ctx: Context) -> Any:
        async def body() -> Number:
            await ctx.run(Task("b", str, value="x"))
            return Number(n=1)

        return Task("a", run=body, no_retry=True)

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert "outside a script" in result.error["message"]


def test_a_task_that_waits_for_what_nobody_mounts_is_a_deadlock(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> None:
        await ctx.run(work("a", depends_on="nobody"))

    result = play.run(flow)
    assert result.error is not None
    assert result.error["code"] == "DEPENDENCY_DEADLOCK"
    assert "nobody" in result.error["message"]


def test_a_script_that_leaves_the_interpreter_fails_its_run_alone(play: Play) -> None:
    async def flow(ctx: Context) -> None:
        raise SystemExit(3)

    result = play.run(flow)
    assert result.error is not None
    assert "raised SystemExit: 3" in result.error["message"]


def test_a_script_that_blocks_its_loop_is_named(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def flow(ctx: Context) -> None:
        end = time.monotonic() + 10
        while "blocked the event loop" not in caplog.text and time.monotonic() < end:
            time.sleep(0.05)  # noqa: ASYNC251 - what it must not do

    assert play.run(flow).status == "finished"
    assert f"the script of flow ({__file__}" in caplog.text


def test_what_a_script_raised_is_told_with_its_line(play: Play) -> None:
    async def flow(ctx: Context) -> None:
        raise KeyError("lost")

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["details"]["raised"] == "KeyError"


def test_a_script_that_returns_a_node_is_told_to_await_it(play: Play) -> None:
    async def flow(ctx: Context) -> Any:
        return Task("a", str, value="x")

    result = play.run(flow)
    assert result.error is not None
    assert "await ctx.run" in result.error["hint"]


# --- Edit and resume ----------------------------------------------------------------------------


asked: list[str] = []
"""What the agent below was asked for."""


def answer(request: AgentRequest) -> dict[str, str]:
    asked.append(request.task.node)
    return {"text": f"{request.task.node} of {request.prompt}"}


@pytest.fixture
def answers() -> Iterator[list[str]]:
    yield asked
    asked.clear()


def asks(**prompts: str) -> Callable[[Context], Any]:
    """A draft, two reviews of it, and a note that has nothing to do with it."""

    def ask(name: str, prompt: str) -> Task[Word]:
        return Task(name, Word, agent=answer, prompt=prompts.get(name, prompt))

    async def flow(ctx: Context) -> str:
        draft = await ctx.run(ask("draft", "write"))
        reviews = await ctx.gather(ask(f"review:{n}", f"{n}: {draft.text}") for n in range(2))
        note = await ctx.run(ask("note", "a note"))
        return " | ".join(one.text for one in (*reviews, note))

    return flow


FIRST = ["draft", "note", "review:0", "review:1"]


def test_an_edit_of_finished_work_changes_nothing_by_itself(play: Play, answers: list[str]) -> None:
    assert play.run(asks()).status == "finished"
    assert play.resume(asks(draft="write well")).status == "finished"
    assert sorted(answers) == FIRST


def test_rerun_executes_what_the_script_asks_otherwise_because_of_it(play: Play, answers: list[str]) -> None:
    assert play.run(asks()).status == "finished"
    answers.clear()
    result = play.resume(asks(draft="write well"), rerun=["changed"])
    assert sorted(answers) == ["draft", "review:0", "review:1"]
    assert result.output is not None
    assert result.output.startswith("review:0 of 0: draft of write well")


def test_rerun_of_what_gives_the_same_executes_nothing_behind_it(play: Play, answers: list[str]) -> None:
    assert play.run(asks()).status == "finished"
    assert play.resume(asks(), rerun=["draft"]).status == "finished"
    assert sorted(answers) == sorted([*FIRST, "draft"])


def test_a_rerun_that_died_half_way_is_gone_on_with(play: Play, answers: list[str]) -> None:
    """By a plain resume, which does not say again what was to be executed again."""
    assert play.run(asks()).status == "finished"
    answers.clear()
    host = host_for(play.store)
    edited = Workflow(asks(draft="write well"))
    with play.reader() as reader:
        row = reader.run("r")
    handle = None

    def pause(frame: FrameWrite) -> None:
        if handle is not None and any(end.key.node == "draft" for end in frame.settled):
            handle.pause()

    handle = edited.resume(host, host.claim(row), wish=Wish.of(["draft"]), watch=pause)
    assert handle.ended.result(10).state is RunState.PAUSED
    assert answers == ["draft"]
    result = play.resume(asks(draft="write well"))
    assert sorted(answers) == ["draft", "review:0", "review:1"]
    assert result.output is not None
    assert "review:1 of 1: draft of write well" in result.output
    assert play.resume(asks(draft="write it")).status == "finished"
    assert len(answers) == 3


def test_the_plan_of_a_script_says_what_is_known(play: Play, answers: list[str]) -> None:
    assert play.run(asks()).status == "finished"
    host = host_for(play.store)
    edited = Workflow(asks(**{"review:1": "another"}))
    with play.reader() as reader:
        row = reader.run("r")
    plan = edited.plan(host, row)
    assert {str(node.key): node.verdict for node in plan.nodes} == {
        "draft": "keep",
        "review:0": "keep",
        "review:1": "changed",
        "note": "keep",
    }
    assert [str(node.key) for node in edited.plan(host, row, Wish.of(["changed"])).of("run")] == ["review:1"]
    assert sorted(answers) == FIRST


def test_the_graph_of_a_script_is_what_it_awaits_first(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> None:
        await ctx.gather(work("a"), work("b"))
        await ctx.run(work("c"))

    plan = Workflow(flow).graph()
    assert isinstance(plan, ScopePlan)
    assert [one.id for one in plan.calls(NodeKey("script")).plans] == ["a", "b"]
    assert play.calls == {}


# --- Workflows within scripts, and scripts within workflows ---------------------------------------


def family(play: Play, work: Works) -> Workflow[Any, Any]:
    async def inner(ctx: Context) -> Number:
        a, b = await ctx.gather(work("a", 2), work("b", 3))
        return Number(n=a.n * b.n)

    return Workflow(inner)


def test_a_script_is_a_child_of_a_script(play: Play, work: Works) -> None:
    work.failing = {"b": 1}
    child = family(play, work)

    async def flow(ctx: Context) -> int:
        found = await ctx.run(Subflow("child", child))
        return found.n + 1

    assert play.run(flow).status == "failed"
    assert play.resume(flow).output == 7
    assert play.calls == {"a": 1, "b": 2}
    assert set(play.states("r.child")) == {"a", "b", "script"}


def test_a_tree_has_a_script_within_it(play: Play, work: Works) -> None:
    child = family(play, work)

    def flow(ctx: Context) -> Any:
        own = Subflow("child", child)
        return Sequence(own, Task("after", str, deps=own, value=lambda found: f"after {found.n}"))

    assert play.run(flow).output == "after 6"


def test_a_script_runs_an_inline_workflow(play: Play, work: Works) -> None:
    def below(ctx: Context) -> Any:
        return Sequence(work("a", 4), work("b", 5))

    async def flow(ctx: Context) -> int:
        own = Subflow("own", Workflow(below, output=Number), mode="inline")
        found = await ctx.run(own)
        assert ctx.output(own) == found
        return found.n

    assert play.run(flow).output == 5
    assert {"own/a", "own/b"} <= set(play.states())


def test_a_script_goes_on_as_a_new_run_with_what_it_carries(play: Play, work: Works) -> None:
    async def flow(ctx: Context) -> int:
        done = (ctx.state() or {"done": 0})["done"]
        await ctx.run(work("a"))
        try:
            if done < 2:
                await ctx.run(ContinueAsNew({"done": done + 1}))
        finally:
            play.call("closed")
        return int(done)

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", 2)
    assert result.run_id == "r-3"
    until(lambda: play.calls["closed"] == 3)  # each run's script ends with its run, not with the process
    assert play.calls["a"] == 3


def test_a_scripts_task_is_found_in_the_cache(play: Play, answers: list[str]) -> None:
    async def flow(ctx: Context) -> str:
        return (await ctx.run(Task("a", Word, agent=answer, prompt="x", cache=Cache()))).text

    assert play.run(flow).output == "a of x"
    assert play.run(flow, run_id="s").output == "a of x"
    assert answers == ["a"]
