"""What the articles print, typed as printed (but `.py` for `.tsx`), and their examples in Python.

The first half runs real processes: the story of the killed run, and the other command lines. The second half
holds a translation of each example of the Task article, and of its error table.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from smithers import (
    AgentReply,
    AgentRequest,
    Context,
    Loop,
    Node,
    Parallel,
    Prompt,
    RetryPolicy,
    RunResult,
    Sequence,
    Task,
    Workflow,
    current,
    workflow,
)
from smithers.agents import CallableAgent, RehearsalAgent
from smithers.engine.hosts import close_hosts
from smithers.errors import AgentAuth, DuplicateId, MissingOutputModel
from smithers.ports import TextEvent

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_S = 30.0


class Shell:
    """A folder in which command lines are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "executions"
        self.started: list[subprocess.Popen[str]] = []

    def begin(self, line: str, **more: str) -> subprocess.Popen[str]:
        """Type a line; the process is the program itself, so that a signal reaches it and nothing else."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "SMITHERS_DEMO_LOG": str(self.log), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def type(self, line: str, **more: str) -> tuple[int, str, str]:
        """Type a line and wait; returns the exit code, stdout and stderr."""
        process = self.begin(line, **more)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def look(self, line: str) -> dict[str, Any]:
        code, out, err = self.type(line)
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def executions(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait_for(self, line: str) -> None:
        """Until a task has written `line`."""
        deadline = time.monotonic() + PATIENCE_S
        while line not in self.executions():
            assert time.monotonic() < deadline, f"{line!r} never came: {self.executions()}"
            time.sleep(0.005)

    def clear(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    for name in ("ship_it.py", "hello.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / ".git").mkdir()
    found = Shell(tmp_path)
    yield found
    found.clear()


def nodes_of(document: dict[str, Any]) -> dict[str, Any]:
    return {node["node"]: node for node in document["nodes"]}


def numbers(node: dict[str, Any]) -> list[int]:
    return [attempt["attempt"] for attempt in node["attempts"]]


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


SLOW = {"SHIP_IT_PLAN_SECONDS": "60"}
QUICK = {"SHIP_IT_PLAN_SECONDS": "0.05"}


# --- The story: killed while plan runs, and resumed -----------------------------------------------------


def test_undisturbed_the_story_has_at_least_four_frames_in_order(shell: Shell) -> None:
    code, _, err = shell.type("smithers up ship_it.py --run-id r1", **QUICK)
    assert code == 0, err

    found = shell.look("smithers inspect r1 --json")

    assert found["status"] == "finished"
    assert [frame["frame"] for frame in found["frames_list"]] == list(range(1, found["frames"] + 1))
    assert found["frames"] >= 4
    settled = [nodes_of(found)[name]["settled_frame"] for name in ("research", "plan", "implement")]
    assert 1 < settled[0] < settled[1] < settled[2]
    assert shell.executions() == ["research 1", "plan 1", "implement 1"]


def test_a_run_killed_while_plan_runs_resumes_at_once_and_repeats_only_plan(shell: Shell) -> None:
    first = shell.begin("smithers up ship_it.py --run-id r1", **SLOW)
    shell.wait_for("plan 1")
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = nodes_of(shell.look("smithers inspect r1 --json"))

    typed_at = time.time()
    code, out, err = shell.type("smithers up ship_it.py --run-id r1 --resume true", **QUICK)
    assert code == 0, err

    found = shell.look("smithers inspect r1 --json")
    after = nodes_of(found)
    assert found["status"] == "finished"
    assert after["research"] == before["research"]
    assert before["research"]["state"] == "finished"
    assert numbers(after["research"]) == [1]
    assert [(one["attempt"], one["state"], one["counted"]) for one in after["plan"]["attempts"]] == [
        (1, "lost", False),
        (2, "finished", True),
    ]
    assert numbers(after["implement"]) == [1]
    assert instant(after["plan"]["attempts"][1]["started_at"]) - typed_at < 3.0
    assert shell.executions() == ["research 1", "plan 1", "plan 2", "implement 1"]
    assert json.loads(out) == after["implement"]["output"]
    assert [frame["frame"] for frame in found["frames_list"]] == list(range(1, found["frames"] + 1))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_plan_runs_pauses_and_consumes_no_retry(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    first = shell.begin("smithers up ship_it.py --run-id r1", **SLOW)
    shell.wait_for("plan 1")
    first.send_signal(number)
    signalled_at = time.monotonic()
    _, err = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == code
    assert time.monotonic() - signalled_at < 5.0
    assert "--resume" in err

    paused = shell.look("smithers inspect r1 --json")
    assert paused["status"] == "paused"
    attempt = nodes_of(paused)["plan"]["attempts"][0]
    assert (attempt["attempt"], attempt["state"], attempt["counted"]) == (1, "cancelled", False)

    typed_at = time.time()
    assert shell.type("smithers up ship_it.py --run-id r1 --resume true", **QUICK)[0] == 0
    after = nodes_of(shell.look("smithers inspect r1 --json"))
    assert [(one["attempt"], one["state"]) for one in after["plan"]["attempts"]] == [
        (1, "cancelled"),
        (2, "finished"),
    ]
    assert instant(after["plan"]["attempts"][1]["started_at"]) - typed_at < 3.0
    assert shell.executions() == ["research 1", "plan 1", "plan 2", "implement 1"]


BLOCKING = """
import os, time
from smithers import Context, Node, Task, current, workflow

