"""Other code for a run that goes on: what it takes over, what goes on as it was, and what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from smithers import Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, TryCatchFinally
from smithers.agents import as_agent
from smithers.engine.definition import Definition
from smithers.engine.handle import Handle
from smithers.engine.message import New, Swap, Unfit
from smithers.engine.terms import Terms
from smithers.errors import LeaseLost, Place, WorkflowLoadFailed
from smithers.records import AttemptRow, EventRow, EventType, RunState
from smithers.store.memory import MemoryStore
from smithers.testing import ScriptedAgent
from smithers.testing.clock import FakeClock
from smithers.testing.simulator.fault import Kind, Sites, StoreFault
from smithers.testing.simulator.process import Connections, SimulatedProcess

TERMS = Terms("flow.py:flow", 16, None, lambda task: tuple(map(as_agent, task.agents)))


class Word(BaseModel):
    text: str


class Gates:
    """Tasks that end when the test says so."""

    def __init__(self) -> None:
        self._open: dict[str, asyncio.Future[Any]] = {}
        self.begun: list[str] = []

    def task(self, id: str, model: Any = Word, code: str = "", **options: Any) -> Task[Any]:
        """A task whose function notes that it began, as `id` and the version of the code."""

        async def work() -> Any:
            self.begun.append(id + code)
            found = self._open[id] = asyncio.get_running_loop().create_future()
            return await found

        return Task(id, model, run=work, **options)

    def open(self, id: str, value: Any) -> None:
        self._open.pop(id).set_result(value)

    def fail(self, id: str, error: Exception) -> None:
        self._open.pop(id).set_exception(error)


class Stage:
    """One process and one run in it, moved by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.connections = Connections()
        self.store = MemoryStore(self.clock, connect=self.connections.connect)
        self.sites = Sites()
        self.process = SimulatedProcess(
            1, self.store, self.connections, self.clock, Random(0), set(), self.sites
        )
        self.gates = Gates()
        self.handle: Handle = self.process.engine.handle()

    def start(self, function: Callable[[Context[Any]], object], given: str = "{}", **more: Any) -> None:
        new = New(definition(function, **more), "r", given, {}, TERMS, self.handle)
        self.process.engine.post(new)
        self.go()

    def swap(self, function: Callable[[Context[Any]], object], **more: Any) -> None:
        self.ask(function, **more)
        self.go()

    def ask(self, function: Callable[[Context[Any]], object], **more: Any) -> None:
        self.process.engine.post(Swap(self.handle, definition(function, **more), ("flow.py",)))

    def go(self) -> None:
        """Let everything happen that can happen now."""
        while actions := self.process.actions():
            actions[0]()

    def open(self, id: str, value: Any) -> None:
        self.gates.open(id, value)
        self.go()

    def ends(self) -> RunState:
        return self.handle.ended.result(0).state

    def events(self, kind: EventType) -> list[EventRow]:
        with closing(self.store.reader()) as reader:
            return [row for row in reader.events(1, limit=1_000_000) if row.type is kind]

    def warnings(self) -> list[str]:
        return [json.loads(row.data or "{}")["message"] for row in self.events(EventType.RUN_WARNING)]

    def reloads(self) -> list[Any]:
        return [json.loads(row.data or "{}") for row in self.events(EventType.RUN_RELOADED)]

    def attempts(self, node: str) -> list[AttemptRow]:
        with closing(self.store.reader()) as reader:
            return [row for row in reader.attempts(1) if row.key.node == node]

    def outputs(self) -> dict[str, Any]:
        with closing(self.store.reader()) as reader:
            return {str(row.key): json.loads(row.body) for row in reader.outputs(1)}

    def close(self) -> None:
        for loop in self.process.loops:
            loop.close()
        self.connections.close()
        self.store.close()


def definition(function: Callable[[Context[Any]], object], **more: Any) -> Definition:
    options = {"name": "flow", "place": None, "input_model": None, "output_model": None, **more}
    return Definition(function=function, **options)


@pytest.fixture
def stage() -> Iterator[Stage]:
    logger = logging.getLogger("smithers")
    before, logger.disabled = logger.disabled, True
    with closing(Stage()) as found:
        yield found
    logger.disabled = before


