"""When a workflow is rendered, what a render reads, and what happens when it cannot be."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smithers import Branch, Context, Loop, Node, Parallel, Sequence, Task
from smithers.errors import MissingOutput, RenderFailed, SmithersError
from smithers.records import EventType, RunFilter
from tests.unit.engine.play import Number, Play, until


def number(name: str, n: int = 1, **options: Any) -> Task[Number]:
    return Task(name, Number, value={"n": n}, **options)


def work(name: str, n: int = 1, **options: Any) -> Task[Number]:
    """Not settled at once: it runs on a thread."""
    return Task(name, Number, run=lambda: {"n": n}, **options)


# --- How often ----------------------------------------------------------------------------------


def test_a_tree_that_reads_nothing_is_rendered_once(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("render")
        return Sequence(work(f"t{n}") for n in range(20))

    assert play.run(flow).status == "finished"
    assert play.calls["render"] == 1
    frames = play.frames()
    assert [frame.frame for frame in frames if frame.rendered] == [1]
    assert len(frames) >= 21, "each settlement is a frame all the same"


def test_a_tree_that_reads_one_task_is_rendered_when_that_one_has_settled(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("render")
        ctx.output_maybe(Number, "t5")
        return Sequence(work(f"t{n}") for n in range(10))

    play.run(flow)
    assert play.calls["render"] == 2


def test_a_tree_that_reads_a_model_is_rendered_for_each_of_its_outputs(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("render")
        ctx.outputs(Number)
        return Sequence([work(f"t{n}") for n in range(4)], Task("other", str, run=lambda: "x"))

    play.run(flow)
    assert play.calls["render"] == 5


def test_a_status_that_was_read_makes_a_render_stale_when_it_changes(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.see(ctx.status("a"))
        return Sequence(work("a"), work("b"))

    play.run(flow)
    assert play.seen[0] == "pending"
    assert play.seen[-1] == "finished"


def test_frames_count_from_1_without_gaps(play: Play) -> None:
    play.run(lambda ctx: Sequence(work("a"), work("b"), work("c")))
    frames = play.frames()
    assert [frame.frame for frame in frames] == list(range(1, len(frames) + 1))
    assert [frame.parent for frame in frames] == list(range(len(frames)))


def test_a_body_function_is_rendered_alone(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("tree")

        def body() -> list[Node]:
            play.call("body")
            return [work("b0"), work("b1")] if ctx.output_maybe(Number, "a") else []

        def other() -> list[Node]:
            play.call("other")
            return [work("o")]

        return Sequence(Parallel(other), work("a"), Parallel(body))

    assert play.run(flow).status == "finished"
    assert play.calls == {"tree": 1, "body": 1, "other": 1}
    assert play.states().keys() == {"a", "b0", "b1", "o"}


def test_a_body_whose_read_moved_is_rendered_again_and_nothing_else_is(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("tree")

        def body() -> list[Node]:
            play.call("body")
            return [work(f"b{n}") for n in range(ctx.iteration_count(Number, "a") + 1)]

        return Parallel(Sequence(work("a"), work("z")), Parallel(body))

    assert play.run(flow).status == "finished"
    assert play.calls == {"tree": 1, "body": 2}
    assert play.states().keys() == {"a", "z", "b0", "b1"}


def test_a_loops_body_is_rendered_once_a_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("tree")

        def body(i: Any) -> Node:
            play.see(i.index)
            return work(f"t{i.index}")

        return Loop(body, until=lambda: False, max_iterations=4, id="l")

    play.run(flow)
    assert play.seen == [0, 1, 2, 3]
    assert play.calls["tree"] == 1


def test_a_branch_is_decided_when_it_is_reached(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.call("tree")
        a = work("a", 7)
        return Sequence(a, Branch(lambda: ctx.output(a).n > 5, work("high"), work("low")))

    play.run(flow)
    assert play.states().keys() == {"a", "high"}
    assert play.calls["tree"] == 1


# --- Unmounting ---------------------------------------------------------------------------------


def test_what_is_not_rendered_is_not_in_the_plan(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = work("a")
        return Sequence(a, work("b") if ctx.output_maybe(a) is None else None, work("c"))

    result = play.run(flow)
    assert result.status == "finished"
    assert play.states().keys() == {"a", "c"}


def test_a_running_task_that_leaves_the_tree_goes_on_and_its_output_is_kept(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = work("a")

        def slow() -> Number:
            until(lambda: "a" in play.states())
            time.sleep(0.1)
            return Number(n=5)

        gone = ctx.output_maybe(a) is not None
        return Parallel(a, None if gone else Task("slow", Number, run=slow))

    assert play.run(flow).status == "finished"
    assert play.states() == {"a": "finished", "slow": "finished"}


def test_the_failure_of_a_task_that_left_the_tree_fails_nothing(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = work("a")

        def slow() -> Number:
            until(lambda: "a" in play.states())
            time.sleep(0.1)
            raise ValueError("no")

        gone = ctx.output_maybe(a) is not None
        return Parallel(a, None if gone else Task("slow", Number, run=slow, no_retry=True))

    assert play.run(flow).status == "finished"


# --- Shapes -------------------------------------------------------------------------------------


def test_a_workflow_may_return_a_list_a_generator_or_nothing(play: Play) -> None:
    def generator(ctx: Context) -> Iterator[Node | None]:
        yield work("a")
        yield None
        yield work("b")

    assert play.run(generator, run_id="r1").status == "finished"
    assert list(play.states("r1")) == ["a", "b"]
    assert play.run(lambda ctx: [work("a"), [work("b")]], run_id="r2").status == "finished"
    assert play.run(lambda ctx: None, run_id="r3").status == "finished"
    assert play.states("r3") == {}


# --- Errors -------------------------------------------------------------------------------------


def refused(play: Play, flow: Any) -> SmithersError:
    with pytest.raises(SmithersError) as found:
        play.run(flow)
    with play.reader() as reader:
        assert reader.runs(RunFilter()) == []
    return found.value


def test_an_exception_in_the_first_render_is_refused_with_its_line_and_leaves_no_run(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        raise ValueError("no such team")

    error = refused(play, flow)
    assert isinstance(error, RenderFailed)
    assert "ValueError: no such team" in error.message
    assert str(error.place) == f"{__file__}:{flow.__code__.co_firstlineno + 1}"
    assert isinstance(error.__cause__, ValueError)


def test_an_exception_in_a_later_render_fails_the_run_with_its_line(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.output_maybe(Number, "a")
        if found is not None:
            raise KeyError("gone")
        return Sequence(work("a"), work("b"))

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "RENDER_FAILED"
    assert result.error["place"] == f"{__file__}:{flow.__code__.co_firstlineno + 3}"
    assert play.states() == {"a": "finished"}


def test_an_exception_in_a_body_fails_the_run_with_its_line(play: Play) -> None:
    def body() -> Node:
        raise ValueError("in the body")

    result = play.run(lambda ctx: Sequence(work("a"), Parallel(body)))
    assert result.status == "failed"
    assert result.error is not None
    assert "in the body" in result.error["message"]
    assert result.error["place"] == f"{__file__}:{body.__code__.co_firstlineno + 1}"


def test_a_later_render_with_a_value_that_is_no_node_fails_the_run(play: Play) -> None:
    def flow(ctx: Context) -> Any:
        return Sequence(work("a"), work("b")) if ctx.output_maybe(Number, "a") is None else "done"

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "CHILD_REFUSED"


def test_a_missing_output_in_a_render_is_refused_with_what_to_do(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = work("a")
        return Sequence(a, Task("b", str, value=str(ctx.output(a).n)))

    error = refused(play, flow)
    assert isinstance(error, MissingOutput)
    assert "a has no output" in error.message
    assert "callable" in error.hint
    assert "output_maybe" in error.hint
    assert error.place is not None
    assert Path(error.place.file) == Path(__file__)
    assert error.place.line == flow.__code__.co_firstlineno + 2


ENDLESS = """
import asyncio, os, sys
from smithers import Loop, Task, workflow
from smithers.engine.hosts import host_for
from smithers.errors import RunNotFound

