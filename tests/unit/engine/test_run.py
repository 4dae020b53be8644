"""Runs from Python: inputs, results, several at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from smithers import Context, Node, Parallel, RunResult, Sequence, Task, Workflow, workflow
from smithers.agents import RehearsalAgent
from smithers.errors import InputError, UsageRefused
from smithers.ports import Reader
from smithers.records import RunFilter
from tests.unit.engine.play import Number, Play, Word, until


class Ticket(BaseModel):
    goal: str
    size: int = Field(default=3, ge=1)


def number(name: str, n: int = 1, **options: Any) -> Task[Number]:
    return Task(name, Number, run=lambda: {"n": n}, **options)


# --- Input --------------------------------------------------------------------------------------


def of_ticket(ctx: Context[Ticket]) -> Node:
    return Task("a", Word, run=lambda: {"text": f"{ctx.input.goal} {ctx.input.size}"})


@pytest.mark.parametrize("given", [Ticket(goal="x"), {"goal": "x"}, {"goal": "x", "size": 3}])
def test_input_is_the_model_or_json_that_fits_it(play: Play, given: Any) -> None:
    assert play.run(of_ticket, given).output == {"text": "x 3"}


def test_an_input_that_does_not_fit_names_every_field_and_starts_nothing(play: Play) -> None:
    with pytest.raises(InputError) as refused:
        play.run(of_ticket, {"size": 0})
    assert "goal" in refused.value.message
    assert "size" in refused.value.message
    assert [fault["path"] for fault in refused.value.details["errors"]] == ["goal", "size"]
    with play.reader() as reader:
        assert reader.runs(RunFilter()) == []


def test_defaults_are_filled_in_once_and_for_all(play: Play) -> None:
    play.run(of_ticket, {"goal": "x"})
    with play.reader() as reader:
        assert reader.run("r").input == '{"goal":"x","size":3}'


def test_without_a_model_any_object_is_taken_and_read_by_attribute(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.input
        assert found["team"] == found.team == "otters"
        assert found.who[0].name == "ann"
        with pytest.raises(AttributeError, match="team"):
            _ = found.teem
        return number("a")

    assert play.run(flow, {"team": "otters", "who": [{"name": "ann"}]}).status == "finished"


@pytest.mark.parametrize("given", [{"x": float("nan")}, {"x": object()}, {"x": {1}}])
def test_an_input_that_json_cannot_hold_is_refused(play: Play, given: Any) -> None:
    with pytest.raises(InputError):
        play.run(lambda ctx: number("a"), given)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 101])
def test_a_run_id_that_is_none_is_refused(play: Play, name: str) -> None:
    with pytest.raises(UsageRefused):
        play.run(lambda ctx: number("a"), run_id=name)


def test_runs_without_a_name_get_readable_ones(play: Play) -> None:
    flow = Workflow(lambda ctx: number("a"), name="flow")
    names = {flow.run_sync(store=play.store).run_id for _ in range(3)}
    assert len(names) == 3
    assert all(name.count("-") == 2 for name in names)


# --- Results ------------------------------------------------------------------------------------


def test_the_runs_output_is_the_newest_row_of_the_declared_model_as_that_model(play: Play) -> None:
    def render(ctx: Context) -> Node:
        return Sequence(number("a", 1), number("b", 2), Task("c", Word, value={"text": "x"}))

    flow = Workflow(render, output=Number)
    assert flow.run_sync(store=play.store).output == Number(n=2)


def test_without_a_declared_model_it_is_the_newest_output(play: Play) -> None:
    assert play.run(lambda ctx: [number("a"), Task("c", str, value="last")]).output == "last"


def test_a_run_that_made_no_output_has_none(play: Play) -> None:
    flow = Workflow(lambda ctx: number("a"), name="flow", output=Word)
    result = flow.run_sync(store=play.store)
    assert (result.status, result.output) == ("finished", None)


def test_finished_partial_and_failed_are_told_apart(play: Play) -> None:
    def fail() -> Number:
        raise ValueError("no")

    bad = Task("bad", Number, run=fail, no_retry=True)
    tolerated = Task("bad", Number, run=fail, continue_on_fail=True)
    statuses = {
        "r1": play.run(lambda ctx: number("a"), run_id="r1").status,
        "r2": play.run(lambda ctx: [number("a"), tolerated], run_id="r2").status,
        "r3": play.run(lambda ctx: [number("a"), bad], run_id="r3").status,
        "r4": play.run(lambda ctx: [number("a"), number("b", skip_if=True)], run_id="r4").status,
    }
    assert statuses == {"r1": "finished", "r2": "partial", "r3": "failed", "r4": "finished"}
    with play.reader() as reader:
        assert {row.name: row.state.word for row in reader.runs(RunFilter())} == statuses


def test_a_failed_run_has_an_error_and_no_output(play: Play) -> None:
    def fail() -> Number:
        raise ValueError("no")

    result = play.run(lambda ctx: [number("a"), Task("bad", Number, run=fail, no_retry=True)])
    assert result.output is None
    assert result.error is not None
    assert {"code", "message", "hint", "place"} <= result.error.keys()


# --- graph, rehearse ----------------------------------------------------------------------------


def test_graph_renders_once_and_neither_runs_nor_stores_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[str] = []

    def run() -> Number:
        calls.append("run")
        return Number(n=1)

    def render(ctx: Context[Ticket]) -> Node:
        calls.append(ctx.input.goal)
        return Parallel(Task("a", Number, run=run), Task("b", Word, value={"text": "x"}))

    plan = Workflow(render).graph({"goal": "x"})
    assert [child.id for child in plan.children] == ["a", "b"]  # type: ignore[union-attr]
    assert calls == ["x"]
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_plays_every_agent_and_functions_still_run(play: Play) -> None:
    def paid(prompt: str) -> str:
        raise AssertionError("a real agent was called")

    flow = Sequence(Task("a", Word, agent=[paid, paid], prompt="x"), number("b"))
    assert play.run(lambda ctx: flow, rehearse=True).status == "finished"
    assert [row.agent for row in play.attempts()] == [RehearsalAgent().name, None]


# --- From loops and coroutines ------------------------------------------------------------------


def test_run_sync_works_inside_a_running_event_loop(play: Play) -> None:
    async def main() -> RunResult[Any]:
        return play.run(lambda ctx: number("a", 4))

    assert asyncio.run(main()).output == {"n": 4}


def test_many_runs_at_once_on_one_store_all_finish(play: Play) -> None:
    def render(ctx: Context) -> Node:
        n = ctx.input.n
        return Sequence(number("a", n), Parallel(number(f"b{k}", n * k) for k in range(3)), number("c", n))

    flow = Workflow(render, output=Number)

    async def main() -> list[RunResult[Number]]:
        return await asyncio.gather(
            *(flow.run({"n": n}, run_id=f"r{n}", store=play.store) for n in range(30))
        )

    results = asyncio.run(main())
    assert [result.status for result in results] == ["finished"] * 30
    assert [result.output for result in results] == [Number(n=n) for n in range(30)]
    with play.reader() as reader:
        assert len(reader.runs(RunFilter())) == 30
        assert all(frames_are_whole(reader, f"r{n}") for n in range(30))


def frames_are_whole(reader: Reader, name: str) -> bool:
    frames = reader.frames(reader.run(name).id)
    return [frame.frame for frame in frames] == list(range(1, len(frames) + 1))


def test_a_run_that_fails_disturbs_no_other_on_the_same_store(play: Play) -> None:
    def bad(ctx: Context) -> Node:
        if ctx.output_maybe(Number, "a"):
            raise ValueError("no")
        return Sequence(number("a"), number("b"))

    async def main() -> list[RunResult[Any]]:
        good = Workflow(lambda ctx: Sequence(number(f"t{n}") for n in range(10)), name="good")
        return await asyncio.gather(
            *(flow.run(run_id=f"r{n}", store=play.store) for n, flow in enumerate([good, Workflow(bad)] * 4))
        )

    assert [result.status for result in asyncio.run(main())] == ["finished", "failed"] * 4


def test_an_await_that_is_cancelled_while_its_run_begins_pauses_it_too(play: Play) -> None:
    begun, go = threading.Event(), threading.Event()

    def render(ctx: Context) -> Node:
        begun.set()
        assert go.wait(10)
        return Task("a", Number, run=lambda: asyncio.sleep(60) if play.call("run") == 1 else Number(n=2))

    async def main() -> None:
        running = asyncio.create_task(Workflow(render).run(run_id="r", store=play.store))
        await asyncio.to_thread(begun.wait, 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        go.set()

    def states() -> list[str]:
        """Of all runs: this one is stored only after its await has ended."""
        with play.reader() as reader:
            return [row.state.word for row in reader.runs(RunFilter())]

    asyncio.run(main())
    until(lambda: states() == ["paused"])


def test_a_cancelled_await_pauses_the_run(play: Play) -> None:
    def render(ctx: Context) -> Node:
        async def run() -> Number:
            if play.call("run") == 1:
                await asyncio.sleep(60)
            return Number(n=2)

        return Task("a", Number, run=run)

    flow = Workflow(render)

    async def main() -> None:
        running = asyncio.create_task(flow.run(run_id="r", store=play.store))
        while not play.calls["run"]:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    def state() -> str:
        with play.reader() as reader:
            return reader.run("r").state.word

    asyncio.run(main())
    until(lambda: state() == "paused")
    assert play.resume(render).output == {"n": 2}


def test_a_workflow_can_be_run_from_a_task_of_another(play: Play) -> None:
    @workflow(output=Number)
    def inner(ctx: Context) -> Node:
        return number("deep", 5)

    def outer(ctx: Context) -> Node:
        def sync() -> Number:
            found = inner.run_sync(store=play.store, run_id="inner1").output
            assert found is not None
            return found

        async def later() -> Number:
            found = (await inner.run(store=play.store, run_id="inner2")).output
            assert found is not None
            return found

        return Parallel(Task("sync", Number, run=sync), Task("later", Number, run=later))

    assert play.run(outer).status == "finished"
    assert play.states("inner1") == play.states("inner2") == {"deep": "finished"}
