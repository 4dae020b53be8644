"""Sub-workflows as runs of their own: what they give, how they fail, and how they are gone on with."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    Context,
    Loop,
    Node,
    Parallel,
    Sequence,
    Subflow,
    Task,
    TryCatchFinally,
    Workflow,
    workflow,
)
from smithers.engine.hosts import host_for
from smithers.engine.message import Lost
from smithers.errors import (
    DuplicateId,
    InputError,
    InvalidNode,
    MissingOutputModel,
    NodeSettled,
    RunNotFound,
    RunNotResumable,
    SmithersError,
)
from smithers.records import EventType, InboxKind, RunFilter, RunRow, RunState
from tests.unit.engine.play import Number, Play, until


class Start(BaseModel):
    n: int = 0


def failing(play: Play, name: str, *, fails: int, **options: Any) -> Task[Number]:
    """Counts its calls; the first `fails` of them fail."""

    def run() -> Number:
        count = play.call(name)
        if count <= fails:
            raise ValueError(f"{name} failed")
        return Number(n=count)

    options.setdefault("no_retry", True)
    return Task(name, Number, run=run, **options)


def runs(play: Play) -> dict[str, str]:
    with play.reader() as reader:
        return {run.name: run.state.word for run in reader.runs(RunFilter())}


def row(play: Play, name: str) -> RunRow:
    with play.reader() as reader:
        return reader.run(name)


def error(play: Play, node: str, run: str = "r") -> dict[str, Any]:
    return dict(play.attempts(node, run)[-1].error or {})


@workflow(output=Number)
def ten(ctx: Context[Start]) -> Node:
    plus = Task("plus", Number, run=lambda: Number(n=ctx.input.n + 1))
    return Sequence(plus, Task("times", Number, deps=plus, run=lambda one: Number(n=one.n * 10)))


# --- What it gives ------------------------------------------------------------------------------


def test_the_output_of_a_child_is_that_of_its_node(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        one = Subflow("one", ten, input=Start(n=1))
        two = Subflow("two", ten, Number, input=lambda given: {"n": given.n}, deps=one)
        return Sequence(one, two)

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", {"n": 210})
    assert runs(play) == {"r": "finished", "r.one": "finished", "r.two": "finished"}
    assert row(play, "r.two").input == '{"n":20}'
    parent = row(play, "r.two").kin.parent
    assert parent is not None
    assert (parent.name, str(parent.key), parent.generation) == ("r", "two", 0)


def test_each_pass_of_a_loop_has_a_child_of_its_own(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Loop(Subflow("one", ten, input={"n": ctx.iteration}), max_iterations=3)

    assert play.run(flow).output == {"n": 30}
    assert set(runs(play)) == {"r", "r.one", "r.one.1", "r.one.2"}


def test_a_limit_of_the_parent_does_not_starve_its_children(play: Play) -> None:
    @workflow(output=Number)
    def outer(ctx: Context) -> Node:
        return Subflow("inner", ten)

    def flow(ctx: Context) -> Node:
        return Parallel(*(Subflow(f"s{n}", outer) for n in range(3)), max_concurrency=1)

    assert play.run(flow, max_concurrency=1).status == "finished"
    assert row(play, "r.s0.inner").config["max_concurrency"] == 1


def test_a_child_whose_name_is_taken_gets_a_number(play: Play) -> None:
    def alone(ctx: Context) -> Node:
        return Task("a", Number, value=Number(n=1))

    play.run(alone, run_id="r.one")
    assert play.run(lambda ctx: Subflow("one", ten)).status == "finished"
    assert set(runs(play)) == {"r", "r.one", "r.one-2"}


def test_long_names_stay_names() -> None:
    from smithers.engine.run_name import child_name, numbered
    from smithers.ids import NodeKey, check_run_id

    long = child_name("p" * 80, NodeKey("a:b/c" * 30, "outer=2", 3), 1)
    assert check_run_id(numbered(long, 12)).endswith("-12")
    assert child_name("p", NodeKey("a:b", "outer=2", 3), 1) == "p.a-b.2-3.again-1"


def test_text_goes_to_the_parent_as_text(play: Play) -> None:
    @workflow(output=str)
    def words(ctx: Context) -> Node:
        return Task("say", str, value="hello")

    def flow(ctx: Context) -> Node:
        said = Subflow("said", words)
        return Sequence(said, Task("loud", str, deps=said, value=lambda text: text.upper()))

    assert play.run(flow).output == "HELLO"


# --- Bad input ----------------------------------------------------------------------------------


def test_what_is_no_workflow_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidNode, match=r"is not a workflow \(.*test_subflow.py:\d+\)") as caught:
        Subflow("one", lambda ctx: None)  # type: ignore[arg-type, misc, call-overload]
    assert "@workflow" in caught.value.hint


def test_a_workflow_that_does_not_say_what_it_returns_needs_a_model() -> None:
    plain = Workflow(lambda ctx: None)
    with pytest.raises(MissingOutputModel, match="does not say what it returns"):
        Subflow("one", plain)
    assert Subflow("one", plain, Number).model is Number


@pytest.mark.parametrize("options", [{"mode": "nested"}, {"agent": 1}, {"retries": -1}])
def test_options_that_it_does_not_take_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNode):
        Subflow("one", ten, **options)


def test_a_static_input_that_does_not_fit_is_refused_and_nothing_is_stored(play: Play) -> None:
    with pytest.raises(InputError, match=r"Subflow one: .* n: .* \(.*test_subflow.py:\d+\)"):
        play.run(lambda ctx: Subflow("one", ten, input={"n": "many"}))
    assert runs(play) == {}


def test_an_input_that_is_found_not_to_fit_fails_its_node(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        first = Task("first", Number, value=Number(n=1))
        return Sequence(first, Subflow("one", ten, input=lambda one: {"n": f"{one.n}?"}, deps=first))

    assert play.run(flow).status == "failed"
    assert runs(play) == {"r": "failed"}
    assert error(play, "one")["code"] == "INPUT_INVALID"
    assert "test_subflow.py" in error(play, "one")["place"]


def test_a_result_that_does_not_fit_fails_its_node_and_a_better_model_takes_it(play: Play) -> None:
    class Other(BaseModel):
        text: str

    def flow(ctx: Context) -> Node:
        return Subflow("one", ten, Other)

    assert play.run(flow).status == "failed"
    assert error(play, "one")["code"] == "INVALID_OUTPUT"
    before = play.attempts(run="r.one")
    assert play.resume(lambda ctx: Subflow("one", ten, Number)).status == "finished"
    assert play.attempts(run="r.one") == before


def test_a_child_without_an_output_fails_its_node(play: Play) -> None:
    empty = Workflow(lambda ctx: None, name="empty")
    assert play.run(lambda ctx: Subflow("one", empty, Number)).status == "failed"
    assert "without an output" in error(play, "one")["message"]


def test_a_workflow_that_is_its_own_child_for_ever_ends_with_an_error(play: Play) -> None:
    def again(ctx: Context) -> Node:
        return Subflow("own", endless)

    endless = Workflow(again, output=Number)
    result = endless.run_sync(run_id="r", store=play.store)
    assert result.status == "failed"
    assert result.error is not None
    assert "more than 16 runs within each other: again → again → again → … → again" in result.error["message"]
    assert len(runs(play)) == 17


def test_a_workflow_may_be_its_own_child_as_long_as_it_ends(play: Play) -> None:
    def down(ctx: Context[Start]) -> Node:
        n = ctx.input.n
        if n == 0:
            return Task("zero", Number, value=Number(n=0))
        below = Subflow("below", recursive, input=Start(n=n - 1))
        return Sequence(below, Task("sum", Number, deps=below, value=lambda one: Number(n=one.n + n)))

    recursive: Workflow[Start, Number] = Workflow(down, output=Number)
    result = recursive.run_sync(Start(n=4), run_id="r", store=play.store)
    assert result.output == Number(n=10)


def test_two_subflows_with_one_id_are_refused(play: Play) -> None:
    with pytest.raises(DuplicateId):
        play.run(lambda ctx: Parallel(Subflow("one", ten), Subflow("one", ten)))


def test_a_mistake_in_the_first_frame_of_a_child_fails_its_node(play: Play) -> None:
    broken = Workflow(lambda ctx: 1 / 0, name="broken")
    assert play.run(lambda ctx: Subflow("one", broken, Number)).status == "failed"
    assert error(play, "one")["code"] == "RENDER_FAILED"
    assert runs(play) == {"r": "failed"}


# --- Failures -----------------------------------------------------------------------------------


def shaky(play: Play, fails: int, **options: Any) -> Workflow[Any, Number]:
    def child(ctx: Context) -> Node:
        return Sequence(failing(play, "a", fails=0), failing(play, "b", fails=fails, **options))

    return Workflow(child, output=Number)


def test_a_failed_child_fails_its_node_and_a_resume_goes_on_with_the_same_child(play: Play) -> None:
    child = shaky(play, 1)

    def flow(ctx: Context) -> Node:
        return Sequence(Subflow("one", child), Task("end", Number, value=Number(n=9)))

    result = play.run(flow)
    assert result.status == "failed"
    assert error(play, "one")["code"] == "CHILD_FAILED"
    assert "r.one" in error(play, "one")["hint"]
    assert runs(play) == {"r": "failed", "r.one": "failed"}

    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2}
    assert runs(play) == {"r": "finished", "r.one": "finished"}


def test_a_retry_goes_on_with_the_child_that_failed(play: Play) -> None:
    child = shaky(play, 2)
    assert play.run(lambda ctx: Subflow("one", child, retries=2)).status == "finished"
    assert play.calls == {"a": 1, "b": 3}
    assert [one.attempt for one in play.attempts("one")] == [1, 2, 3]
    assert set(runs(play)) == {"r", "r.one"}


def test_a_tolerated_child_leaves_the_parent_partial(play: Play) -> None:
    child = shaky(play, 9)

    def flow(ctx: Context) -> Node:
        one = Subflow("one", child, continue_on_fail=True)
        return Sequence(one, Task("end", Number, value=Number(n=9)))

    assert play.run(flow).status == "partial"


def test_a_catch_takes_the_failure_of_a_child(play: Play) -> None:
    child = shaky(play, 9)

    def flow(ctx: Context) -> Node:
        return TryCatchFinally(
            Subflow("one", child),
            catch=Task("plan-b", Number, value=Number(n=1)),
            catch_errors=["CHILD_FAILED"],
        )

    assert play.run(flow).status == "finished"


def test_a_child_that_finishes_in_part_has_a_result_and_so_does_its_parent_in_part(play: Play) -> None:
    def child(ctx: Context) -> Node:
        return Sequence(
            failing(play, "a", fails=1, continue_on_fail=True), Task("b", Number, value=Number(n=2))
        )

    part = Workflow(child, output=Number)

    def flow(ctx: Context) -> Node:
        return Sequence(Subflow("one", part), Task("end", Number, value=Number(n=3)))

    assert play.run(flow).status == "partial"
    assert play.states() == {"one": "finished", "end": "finished"}
    assert play.resume(flow).status == "partial"  # what has finished stays as it is
    assert play.calls == {"a": 1}
    assert play.resume(flow, retry=["one"]).status == "finished"
    assert play.calls == {"a": 2}
    assert runs(play) == {"r": "finished", "r.one": "finished"}


def test_a_rerun_starts_a_child_afresh(play: Play) -> None:
    child = shaky(play, 0)
    assert play.run(lambda ctx: Subflow("one", child)).status == "finished"
    with pytest.raises(NodeSettled):
        play.resume(lambda ctx: Subflow("one", child), retry=["one"])
    assert play.resume(lambda ctx: Subflow("one", child), rerun=["one"]).status == "finished"
    assert play.calls == {"a": 2, "b": 2}
    assert runs(play) == {"r": "finished", "r.one": "finished", "r.one.again-1": "finished"}


def test_a_rerun_of_a_failed_child_starts_it_afresh_too(play: Play) -> None:
    child = shaky(play, 1)
    assert play.run(lambda ctx: Subflow("one", child)).status == "failed"
    assert play.resume(lambda ctx: Subflow("one", child), rerun=["one"]).status == "finished"
    assert play.calls == {"a": 2, "b": 2}


def test_a_node_that_names_another_workflow_now_begins_with_it(play: Play) -> None:
    child = shaky(play, 9)
    assert play.run(lambda ctx: Subflow("one", child)).status == "failed"
    assert play.resume(lambda ctx: Subflow("one", ten)).output == {"n": 10}
    assert runs(play) == {"r": "finished", "r.one": "failed", "r.one.again-1": "finished"}


def test_a_child_whose_time_is_up_is_cancelled_and_the_next_attempt_goes_on_with_it(play: Play) -> None:
    def child(ctx: Context) -> Node:
        async def slow() -> Number:
            if play.call("b") == 1:
                await asyncio.sleep(60)
            return Number(n=2)

        return Sequence(failing(play, "a", fails=0), Task("b", Number, run=slow))

    slow = Workflow(child, output=Number)
    result = play.run(lambda ctx: Subflow("one", slow, timeout=0.2, retries=1))
    assert result.status == "finished"
    assert play.calls == {"a": 1, "b": 2}
    assert [one.failure and one.failure.word for one in play.attempts("one")] == ["timeout", None]


def test_skip_if_leaves_a_child_out(play: Play) -> None:
    assert play.run(lambda ctx: Subflow("one", ten, skip_if=lambda: True)).status == "finished"
    assert runs(play) == {"r": "finished"}


# --- From outside -------------------------------------------------------------------------------


class Gate:
    """A child whose second task waits until it is let go, or ended."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.is_open = threading.Event()
        self.workflow: Workflow[Any, Number] = Workflow(self.child, output=Number, name="gate")

    def child(self, ctx: Context) -> Node:
        async def wait() -> Number:
            self.play.call("b")
            while not self.is_open.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.005)
            return Number(n=7)

        last = Task("c", Number, run=lambda: Number(n=self.play.call("c")))
        return Sequence(failing(self.play, "a", fails=0), Task("b", Number, run=wait), last)

    def flow(self, ctx: Context) -> Node:
        return Sequence(Subflow("one", self.workflow), Task("end", Number, value=Number(n=1)))

    def start(self) -> Any:
        host = host_for(self.play.store)
        handle = Workflow(self.flow).start(host, run_id="r")
        until(lambda: self.play.calls["b"] > 0)
        return handle

    def post(self, run: str, kind: InboxKind, data: str | None = None) -> None:
        outsider = host_for(self.play.store).store.outsider()
        outsider.post(row(self.play, run).id, kind, "somebody", data)
        outsider.close()