def plan() -> str:
    with open(os.environ["SMITHERS_DEMO_LOG"], "a") as log:
        print("plan", current().attempt, file=log)
    time.sleep(float(os.environ["SHIP_IT_PLAN_SECONDS"]))
    return "planned"

@workflow
def blocking(ctx: Context) -> Node:
    return Task("plan", str, run=plan, retries=0)
"""


def test_an_interrupt_does_not_wait_for_a_function_that_blocks(shell: Shell) -> None:
    (shell.folder / "blocking.py").write_text(BLOCKING)
    first = shell.begin("smithers up blocking.py --run-id b1", **SLOW)
    shell.wait_for("plan 1")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=10)
    assert first.returncode == 130
    # `retries=0`: had the interrupted attempt counted, there would be no second one.
    assert shell.type("smithers up blocking.py --run-id b1 --resume true", **QUICK)[0] == 0
    assert shell.executions() == ["plan 1", "plan 2"]


def test_a_second_run_of_that_id_is_refused_and_says_how_to_resume(shell: Shell) -> None:
    assert shell.type("smithers up ship_it.py --run-id r1", **QUICK)[0] == 0
    code, out, err = shell.type("smithers up ship_it.py --run-id r1", **QUICK)
    assert (code, out) == (4, "")
    assert "smithers up ship_it.py --run-id r1 --resume" in err
    assert len(shell.executions()) == 3


# --- The other command lines ----------------------------------------------------------------------------


def test_up_with_input_runs_the_hello_of_the_front_page(shell: Shell) -> None:
    shutil.move(shell.folder / "hello.py", shell.folder / "workflow.py")
    code, out, err = shell.type("""smithers up workflow.py --input '{"name":"world"}'""")
    assert code == 0, err
    assert json.loads(out) == {"message": "Hello, world"}


def test_hello_prints_its_message_without_the_command_line(shell: Shell) -> None:
    assert shell.type("python hello.py") == (0, "Hello, world\n", "")


def test_a_run_of_the_front_page_resumes_after_a_crash(shell: Shell) -> None:
    shutil.move(shell.folder / "ship_it.py", shell.folder / "workflow.py")
    first = shell.begin("smithers up workflow.py --run-id abc123", **SLOW)
    shell.wait_for("plan 1")
    first.kill()
    first.wait()
    line = "smithers up workflow.py --run-id abc123 --resume true"

    code, out, err = shell.type(f"{line}   # resume after a crash", **QUICK)

    assert code == 0, err
    assert shell.executions() == ["research 1", "plan 1", "plan 2", "implement 1"]
    # Once more says so, and runs nothing.
    again = shell.type(line, **QUICK)
    assert (again[0], again[1]) == (0, out)
    assert "finished already" in again[2]
    assert len(shell.executions()) == 4


# --- The Task article, translated -----------------------------------------------------------------------


class Analysis(BaseModel):
    summary: str
    risk: Literal["low", "medium", "high"] = "low"
    files: list[str] = []


class Code(BaseModel):
    code: str


class Review(BaseModel):
    approved: bool
    feedback: str = ""


class Results(BaseModel):
    total: int
    status: str


class Setup(BaseModel):
    files: list[str]


class Scribe:
    """An agent that keeps its prompts and answers from a list, the last answer from then on."""

    def __init__(self, *answers: object, name: str = "scribe") -> None:
        self.name = name
        self.requests: list[AgentRequest] = []
        self._answers = answers

    @property
    def prompts(self) -> list[str]:
        return [request.prompt for request in self.requests]

    async def call(self, request: AgentRequest) -> AgentReply:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return AgentReply(text=answer) if isinstance(answer, str) else AgentReply(output=answer)


class Desk:
    """Runs workflows in this process, on a store of their own."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / ".smithers" / "smithers.db"
        self.store.parent.mkdir()

    def run(self, flow: Workflow[Any, Any], given: Any = None, *, rehearse: bool = False) -> RunResult[Any]:
        return flow.run_sync(given, store=self.store, rehearse=rehearse)

    def nodes(self, result: RunResult[Any]) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "smithers", "inspect", result.run_id, "--json", "--store", self.store],
            check=True,
            capture_output=True,
            text=True,
        )
        return nodes_of(json.loads(done.stdout))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield Desk(tmp_path)
    close_hosts()


