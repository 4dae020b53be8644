"""What a task waits for, what it is handed, and when it is skipped."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, Sequence, Task
from smithers.errors import DependencyDeadlock, DuplicateId, InvalidNode, RenderError, SmithersError
from smithers.records import EventType
from tests.unit.engine.play import QUICK, Number, Play, Word, until


def number(name: str, n: int = 1, **options: Any) -> Task[Number]:
    return Task(name, Number, value={"n": n}, **options)


def failing(name: str, **options: Any) -> Task[Any]:
    def run() -> Number:
        raise ValueError("no")

    return Task(name, Number, run=run, no_retry=True, **options)


# --- deps ---------------------------------------------------------------------------------------


def test_outputs_are_handed_over_by_position(play: Play) -> None:
    a, b, c = number("a", 1), number("b", 2), Task("c", str, value="three")

    def run(first: Number, second: Number, third: str) -> Word:
        return Word(text=f"{first!r} {second.n} {third}")

    result = play.run(lambda ctx: Parallel(a, b, c, Task("d", Word, deps=(a, b, c), run=run)))
    assert result.output == {"text": "Number(n=1) 2 three"}


def test_a_list_hands_over_as_many_outputs_as_it_holds(play: Play) -> None:
    tasks = [number(f"n{n}", n) for n in range(4)]
    total = Task("sum", Number, deps=tasks, run=lambda *found: {"n": sum(one.n for one in found)})
    assert play.run(lambda ctx: Parallel(total, tasks)).output == {"n": 6}


def test_an_async_function_and_a_prompt_are_handed_the_same(play: Play) -> None:
    a = number("a", 7)

    async def later(found: Number) -> Number:
        return Number(n=found.n + 1)

    b = Task("b", Number, deps=a, run=later)
    c = Task("c", str, deps=(a, b), agent=lambda prompt: prompt, prompt=lambda x, y: f"{x.n} then {y.n}")
    assert play.run(lambda ctx: [a, b, c]).output == "7 then 8"


def test_a_value_with_deps_is_a_function_of_them(play: Play) -> None:
    a = number("a", 20)
    b = Task("b", Number, deps=a, value=lambda found: {"n": found.n + 1})
    assert play.run(lambda ctx: [b, a] and Parallel(b, a)).output == {"n": 21}


def test_deps_by_name_are_one_object_with_these_names(play: Play) -> None:
    a, b = number("a", 1), Task("the-text", Word, value={"text": "x"})
    c = Task(
        "c",
        str,
        deps={"a": Number, "word": Word},
        needs={"word": "the-text"},
        run=lambda found: f"{found.a!r} {found.word.text} {found['a'].n}",
    )
    assert play.run(lambda ctx: [a, b, c]).output == "Number(n=1) x 1"


def test_a_dependency_that_stands_later_in_a_parallel_is_waited_for(play: Play) -> None:
    a = number("a")
    b = Task("b", str, deps=a, run=lambda found: str(found.n))
    assert play.run(lambda ctx: Parallel(b, a)).status == "finished"
    assert [row.key.node for row in play.attempts()] == ["a", "b"]


@pytest.mark.parametrize("tolerated", [True, False])
def test_without_the_output_it_needs_a_task_is_skipped_with_the_reason_and_its_dependants_too(
    play: Play, tolerated: bool
) -> None:
    a = failing("a", continue_on_fail=True) if tolerated else number("a", skip_if=True)
    b = Task("b", Number, deps=a, run=lambda found: {"n": play.call("b")})
    c = Task("c", Number, deps=b, run=lambda found: {"n": play.call("c")})
    d = number("d", depends_on="c")
    result = play.run(lambda ctx: [a, b, c, d])
    assert play.calls == {}
    assert play.states() == {
        "a": "failed" if tolerated else "skipped",
        "b": "skipped",
        "c": "skipped",
        "d": "finished",
    }
    assert play.node("b").reason == ("upstream failed: a" if tolerated else "upstream skipped: a")
    assert play.node("c").reason == ("upstream failed: b" if tolerated else "upstream skipped: b")
    assert result.status == ("partial" if tolerated else "finished")


def test_an_output_is_built_anew_for_each_reader(play: Play) -> None:
    class Box(BaseModel):
        items: list[int]

    a = Task("a", Box, value={"items": [1]})

    def spoil(found: Box) -> Number:
        found.items.append(2)
        return Number(n=len(found.items))

    def count(found: Box, spoiled: Number) -> Number:
        return Number(n=len(found.items))

    b = Task("b", Number, deps=a, run=spoil)
    assert play.run(lambda ctx: [a, b, Task("c", Number, deps=(a, b), run=count)]).output == {"n": 1}


# --- needs, depends_on --------------------------------------------------------------------------


def test_needs_waits_for_the_output_and_skips_without_it(play: Play) -> None:
    ran = Task("ran", str, needs={"x": "a"}, value="ran")
    skipped = Task("skipped", str, needs={"x": "b"}, value="ran")
    play.run(lambda ctx: Parallel(ran, skipped, number("a"), number("b", skip_if=True)))
    assert play.states()["ran"] == "finished"
    assert play.states()["skipped"] == "skipped"


def test_depends_on_is_satisfied_by_any_settlement(play: Play) -> None:
    after = number("after", depends_on=["done", "skipped", "failed"])
    play.run(
        lambda ctx: Parallel(
            after, number("done"), number("skipped", skip_if=True), failing("failed", continue_on_fail=True)
        )
    )
    assert play.states()["after"] == "finished"


def test_depends_on_a_loop_waits_until_it_is_done(play: Play) -> None:
    def body() -> Number:
        return Number(n=play.call("body"))

    after = Task("after", Number, run=lambda: {"n": play.calls["body"]}, depends_on="again")
    loop = Loop(Task("body", Number, run=body), max_iterations=3, id="again")
    assert play.run(lambda ctx: Parallel(after, loop)).output == {"n": 3}


def test_a_dependency_in_a_loop_that_its_dependant_does_not_share_waits_for_its_last_pass(play: Play) -> None:
    inside = Task("inside", Number, run=lambda: {"n": play.call("inside")})
    after = Task("after", Number, deps=inside, run=lambda found: found)
    assert play.run(lambda ctx: Parallel(after, Loop(inside, max_iterations=4))).output == {"n": 4}


def test_dependants_in_the_same_loop_read_the_same_pass(play: Play) -> None:
    inside = Task("inside", Number, run=lambda: {"n": play.call("inside")})

    def see(found: Number) -> Number:
        play.see(found.n)
        return found

    beside = Task("beside", Number, deps=inside, run=see)
    play.run(lambda ctx: Loop(Parallel(beside, inside), max_iterations=3))
    assert play.seen == [1, 2, 3]


# --- skip_if ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("skip", "state"), [(True, "skipped"), (False, "finished")])
@pytest.mark.parametrize("as_function", [True, False])
def test_skip_if_is_a_bool_or_a_function_asked_at_its_turn(
    play: Play, skip: bool, state: str, as_function: bool
) -> None:
    result = play.run(lambda ctx: number("a", skip_if=(lambda: skip) if as_function else skip))
    assert play.states() == {"a": state}
    assert result.status == "finished"
    assert len(play.attempts()) == (0 if skip else 1)


def test_skip_if_reads_what_is_there_when_the_turn_comes(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        a = number("a", 5)
        return Sequence(a, number("b", skip_if=lambda: ctx.output(a).n > 3))

    play.run(flow)
    assert play.states() == {"a": "finished", "b": "skipped"}


def test_skip_if_that_reads_a_missing_output_waits_for_it(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def slow() -> Number:
            time.sleep(0.05)
            return Number(n=1)

        a = Task("a", Number, run=slow)
        return Parallel(number("b", skip_if=lambda: ctx.output(a).n == 1), a)

    play.run(flow)
    assert play.states() == {"a": "finished", "b": "skipped"}


def test_skip_if_that_raises_ends_the_run_and_not_the_engine(play: Play) -> None:
    def skip() -> bool:
        raise ValueError("cannot say")

    first = Task("first", Number, run=lambda: {"n": 1})
    result = play.run(lambda ctx: [first, number("a", skip_if=skip)])
    assert result.status == "failed"
    assert result.error is not None
    assert "cannot say" in result.error["message"]
    assert f"{__file__}:{skip.__code__.co_firstlineno + 1}" == result.error["place"]
    assert play.states() == {"first": "finished"}


# --- Callables that read what is not there yet ---------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "async", "value", "prompt"])
def test_a_callable_that_reads_a_missing_output_waits_for_it(play: Play, kind: str) -> None:
    def flow(ctx: Context) -> Node:
        def slow() -> Number:
            time.sleep(0.05)
            return Number(n=9)

        slowly = Task("slow", Number, run=slow)

        def read() -> str:
            play.call("read")
            return str(ctx.output(slowly).n)

        async def read_later() -> str:
            return read()

        match kind:
            case "run":
                reader = Task("reader", str, run=read)
            case "async":
                reader = Task("reader", str, run=read_later)
            case "value":
                reader = Task("reader", str, deps=number("other"), value=lambda _: read())
            case _:
                reader = Task("reader", str, agent=lambda prompt: prompt, prompt=read)
        return Parallel(reader, number("other"), slowly)

    result = play.run(flow)
    assert (result.status, result.output) == ("finished", "9")
    assert play.calls["read"] == 2
    assert play.events(EventType.NODE_BLOCKED) == ["reader"]
    assert [row.counted for row in play.attempts("reader")] == [False, True]


def test_a_read_of_what_was_stored_while_its_attempt_ran_is_made_again(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def made() -> Number:
            until(lambda: play.calls["read"] > 0)
            return Number(n=9)

        source = Task("source", Number, run=made)

        def read() -> str:
            if play.call("read") == 1:
                # It reads as of its beginning, when nothing was there, and ends after the other has settled.
                until(lambda: play.states().get("source") == "finished")
            return str(ctx.output(source).n)

        return Parallel(Task("reader", str, run=read), source)

    result = play.run(flow)
    assert (result.status, play.calls["read"]) == ("finished", 2)
    assert [row.counted for row in play.attempts("reader")] == [False, True]


def test_a_task_that_waits_for_an_output_that_will_not_come_fails_and_names_both(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        none = number("none", skip_if=True)
        return Sequence(none, Task("reader", str, run=lambda: str(ctx.output(none).n)))

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert "reader" in result.error["message"]
    assert "none" in result.error["message"]


def test_a_task_that_reads_what_nobody_mounts_ends_in_a_deadlock(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        return Task("reader", str, run=lambda: str(ctx.output(Number, "ghost").n))

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "DEPENDENCY_DEADLOCK"
    assert "reader waits for ghost" in result.error["message"]
    assert Path(str(result.error["place"]).rpartition(":")[0]) == Path(__file__)


# --- Mistakes -----------------------------------------------------------------------------------


def refused(play: Play, flow: Any) -> SmithersError:
    with pytest.raises(SmithersError) as found:
        play.run(flow)
    with play.reader() as reader:
        from smithers.records import RunFilter

        assert reader.runs(RunFilter()) == [], "a run was left behind"
    return found.value


def test_a_dependency_that_is_mounted_nowhere_is_refused_in_the_first_frame(play: Play) -> None:
    error = refused(play, lambda ctx: number("a", depends_on="ghost"))
    assert isinstance(error, DependencyDeadlock)
    assert "a" in error.message
    assert "ghost" in error.message
    assert error.place is not None
    assert Path(error.place.file) == Path(__file__)


def test_a_dependency_that_is_mounted_later_is_waited_for(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        first = Task("first", Number, run=lambda: {"n": 1})
        there = ctx.output_maybe(first) is not None
        return Parallel(number("waits", depends_on="late"), first, number("late") if there else None)

    assert play.run(flow).status == "finished"
    assert play.events(EventType.RUN_WARNING) == ["waits"]


def test_a_cycle_is_refused_and_names_its_tasks(play: Play) -> None:
    error = refused(play, lambda ctx: Parallel(number("a", depends_on="b"), number("b", depends_on="a")))
    assert isinstance(error, RenderError)
    assert "a" in error.message
    assert "b" in error.message
    assert error.place is not None


def test_an_edge_into_a_later_sibling_of_the_sequence_is_refused(play: Play) -> None:
    error = refused(play, lambda ctx: Sequence(number("a", depends_on="b"), number("b")))
    assert isinstance(error, RenderError)
    assert error.place is not None


def test_two_tasks_of_one_id_are_refused_with_both_places(play: Play) -> None:
    first = number("same")
    second = Task("same", Number, value={"n": 2})
    error = refused(play, lambda ctx: Parallel(first, second))
    assert isinstance(error, DuplicateId)
    assert "same" in error.message
    assert str(first.place) in str(error)
    assert str(second.place) in str(error)


def test_a_literal_value_that_does_not_fit_is_refused_with_path_and_value(play: Play) -> None:
    task = Task("a", Number, value={"n": "many"})
    error = refused(play, lambda ctx: task)
    assert isinstance(error, InvalidNode)
    assert "n: " in error.message
    assert "'many'" in error.message
    assert error.place == task.place


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_refused_with_its_path(play: Play, value: float) -> None:
    class Report(BaseModel):
        rates: list[float | None]

    error = refused(play, lambda ctx: Task("a", Report, value={"rates": [1.0, None, value]}))
    assert "rates[2]" in error.message


def test_a_run_ends_in_a_deadlock_if_the_awaited_task_leaves_the_tree(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        first = Task("first", Number, run=lambda: {"n": 1})
        gone = ctx.output_maybe(first) is not None
        return Parallel(
            Sequence(first, Task("x", Number, run=lambda: {"n": 2})),
            number("waits", depends_on="later"),
            None if gone else number("later", depends_on="x"),
        )

    result = play.run(flow)
    assert result.status == "failed"
    assert result.error is not None
    assert result.error["code"] == "DEPENDENCY_DEADLOCK"
    assert "waits waits for later" in result.error["message"]


def test_retries_go_on_while_others_wait(play: Play) -> None:
    def run() -> Number:
        if play.call("run") < 3:
            raise ValueError("x" * play.calls["run"])
        return Number(n=1)

    a = Task("a", Number, run=run, retry_policy=QUICK)
    result = play.run(lambda ctx: Parallel(Task("b", Number, deps=a, run=lambda found: found), a))
    assert result.status == "finished"
    until(lambda: play.states() == {"a": "finished", "b": "finished"})


def test_a_failure_inside_a_library_is_placed_at_the_authors_line(play: Play) -> None:
    def run() -> Number:
        return json.loads("{")  # type: ignore[no-any-return]

    result = play.run(lambda ctx: Task("t", Number, run=run, no_retry=True))
    error = play.attempts("t")[0].error
    assert result.status == "failed"
    assert error is not None
    assert error["place"] == f"{__file__}:{run.__code__.co_firstlineno + 1}"


def test_a_workflow_that_returns_no_task_says_so(play: Play) -> None:
    def forgot(ctx: Context) -> None:
        Task("t", Number, run=lambda: Number(n=1))

    assert play.run(forgot).status == "finished"
    assert play.events(EventType.RUN_WARNING) == ["None"]
