"""The cache across runs: what is found, what is not and why, and what is left behind."""

from __future__ import annotations

import inspect
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from smithers import (
    AgentReply,
    AgentRequest,
    Cache,
    Context,
    Loop,
    Node,
    Parallel,
    Sequence,
    SqlTable,
    Task,
    current,
)
from smithers.authoring import Workflow
from smithers.clock import SystemClock
from smithers.engine.host import Host
from smithers.engine.hosts import host_for
from smithers.errors import TaskError
from smithers.records import (
    BLOB_LIMIT_BYTES,
    AttemptRow,
    AttemptState,
    CacheRow,
    EventType,
    FailureClass,
    Lookup,
)
from smithers.store import Store
from smithers.testing import ScriptedAgent
from tests.unit.engine.play import QUICK, Number, Play, Word, quick
from tests.unit.engine.test_steady import SetClock

Flow = Callable[[Context[Any]], object]


calls: Counter[str] = Counter()
"""Of tasks' functions, which name it: what they had captured would be a part of them."""


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def call(name: str) -> int:
    """Count a call; which one it was, from 1."""
    calls[name] += 1
    return calls[name]


def flow_of(make: Callable[[Context[Any]], Node]) -> Flow:
    """A workflow `flow` of what `make` returns."""

    def flow(ctx: Context[Any]) -> Node:
        return make(ctx)

    return flow


def counted(cache: Cache | None, name: str = "a", **options: Any) -> Task[Any]:
    """Counts its calls and returns the number of this one."""
    return Task(name, Number, run=lambda: Number(n=call(name)), cache=cache, **options)


def last(play: Play, node: str = "a", run: str = "r") -> AttemptRow:
    return play.attempts(node, run)[-1]


def lookup(play: Play, node: str = "a", run: str = "r") -> Lookup:
    found = last(play, node, run).lookup
    assert found is not None
    return found


def body(play: Play, key: str = "a", run: str = "r") -> str:
    with play.reader() as reader:
        return next(row.body for row in reader.outputs(reader.run(run).id) if str(row.key) == key)


def entries(play: Play) -> list[CacheRow]:
    with play.reader() as reader:
        return reader.cache_entries()


def finished_data(play: Play, node: str = "a", run: str = "r") -> list[Mapping[str, Any]]:
    """What the events of a node's ends say."""
    with play.reader() as reader:
        rows = reader.events(reader.run(run).id, limit=1000)
    return [
        json.loads(row.data or "{}")
        for row in rows
        if row.type is EventType.NODE_FINISHED and row.key is not None and row.key.node == node
    ]


# --- A hit --------------------------------------------------------------------------------------


def async_task(cache: Cache) -> Task[Any]:
    async def make() -> Number:
        return Number(n=call("a"))

    return Task("a", Number, run=make, cache=cache)


def value_task(cache: Cache) -> Task[Any]:
    return Task("a", Number, value=lambda: {"n": call("a")}, cache=cache)


def agent_task(cache: Cache) -> Task[Any]:
    def answer(prompt: str) -> dict[str, int]:
        return {"n": call("a")}

    return Task("a", Number, agent=answer, prompt="count", cache=cache)


@pytest.mark.parametrize("make", [counted, async_task, value_task, agent_task])
def test_a_second_run_finds_what_the_first_has_stored_and_calls_nothing(
    play: Play, make: Callable[[Cache], Task[Any]]
) -> None:
    flow = flow_of(lambda ctx: make(Cache()))
    first, second = play.run(flow), play.run(flow, run_id="s")
    assert calls["a"] == 1
    assert first.output == second.output == {"n": 1}
    assert body(play, run="s") == body(play)
    assert lookup(play).verdict == "empty"
    assert lookup(play, run="s")[:5] == ("hit", entries(play)[0].mark.hex(), (), "r", "a")


def test_a_hit_leaves_what_finished_work_leaves(play: Play) -> None:
    flow = flow_of(lambda ctx: agent_task(Cache()))
    play.run(flow)
    play.run(flow, run_id="s")
    made, found = last(play), last(play, run="s")
    assert (found.attempt, found.state, found.failure, found.error) == (1, AttemptState.FINISHED, None, None)
    assert (found.prompt, found.fingerprint) == (made.prompt, made.fingerprint)
    assert (made.is_cached, found.is_cached) == (False, True)
    assert play.states("s") == {"a": "finished"}
    assert play.events(EventType.NODE_STARTED, "s") == play.events(EventType.NODE_FINISHED, "s") == ["a"]
    assert (finished_data(play), finished_data(play, run="s")) == ([{}], [{"cached": "r"}])