SOON = RetryPolicy(retries=1, backoff="fixed", initial_delay="10ms")


def test_agent_mode_with_prompt_files_and_deps(shell: Shell) -> None:
    prompts = shell.folder / "prompts"
    prompts.mkdir()
    (prompts / "analyze.md").write_text("Analyze {{ repo_path }}. Answer as {{ schema }}\n")
    (prompts / "review.md").write_text("Review this:\n{{ code }}\n")
    (shell.folder / "flow.py").write_text(
        """
from pydantic import BaseModel
from smithers import Context, Node, Prompt, Sequence, Task, workflow
from smithers.agents import RehearsalAgent

class Given(BaseModel):
    repo_path: str

class Analysis(BaseModel):
    code: str

class Review(BaseModel):
    approved: bool

code_agent, review_agent = RehearsalAgent("coder"), RehearsalAgent("reviewer")

@workflow(output=Review)
def flow(ctx: Context[Given]) -> Node:
    analyze = Task(
        "analyze", Analysis, agent=code_agent,
        prompt=Prompt("prompts/analyze.md", repo_path=ctx.input.repo_path),
    )
    review = Task(
        "review", Review, agent=review_agent, deps=analyze,
        prompt=lambda analyzed: Prompt("prompts/review.md", code=analyzed.code),
    )
    return Sequence(analyze, review)
"""
    )
    code, out, err = shell.type("""smithers up flow.py --rehearse --input '{"repo_path":"."}'""")
    assert code == 0, err
    assert json.loads(out) == {"approved": True}


def test_typed_deps_hand_the_upstream_output_to_the_prompt(desk: Desk) -> None:
    parser, writer = Scribe({"code": "x = 1"}), Scribe({"summary": "fine"})

    @workflow(output=Analysis)
    def flow(ctx: Context) -> Node:
        parse = Task("parse", Code, agent=parser, prompt=f"Parse {ctx.input.document}")
        summarize = Task("summarize", Analysis, agent=writer, deps=parse, prompt=lambda d: f"Sum up {d.code}")
        return Parallel(summarize, parse)  # the edge orders them, not their place

    result = desk.run(flow, {"document": "a.txt"})

    assert result.status == "finished"
    assert result.output == Analysis(summary="fine")
    assert (parser.prompts, writer.prompts) == (["Parse a.txt"], ["Sum up x = 1"])


def test_needs_name_an_upstream_task_of_another_id(desk: Desk) -> None:
    builder = Scribe({"code": "calls"})

    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("parse-contract", Code, value={"code": "contract"}),
            Task(
                "typed-calls",
                Code,
                agent=builder,
                deps={"contract": Code},
                needs={"contract": "parse-contract"},
                prompt=lambda deps: f"Call {deps.contract.code}",
            ),
        )

    assert desk.run(flow).status == "finished"
    assert builder.prompts == ["Call contract"]