@pytest.fixture
def gate(play: Play) -> Gate:
    return Gate(play)


@pytest.mark.parametrize("data", [None, '{"now":true}'])
def test_a_cancel_of_the_parent_cancels_its_child(play: Play, gate: Gate, data: str | None) -> None:
    handle = gate.start()
    gate.post("r", InboxKind.CANCEL, data)
    assert handle.ended.result(10).state is RunState.CANCELLED
    assert runs(play) == {"r": "cancelled", "r.one": "cancelled"}
    gate.is_open.set()
    assert play.resume(gate.flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}


def test_a_pause_of_the_parent_lets_what_runs_in_its_child_end(play: Play, gate: Gate) -> None:
    handle = gate.start()
    gate.post("r", InboxKind.PAUSE)
    until(lambda: bool(play.events(EventType.PAUSE_REQUESTED)))
    gate.is_open.set()
    assert handle.ended.result(10).state is RunState.PAUSED
    assert runs(play) == {"r": "paused", "r.one": "paused"}
    assert play.calls == {"a": 1, "b": 1}
    assert play.resume(gate.flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1, "c": 1}


def test_an_interrupt_pauses_parent_and_child_at_once(play: Play, gate: Gate) -> None:
    handle = gate.start()
    handle.pause()
    assert handle.ended.result(10).state is RunState.PAUSED
    assert runs(play) == {"r": "paused", "r.one": "paused"}
    gate.is_open.set()
    assert play.resume(gate.flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}