def test_what_is_finished_is_kept_and_what_is_pending_runs_by_the_new_code(stage: Stage) -> None:
    def flow(code: str) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Sequence(
            stage.gates.task("a", code=code),
            stage.gates.task("b", code=code),
            stage.gates.task("c", code=code),
        )

    stage.start(flow(" v1"))
    stage.open("a", {"text": "one"})
    stage.swap(flow(" v2"))
    stage.open("b", {"text": "two"})
    stage.open("c", {"text": "three"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a v1", "b v1", "c v2"]
    assert stage.outputs() == {"a": {"text": "one"}, "b": {"text": "two"}, "c": {"text": "three"}}


def test_a_swap_is_told_with_its_files_and_its_frame(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    stage.swap(lambda ctx: stage.gates.task("a"))
    (told,) = stage.reloads()
    assert told == {"changed": ["flow.py"], "frame": 2}
    with closing(stage.store.reader()) as reader:
        assert [frame.frame for frame in reader.frames(1)] == [1, 2]


def test_an_attempt_in_flight_goes_on_under_the_code_that_it_began_with(stage: Stage) -> None:
    stage.start(lambda ctx: Sequence(stage.gates.task("a", code=" v1"), stage.gates.task("b")))
    stage.swap(lambda ctx: Sequence(stage.gates.task("a", code=" v2"), stage.gates.task("b")))
    assert stage.gates.begun == ["a v1"]
    stage.open("a", {"text": "from v1"})
    assert stage.outputs() == {"a": {"text": "from v1"}}
    assert [row.attempt for row in stage.attempts("a")] == [1]


def test_a_pending_task_is_asked_the_new_prompt(stage: Stage) -> None:
    def flow(prompt: str) -> Callable[[Context[Any]], Node]:
        agent = ScriptedAgent(lambda request: {"text": request.prompt}, last=True)
        return lambda ctx: Sequence(stage.gates.task("a"), Task("b", Word, agent=agent, prompt=prompt))

    stage.start(flow("the old prompt"))
    stage.swap(flow("the new prompt"))
    stage.open("a", {"text": "one"})
    assert stage.outputs()["b"] == {"text": "the new prompt"}


def test_a_retry_in_its_back_off_is_made_by_the_new_code(stage: Stage) -> None:
    def flow(code: str) -> Callable[[Context[Any]], Node]:
        policy = RetryPolicy(initial_delay=60, max_delay=60)
        return lambda ctx: stage.gates.task("a", code=code, retry_policy=policy)

    stage.start(flow(" v1"))
    stage.gates.fail("a", RuntimeError("no"))
    stage.go()
    stage.swap(flow(" v2"))
    assert stage.gates.begun == ["a v1"]
    stage.clock.advance(120)
    stage.go()
    assert stage.gates.begun == ["a v1", "a v2"]
    assert [row.attempt for row in stage.attempts("a")] == [1, 2]


def test_a_task_that_is_new_begins_at_once_beside_what_runs(stage: Stage) -> None:
    stage.start(lambda ctx: Parallel(stage.gates.task("a")))
    stage.swap(lambda ctx: Parallel(stage.gates.task("a"), stage.gates.task("new")))
    assert stage.gates.begun == ["a", "new"]


def test_a_running_task_that_vanishes_ends_by_itself_its_output_is_kept_and_the_run_waits(
    stage: Stage,
) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    stage.swap(lambda ctx: Task("other", Word, value={"text": "at once"}))
    assert not stage.handle.ended.done()
    stage.open("a", {"text": "kept"})
    assert stage.ends() is RunState.FINISHED
    assert stage.outputs() == {"a": {"text": "kept"}, "other": {"text": "at once"}}


def test_the_failure_of_a_running_task_that_vanished_fails_nothing(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a", retries=0))
    stage.swap(lambda ctx: Task("other", Word, value={"text": "at once"}))
    stage.gates.fail("a", RuntimeError("no"))
    stage.go()
    assert stage.ends() is RunState.FINISHED


def test_a_finished_task_that_vanishes_and_returns_is_not_run_again(stage: Stage) -> None:
    both = lambda ctx: Sequence(stage.gates.task("a"), stage.gates.task("b"))  # noqa: E731
    stage.start(both)
    stage.open("a", {"text": "one"})
    stage.swap(lambda ctx: Sequence(stage.gates.task("b")))
    stage.swap(both)
    stage.open("b", {"text": "two"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a", "b"]


def test_loops_keep_their_passes(stage: Stage) -> None:
    def flow(last: str) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Loop(
            stage.gates.task("a"),
            until=lambda: ctx.output(Word, "a").text == last,
            max_iterations=9,
            id="loop",
        )

    stage.start(flow("never"))
    stage.open("a", {"text": "one"})
    stage.swap(flow("two"))
    stage.open("a", {"text": "two"})
    assert stage.ends() is RunState.FINISHED
    assert list(stage.outputs()) == ["a", "a[1]"]


def test_a_block_that_has_begun_keeps_its_place(stage: Stage) -> None:
    def flow(code: str) -> Callable[[Context[Any]], Node]:
        return lambda ctx: TryCatchFinally(
            stage.gates.task("a", retries=0),
            catch=stage.gates.task("mend", code=code),
            finally_=stage.gates.task("last", code=code),
            id="block",
        )

    stage.start(flow(" v1"))
    stage.gates.fail("a", RuntimeError("no"))
    stage.go()
    stage.swap(flow(" v2"))
    stage.open("mend", {"text": "mended"})
    stage.open("last", {"text": "done"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a", "mend v1", "last v2"]


def test_the_ctx_of_old_code_reads_what_its_attempt_began_with(stage: Stage) -> None:
    class Old(BaseModel):
        topic: str

    class New(BaseModel):
        topic: str
        depth: int = 3

    seen: list[Any] = []

    def flow(ctx: Context[Any]) -> Node:
        async def work() -> Word:
            await stage.gates.task("gate").run()  # type: ignore[misc, operator]
            seen.append(type(ctx.input))
            return Word(text=ctx.input.topic)

        return Sequence(Task("a", Word, run=work), Task("b", Word, run=work))

    stage.start(flow, '{"topic": "x"}', input_model=Old)
    stage.swap(flow, input_model=New)
    stage.open("gate", None)
    stage.open("gate", None)
    assert stage.ends() is RunState.FINISHED
    assert seen == [Old, New]


# --- Scripts ------------------------------------------------------------------------------------


def script(stage: Stage, code: str, *names: str) -> Callable[[Context[Any]], object]:
    """Awaits one task after the other; notes how it was left."""

    async def flow(ctx: Context[Any]) -> None:
        try:
            for name in names:
                await ctx.run(stage.gates.task(name, code=code))
        except BaseException as error:
            stage.gates.begun.append(type(error).__name__ + code)
            raise

    return flow


def test_a_script_runs_again_by_the_new_code_and_what_it_had_awaited_is_there(stage: Stage) -> None:
    stage.start(script(stage, " v1", "a", "b", "c"), is_script=True)
    stage.open("a", {"text": "one"})
    stage.swap(script(stage, " v2", "a", "b", "c"), is_script=True)
    assert stage.gates.begun == ["a v1", "b v1", "RunSuspended v1"]
    stage.open("b", {"text": "two"})
    stage.open("c", {"text": "three"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a v1", "b v1", "RunSuspended v1", "c v2"]
    assert [row.attempt for row in stage.attempts("b")] == [1]


def test_a_script_that_waits_for_something_else_does_not_go_on_beside_the_new_one(stage: Stage) -> None:
    async def slow(ctx: Context[Any]) -> None:
        await ctx.run(stage.gates.task("a"))
        await asyncio.sleep(5)
        stage.gates.begun.append("too late")

    stage.start(slow, is_script=True)
    stage.open("a", {"text": "one"})
    stage.swap(script(stage, " v2", "a", "b"), is_script=True)
    stage.clock.advance(10)
    stage.go()
    assert stage.gates.begun == ["a", "b v2"]


def test_a_script_that_does_not_await_a_running_task_any_more_leaves_it_to_end(stage: Stage) -> None:
    stage.start(script(stage, " v1", "a"), is_script=True)
    stage.swap(script(stage, " v2", "b"), is_script=True)
    stage.open("b", {"text": "two"})
    assert not stage.handle.ended.done()
    stage.open("a", {"text": "one"})
    assert stage.ends() is RunState.FINISHED
    assert set(stage.outputs()) == {"a", "b"}


def test_a_script_in_place_of_a_tree_and_back(stage: Stage) -> None:
    stage.start(lambda ctx: Sequence(stage.gates.task("a"), stage.gates.task("b")))
    stage.open("a", {"text": "one"})
    stage.swap(script(stage, "", "a", "b", "c"), is_script=True)
    stage.open("b", {"text": "two"})
    stage.swap(lambda ctx: Sequence(*map(stage.gates.task, "abcd")))
    stage.open("c", {"text": "three"})
    stage.open("d", {"text": "four"})
    assert stage.ends() is RunState.FINISHED
    assert [name for name in stage.gates.begun if name in "abcd"] == ["a", "b", "c", "d"]


# --- What is refused ----------------------------------------------------------------------------


def no_tree(ctx: Context[Any]) -> object:
    raise ValueError("not like this")


def cycle(ctx: Context[Any]) -> Node:
    return Parallel(
        Task("x", Word, value={"text": ""}, depends_on="y"),
        Task("y", Word, value={"text": ""}, depends_on="x"),
    )


def twice(ctx: Context[Any]) -> Node:
    return Sequence(Task("x", Word, value={"text": ""}), Task("x", Word, value={"text": ""}))


def deep(ctx: Context[Any]) -> Node:
    found: Node = Task("x", Word, value={"text": ""})
    for _ in range(300):
        found = Sequence(found)
    return found


def lonely(ctx: Context[Any]) -> Node:
    return Task("x", Word, value={"text": ""}, depends_on="nowhere")


def impatient(ctx: Context[Any]) -> Node:
    return Task("x", Word, value={"text": ctx.output(Word, "b").text})


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (no_tree, "RENDER_FAILED"),
        (cycle, "DEPENDENCY_CYCLE"),
        (twice, "DUPLICATE_ID"),
        (deep, "TOO_DEEP"),
        (impatient, "MISSING_OUTPUT"),
    ],
)
def test_a_tree_that_cannot_be_planned_leaves_the_old_plan_unharmed(
    stage: Stage, function: Callable[[Context[Any]], object], code: str
) -> None:
    stage.start(lambda ctx: Sequence(stage.gates.task("a"), stage.gates.task("b")))
    stage.open("a", {"text": "one"})
    stage.swap(function)
    (told,) = stage.events(EventType.RUN_WARNING)
    assert json.loads(told.data or "{}")["code"] == code
    assert stage.warnings()[0].startswith("not reloaded: ")
    assert stage.reloads() == []
    stage.open("b", {"text": "two"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a", "b"]
    assert set(stage.outputs()) == {"a", "b"}


def test_a_refusal_names_file_and_line(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    stage.swap(no_tree)
    line = no_tree.__code__.co_firstlineno + 1
    assert stage.warnings() == [f"not reloaded: {__file__}:{line}: flow raised ValueError: not like this"]


def test_a_tree_in_which_nothing_could_run_any_more_is_refused(stage: Stage) -> None:
    policy = RetryPolicy(initial_delay=60, max_delay=60)
    stage.start(lambda ctx: stage.gates.task("a", retry_policy=policy))
    stage.gates.fail("a", RuntimeError("no"))
    stage.go()
    stage.swap(lonely)
    assert json.loads(stage.events(EventType.RUN_WARNING)[0].data or "{}")["code"] == "DEPENDENCY_DEADLOCK"
    stage.clock.advance(120)
    stage.go()
    stage.open("a", {"text": "one"})
    assert stage.ends() is RunState.FINISHED


def test_a_tree_under_which_the_run_would_fail_at_once_is_refused(stage: Stage) -> None:
    def flow(*, tolerant: bool) -> Callable[[Context[Any]], Node]:
        first = stage.gates.task("a", retries=0)
        broken = TryCatchFinally(first, catch=Task("mend", Word, value={"text": ""}), id="block")
        return lambda ctx: Sequence(broken if tolerant else first, stage.gates.task("b"))

    stage.start(flow(tolerant=True))
    stage.gates.fail("a", RuntimeError("no"))
    stage.go()
    stage.swap(flow(tolerant=False))
    assert stage.warnings()[0].startswith("not reloaded: ")
    stage.open("b", {"text": "two"})
    assert stage.ends() is RunState.FINISHED


def test_code_of_another_workflow_is_refused(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    stage.swap(lambda ctx: stage.gates.task("b"), name="other")
    assert stage.warnings() == ["not reloaded: r is a run of flow, not of other"]
    assert stage.gates.begun == ["a"]


def test_an_input_model_that_does_not_take_the_runs_input_is_refused(stage: Stage) -> None:
    class Topic(BaseModel):
        topic: str

    class Deep(BaseModel):
        topic: str
        depth: int

    stage.start(lambda ctx: stage.gates.task("a"), '{"topic": "x"}', input_model=Topic)
    stage.swap(lambda ctx: stage.gates.task("a"), input_model=Deep)
    assert stage.warnings() == ["not reloaded: the run's input does not fit Deep: depth: Field required"]


def test_a_finished_task_whose_output_does_not_fit_its_new_model_refuses_the_swap(stage: Stage) -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(title="Word")
        text: str
        score: int

    def flow(model: Any) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Sequence(stage.gates.task("a", model), stage.gates.task("b"))

    stage.start(flow(Word))
    stage.open("a", {"text": "one"})
    stage.swap(flow(Strict))
    assert "the stored output of a does not fit" in stage.warnings()[0]
    assert json.loads(stage.events(EventType.RUN_WARNING)[0].data or "{}")["code"] == "STALE_OUTPUT"
    stage.open("b", {"text": "two"})
    assert stage.ends() is RunState.FINISHED


def test_a_finished_text_that_is_to_be_a_model_refuses_the_swap(stage: Stage) -> None:
    def flow(model: Any) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Sequence(stage.gates.task("a", model), stage.gates.task("b"))

    stage.start(flow(str))
    stage.open("a", "one")
    stage.swap(flow(Word))
    assert "the stored output of a is str, which does not fit Word" in stage.warnings()[0]


def test_a_new_field_with_a_default_is_no_reason_to_refuse(stage: Stage) -> None:
    class Wider(BaseModel):
        text: str
        score: int = 0

    def flow(model: Any) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Sequence(stage.gates.task("a", model), stage.gates.task("b", code=model.__name__))

    stage.start(flow(Word))
    stage.open("a", {"text": "one"})
    stage.swap(flow(Wider))
    assert len(stage.reloads()) == 1


def test_a_swap_waits_for_an_attempt_whose_output_model_it_changes(stage: Stage) -> None:
    class Wider(BaseModel):
        text: str
        score: int = 0

    def flow(model: Any, code: str) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Sequence(stage.gates.task("a", model), stage.gates.task("b", code=code))

    stage.start(flow(Word, " v1"))
    stage.swap(flow(Wider, " v2"))
    assert stage.warnings() == ["not reloaded yet: a runs, and its output model is another in flow.py"]
    assert stage.reloads() == []
    stage.open("a", {"text": "one"})
    assert len(stage.reloads()) == 1
    assert len(stage.warnings()) == 1


def test_a_swap_that_waited_is_refused_if_what_came_does_not_fit(stage: Stage) -> None:
    class Strict(BaseModel):
        text: str
        score: int

    def flow(model: Any, code: str) -> Callable[[Context[Any]], Node]:
        return lambda ctx: Sequence(stage.gates.task("a", model), stage.gates.task("b", code=code))

    stage.start(flow(Word, " v1"))
    stage.swap(flow(Strict, " v2"))
    stage.open("a", {"text": "one"})
    assert "the stored output of a does not fit" in stage.warnings()[1]
    stage.open("b", {"text": "two"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a", "b v1"]


def test_of_two_swaps_the_newer_counts(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    stage.ask(lambda ctx: Parallel(stage.gates.task("a"), stage.gates.task("b")))
    stage.ask(lambda ctx: Parallel(stage.gates.task("a"), stage.gates.task("c")))
    stage.go()
    assert stage.gates.begun == ["a", "c"]


def test_code_that_cannot_be_imported_is_told_and_the_run_goes_on(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    error = WorkflowLoadFailed("SyntaxError: invalid syntax", place=Place("flow.py", 7))
    stage.process.engine.post(Unfit(stage.handle, error))
    stage.go()
    assert stage.warnings() == ["not reloaded: flow.py:7: SyntaxError: invalid syntax"]
    stage.open("a", {"text": "one"})
    assert stage.ends() is RunState.FINISHED


def test_a_run_that_is_about_to_leave_is_not_swapped(stage: Stage) -> None:
    stage.start(lambda ctx: stage.gates.task("a"))
    stage.handle.pause()
    stage.ask(lambda ctx: stage.gates.task("b"))
    stage.go()
    assert stage.ends() is RunState.PAUSED
    assert stage.gates.begun == ["a"]


def test_a_swap_of_a_run_that_has_left_is_nothing(stage: Stage) -> None:
    stage.start(lambda ctx: Task("a", Word, value={"text": "one"}))
    assert stage.ends() is RunState.FINISHED
    stage.swap(lambda ctx: stage.gates.task("b"))
    assert stage.gates.begun == []


# --- Doubt ----------------------------------------------------------------------------------------


def widened(stage: Stage, code: str) -> Callable[[Context[Any]], Node]:
    return lambda ctx: Parallel(stage.gates.task("a", code=code), stage.gates.task("b" + code))


@pytest.mark.parametrize("operation", range(1, 21))
def test_rows_that_cannot_be_read_refuse_a_swap_and_the_run_goes_on(stage: Stage, operation: int) -> None:
    stage.start(widened(stage, "1"))
    stage.sites._faults = (StoreFault(Kind.IOERR, stage.sites.count + operation),)
    stage.swap(widened(stage, "2"))
    assert "SELECT" in stage.sites.met[0] or "PRAGMA" in stage.sites.met[0] or "BEGIN" in stage.sites.met[0]
    assert stage.reloads() == []
    assert stage.warnings() == ["not reloaded: cannot use /dev/null/store-in-memory: disk I/O error"]
    stage.open("a", {"text": "one"})
    stage.open("b1", {"text": "two"})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a1", "b1"]


def test_a_process_that_has_lost_the_run_swaps_nothing(stage: Stage) -> None:
    stage.start(widened(stage, "1"))
    with closing(stage.store.connect()) as other:
        other.execute("UPDATE smithers_runs SET fence = fence + 1")
    stage.swap(widened(stage, "2"))
    assert isinstance(stage.handle.ended.exception(0), LeaseLost)
    assert (stage.reloads(), stage.warnings()) == ([], [])
    assert stage.gates.begun == ["a1", "b1"]


def test_a_swap_whose_commit_is_in_doubt_happens_once(stage: Stage) -> None:
    stage.start(widened(stage, "1"))
    stage.sites._faults = tuple(
        StoreFault(Kind.UNKNOWN, stage.sites.count + operation) for operation in commits_of_a_swap()
    )
    stage.swap(widened(stage, "2"))
    assert stage.sites.met
    assert stage.gates.begun == ["a1", "b1", "b2"]
    for name in ("a", "b1", "b2"):
        stage.open(name, {"text": name})
    assert stage.ends() is RunState.FINISHED
    assert stage.gates.begun == ["a1", "b1", "b2"]
    assert [row.attempt for row in stage.attempts("a")] == [1]


def commits_of_a_swap() -> list[int]:
    """At which store operation of a swap its commit is, counted from the swap's first."""
    found = []
    for operation in range(60):
        with closing(Stage()) as stage:
            stage.start(widened(stage, "1"))
            stage.sites._faults = (StoreFault(Kind.UNKNOWN, stage.sites.count + operation),)
            stage.swap(widened(stage, "2"))
            if stage.sites.met and "COMMIT" in stage.sites.met[0] and stage.handle.ended.done() is False:
                found.append(operation)
    return found[-1:]