def test_structured_output_is_shown_to_the_agent_as_an_example(desk: Desk) -> None:
    agent = Scribe({"summary": "ok", "risk": "high", "files": ["a"]})

    @workflow(output=Analysis)
    def flow(ctx: Context) -> Node:
        prompt = Prompt.text("Analyze {{ repo }} as {{ schema }}", repo="here")
        return Task("analyze", Analysis, agent=agent, prompt=prompt)

    assert desk.run(flow).output == Analysis(summary="ok", risk="high", files=["a"])
    shown = agent.prompts[0].removeprefix("Analyze here as ")
    assert json.loads(shown).keys() == {"summary", "risk", "files"}
    assert agent.requests[0].schema is Analysis


def test_output_schema_says_what_the_agent_must_answer(desk: Desk) -> None:
    agent = Scribe({"summary": "ok", "risk": "low", "files": []})

    @workflow
    def flow(ctx: Context) -> Node:
        return Task("analyze", "analysis", agent=agent, prompt="Analyze.", output_schema=Analysis)

    result = desk.run(flow)
    assert result.status == "finished"
    assert agent.requests[0].schema is Analysis
    assert result.output == {"summary": "ok", "risk": "low", "files": []}


def test_an_agent_without_a_heartbeat_is_stale_and_one_with_heartbeats_is_not(desk: Desk) -> None:
    async def silent(request: AgentRequest) -> dict[str, str]:
        await asyncio.sleep(30)
        return {"code": "never"}

    async def lively(request: AgentRequest) -> dict[str, str]:
        for _ in range(6):
            await asyncio.sleep(0.1)
            request.emit(TextEvent("still migrating"))
        return {"code": "migrated"}

    def migration(agent: Any) -> Workflow[Any, Any]:
        @workflow(name="migration")
        def flow(ctx: Context) -> Node:
            return Task(
                "long-migration",
                Code,
                agent=CallableAgent(agent),
                heartbeat_timeout="400ms",
                timeout="1h",
                prompt="Run the database migration. Report progress periodically.",
                no_retry=True,
            )

        return flow

    stale = desk.run(migration(silent))
    assert stale.status == "failed"
    [attempt] = desk.nodes(stale)["long-migration"]["attempts"]
    assert (attempt["failure"], attempt["error"]["code"]) == ("stalled", "HEARTBEAT_TIMEOUT")
    assert desk.run(migration(lively)).output == {"code": "migrated"}


def test_compute_mode_takes_a_sync_function(desk: Desk) -> None:
    items = [1, 2, 3]

    @workflow(output=Results)
    def flow(ctx: Context) -> Node:
        return Task("calculate", Results, run=lambda: {"total": len(items), "status": "complete"})

    assert desk.run(flow).output == Results(total=3, status="complete")


class Validation(BaseModel):
    tests_pass: bool
    types_pass: bool