def test_a_child_that_is_cancelled_by_itself_fails_its_node(play: Play, gate: Gate) -> None:
    handle = gate.start()
    gate.post("r.one", InboxKind.CANCEL)
    assert handle.ended.result(10).state is RunState.FAILED
    assert runs(play) == {"r": "failed", "r.one": "cancelled"}
    assert error(play, "one")["code"] == "CHILD_CANCELLED"
    assert "cancelled by somebody" in error(play, "one")["message"]
    gate.is_open.set()
    assert play.resume(gate.flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}


def test_a_child_that_is_paused_by_itself_pauses_its_parent_when_nothing_else_can_go_on(
    play: Play, gate: Gate
) -> None:
    handle = gate.start()
    gate.post("r.one", InboxKind.PAUSE, '{"now":true}')
    assert handle.ended.result(10).state is RunState.PAUSED
    assert runs(play) == {"r": "paused", "r.one": "paused"}
    gate.is_open.set()
    assert play.resume(gate.flow).status == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 1}


def test_a_child_that_only_waits_lets_its_parent_leave(play: Play) -> None:
    def child(ctx: Context) -> Node:
        from smithers import RetryPolicy

        return failing(play, "b", fails=1, no_retry=False, retry_policy=RetryPolicy(initial_delay=3600))

    waiting = Workflow(child, output=Number)

    def flow(ctx: Context) -> Node:
        return Subflow("one", waiting)

    host = host_for(play.store)
    end = Workflow(flow).start(host, run_id="r", linger_ms=1).ended.result(10)
    assert end.state is RunState.WAITING
    assert [str(wait.key) for wait in end.waits] == ["one"]
    assert runs(play) == {"r": "waiting", "r.one": "waiting"}
    found = host.claim(row(play, "r"))
    end = Workflow(flow).resume(host, found, linger_ms=1).ended.result(10)
    assert end.state is RunState.WAITING
    assert play.calls == {"b": 1}


