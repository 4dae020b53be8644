"""Functions in a process of their own: what goes there, what comes back, and what ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel, Field, computed_field

from smithers import Context, Node, Sequence, Task, Workflow, current
from smithers.context import Record
from smithers.engine.fingerprint import fingerprint
from smithers.errors import NotImportable, SmithersError
from smithers.nodes import TaskOptions
from smithers.records import AttemptState, FailureClass
from tests.unit.engine.play import Number, Play, Word, quick
from tests.unit.process.family import lives

# --- Functions that run elsewhere ---------------------------------------------------------------


class Dated(BaseModel):
    model_config = {"extra": "forbid", "strict": True}
    day: date
    size: int = Field(alias="Size", default=0)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def year(self) -> int:
        return self.day.year


def where() -> Number:
    return Number(n=os.getpid())


def add(a: Number, b: Number) -> Number:
    return Number(n=a.n + b.n)


async def later(a: Number) -> Number:
    await asyncio.sleep(0)
    return Number(n=a.n + 1)


def dated() -> Dated:
    return Dated(day=date(2026, 1, 2), Size=3)


def same(value: Dated) -> Dated:
    assert (value.day, value.year, value.size) == (date(2026, 1, 2), 2026, 3)
    return value


def plain(value: Any) -> str:
    assert isinstance(value, Record)
    return str(value.n)


def counts(count: Any) -> Number:
    assert isinstance(count, Number)
    return Number(n=count.n + 1)


def named(deps: Any) -> str:
    assert isinstance(deps.one, Number)
    return f"{deps.one.n} {deps['two'].text}"


def me() -> Word:
    now = current()
    last = now.last_heartbeat
    now.heartbeat({"from": os.getpid()})
    if now.attempt == 1:
        raise OSError("once more")
    return Word(text=f"{now.run_id} {now.node} {now.attempt} {now.idempotency_key} {sorted(last)}")


def reads_ctx() -> Word:
    return Word(text=current().ctx.input.text)


def raises() -> NoReturn:
    raise ValueError("no ü here")


def bug() -> NoReturn:
    raise TypeError("a bug")


def not_json() -> Any:
    return {"n": object()}


def infinite() -> Any:
    return {"n": float("inf")}


def wrong() -> Any:
    return {"n": "three"}


def other() -> Word:
    return Word(text="x")


def leaves() -> NoReturn:
    os._exit(0)


def segfaults() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def floods() -> Word:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(2_000):
            stream.write("x" * 100 + "\n")
    return Word(text="done")


def closes() -> Word:
    sys.stdout.close()
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    return Word(text="done")


def closes_all() -> NoReturn:
    os.closerange(0, 1000)
    time.sleep(100)
    raise AssertionError


def large() -> Word:
    return Word(text="x" * (100 << 20))


def length(word: Word) -> Number:
    return Number(n=len(word.text))


def hangs() -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
    Path(os.environ["HANGS"], str(os.getpid())).touch()
    while True:
        time.sleep(100)


def beats_once() -> NoReturn:
    current().heartbeat()
    time.sleep(100)
    raise AssertionError


class Things:
    @staticmethod
    def make() -> Word:
        return Word(text="made")

    def method(self) -> Word:
        return Word(text="")


def away(id: str, run: Any, output: Any = None, **options: Any) -> Task[Any]:
    return (
        Task(id, output, run=run, run_in="process", **options)
        if output
        else Task(id, run=run, run_in="process", **options)
    )


@pytest.fixture
def play(tmp_path: Path) -> Any:
    found = Play(tmp_path / "smithers.db")
    yield found
    found.close()


def flow(*tasks: Task[Any]) -> Any:
    def made(ctx: Context) -> Node:
        return Sequence(*tasks)

    return made


def error(play: Play, node: str) -> Any:
    return play.attempts(node)[-1].error


# --- What goes there and comes back -------------------------------------------------------------


def test_a_function_runs_in_another_process_each_time(play: Play) -> None:
    play.run(flow(away("a", where), away("b", where)))
    with play.reader() as reader:
        rows = reader.outputs(reader.run("r").id)
        processes = reader.processes(reader.run("r").id)
    pids = {int(row.body.removeprefix('{"n":').removesuffix("}")) for row in rows}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert pids == {row.pid for row in processes}
    assert [row.status for row in processes] == [0, 0]
    assert all(row.ended_ms is not None for row in processes)


def test_outputs_come_as_models_and_go_as_models(play: Play) -> None:
    one, two = Task("one", Number, value={"n": 1}), Task("two", Number, value={"n": 2})
    three = away("three", add, deps=(one, two))
    assert play.run(flow(one, two, three, away("four", later, deps=three))).output == {"n": 4}


def test_a_strict_model_with_an_alias_and_a_computed_field_keeps_its_value(play: Play) -> None:
    first = away("first", dated)
    play.run(flow(first, away("second", same, deps=first)))
    with play.reader() as reader:
        one, two = reader.outputs(reader.run("r").id)
    assert one.body == two.body
    here = Play(play.store.with_name("here.db"))
    here.run(flow(Task("first", run=dated)))
    with here.reader() as reader:
        assert reader.outputs(reader.run("r").id)[0].body == one.body


def test_a_named_output_comes_as_a_record_and_named_deps_as_one_object(play: Play) -> None:
    one, two = Task("one", "Anything", value={"n": 1}), Task("two", Word, value={"text": "x"})
    three = Task("three", Number, value={"n": 3})
    mapping: dict[str, type[BaseModel]] = {"one": Number, "two": Word}
    tasks = (
        away("plain", plain, str, deps=one),
        away("named", named, str, deps=mapping, needs={"one": "three"}),
    )
    assert play.run(flow(one, two, three, *tasks)).output == "3 x"


def test_a_dependency_on_a_named_output_comes_as_its_model(play: Play) -> None:
    flow = Workflow(
        lambda ctx: Sequence(one := Task("one", "count", value={"n": 1}), away("two", counts, deps=one)),
        outputs={"count": Number},
    )
    assert flow.run_sync(None, run_id="r", store=play.store).output == {"n": 2}


def test_current_says_what_it_says_here(play: Play) -> None:
    assert play.run(flow(away("a", me, retry_policy=quick(2)))).output == {
        "text": "r a 2 smithers:r:a::0 ['from']"
    }


def test_ctx_is_refused_with_a_hint(play: Play) -> None:
    play.run(flow(away("a", reads_ctx, retries=0)))
    found = error(play, "a")
    assert found["code"] == "OUTSIDE_TASK"
    assert "deps=" in found["hint"]


def test_a_static_method_of_a_class_is_found(play: Play) -> None:
    assert play.run(flow(away("a", Things.make))).output == {"text": "made"}


def test_a_hundred_megabytes_go_both_ways(play: Play) -> None:
    first = away("first", large)
    assert play.run(flow(first, away("second", length, deps=first))).output == {"n": 100 << 20}


def test_where_it_runs_is_no_part_of_what_a_task_is() -> None:
    assert fingerprint(Task("a", run=where), ()) == fingerprint(away("a", where), ())


# --- What goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "output", "failure", "code", "message"),
    [
        (raises, Word, FailureClass.CRASH, "ValueError", "no ü here"),
        (bug, Word, FailureClass.LOGIC, "TypeError", "a bug"),
        (not_json, Number, FailureClass.BAD_OUTPUT, "INVALID_OUTPUT", "not JSON"),
        (infinite, Number, FailureClass.BAD_OUTPUT, "INVALID_OUTPUT", "not JSON"),
        (wrong, Number, FailureClass.BAD_OUTPUT, "INVALID_OUTPUT", "does not fit Number: n: "),
        (other, Number, FailureClass.BAD_OUTPUT, "INVALID_OUTPUT", "does not fit Number"),
        (leaves, Word, FailureClass.CRASH, "PROCESS_CRASHED", "left with status 0 before it had an answer"),
        (segfaults, Word, FailureClass.CRASH, "PROCESS_CRASHED", "was ended by SIGSEGV"),
        (closes_all, Word, FailureClass.CRASH, "PROCESS_CRASHED", "before it had an answer"),
    ],
)
def test_a_failure_comes_back_as_what_it_is(
    play: Play, function: Any, output: Any, failure: FailureClass, code: str, message: str
) -> None:
    assert play.run(flow(away("a", function, output, retries=0))).status == "failed"
    (attempt,) = play.attempts("a")
    assert attempt.failure is failure
    assert attempt.error is not None
    assert attempt.error["code"] == code
    assert message in attempt.error["message"]


def test_an_exception_names_the_authors_line(play: Play) -> None:
    play.run(flow(away("a", raises, Word, retries=0)))
    line = raises.__code__.co_firstlineno + 1
    assert error(play, "a")["place"] == f"{__file__}:{line}"


@pytest.mark.parametrize("function", [floods, closes])
def test_what_it_does_to_its_streams_harms_no_answer(play: Play, function: Any) -> None:
    assert play.run(flow(away("a", function))).output == {"text": "done"}


# --- What ends it -------------------------------------------------------------------------------


def test_a_timeout_ends_all_of_it_before_the_next_attempt_begins(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANGS", str(tmp_path))
    before = time.monotonic()
    play.run(flow(away("a", hangs, Word, timeout=3.0, retry_policy=quick(1))))
    assert time.monotonic() - before < 40
    first, second = play.attempts("a")
    assert (first.failure, second.failure) == (FailureClass.TIMEOUT, FailureClass.TIMEOUT)
    pids = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    assert len(pids) == 4
    assert [pid for pid in pids if lives(pid)] == []
    with play.reader() as reader:
        one, two = reader.processes(reader.run("r").id)
    assert one.ended_ms is not None
    assert one.ended_ms <= two.started_ms


def test_silence_ends_it(play: Play) -> None:
    play.run(flow(away("a", beats_once, Word, heartbeat_timeout=1.0, retries=0)))
    (attempt,) = play.attempts("a")
    assert attempt.failure is FailureClass.STALLED
    with play.reader() as reader:
        (row,) = reader.processes(reader.run("r").id)
    assert row.status == -signal.SIGTERM


def test_a_failure_beside_it_leaves_its_end_to_itself(play: Play) -> None:
    done = play.run(flow(away("a", where), away("b", raises, Word, continue_on_fail=True)))
    assert done.status == "partial"
    assert [row.state for row in play.attempts()] == [AttemptState.FINISHED, AttemptState.FAILED]


# --- What is refused where it is written --------------------------------------------------------


def _nested() -> Any:
    def inner() -> Word:
        return Word(text="")

    return inner


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: Word(text=""), "a lambda has none"),
        (_nested(), "made anew by each call"),
        (partial(where), "has none"),
        (Things().method, "a method of an object"),
        (len, None),
    ],
)
def test_only_what_is_found_by_its_name_can_run_elsewhere(run: Any, words: str | None) -> None:
    if words is None:
        assert away("a", run, Number).run_in == "process"
        return
    with pytest.raises(NotImportable, match=words) as found:
        away("a", run, Word)
    assert found.value.place is not None
    assert found.value.place.file == __file__
    assert "top level" in found.value.hint


def test_a_function_of_the_program_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "__module__", "__main__")
    with pytest.raises(NotImportable, match="smithers up"):
        away("a", where)


def test_a_model_that_is_not_found_by_its_name_must_stand_in_the_annotation() -> None:
    class Local(BaseModel):
        n: int

    first = Task("first", Local, value={"n": 1})
    assert away("ok", later, deps=first).run_in == "process"
    with pytest.raises(NotImportable, match="Local is not at the top level"):
        away("a", len, Number, deps={"first": Local})


@pytest.mark.parametrize(
    "given", [{"value": {"n": 1}}, {"agent": lambda prompt: prompt, "prompt": "x"}, {"run": where}]
)
def test_run_in_is_for_functions_and_has_one_value(given: dict[str, Any]) -> None:
    word = "thread" if "run" in given else "process"
    with pytest.raises(SmithersError, match="run_in"):
        Task("a", Number, run_in=word, **given)
    assert "run_in" in TaskOptions.__annotations__