async def exit_code(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


async def validate() -> dict[str, bool]:
    return {
        "tests_pass": await exit_code(sys.executable, "-c", "") == 0,
        "types_pass": await exit_code(sys.executable, "-c", "raise SystemExit(1)") == 0,
    }


def test_compute_mode_takes_an_async_function_that_runs_commands(desk: Desk) -> None:
    @workflow(output=Validation)
    def flow(ctx: Context) -> Node:
        return Task("validate", Validation, run=validate, timeout="30s", retries=1)

    assert desk.run(flow).output == Validation(tests_pass=True, types_pass=False)


def test_static_mode_writes_a_plain_value_or_one_computed_from_deps(desk: Desk) -> None:
    class Config(BaseModel):
        environment: str
        debug: bool

    @workflow(output=Results)
    def flow(ctx: Context) -> Node:
        config = Task("config", Config, value={"environment": "production", "debug": False})
        summary = Task(
            "summary",
            Results,
            deps=config,
            value=lambda found: {"total": len(found.environment), "status": "complete"},
        )
        return Sequence(config, summary)

    assert desk.run(flow).output == Results(total=10, status="complete")


@pytest.mark.parametrize("registered", [True, False])
def test_an_output_may_be_a_string_key(desk: Desk, registered: bool) -> None:
    class Done(BaseModel):
        done: bool

    @workflow(outputs={"results": Done} if registered else None)
    def flow(ctx: Context) -> Node:
        return Task("step", "results", value={"done": True})

    assert desk.run(flow).output == {"done": True}


def test_the_full_example_runs_in_rehearsal(desk: Desk) -> None:
    code_agent = Scribe(AssertionError("a rehearsal asks nobody"))

    @workflow(name="tasks-demo", output=Setup)
    def tasks_demo(ctx: Context) -> object:
        return [
            Task("analyze", Analysis, agent=code_agent, prompt=f"Analyze: {ctx.input.description}"),
            Task("setup", Setup, value={"files": ["README.md", "package.json"]}),
        ]

    result = desk.run(tasks_demo, {"description": "all of it"}, rehearse=True)

    assert result.status == "finished"
    assert result.output == Setup(files=["README.md", "package.json"])
    assert code_agent.requests == []
    assert desk.nodes(result)["analyze"]["agent"] == "rehearsal"


def test_a_task_is_mounted_once_the_output_it_needs_is_there(desk: Desk) -> None:
    analyst, fixer = RehearsalAgent("analyst"), Scribe({"code": "fixed"})

    @workflow(name="review", output=Code)
    def review(ctx: Context) -> Node:
        analysis = ctx.output_maybe(Analysis, "analyze")
        return Sequence(
            Task("analyze", Analysis, agent=analyst, prompt=f"Review {ctx.input.repo}"),
            Task("fix", Code, agent=fixer, prompt=f"Fix: {analysis.summary}") if analysis else None,
        )

    result = desk.run(review, {"repo": "."})

    assert result.output == Code(code="fixed")
    summary = desk.nodes(result)["analyze"]["output"]["summary"]
    assert fixer.prompts == [f"Fix: {summary}"]


def test_a_review_loop_ends_when_the_reviewer_approves(desk: Desk) -> None:
    producer = Scribe({"code": "one"}, {"code": "two"})
    reviewer = Scribe({"approved": False, "feedback": "shorter"}, {"approved": True})

    @workflow(output=Code)
    def review_loop(ctx: Context) -> Node:
        review = ctx.latest(Review, "review")
        return Loop(
            Sequence(
                Task("produce", Code, agent=producer, prompt=f"Produce: {ctx.input.task}"),
                Task(
                    "review", Review, agent=reviewer, prompt="Review the draft and decide whether to approve."
                ),
            ),
            until=review is not None and review.approved,
            max_iterations=3,
        )

    result = desk.run(review_loop, {"task": "a haiku"})

    assert result.output == Code(code="two")
    assert (len(producer.prompts), len(reviewer.prompts)) == (2, 2)


def test_a_list_of_agents_is_walked_on_failure(desk: Desk) -> None:
    claude, codex = Scribe(RuntimeError("overloaded"), name="claude"), Scribe({"code": "ok"}, name="codex")

    @workflow(output=Code)
    def flow(ctx: Context) -> Node:
        return Task("edit", Code, agent=[claude, codex], prompt="Edit.", retry_policy=SOON)

    result = desk.run(flow)

    assert result.output == Code(code="ok")
    assert [one["agent"] for one in desk.nodes(result)["edit"]["attempts"]] == ["claude", "codex"]


def test_a_fallback_agent_is_the_last_of_the_chain(desk: Desk) -> None:
    first, last = Scribe(RuntimeError("down"), name="first"), Scribe({"code": "ok"}, name="last")

    @workflow(output=Code)
    def flow(ctx: Context) -> Node:
        return Task("edit", Code, agent=first, fallback_agent=last, prompt="Edit.", retry_policy=SOON)

    assert desk.run(flow).output == Code(code="ok")


def test_the_other_properties_of_the_table_are_obeyed_or_kept(desk: Desk) -> None:
    order: list[str] = []

    def note() -> str:
        order.append(current().node)
        return "done"

    @workflow
    def flow(ctx: Context) -> Node:
        return Parallel(
            Task("deploy", str, run=note, depends_on=["build", "lint"], label="Deploy it"),
            Task("build", str, run=note, key="any", meta={"team": "core"}),
            Task("lint", str, run=note, skip_if=ctx.input.is_quick),
        )

    result = desk.run(flow, {"is_quick": True})

    nodes = desk.nodes(result)
    assert result.status == "finished"
    assert order == ["build", "deploy"]
    assert (nodes["lint"]["state"], nodes["deploy"]["label"]) == ("skipped", "Deploy it")


# --- Its error table ------------------------------------------------------------------------------------

TWICE = """
from smithers import Context, Node, Sequence, Task, workflow

@workflow
def twice(ctx: Context) -> Node:
    return Sequence(
        Task("step", str, value="a"),
        Task("step", str, value="b"),
    )
"""


def test_a_duplicate_id_is_refused_in_the_words_of_the_table_with_both_places(shell: Shell) -> None:
    (shell.folder / "twice.py").write_text(TWICE)
    code, out, err = shell.type("smithers up twice.py")
    assert (code, out) == (4, "")
    assert "Duplicate Task id detected: step" in err
    assert "twice.py:7" in err
    assert "twice.py:8" in err
    assert shell.look("smithers ps --json")["runs"] == []


MISSING = """
from smithers import Context, Node, Task, workflow

@workflow
def missing(ctx: Context) -> Node:
    return Task("step", value={"a": 1})
"""


def test_a_missing_output_is_refused_in_the_words_of_the_table(shell: Shell) -> None:
    (shell.folder / "missing.py").write_text(MISSING)
    code, out, err = shell.type("smithers up missing.py")
    assert (code, out) == (4, "")
    assert "Task step is missing output table." in err
    assert "missing.py:6" in err
    assert shell.look("smithers ps --json")["runs"] == []


def test_both_are_errors_of_the_python_interface_too(desk: Desk) -> None:
    @workflow
    def twice(ctx: Context) -> Node:
        return Sequence(Task("step", str, value="a"), Task("step", str, value="b"))

    with pytest.raises(DuplicateId, match=r"^Duplicate Task id detected: step"):
        desk.run(twice)
    with pytest.raises(MissingOutputModel, match=r"^Task step is missing output table\."):
        Task("step", run=lambda: {"a": 1})


def table_flow(how: str, body: Any, **options: Any) -> Workflow[Any, Any]:
    """A task that goes wrong, as an agent or as a callback, and one after it."""

    @workflow(name=f"goes-wrong-{how}")
    def flow(ctx: Context) -> Node:
        if how == "agent":
            step: Task[Any] = Task("step", Code, agent=body, prompt="Do.", **options)
        else:
            step = Task("step", Code, run=body, **options)
        return Sequence(step, Task("after", str, value="done"))

    return flow


async def too_slow(*_: object) -> Code:
    await asyncio.sleep(30)
    return Code(code="late")


async def too_slow_callback() -> Code:
    return await too_slow()


async def broken(*_: object) -> Code:
    raise RuntimeError("the network is down")


async def broken_callback() -> Code:
    return await broken()


@pytest.mark.parametrize("how", ["agent", "callback"])
@pytest.mark.parametrize(("options", "tries"), [({"retries": 0}, 1), ({"retry_policy": SOON}, 2)])
def test_a_timeout_fails_the_attempt_and_retries_if_there_are_any(
    desk: Desk, how: str, options: dict[str, Any], tries: int
) -> None:
    body = too_slow if how == "agent" else too_slow_callback
    result = desk.run(table_flow(how, body, timeout="100ms", **options))
    nodes = desk.nodes(result)
    assert result.status == "failed"
    assert [one["failure"] for one in nodes["step"]["attempts"]] == ["timeout"] * tries
    assert nodes["step"]["error"]["code"] == "TASK_TIMEOUT"
    assert nodes["after"]["attempts"] == []


@pytest.mark.parametrize("how", ["agent", "callback"])
@pytest.mark.parametrize(("options", "tries"), [({"retries": 0}, 1), ({"retry_policy": SOON}, 2)])
def test_a_failure_fails_the_attempt_and_retries_if_there_are_any(
    desk: Desk, how: str, options: dict[str, Any], tries: int
) -> None:
    body = broken if how == "agent" else broken_callback
    result = desk.run(table_flow(how, body, **options))
    nodes = desk.nodes(result)
    assert result.status == "failed"
    assert result.error is not None
    assert "the network is down" in result.error["message"]
    assert len(nodes["step"]["attempts"]) == tries
    assert nodes["after"]["attempts"] == []


@pytest.mark.parametrize("how", ["agent", "callback"])
def test_continue_on_fail_goes_on_and_the_run_is_partial(desk: Desk, how: str) -> None:
    body = broken if how == "agent" else broken_callback
    result = desk.run(table_flow(how, body, retries=0, continue_on_fail=True))
    nodes = desk.nodes(result)
    assert result.status == "partial"
    assert nodes["step"]["state"] == "failed"
    assert nodes["after"]["state"] == "finished"


def test_a_callback_that_blocks_a_thread_times_out_too(desk: Desk) -> None:
    ended = threading.Event()

    def block() -> Code:
        ended.wait(30)
        return Code(code="late")

    began = time.monotonic()
    try:
        result = desk.run(table_flow("callback", block, timeout="100ms", retries=0))
    finally:
        ended.set()
    assert time.monotonic() - began < 5
    assert result.status == "failed"
    assert desk.nodes(result)["step"]["error"]["code"] == "TASK_TIMEOUT"


@pytest.mark.parametrize(
    "text",
    [
        'Sure:\n```json\n{"code": "right"}\n```\nAnything else?',
        'I think {"code": "right"} is it.',
        'First {"code": "wrong"}, but better: {"code": "right"}',
        '{"code": "right"}',
    ],
    ids=["fence", "braces", "last", "bare"],
)
def test_json_is_extracted_from_an_agents_text(desk: Desk, text: str) -> None:
    agent = Scribe(text)

    @workflow(output=Code)
    def flow(ctx: Context) -> Node:
        return Task("step", Code, agent=agent, prompt="Code.", retries=0)

    assert desk.run(flow).output == Code(code="right")
    assert len(agent.requests) == 1


def test_a_schema_violation_is_sent_back_within_the_same_attempt(desk: Desk) -> None:
    agent = Scribe('{"code": 1}', '{"cod": ""}', '{"code": "right"}')

    @workflow(output=Code)
    def flow(ctx: Context) -> Node:
        return Task("step", Code, agent=agent, prompt="Code.", retries=0)

    result = desk.run(flow)

    assert result.output == Code(code="right")
    assert numbers(desk.nodes(result)["step"]) == [1]
    assert [request.attempt for request in agent.requests] == [1, 1, 1]
    assert "code" in agent.prompts[1]
    assert agent.prompts[1] != agent.prompts[0]


def test_an_agent_that_never_fits_the_schema_fails_the_attempt(desk: Desk) -> None:
    agent = Scribe("no JSON here")

    @workflow(output=Code)
    def flow(ctx: Context) -> Node:
        return Task("step", Code, agent=agent, prompt="Code.", retries=0)

    result = desk.run(flow)

    assert result.status == "failed"
    [attempt] = desk.nodes(result)["step"]["attempts"]
    assert attempt["failure"] == "bad_output"
    assert len(agent.requests) == 4  # one try and three corrections


def test_an_authentication_error_is_final_at_once(desk: Desk) -> None:
    agent = Scribe(AgentAuth("the key has expired"))

    @workflow
    def flow(ctx: Context) -> Node:
        return Task("step", Code, agent=agent, prompt="Code.")

    result = desk.run(flow)

    assert result.status == "failed"
    assert len(agent.requests) == 1
    assert [one["failure"] for one in desk.nodes(result)["step"]["attempts"]] == ["auth"]


# --- What the translation came upon ---------------------------------------------------------------------


def measured(name: str, *, times: int = 1) -> Results:
    return Results(total=times, status=f"{name} in {current().node}")


def test_the_output_may_be_left_out_where_run_is_a_partial_of_an_annotated_function(desk: Desk) -> None:
    @workflow(output=Results)
    def flow(ctx: Context) -> Node:
        return Task("measure", run=partial(measured, "size", times=2))

    assert desk.run(flow).output == Results(total=2, status="size in measure")


def test_two_functions_made_of_one_text_keep_the_models_they_are_annotated_with(desk: Desk) -> None:
    def make(model: type[BaseModel], value: BaseModel) -> Any:
        def made() -> Any:
            return value

        made.__annotations__["return"] = model
        return made

    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("code", run=make(Code, Code(code="x"))),
            Task("setup", run=make(Setup, Setup(files=["a"]))),
        )

    result = desk.run(flow)
    assert result.status == "finished", result.error
    assert [node["model"] for node in desk.nodes(result).values()] == ["Code", "Setup"]


def test_each_task_of_a_fan_out_runs_once_however_many_there_are(desk: Desk) -> None:
    counted: Counter[str] = Counter()
    lock = threading.Lock()

    def count() -> Results:
        with lock:
            counted[current().node] += 1
        return Results(total=1, status="counted")

    @workflow
    def flow(ctx: Context) -> Node:
        return Parallel(Task(f"item:{number}", run=count) for number in range(100))

    assert desk.run(flow).status == "finished"
    assert counted == {f"item:{number}": 1 for number in range(100)}