def test_a_child_is_resumed_by_its_parent_only(play: Play, gate: Gate) -> None:
    handle = gate.start()
    handle.pause()
    handle.ended.result(10)
    with pytest.raises(RunNotResumable, match=r"r\.one belongs to node one of r") as caught:
        gate.workflow.run_sync(run_id="r.one", resume=True, store=play.store)
    assert "smithers up --resume r" in caught.value.hint


def test_a_finished_child_is_not_done_again_alone(play: Play) -> None:
    assert play.run(lambda ctx: Subflow("one", ten)).status == "finished"
    assert ten.run_sync(run_id="r.one", resume=True, store=play.store).status == "finished"
    with pytest.raises(RunNotResumable, match=r"r\.one belongs to node one of r"):
        ten.run_sync(run_id="r.one", resume=True, store=play.store, rerun=["times"])


def test_the_newest_unfinished_run_is_never_a_child(play: Play, gate: Gate) -> None:
    handle = gate.start()
    handle.pause()
    handle.ended.result(10)
    with pytest.raises(RunNotFound, match="no unfinished run"):
        gate.workflow.run_sync(resume=True, store=play.store)


def test_a_broken_store_stops_parent_and_child_and_both_go_on_later(play: Play, gate: Gate) -> None:
    handle = gate.start()
    host = host_for(play.store)
    host.engine.post(Lost())
    with pytest.raises(SmithersError):
        handle.ended.result(10)
    gate.is_open.set()
    assert play.resume(gate.flow).status == "finished"
    assert play.calls["a"] == 1
    assert play.calls["c"] == 1


