"""Workflows whose nodes stand in the run of another."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    Branch,
    Context,
    ContinueAsNew,
    Loop,
    Node,
    Parallel,
    Saga,
    SagaStep,
    Sequence,
    Subflow,
    Task,
    TryCatchFinally,
    Workflow,
    current,
    workflow,
)
from smithers.errors import DuplicateId, InvalidNode, TooDeep
from smithers.records import RunFilter
from tests.unit.engine.play import Number, Play, Word


class Start(BaseModel):
    n: int = 0


@workflow(output=Number)
def ten(ctx: Context[Start]) -> Node:
    plus = Task("plus", Number, value=lambda: Number(n=ctx.input.n + 1))
    times = Task("times", Number, deps=plus, run=lambda one: Number(n=one.n * 10))
    return Sequence(plus, times)


def runs(play: Play) -> list[str]:
    with play.reader() as reader:
        return [run.name for run in reader.runs(RunFilter())]


def inline(id: str, of: Workflow[Any, Any], **options: Any) -> Subflow[Any]:
    return Subflow(id, of, mode="inline", **options)


def test_its_nodes_stand_in_the_run_under_its_id(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        one = inline("one", ten, input=Start(n=1))
        two = inline("two", ten, input=lambda given: {"n": given.n}, deps=one)
        return Sequence(one, two, Task("end", Number, deps=two, value=lambda got: Number(n=got.n + 1)))

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", {"n": 211})
    assert runs(play) == ["r"]
    assert {name for name in play.states() if not name.endswith(":input")} == {
        "end", "one", "one/plus", "one/times", "two", "two/plus", "two/times",
    }  # fmt: skip


def test_reads_are_of_its_own_nodes(play: Play) -> None:
    def child(ctx: Context) -> Node:
        seen = ctx.output_maybe((Number, "a"))
        play.see(("render", seen.n if seen else None))
        a = Task("a", Number, run=lambda: Number(n=7))

        def run() -> Number:
            here = current()
            assert here.node == "one/b"
            assert ctx.status(a) == "finished"
            assert ctx.iteration_count(a) == 1
            assert [one.n for one in ctx.outputs(Number)] == [7]
            return Number(n=ctx.output(a).n + here.ctx.output(Number, "a").n + ctx.latest(a).n)  # type: ignore[union-attr]

        return Sequence(a, Task("b", Number, run=run))

    own = Workflow(child, output=Number)

    def flow(ctx: Context) -> Node:
        a = Task("a", Number, value=Number(n=1000))
        return Sequence(a, inline("one", own))

    assert play.run(flow).output == {"n": 21}
    assert play.seen[0] == ("render", None)
    assert play.seen[-1] == ("render", 7)


def test_it_runs_anew_in_each_pass_of_a_loop_and_its_result_is_of_that_pass(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        one = inline("one", ten, input=lambda: {"n": ctx.iteration})
        last = ctx.latest(one)
        return Loop(one, until=last is not None and last.n >= 30, max_iterations=None)

    assert play.run(flow).output == {"n": 30}
    assert [row.key.iteration for row in play.attempts("one/times")] == [0, 1, 2]


def test_loops_in_it_have_a_memory_of_their_own(play: Play) -> None:
    def child(ctx: Context) -> Node:
        def body(pass_: Any) -> Node:
            before = pass_.previous((Number, "t"))
            return Task("t", Number, value=Number(n=(before.n if before else 0) + 1))

        t = (Number, "u")
        by_bool = Loop(
            Task("u", Number, run=lambda: Number(n=play.call("u"))),
            until=lambda: ctx.output(t).n >= 2,
            max_iterations=9,
        )
        return Sequence(Loop(body, max_iterations=3, id="each"), by_bool)

    own = Workflow(child, output=Number)

    def flow(ctx: Context) -> Node:
        return Loop(inline("one", own), max_iterations=2, id="outer")

    assert play.run(flow).status == "finished"
    assert [row.key.iteration for row in play.attempts("one/t")] == [0, 1, 2, 0, 1, 2]
    assert play.states()["one/t[2]@outer=1"] == "finished"
    assert play.calls["u"] == 3


def test_every_container_may_stand_in_it(play: Play) -> None:
    def task(name: str, fails: bool = False) -> Task[Number]:
        def run() -> Number:
            play.call(name)
            if fails:
                raise ValueError(name)
            return Number(n=1)

        return Task(name, Number, run=run, no_retry=True)

    def child(ctx: Context) -> Node:
        return Sequence(
            Parallel(task("p1"), task("p2"), id="both"),
            Parallel(lambda: [task("q1"), task("q2")]),
            Branch(lambda: ctx.status("p1") == "finished", lambda: task("yes"), task("no")),
            TryCatchFinally(
                task("bad", fails=True),
                catch=lambda caught: Task("caught", Word, value=Word(text=caught.node)),
                finally_=task("last"),
            ),
            Saga(SagaStep(task("do"), task("undo")), SagaStep(task("boom", fails=True)), id="saga"),
            Task("end", Number, needs={"x": "p1"}, deps={"x": Number}, value=lambda got: Number(n=got.x.n)),
        )

    own = Workflow(child, output=Number)
    result = play.run(lambda ctx: inline("one", own))
    assert result.status == "partial"  # by the saga
    assert play.calls == dict.fromkeys(
        ("p1", "p2", "q1", "q2", "yes", "bad", "last", "do", "undo", "boom"), 1
    )
    with play.reader() as reader:
        bodies = {str(row.key): row.body for row in reader.outputs(reader.run("r").id)}
    assert bodies["one/caught"] == '{"text":"bad"}'


def test_inline_workflows_stand_in_each_other(play: Play) -> None:
    def child(ctx: Context[Start]) -> Node:
        first = inline("deep", ten, input={"n": ctx.input.n})
        return Sequence(first, Task("plus", Number, deps=first, value=lambda one: Number(n=one.n + 1)))

    own = Workflow(child, output=Number)
    assert play.run(lambda ctx: inline("one", own, input={"n": 4})).output == {"n": 51}
    assert play.states()["one/deep/times"] == "finished"


def test_a_child_run_may_stand_in_it(play: Play) -> None:
    own = Workflow(lambda ctx: Subflow("own", ten, input={"n": 1}), output=Number)
    assert play.run(lambda ctx: inline("one", own)).output == {"n": 20}
    assert runs(play) == ["r.one-own", "r"]


def test_a_failure_in_it_fails_the_run_and_a_resume_goes_on_in_it(play: Play) -> None:
    def child(ctx: Context) -> Node:
        def bad() -> Number:
            if play.call("b") == 1:
                raise ValueError("once")
            return Number(n=2)

        return Sequence(
            Task("a", Number, run=lambda: Number(n=play.call("a"))), Task("b", Number, run=bad, no_retry=True)
        )

    own = Workflow(child, output=Number)

    def flow(ctx: Context) -> Node:
        return inline("one", own)

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert "one/b failed" in result.error["message"]
    assert play.resume(flow).output == {"n": 2}
    assert play.calls == {"a": 1, "b": 2}


def test_named_outputs_are_those_of_the_child(play: Play) -> None:
    def child(ctx: Context) -> Node:
        a = Task("a", "found", value={"n": 3})
        return Sequence(a, Task("b", Number, value=lambda: Number(n=ctx.output("found", "a").n)))

    own = Workflow(child, output=Number, outputs={"found": Number})
    assert play.run(lambda ctx: inline("one", own)).output == {"n": 3}


def test_skip_if_leaves_all_of_it_out(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        one = inline("one", ten, skip_if=lambda: True)
        return Sequence(one, Task("end", Number, value=Number(n=1)))

    assert play.run(flow).status == "finished"
    assert play.states() == {"one:input": "skipped", "one": "skipped", "end": "finished"}


def test_text_is_text(play: Play) -> None:
    words = Workflow(lambda ctx: Task("say", str, value="hello"), output=str)

    def flow(ctx: Context) -> Node:
        said = inline("said", words)
        return Sequence(said, Task("loud", str, deps=said, value=lambda text: text.upper()))

    assert play.run(flow).output == "HELLO"


# --- Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"retries": 1}, {"timeout": 3}, {"continue_on_fail": True}])
def test_what_is_about_attempts_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNode, match='mode="inline" does not take'):
        inline("one", ten, **options)


def test_a_static_input_that_does_not_fit_is_refused_in_the_first_frame(play: Play) -> None:
    with pytest.raises(InvalidNode, match=r"one:input.* n: "):
        play.run(lambda ctx: inline("one", ten, input={"n": "many"}))
    assert runs(play) == []


def test_an_inline_workflow_cannot_go_on_as_a_new_run(play: Play) -> None:
    own = Workflow(lambda ctx: ContinueAsNew(1), output=Number, name="own")
    with pytest.raises(InvalidNode, match="Subflow one: own goes on as a new run, and has none of its own"):
        play.run(lambda ctx: inline("one", own))


def test_a_workflow_that_is_inline_in_itself_for_ever_is_refused(play: Play) -> None:
    def again(ctx: Context) -> Node:
        return inline("own", endless)

    endless: Workflow[Any, Number] = Workflow(again, output=Number)
    with pytest.raises(TooDeep, match="more than 16 workflows within each other"):
        endless.run_sync(run_id="r", store=play.store)


def test_two_of_one_id_are_refused(play: Play) -> None:
    with pytest.raises(DuplicateId):
        play.run(lambda ctx: Parallel(inline("one", ten), inline("one", ten)))


def test_a_workflow_that_leaves_nothing_fails_at_its_result(play: Play) -> None:
    empty = Workflow(lambda ctx: None, output=Number)
    result = play.run(lambda ctx: inline("one", empty))
    assert result.error is not None
    assert "finished without an output" in result.error["message"]


def test_what_an_edit_changes_in_it_is_known_and_done_again_with_its_result(play: Play) -> None:
    def edition(times: int) -> Any:
        def child(ctx: Context) -> Node:
            a = Task("a", Number, run=lambda: Number(n=play.call("a")))
            return Sequence(a, Task("b", Number, deps=a, value=lambda one: Number(n=one.n * times)))

        own = Workflow(child, output=Number, name="own")

        def flow(ctx: Context) -> Node:
            one, other = inline("one", own), inline("other", ten)
            return Sequence(one, other, Task("end", Number, deps=one, value=lambda got: Number(n=got.n)))

        return flow

    play.run(edition(2))
    again = play.resume(edition(5), rerun=["changed"])
    assert (again.status, again.output) == ("finished", {"n": 5})
    assert play.calls == {"a": 1}
    with play.reader() as reader:
        rows = {str(row.key): row.generation for row in reader.outputs(reader.run("r").id)}
    assert rows["one/b"] == rows["one"] == rows["end"] == 1
    assert rows["one/a"] == rows["other"] == rows["other/times"] == 0