def test_what_comes_after_a_hit_reads_it_like_any_output(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        first = counted(Cache())
        return Sequence(first, Task("b", Number, deps=first, run=lambda a: Number(n=a.n + 10)))

    assert play.run(flow_of(make)).output == play.run(flow_of(make), run_id="s").output == {"n": 11}
    assert calls["a"] == 1


def test_a_task_without_a_cache_neither_looks_nor_stores(play: Play) -> None:
    flow = flow_of(lambda ctx: counted(None))
    play.run(flow)
    play.run(flow, run_id="s")
    assert calls["a"] == 2
    assert (last(play).lookup, entries(play)) == (None, [])


def test_a_resume_keeps_what_a_hit_has_finished(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        return Sequence(counted(Cache()), Task("b", Number, run=fails, retries=0))

    def fails() -> Number:
        if call("b") < 3:
            raise ValueError("not yet")
        return Number(n=0)

    play.run(flow_of(make))
    play.run(flow_of(make), run_id="s")
    assert play.resume(flow_of(make), run_id="s").status == "finished"
    assert calls == {"a": 1, "b": 3}
    assert len(play.attempts("a", "s")) == 1


def square() -> Number:
    return Number(n=49)


def test_a_hit_starts_no_process(play: Play) -> None:
    flow = flow_of(lambda ctx: Task("a", Number, run=square, run_in="process", cache=Cache()))
    assert play.run(flow).output == play.run(flow, run_id="s").output == {"n": 49}
    with play.reader() as reader:
        assert [len(reader.processes(reader.run(run).id)) for run in "rs"] == [1, 0]
    assert last(play, run="s").is_cached


# --- The parts of the key -----------------------------------------------------------------------


class Clever:
    """An agent that says what it is."""

    name = "clever"

    def __init__(self, **options: Any) -> None:
        self.identity = options

    async def call(self, request: AgentRequest) -> AgentReply:
        return AgentReply(output={"n": 1, "text": "x"})


class Wide(BaseModel):
    n: int
    more: int = 0


SAME: dict[str, Any] = {
    "output": Number,
    "agent": [Clever(model="m"), Clever(model="spare")],
    "prompt": "count",
    "cache": Cache(by=lambda ctx: {"k": 1, "l": [1, 2]}, version="v1"),
}

CHANGED: list[tuple[str, dict[str, Any]]] = [
    ("prompt", {"prompt": "count "}),
    ("prompt", {"prompt": lambda: "count more"}),
    ("agent", {"agent": [Clever(model="n"), Clever(model="spare")]}),
    ("agent", {"agent": [Clever(model="m", tools=["bash"]), Clever(model="spare")]}),
    ("agent", {"agent": [Clever(model="m"), Clever(model="other")]}),
    ("agent", {"agent": [Clever(model="spare"), Clever(model="m")]}),
    ("agent", {"agent": Clever(model="m")}),
    ("schema", {"output": Wide}),
    ("by", {"cache": Cache(by=lambda ctx: {"k": 2, "l": [1, 2]}, version="v1")}),
    ("by", {"cache": Cache(by=lambda ctx: {"k": 1, "l": [2, 1]}, version="v1")}),
    ("by", {"cache": Cache(version="v1")}),
    ("version", {"cache": Cache(by=lambda ctx: {"k": 1, "l": [1, 2]}, version="v2")}),
    ("version", {"cache": Cache(by=lambda ctx: {"k": 1, "l": [1, 2]})}),
]


def asked(**changed: Any) -> Flow:
    options = {**SAME, **changed}
    output = options.pop("output")
    return flow_of(lambda ctx: Task("a", output, **options))


@pytest.mark.parametrize(("part", "changed"), CHANGED)
def test_another_part_is_a_miss_that_names_it(play: Play, part: str, changed: dict[str, Any]) -> None:
    play.run(asked())
    play.run(asked(**changed), run_id="s")
    found = lookup(play, run="s")
    assert (found.verdict, found.differs, found.run) == ("differs", (part,), "r")
    assert play.run(asked(), run_id="t").status == "finished"
    assert lookup(play, run="t").run == "r"


def test_what_the_output_is_not_made_from_is_no_part(play: Play) -> None:
    play.run(asked())
    same = Cache(by=lambda ctx: {"l": (1, 2), "k": 1}, version="v1", ttl="9h")
    play.run(
        asked(cache=same, label="A", retries=3, timeout="1h", meta={"x": 1}, skip_if=lambda: False),
        run_id="s",
    )
    assert lookup(play, run="s").is_hit


def test_code_and_what_it_is_given_are_parts(play: Play) -> None:
    def make(start: int, code: int) -> Flow:
        first = Task("first", Number, value={"n": start})
        codes: list[Callable[[Number], object]] = [lambda a: {"n": a.n + 1}, lambda a: {"n": a.n + 2}]
        return flow_of(
            lambda ctx: Sequence(first, Task("a", Number, deps=first, run=codes[code], cache=Cache()))
        )

    play.run(make(1, 0), run_id="r0")
    for run, (start, code) in {"r1": (1, 0), "r2": (2, 0), "r3": (1, 1)}.items():
        play.run(make(start, code), run_id=run)
    assert lookup(play, run="r1").is_hit
    assert lookup(play, run="r2").differs == ("deps",)
    assert lookup(play, run="r3").differs == ("code",)
    assert [json.loads(body(play, run=f"r{n}"))["n"] for n in range(4)] == [2, 2, 3, 3]


def test_a_captured_value_is_a_part_of_the_code(play: Play) -> None:
    def make(file: str) -> Flow:
        return flow_of(lambda ctx: Task("a", Word, run=lambda: Word(text=file), cache=Cache()))

    for run, file in {"r1": "x", "r2": "y", "r3": "x"}.items():
        assert play.run(make(file), run_id=run).output == {"text": file}
    assert [lookup(play, run=run).verdict for run in ("r1", "r2", "r3")] == ["empty", "differs", "hit"]


def test_named_dependencies_are_a_part(play: Play) -> None:
    def make(n: int) -> Flow:
        return flow_of(
            lambda ctx: Sequence(
                Task("first", Number, value={"n": n}),
                Task("a", Number, deps={"one": Number}, needs={"one": "first"},
                     run=lambda given: {"n": given.one.n}, cache=Cache()),
            )
        )  # fmt: skip

    for run, n in {"r1": 1, "r2": 2, "r3": 1}.items():
        assert play.run(make(n), run_id=run).output == {"n": n}
    assert [lookup(play, run=run).verdict for run in ("r1", "r2", "r3")] == ["empty", "differs", "hit"]


def test_the_nearest_entry_is_the_one_that_differs_least(play: Play) -> None:
    def by(k: int) -> Cache:
        return Cache(by=lambda ctx: k)

    play.run(asked(prompt="one", cache=by(1)), run_id="r1")
    play.run(asked(prompt="two", cache=by(2), agent=Clever()), run_id="r2")
    play.run(asked(prompt="one", cache=by(3)), run_id="s")
    assert (lookup(play, run="s").run, lookup(play, run="s").differs) == ("r1", ("by",))


def test_another_task_and_another_workflow_have_caches_of_their_own(play: Play) -> None:
    def other(ctx: Context[Any]) -> Node:
        return counted(Cache())

    play.run(flow_of(lambda ctx: counted(Cache())))
    play.run(flow_of(lambda ctx: counted(Cache(), "b")), run_id="s")
    play.run(other, run_id="t")
    assert lookup(play, "b", "s").verdict == lookup(play, run="t").verdict == "empty"


def test_a_whole_chain_is_one_key_whoever_of_it_has_answered(play: Play) -> None:
    bad, good = ScriptedAgent(TaskError("no"), TaskError("no")), ScriptedAgent({"n": 7}, name="good")
    flow = flow_of(
        lambda ctx: Task("a", Number, agent=[bad, good], prompt="x", cache=Cache(), retry_policy=QUICK)
    )
    play.run(flow)
    play.run(flow, run_id="s")
    assert (len(bad.requests), len(good.requests)) == (1, 1)
    assert [row.state for row in play.attempts("a")] == [AttemptState.FAILED, AttemptState.FINISHED]
    assert [row.is_cached for row in play.attempts("a", "s")] == [True]
    assert last(play, run="s").counted


class Silent:
    """An agent that does not say what it is."""

    name = "silent"

    def __init__(self, model: str, client: object = None) -> None:
        self.model = model
        self.client = client

    async def call(self, request: AgentRequest) -> AgentReply:
        return AgentReply(output={"n": call("a")})


def test_an_agent_that_does_not_say_what_it_is_counts_as_all_that_it_holds(play: Play) -> None:
    agents = (Silent("m"), Silent("m"), Silent("n"), Silent("m", Lock()), Silent("m", Lock()))
    for number, agent in enumerate(agents):
        play.run(
            flow_of(lambda ctx, agent=agent: Task("a", Number, agent=agent, prompt="x", cache=Cache())),  # type: ignore[misc]
            run_id=f"r{number}",
        )
    found = [lookup(play, run=f"r{number}") for number in range(5)]
    assert [one.verdict for one in found] == ["empty", "hit", "differs", "unknown", "unknown"]
    assert found[2].differs == found[3].differs == ("agent",)


def test_what_only_this_process_has_is_not_cached(play: Play) -> None:
    namespace: dict[str, Any] = {"Number": Number}
    exec("def made():\n    return Number(n=1)", namespace)
    flow = flow_of(lambda ctx: Task("a", Number, run=namespace["made"], cache=Cache()))
    play.run(flow)
    play.run(flow, run_id="s")
    assert lookup(play, run="s") == Lookup("unknown", differs=("code",))
    assert entries(play) == []


# --- What the code reads by itself --------------------------------------------------------------


def reading(read: Callable[[Context[Any]], object], cache: Cache | None = None, **options: Any) -> Flow:
    """A task whose code reads something by itself, after a task that says what the input says."""

    def make(ctx: Context[Any]) -> Node:
        first = Task("first", Number, run=lambda: Number(n=ctx.input.n))
        made = Task(
            "a", Word, run=lambda: Word(text=f"{call('a')}: {read(ctx)}"), cache=cache or Cache(), **options
        )
        return Sequence(first, made)

    return flow_of(make)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda ctx: ctx.input.n, "ctx.input"),
        (lambda ctx: ctx.output((Number, "first")).n, "output of first"),
        (lambda ctx: ctx.latest((Number, "first")), "output of first"),
        (lambda ctx: ctx.output_maybe((Number, "first")), "output of first"),
        (lambda ctx: ctx.iteration_count("first") and ctx.outputs(Number), "output of first"),
        (lambda ctx: ctx.outputs(Number), "all outputs Number"),
    ],
)
def test_what_code_has_read_by_itself_must_be_the_same(
    play: Play, read: Callable[[Context[Any]], object], words: str
) -> None:
    flow = reading(read)
    for run, n in {"r1": 1, "r2": 1, "r3": 2, "r4": 1, "r5": 2}.items():
        assert play.run(flow, {"n": n}, run_id=run).status == "finished"
    found = [lookup(play, run=f"r{n}") for n in range(1, 6)]
    assert [(one.verdict, one.run) for one in found] == [
        ("empty", ""), ("hit", "r1"), ("differs", "r1"), ("hit", "r1"), ("hit", "r3"),
    ]  # fmt: skip
    assert words in found[2].differs