def test_a_cancel_of_the_parent_lets_its_child_run_its_last_parts(play: Play) -> None:
    def child(ctx: Context) -> Node:
        async def long() -> Number:
            play.call("long")
            await asyncio.sleep(60)
            return Number(n=1)

        last = Task("last", Number, run=lambda: Number(n=play.call("last")))
        return TryCatchFinally(Task("long", Number, run=long), finally_=last)

    guarded = Workflow(child, output=Number)
    host = host_for(play.store)
    handle = Workflow(lambda ctx: Subflow("one", guarded)).start(host, run_id="r")
    until(lambda: play.calls["long"] > 0)
    outsider = host.store.outsider()
    outsider.post(row(play, "r").id, InboxKind.CANCEL, "somebody")
    outsider.close()
    assert handle.ended.result(10).state is RunState.CANCELLED
    assert runs(play) == {"r": "cancelled", "r.one": "cancelled"}
    assert play.calls == {"long": 1, "last": 1}


def test_a_failure_beside_it_cancels_a_child_where_the_author_says_so(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        def fail() -> Number:
            until(lambda: play.calls["b"] > 0)
            raise ValueError("no")

        return Parallel(
            Subflow("one", gate.workflow), Task("bad", Number, run=fail, no_retry=True), on_failure="cancel"
        )

    assert play.run(flow).status == "failed"
    assert runs(play) == {"r": "failed", "r.one": "cancelled"}
    assert play.states()["one"] == "cancelled"


def test_children_of_a_rehearsal_are_rehearsed(play: Play) -> None:
    def never(prompt: str) -> str:
        raise AssertionError(prompt)

    asking = Workflow(lambda ctx: Task("ask", Number, agent=never, prompt="How many?"), output=Number)
    assert play.run(lambda ctx: Subflow("one", asking), rehearse=True).status == "finished"
    assert row(play, "r.one").config["rehearse"] is True


def test_a_child_whose_node_an_edit_takes_out_ends_with_the_run(play: Play, gate: Gate) -> None:
    handle = gate.start()
    handle.pause()
    handle.ended.result(10)
    assert play.resume(lambda ctx: Task("end", Number, value=Number(n=1))).status == "finished"
    assert runs(play) == {"r": "finished", "r.one": "cancelled"}


def test_a_script_cannot_stand_in_a_tree() -> None:
    async def script(ctx: Context) -> None: ...

    class Script:
        name, output = "script", Number
        definition = type("Definition", (), {"function": staticmethod(script)})

    with pytest.raises(InvalidNode, match="it cannot stand in another workflow's tree"):
        Subflow("one", Script(), mode="inline")
    assert Subflow("one", Script()).model is Number
