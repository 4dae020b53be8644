"""What a resume says it will do, before it does it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, Prompt, Sequence, Task, Workflow
from smithers.engine.hosts import host_for
from smithers.engine.verdict import ResumePlan, Wish
from smithers.errors import NodeNotFound, NodeSettled, PassEnded, PlanChanged, RenderImpure
from smithers.records import EventType
from smithers.testing import ScriptedAgent
from tests.unit.engine.play import Number, Play


def ask(play: Play, name: str, prompt: Any = "do it", *, fails: int = 0, **options: Any) -> Task[Any]:
    """A task whose agent counts its calls; the first `fails` of them fail."""

    def reply(request: Any) -> object:
        if play.call(str(request.task)) <= fails:
            raise ValueError(f"{name} failed")
        return {"n": play.calls[str(request.task)]}

    agent = options.pop("agent", None) or ScriptedAgent(reply, last=True)
    options.setdefault("retries", 0)
    return Task(name, options.pop("model", Number), agent=agent, prompt=prompt, **options)


def plan(play: Play, flow: Any, wish: Wish | None = None) -> ResumePlan:
    host = host_for(play.store)
    with play.reader() as reader:
        row = reader.run("r")
    return Workflow(flow, name="flow").plan(host, row, wish)


def verdicts(found: ResumePlan) -> dict[str, str]:
    return {str(node.key): node.verdict for node in found.nodes}


def reasons(found: ResumePlan) -> dict[str, str]:
    return {str(node.key): node.reason for node in found.nodes}


def run(play: Play, flow: Any, **options: Any) -> str:
    return Workflow(flow, name="flow").run_sync(run_id="r", store=play.store, **options).status


def resume(play: Play, flow: Any, **options: Any) -> str:
    return run(play, flow, resume=True, **options)


def three(play: Play, prompt: Any = "b", fails: int = 1) -> Any:
    def flow(ctx: Context) -> Node:
        a = ask(play, "a")
        b = ask(play, "b", prompt)
        return Sequence(a, b, ask(play, "c", "c", depends_on=b, fails=fails), ask(play, "d"))

    return flow


def test_what_finished_is_kept_and_the_rest_runs(play: Play) -> None:
    assert run(play, three(play)) == "failed"
    found = plan(play, three(play))
    assert verdicts(found) == {"a": "keep", "b": "keep", "c": "run", "d": "run"}
    assert reasons(found) == {
        "a": "finished",
        "b": "finished",
        "c": "failed; a resume tries it again",
        "d": "not reached yet",
    }
    assert play.calls == {"a": 1, "b": 1, "c": 1}
    assert resume(play, three(play)) == "finished"
    assert play.calls == {"a": 1, "b": 1, "c": 2, "d": 1}


def test_a_plan_changes_nothing(play: Play) -> None:
    run(play, three(play))
    with play.reader() as reader:
        before = reader.run("r")
    plan(play, three(play), Wish.of(["changed"]))
    with play.reader() as reader:
        assert reader.run("r") == before


def test_an_edited_prompt_is_changed_and_kept_unless_somebody_asks(play: Play) -> None:
    run(play, three(play))
    found = plan(play, three(play, "other"))
    assert verdicts(found) == {"a": "keep", "b": "changed", "c": "run", "d": "run"}
    assert reasons(found)["b"] == "its prompt is another"
    assert resume(play, three(play, "other")) == "finished"
    assert play.calls["b"] == 1


def test_rerun_changed_executes_what_changed_and_what_depends_on_it(play: Play) -> None:
    run(play, three(play, fails=0))
    assert play.calls == {"a": 1, "b": 1, "c": 1, "d": 1}
    found = plan(play, three(play, "other", 0), Wish.of(["changed"]))
    assert verdicts(found) == {"a": "keep", "b": "run", "c": "run", "d": "keep"}
    assert reasons(found)["c"] == "depends on b"
    assert resume(play, three(play, "other", 0), rerun=["changed"]) == "finished"
    assert play.calls == {"a": 1, "b": 2, "c": 2, "d": 1}
    assert {(row.key.node, row.generation) for row in play.attempts()} == {
        ("a", 0), ("b", 0), ("b", 1), ("c", 0), ("c", 1), ("d", 0)
    }  # fmt: skip
    assert verdicts(plan(play, three(play, "other", 0))) == dict.fromkeys("abcd", "keep")


def test_a_finished_run_without_a_wish_runs_nothing_even_where_the_file_has_grown(play: Play) -> None:
    run(play, lambda ctx: ask(play, "a"))

    def grown(ctx: Context) -> Node:
        return Sequence(ask(play, "a"), ask(play, "b"))

    assert verdicts(plan(play, grown)) == {"a": "keep", "b": "blocked"}
    assert resume(play, grown) == "finished"
    assert resume(play, grown, rerun=["changed"]) == "finished"
    assert play.calls == {"a": 1}
    assert verdicts(plan(play, grown, Wish.of(["a"]))) == {"a": "run", "b": "run"}
    assert resume(play, grown, rerun="a") == "finished"
    assert play.calls == {"a": 2, "b": 1}


def test_what_is_to_run_again_survives_a_death_before_its_turn(play: Play) -> None:
    """`c` depends on `b`; the run dies, as it were, while `b` runs again."""

    def flow(again: bool) -> Any:
        def made(ctx: Context) -> Node:
            def b() -> Number:
                if play.call("b") == 2:
                    raise ValueError("second")
                return Number(n=1)

            first = Task("b", Number, run=b, no_retry=True)
            return Sequence(first, Task("c", Number, run=lambda: Number(n=play.call("c")), depends_on=first))

        return made

    run(play, flow(False))
    assert resume(play, flow(True), rerun=["b"]) == "failed"
    assert play.calls == {"b": 2, "c": 1}
    assert verdicts(plan(play, flow(True))) == {"b": "run", "c": "run"}
    assert resume(play, flow(True)) == "finished"
    assert play.calls == {"b": 3, "c": 2}


def test_a_read_in_a_callable_is_a_recorded_dependency(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = ask(play, "a")
        return Sequence(
            a,
            ask(play, "b", lambda: f"after {ctx.output(a).n}"),
            Task("c", Number, run=lambda: Number(n=ctx.output(a).n + play.call("c"))),
            Task("e", Number, run=lambda: Number(n=len(ctx.outputs(Number)) + play.call("e"))),
            ask(play, "d"),
        )

    run(play, flow)
    found = plan(play, flow, Wish.of(["a"]))
    assert verdicts(found) == {"a": "run", "b": "run", "c": "run", "e": "run", "d": "keep"}
    resume(play, flow, rerun=["a"])
    assert play.calls == {"a": 2, "b": 2, "c": 2, "e": 2, "d": 1}


def test_what_a_render_made_of_an_output_runs_again_with_it(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = ask(play, "a")
        found = ctx.output_maybe(a)
        return Sequence(a, ask(play, "b"), found and ask(play, "c", f"fix {found.n}"), ask(play, "d"))

    run(play, flow)
    assert play.calls == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert verdicts(plan(play, flow)) == dict.fromkeys("abcd", "keep")
    found = plan(play, flow, Wish.of(["a"]))
    assert verdicts(found) == {"a": "run", "b": "keep", "c": "run", "d": "keep"}
    assert any("may become another" in note for note in found.notes)
    assert resume(play, flow, rerun=["a"]) == "finished"
    assert play.calls == {"a": 2, "b": 1, "c": 2, "d": 1}


def test_what_a_later_output_changed_in_a_render_is_no_edit(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = ask(play, "a", f"there are {len(ctx.outputs(Number))}")
        return Sequence(a, ask(play, "b"), ask(play, "c", fails=1))

    run(play, flow)
    assert verdicts(plan(play, flow)) == {"a": "keep", "b": "keep", "c": "run"}

    def edited(ctx: Context) -> Node:
        a = ask(play, "a", f"there were {len(ctx.outputs(Number))}")
        return Sequence(a, ask(play, "b"), ask(play, "c", fails=1))

    assert verdicts(plan(play, edited)) == {"a": "changed", "b": "keep", "c": "run"}


def test_a_task_that_left_the_file_is_gone(play: Play) -> None:
    run(play, three(play))

    def edited(ctx: Context) -> Node:
        return Sequence(ask(play, "a"), ask(play, "c", "c"), ask(play, "e", depends_on="b"))

    found = plan(play, edited)
    assert verdicts(found) == {"a": "keep", "c": "run", "e": "run", "b": "gone"}
    assert reasons(found)["b"] == "not in the file's tree any more; its output is kept"
    assert reasons(found)["e"] == "new"
    assert resume(play, edited) == "finished"
    assert play.calls == {"a": 1, "b": 1, "c": 2, "e": 1}


def test_a_value_that_does_not_fit_its_model_any_more_is_said_with_its_field(play: Play) -> None:
    class Wider(BaseModel):
        n: int
        why: str

    run(play, three(play))

    def edited(ctx: Context) -> Node:
        return Sequence(ask(play, "a"), ask(play, "b", "b", model=Wider), ask(play, "c", "c"), ask(play, "d"))

    found = plan(play, edited)
    assert verdicts(found)["b"] == "blocked"
    assert reasons(found)["b"] == "its stored value does not fit Wider any more: why: Field required"
    assert verdicts(plan(play, edited, Wish.of(["changed"])))["b"] == "run"


def test_earlier_passes_are_kept_whatever_the_file_says(play: Play) -> None:
    def failing(ctx: Context) -> Node:
        def x() -> Number:
            if play.call("x") == 2:
                raise ValueError("second")
            return Number(n=1)

        return Loop(ask(play, "a", "p"), Task("x", Number, run=x, no_retry=True), max_iterations=3)

    assert run(play, failing) == "failed"

    def edited(ctx: Context) -> Node:
        return Loop(
            ask(play, "a", "other"),
            Task("x", Number, run=lambda: Number(n=play.call("x")), no_retry=True),
            max_iterations=3,
        )

    found = plan(play, edited)
    assert reasons(found)["a"] == reasons(found)["x"] == "earlier pass"
    assert verdicts(found) == {
        "a": "keep", "x": "keep", "a[1]": "changed", "x[1]": "run", "a[2]": "run", "x[2]": "run"
    }  # fmt: skip
    with pytest.raises(PassEnded):
        plan(play, edited, Wish.of(["a[0]"]))
    assert resume(play, edited, rerun=["a"]) == "finished"
    assert play.calls == {"a": 1, "a[1]": 2, "a[2]": 1, "x": 4}


def test_a_done_loop_never_reopens(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(Loop(ask(play, "a"), max_iterations=2), ask(play, "b", fails=1))

    run(play, flow)
    assert verdicts(plan(play, flow)) == {"a": "keep", "a[1]": "keep", "b": "run"}
    with pytest.raises(PassEnded):
        plan(play, flow, Wish.of(["a"]))


def test_a_loop_around_everything_is_said(play: Play) -> None:
    run(play, three(play))

    def wrapped(ctx: Context) -> Node:
        return Loop(three(play, fails=0)(ctx), max_iterations=2, id="again")

    found = plan(play, wrapped)
    assert reasons(found)["a"] == "counts as pass 0 of again"
    assert verdicts(found)["a[1]"] == "run"
    assert found.notes[0].startswith("again is new around 2 finished tasks")
    assert resume(play, wrapped) == "finished"
    assert play.calls == {"a": 1, "b": 1, "c": 2, "d": 1, "a[1]": 1, "b[1]": 1, "c[1]": 1, "d[1]": 1}


def test_a_wish_for_what_is_not_there_is_refused(play: Play) -> None:
    run(play, three(play))
    with pytest.raises(NodeNotFound, match="no task bb"):
        plan(play, three(play), Wish.of(["bb"]))
    with pytest.raises(NodeNotFound, match="is no task"):
        plan(play, lambda ctx: Loop(ask(play, "a"), id="l"), Wish.of(["l"]))
    with pytest.raises(NodeNotFound, match="any more"):
        plan(play, lambda ctx: ask(play, "a"), Wish.of(["b"]))
    with pytest.raises(NodeSettled):
        plan(play, three(play), Wish.of(retry=["a"]))


def test_retry_tries_what_was_tolerated_and_whoever_was_skipped_for_it(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = ask(play, "a", fails=1, continue_on_fail=True)
        return Parallel(a, ask(play, "b", lambda n: "b", deps=a), ask(play, "c"))

    assert run(play, flow) == "partial"
    assert verdicts(plan(play, flow, Wish.of(retry=["a"]))) == {"a": "run", "b": "run", "c": "keep"}
    assert resume(play, flow, retry=["a"]) == "finished"
    assert play.calls == {"a": 2, "b": 1, "c": 1}


def test_a_strict_resume_keeps_nothing_that_changed(play: Play) -> None:
    run(play, three(play))
    with pytest.raises(PlanChanged, match="1 finished tasks"):
        plan(play, three(play, "other"), Wish(strict=True))
    assert plan(play, three(play, "other"), Wish.of(["changed"], strict=True)).count("changed") == 0


def test_each_reopening_is_told_once(play: Play) -> None:
    run(play, three(play, fails=0))
    resume(play, three(play, fails=0), rerun=["b"])
    assert play.events(EventType.NODE_REOPENED) == ["b", "c"]


def test_a_strict_render_that_gives_another_tree_the_second_time_is_refused(play: Play) -> None:
    def impure(ctx: Context) -> Node:
        return Sequence(ask(play, "a"), ask(play, "b", f"call {play.call('render')}"))

    def growing(ctx: Context) -> Node:
        return Sequence(*(ask(play, f"t{i}") for i in range(play.call("grow"))))

    run(play, lambda ctx: ask(play, "a", fails=1))
    with pytest.raises(RenderImpure, match="made b, and made it otherwise"):
        plan(play, impure, Wish(strict=True))
    with pytest.raises(RenderImpure, match="only one made t1"):
        plan(play, growing, Wish(strict=True))
    assert plan(play, three(play), Wish(strict=True)).count("run") == 4


def test_a_body_that_gives_another_tree_the_second_time_is_refused_too(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Loop(lambda i: ask(play, "a", f"call {play.call('render')}"), max_iterations=2, id="l")

    host = host_for(play.store)
    with pytest.raises(RenderImpure, match="made a, and"):
        Workflow(flow).start(host, run_id="r", strict=True)


def test_a_value_of_an_ended_pass_that_cannot_be_read_any_more_is_said_too(play: Play) -> None:
    class Wider(BaseModel):
        n: int
        why: str

    def flow(model: type[BaseModel]) -> Any:
        def made(ctx: Context) -> Node:
            return Sequence(
                Loop(ask(play, "a", model=model), max_iterations=1, id="l"), ask(play, "b", fails=1)
            )

        return made

    run(play, flow(Number))
    assert verdicts(plan(play, flow(Wider), Wish.of(["changed"]))) == {"a": "blocked", "b": "run"}


def test_what_would_only_be_skipped_is_not_executed_again(play: Play) -> None:
    """Nothing can replace its result, so the result stands."""

    def flow(name: str) -> Any:
        def made(ctx: Context) -> Node:
            a = ask(play, name)
            b = ask(play, "b", lambda n: name, deps=a)
            return Sequence(Loop(a, max_iterations=1, id="l"), b, ask(play, "c", depends_on=b))

        return made

    run(play, flow("a"))
    found = plan(play, flow("other"), Wish.of(["changed"]))
    assert verdicts(found)["b"] == "blocked"
    assert verdicts(found)["c"] == "keep"
    assert "its result stands" in reasons(found)["b"]
    assert resume(play, flow("other"), rerun=["changed"]) == "finished"
    assert play.calls == {"a": 1, "b": 1, "c": 1}


def test_a_prompt_file_that_was_edited_is_changed(play: Play) -> None:
    file = play.store.parent / "do.md"
    file.write_text("Do {{ what }}.")

    def flow(ctx: Context) -> Node:
        return Sequence(ask(play, "a", Prompt("do.md", what="it")), ask(play, "b", fails=1))

    made = Workflow(flow, name="flow")
    object.__setattr__(made.definition, "base", file.parent)
    made.run_sync(run_id="r", store=play.store)

    def look() -> dict[str, str]:
        with play.reader() as reader:
            row = reader.run("r")
        return reasons(made.plan(host_for(play.store), row))

    assert look()["a"] == "finished"
    file.write_text("Do {{ what }} now.")
    assert look()["a"] == "its prompt says something else"
    file.unlink()
    assert look()["a"] == "unknown: its prompt cannot be made as of then"


def test_code_that_cannot_be_identified_is_kept_and_never_changed(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        code: Any = eval("lambda: {'n': 1}")
        return Sequence(Task("a", Number, run=code), ask(play, "b", fails=1))

    run(play, flow)
    found = plan(play, flow)
    assert verdicts(found)["a"] == "keep"
    assert reasons(found)["a"].startswith("unknown: ")


def test_two_lambdas_on_one_line_are_told_apart(play: Play) -> None:
    def flow(first: int) -> Any:
        def made(ctx: Context) -> Node:
            pair = (lambda: "one", lambda: "two")
            return Sequence(ask(play, "a", pair[first]), ask(play, "b", pair[1]), ask(play, "x", fails=1))

        return made

    run(play, flow(0))
    assert verdicts(plan(play, flow(0))) == {"a": "keep", "b": "keep", "x": "run"}
    assert verdicts(plan(play, flow(1))) == {"a": "changed", "b": "keep", "x": "run"}


def test_a_captured_value_that_changed_is_changed(play: Play) -> None:
    def flow(tone: str) -> Any:
        def made(ctx: Context) -> Node:
            return Sequence(ask(play, "a", lambda: f"be {tone}"), ask(play, "x", fails=1))

        return made

    run(play, flow("kind"))
    assert verdicts(plan(play, flow("kind")))["a"] == "keep"
    assert verdicts(plan(play, flow("brief")))["a"] == "changed"


def test_what_finished_in_a_body_is_found_although_something_new_stands_before_it(play: Play) -> None:
    def flow(*new: str, prompt: str = "a") -> Any:
        def made(ctx: Context) -> Node:
            x = ask(play, "x", fails=1)
            body = Loop(lambda i: [ask(play, "a", prompt), ask(play, "b"), x], max_iterations=1, id="l")
            return Sequence(*(ask(play, name) for name in new), body)

        return made

    run(play, flow())
    found = plan(play, flow("new", prompt="other"))
    assert verdicts(found) == {"new": "run", "a": "changed", "b": "keep", "x": "run"}
    assert verdicts(plan(play, flow("new"), Wish.of(["b"])))["b"] == "run"
    assert resume(play, flow("new", prompt="other"), rerun=["changed"]) == "finished"
    assert play.calls == {"new": 1, "a": 2, "b": 1, "x": 2}


def test_a_body_that_reads_what_is_yet_to_run_keeps_what_it_had_made(play: Play) -> None:
    def flow(new: str) -> Any:
        def made(ctx: Context) -> Node:
            first = ask(play, new)
            x = ask(play, "x", fails=1)
            body = Loop(lambda i: [ctx.output(first) and ask(play, "a"), x], max_iterations=1, id="l")
            return Sequence(first, body)

        return made

    run(play, flow("old"))
    found = plan(play, flow("new"))
    assert verdicts(found)["a"] == "keep"
    assert reasons(found)["a"] == "unknown: l:body is made when the run gets there"
    assert resume(play, flow("new")) == "finished"
    assert play.calls == {"old": 1, "new": 1, "a": 1, "x": 2}


def test_only_what_the_newest_execution_has_read_is_a_dependency(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = ask(play, "a")

        def b() -> Number:
            return Number(n=ctx.output(a).n if play.call("b") == 1 else 0)

        return Sequence(a, Task("b", Number, run=b))

    run(play, flow)
    assert resume(play, flow, rerun=["a"]) == "finished"
    assert play.calls == {"a": 2, "b": 2}
    assert verdicts(plan(play, flow, Wish.of(["a"]))) == {"a": "run", "b": "keep"}