def test_code_that_reads_its_runs_id_is_found_by_its_own_run_only(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        task = Task("a", Word, run=lambda: Word(text=f"{call('a')}: {ctx.run_id}"), cache=Cache())
        return Loop(task, until=ctx.iteration_count("a") >= 2, max_iterations=2)

    for run in "rs":
        assert play.run(flow_of(make), run_id=run).status == "finished"
    assert calls["a"] == 2
    assert [row.lookup.differs for row in play.attempts("a", "s") if row.lookup] == [("ctx.run_id",), ()]


@pytest.mark.parametrize("where", [lambda ctx: ctx, lambda ctx: current()])
def test_code_that_reads_its_pass_is_made_anew_in_each(play: Play, where: Callable[[Any], Any]) -> None:
    def make(ctx: Context[Any]) -> Node:
        task = Task("a", Number, run=lambda: Number(n=10 * call("a") + where(ctx).iteration), cache=Cache())
        return Loop(task, until=ctx.iteration_count("a") >= 2, max_iterations=2)

    play.run(flow_of(make))
    assert play.run(flow_of(make), run_id="s").output == {"n": 21}
    assert [row.is_cached for row in play.attempts("a")] == [False, False]
    assert [row.is_cached for row in play.attempts("a", "s")] == [True, True]


def test_code_that_reads_what_cannot_be_compared_is_not_stored_and_why_says_so(play: Play) -> None:
    flow = reading(lambda ctx: ctx.status("first"))
    for run in ("r1", "r2"):
        play.run(flow, {"n": 1}, run_id=run)
    assert (calls["a"], entries(play)) == (2, [])
    assert "not stored: its code reads what cannot be compared later" in lookup(play, run="r1").detail


def test_an_author_who_writes_by_has_said_what_the_output_is_made_from(play: Play) -> None:
    flow = reading(lambda ctx: (ctx.input.n, ctx.status("first")), Cache(by=lambda ctx: ctx.input.n % 2))
    for run, n in {"r1": 1, "r2": 3, "r3": 2}.items():
        play.run(flow, {"n": n}, run_id=run)
    assert [lookup(play, run=run).verdict for run in ("r1", "r2", "r3")] == ["empty", "hit", "differs"]


def test_what_skip_if_has_read_is_not_what_the_output_is_made_from(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        return counted(Cache(), skip_if=lambda: bool(ctx.input.n > 9))

    for run, n in {"r1": 1, "r2": 2}.items():
        assert play.run(flow_of(make), {"n": n}, run_id=run).output == {"n": 1}


def test_of_what_a_prompt_has_read_only_the_prompt_matters(play: Play) -> None:
    def answer(prompt: str) -> dict[str, int]:
        return {"n": call("a")}

    def make(ctx: Context[Any]) -> Node:
        return Task(
            "a", Number, agent=answer, prompt=lambda: f"odd: {ctx.input.n % 2}", retries=0, cache=Cache()
        )

    found = {}
    for run, n in {"r1": 1, "r2": 3, "r3": 2}.items():
        found[run] = play.run(flow_of(make), {"n": n}, run_id=run).output
    assert found == {"r1": {"n": 1}, "r2": {"n": 1}, "r3": {"n": 2}}
    assert lookup(play, run="r3").differs == ("prompt",)


# --- Scope, age, fit ----------------------------------------------------------------------------


def test_of_a_run_alone_other_passes_find_it_and_other_runs_do_not(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        done = ctx.iteration_count("a") >= 3
        return Loop(counted(Cache(scope="run")), until=done, max_iterations=5)

    play.run(flow_of(make))
    play.run(flow_of(make), run_id="s")
    assert calls["a"] == 2
    for run in "rs":
        assert [row.is_cached for row in play.attempts("a", run)] == [False, True, True]
        assert [row.lookup.run for row in play.attempts("a", run) if row.lookup] == ["", run, run]
    assert body(play, "a[2]", "s") == '{"n":2}'


def test_a_task_that_is_tried_anew_finds_what_its_run_has_stored(play: Play) -> None:
    def fails(*_: object) -> Number:
        if call("b") == 1:
            raise ValueError("not yet")
        return Number(n=0)

    def make(ctx: Context[Any]) -> Node:
        passes = ctx.iteration_count("a")
        return Sequence(
            Loop(counted(Cache(scope="run")), until=passes >= 1, max_iterations=1, id="once"),
            Task("b", Number, run=fails, retries=0),
            Task("c", Number, deps=Task("b", Number, run=fails), run=fails, cache=Cache(scope="run")),
        )

    assert play.run(flow_of(make)).status == "failed"
    assert play.resume(flow_of(make)).status == "finished"
    assert calls["a"] == 1


@dataclass
class Stage:
    """Runs a workflow on a clock that can be set."""

    path: Path
    clock: SetClock

    def run(self, function: Flow, run: str) -> AttemptRow:
        """Run it to its end; returns the last attempt of `a`."""
        workflow, host = Workflow(function), Host(self.path, clock=self.clock)
        try:
            workflow.start(host, run_id=run).ended.result(10)
            with closing(host.store.reader()) as reader:
                return [row for row in reader.attempts(reader.run(run).id) if row.key.node == "a"][-1]
        finally:
            host.close()


def test_what_is_older_than_the_ttl_of_today_is_made_anew(tmp_path: Path, play: Play) -> None:
    stage = Stage(tmp_path / "aged.db", SetClock())
    hour = flow_of(lambda ctx: counted(Cache(ttl="1h")))
    ever = flow_of(lambda ctx: counted(Cache()))
    stage.run(hour, "r1")
    stage.clock.ahead_ms = 3_500_000
    assert stage.run(hour, "r2").is_cached
    stage.clock.ahead_ms = 3_700_000
    assert stage.run(ever, "r3").is_cached
    found = stage.run(hour, "r4").lookup
    assert found is not None
    assert (found.verdict, found.run) == ("expired", "r1")
    found = stage.run(hour, "r5").lookup
    assert found is not None
    assert (found.verdict, found.run) == ("hit", "r4")
    assert calls["a"] == 2


def test_what_does_not_fit_the_model_of_today_is_a_miss_and_replaced(play: Play) -> None:
    limit = 10

    class Small(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def _small(cls, n: int) -> int:
            if n >= limit:
                raise ValueError(f"must be below {limit}")
            return n

    given = 7
    flow = flow_of(lambda ctx: Task("a", Small, agent=ScriptedAgent({"n": given}), prompt="x", cache=Cache()))
    play.run(flow)
    limit, given = 5, 3
    assert play.run(flow, run_id="s").output == {"n": 3}
    found = lookup(play, run="s")
    assert (found.verdict, found.run, found.detail) == ("unfit", "r", "n: Value error, must be below 5")
    play.run(flow, run_id="t")
    assert lookup(play, run="t").run == "s"


def test_plain_text_and_any_json_are_found_too(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        return Sequence(
            Task("text", str, run=lambda: f"call {call('text')}", cache=Cache()),
            Task("any", "anything", run=lambda: {"n": call("any")}, cache=Cache()),
        )

    assert play.run(flow_of(make)).output == play.run(flow_of(make), run_id="s").output == {"n": 1}
    assert body(play, "text", "s") == '{"text":"call 1"}'


def test_a_large_output_is_found_and_one_whose_file_is_gone_is_made_anew(play: Play) -> None:
    size = BLOB_LIMIT_BYTES + 1

    def make() -> Word:
        call("a")
        return Word(text="x" * size)

    flow = flow_of(lambda ctx: Task("a", Word, run=make, cache=Cache()))
    play.run(flow)
    assert len(play.run(flow, run_id="s").output["text"]) == size
    assert last(play, run="s").is_cached
    (blob,) = (path for path in (play.store.parent / "blobs").rglob("*") if path.is_file())
    blob.unlink()
    assert play.run(flow, run_id="t").status == "finished"
    found = lookup(play, run="t")
    assert (found.verdict, calls["a"]) == ("unreadable", 2)
    assert "cannot be read" in found.detail


# --- by -----------------------------------------------------------------------------------------


def test_by_reads_the_input_and_outputs_as_its_attempt_reads_them(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        first = Task("first", Number, run=lambda: Number(n=ctx.input.n))
        by = Cache(by=lambda ctx: [ctx.input, ctx.output(first), ctx.iteration])
        return Sequence(first, counted(by))

    for run, n in {"r1": 1, "r2": 2, "r3": 1}.items():
        play.run(flow_of(make), {"n": n}, run_id=run)
    assert [lookup(play, run=run).verdict for run in ("r1", "r2", "r3")] == ["empty", "differs", "hit"]


def test_a_by_that_reads_what_is_not_there_yet_makes_the_task_wait(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        first = Task("first", Number, run=lambda: Number(n=1))
        return Parallel(counted(Cache(by=lambda ctx: ctx.output(first))), first)

    assert play.run(flow_of(make)).status == "finished"
    assert play.events(EventType.NODE_BLOCKED) == ["a"]
    assert [row.state for row in play.attempts("a")] == [AttemptState.CANCELLED, AttemptState.FINISHED]
    assert calls["a"] == 1


def broken(ctx: Any) -> object:
    return {}["nothing"]  # the line that is named


def no_json(ctx: Any) -> object:
    return {"files": {"a", "b"}}


@pytest.mark.parametrize(
    ("by", "message", "line"),
    [
        (broken, "raised KeyError: 'nothing'", inspect.getsourcelines(broken)[1] + 1),
        (no_json, "JSON cannot hold: a set is no JSON", inspect.getsourcelines(no_json)[1]),
        (lambda ctx: float("nan"), "JSON cannot hold", None),
        (lambda ctx: {1: "a", "b": 2}, "JSON cannot hold", None),
        (lambda ctx: "\ud800", "JSON cannot hold", None),
    ],
)
def test_a_by_that_fails_fails_the_attempt_and_says_where(
    play: Play, by: Callable[[Any], object], message: str, line: int | None
) -> None:
    flow = flow_of(lambda ctx: counted(Cache(by), retries=0))
    assert play.run(flow).status == "failed"
    row = last(play)
    assert row.error is not None
    assert row.error["code"] == "CACHE_BY"
    assert message in row.error["message"]
    assert row.error["hint"]
    file, _, number = row.error["place"].rpartition(":")
    assert Path(file) == Path(__file__)
    assert line is None or int(number) == line
    assert (calls["a"], row.lookup) == (0, None)


def test_a_by_that_returns_what_is_no_json_does_so_again_and_is_tried_twice(play: Play) -> None:
    play.run(flow_of(lambda ctx: counted(Cache(no_json))))
    assert [row.failure for row in play.attempts("a")] == [FailureClass.LOGIC] * 2


def test_a_by_that_a_later_try_gets_right_is_retried(play: Play) -> None:
    def by(ctx: Any) -> int:
        if call("by") == 1:
            raise ConnectionError("no network")
        return 1

    assert play.run(flow_of(lambda ctx: counted(Cache(by), retry_policy=QUICK))).status == "finished"
    assert [row.failure for row in play.attempts("a")] == [FailureClass.CRASH, None]


# --- What is stored -----------------------------------------------------------------------------


def test_only_what_has_finished_is_stored(play: Play) -> None:
    def make() -> Number:
        if call("a") < 3:
            raise ValueError("not yet")
        return Number(n=3)

    flow = flow_of(lambda ctx: Task("a", Number, run=make, cache=Cache(), retry_policy=quick(1)))
    assert play.run(flow).status == "failed"
    assert (entries(play), [row.lookup and row.lookup.verdict for row in play.attempts("a")]) == (
        [],
        ["empty", "empty"],
    )
    assert play.run(flow, run_id="s").output == play.run(flow, run_id="t").output == {"n": 3}
    assert [row.run for row in entries(play)] == ["s"]


def test_a_rehearsal_neither_reads_nor_writes(play: Play) -> None:
    flow = flow_of(lambda ctx: agent_task(Cache()))
    play.run(flow, run_id="r1", rehearse=True)
    assert (entries(play), last(play, run="r1").lookup) == ([], None)
    play.run(flow, run_id="r2")
    play.run(flow, run_id="r3", rehearse=True)
    assert not last(play, run="r3").is_cached
    assert [row.run for row in entries(play)] == ["r2"]


# --- Executed again because somebody asked for it ------------------------------------------------


def test_a_rerun_executes_although_it_would_be_found_and_stores_what_is_new(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        first = counted(Cache())
        return Sequence(first, Task("b", Number, deps=first, run=lambda a: a, cache=Cache()))

    play.run(flow_of(make), run_id="r0")
    assert play.run(flow_of(make)).output == {"n": 1}
    assert play.resume(flow_of(make), rerun=["a"]).output == {"n": 2}
    assert lookup(play).verdict == lookup(play, "b").verdict == "rerun"
    assert play.run(flow_of(make), run_id="s").output == {"n": 2}
    assert (lookup(play, run="s").is_hit, lookup(play, run="s").run) == (True, "r")


def test_a_rerun_that_fails_is_still_executed_by_the_next_resume(play: Play) -> None:
    def make() -> Number:
        if call("a") == 2:
            raise ValueError("once")
        return Number(n=calls["a"])

    flow = flow_of(lambda ctx: Task("a", Number, run=make, cache=Cache(), retries=0))
    play.run(flow)
    assert play.resume(flow, rerun=["a"]).status == "failed"
    play.close()
    assert play.resume(flow).output == {"n": 3}
    assert [row.lookup and row.lookup.verdict for row in play.attempts("a")] == ["empty", "rerun", "rerun"]


def test_a_rerun_reaches_those_who_read_what_a_hit_was_made_from(play: Play) -> None:
    def make(ctx: Context[Any]) -> Node:
        # `b` reads `first` by itself, in code that the second run does not call.
        first = Task("first", Number, run=lambda: Number(n=max(call("first"), 2)))
        b = Task("b", Number, run=lambda: ctx.output(first), cache=Cache(version=1))
        return Sequence(first, b)

    play.run(flow_of(make))
    assert play.run(flow_of(make), run_id="s").output == {"n": 2}
    assert last(play, "b", "s").is_cached
    assert finished_data(play, "b", "s") == [{"reads": ["first"], "cached": "r"}]
    assert play.resume(flow_of(make), run_id="s", rerun=["first"]).output == {"n": 3}


# --- A table of the user's ----------------------------------------------------------------------


def test_a_row_that_a_table_refuses_is_made_anew_and_costs_no_retry(play: Play) -> None:
    flow = flow_of(
        lambda ctx: Task(
            "a", SqlTable("seen", Number), run=lambda: Number(n=call("a")), cache=Cache(), retries=0
        )
    )
    with closing(host_for(play.store).store.writer()) as writer:
        writer._connection.execute("CREATE TABLE seen (run_id, node_id, iteration, n INTEGER UNIQUE)")
    play.run(flow)
    assert play.run(flow, run_id="s").output == {"n": 2}
    cut, made = play.attempts("a", "s")
    assert (cut.state, cut.counted, made.state) == (AttemptState.CANCELLED, False, AttemptState.FINISHED)
    assert cut.lookup is not None
    assert made.lookup is not None
    assert (cut.lookup.verdict, made.lookup.verdict) == ("refused", "refused")
    assert "UNIQUE" in cut.lookup.detail
    assert made.lookup == cut.lookup
    with play.reader() as reader:
        assert reader.wakeups(reader.run("s").id) == []


# --- Stores from before -------------------------------------------------------------------------


def test_a_store_from_before_the_cache_is_read_as_it_is_and_resumes(play: Play) -> None:
    def fails() -> Number:
        if call("b") == 1:
            raise ValueError("not yet")
        return Number(n=2)

    def make(cache: Cache | None) -> Flow:
        return flow_of(
            lambda ctx: Sequence(counted(None), Task("b", Number, run=fails, retries=0, cache=cache))
        )

    assert play.run(make(None)).status == "failed"
    play.close()
    with closing(sqlite3.connect(play.store, isolation_level=None)) as plain:
        for table in (
            "cache",
            "lookups",
            "children",
            "lineages",
            "calls",
            "accounts",
            "budgets",
            "places",
            "pools",
            "waits",
            "votes",
            "notices",
            "revivals",
        ):
            plain.execute(f"DROP TABLE smithers_{table}")
        plain.execute("DROP INDEX smithers_inbox_signals")
        plain.execute("DROP INDEX smithers_runs_left")
        plain.execute("PRAGMA user_version = 4")
    with closing(Store(play.store, durability="full", clock=SystemClock()).reader()) as reader:
        assert [row.lookup for row in reader.attempts(reader.run("r").id)] == [None, None]
        assert reader.cache_entries() == []
    assert play.resume(make(Cache())).output == {"n": 2}
    assert calls == {"a": 1, "b": 2}
    assert play.run(make(Cache()), run_id="s").output == {"n": 2}
    assert last(play, "b", "s").is_cached


# --- In scripts ---------------------------------------------------------------------------------


def test_a_script_is_given_what_its_tasks_find(play: Play) -> None:
    async def flow(ctx: Context[Any]) -> Number:
        first = await ctx.run(Task("first", Number, value={"n": ctx.input.n}))
        made = await ctx.run(Task("a", Number, run=lambda: Number(n=10 * call("a") + first.n), cache=Cache()))
        async for _ in ctx.loop("again", max_iterations=2):
            await ctx.run(counted(Cache(), "b"))
        return made

    for run, n in {"r1": 1, "r2": 1, "r3": 2}.items():
        assert play.run(flow, {"n": n}, run_id=run).status == "finished"
    # What a script hands to a function by closing over it is a part of its code.
    assert [body(play, run=run) for run in ("r1", "r2", "r3")] == ['{"n":11}', '{"n":11}', '{"n":22}']
    assert lookup(play, run="r3").differs == ("code",)
    assert [row.is_cached for row in play.attempts("b", "r1")] == [False, True]
    assert [row.is_cached for row in play.attempts("b", "r2")] == [True, True]