@workflow
def endless(ctx):
    return Loop(Task("t", str, value="x"), max_iterations=None)

def frames():
    reader = host_for("s.db").store.reader()
    try:
        return len(reader.frames(reader.run("r").id))
    except RunNotFound:
        return 0
    finally:
        reader.close()

async def main():
    run = asyncio.ensure_future(endless.run(run_id="r", store="s.db"))
    while frames() < 3:
        await asyncio.sleep(0.1)
    run.cancel()
    await asyncio.wait((run,))

asyncio.run(main())
print(frames(), flush=True)
os._exit(0)
"""


def test_a_loop_that_settles_at_once_without_end_is_stored_frame_by_frame_and_can_be_stopped(
    tmp_path: Path,
) -> None:
    # In a process of its own: an engine that never comes back from a step cannot be closed.
    ran = subprocess.run(
        [sys.executable, "-c", ENDLESS.replace('"s.db"', f"Path({str(tmp_path / 's.db')!r})").replace(
            "import asyncio, os, sys", "import asyncio, os, sys\nfrom pathlib import Path")],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= 3


def test_a_long_loop_of_settlements_is_not_unstable(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        count = ctx.iteration_count(Number, "t")
        return Loop(work("t"), until=count >= 60, max_iterations=None)

    assert play.run(flow).status == "finished"
    assert len(play.attempts("t")) == 60


def test_nesting_that_is_too_deep_is_refused_with_the_line(play: Play) -> None:
    node: Node = work("a")
    for _ in range(205):
        node = Sequence(node)
    error = refused(play, lambda ctx: node)
    assert error.code == "TOO_DEEP"
    assert error.place is not None
    assert Path(error.place.file) == Path(__file__)


def test_the_tree_may_be_nested_200_levels(play: Play) -> None:
    node: Node = work("a")
    for _ in range(198):
        node = Sequence(node)
    assert play.run(lambda ctx: node).status == "finished"


def test_a_render_of_every_result_sees_them_in_order(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        play.see([found.n for found in ctx.outputs(Number)])
        return Sequence(number("a", 3), work("b", 1), work("c", 2))

    play.run(flow)
    assert play.seen[-1] == [3, 1, 2]
    assert play.events(EventType.NODE_FINISHED) == ["a", "b", "c"]
