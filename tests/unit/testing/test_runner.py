"""The fixture `run_workflow`, and what can be looked at afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, Workflow, workflow
from smithers.errors import RunNotFound
from smithers.testing import RunLook, ScriptedAgent, WorkflowRunner, assert_no_reruns

QUICK = RetryPolicy(initial_delay=0.001)


class Draft(BaseModel):
    summary: str


class Review(BaseModel):
    approved: bool


def review_loop(coder: ScriptedAgent, reviewer: ScriptedAgent) -> Workflow[object, Draft]:
    @workflow(output=Draft)
    def flow(ctx: Context[object]) -> Node:
        verdict = ctx.latest(Review, "review")
        draft = Task("draft", Draft, agent=coder, prompt="Do it.", retry_policy=QUICK)
        review = Task("review", Review, agent=reviewer, deps=draft, prompt=lambda d: d.summary, retries=0)
        return Loop(draft, review, until=verdict is not None and verdict.approved)

    return flow


def test_it_returns_the_result_and_what_is_stored_beside_it(run_workflow: WorkflowRunner) -> None:
    coder = ScriptedAgent({"summary": "one"}, TimeoutError("slow"), {"summary": "two"})
    reviewer = ScriptedAgent({"approved": False}, {"approved": True})
    run = run_workflow(review_loop(coder, reviewer))
    assert (run.run_id, run.status, run.output) == ("r1", "finished", Draft(summary="two"))
    two, yes = {"summary": "two"}, {"approved": True}
    assert run.outputs == {"draft": two, "draft[1]": two, "review": yes, "review[1]": yes}
    assert run.statuses["review"] == "finished"
    assert run.attempts == {"draft": 3, "draft[1]": 2, "review": 2, "review[1]": 1}
    assert run.executed == ["draft", "review", "draft[1]", "draft[1]", "review[1]"]


def test_a_resume_executes_what_is_missing_and_says_so(run_workflow: WorkflowRunner) -> None:
    coder = ScriptedAgent({"summary": "one"})
    first = run_workflow(review_loop(coder, ScriptedAgent(RuntimeError("no model"), last=True)))
    assert (first.status, first.statuses["review"]) == ("failed", "failed")
    again = run_workflow.resume(review_loop(coder, ScriptedAgent({"approved": True})))
    assert (again.run_id, again.status) == (first.run_id, "finished")
    assert first.executed[:2] == ["draft", "review"]
    assert again.executed == ["review"]
    assert again.attempts["review"] == 2
    assert_no_reruns(again)


def test_agents_of_tasks_are_played_by_others_and_the_workflow_is_as_it_was(
    run_workflow: WorkflowRunner,
) -> None:
    real = ScriptedAgent()
    flow = review_loop(real, real)
    run = run_workflow(
        flow,
        agents={"draft": ScriptedAgent({"summary": "played"}), "review": ScriptedAgent({"approved": True})},
    )
    assert run.output == Draft(summary="played")
    player = ScriptedAgent(by_task={"draft": [{"summary": "by one"}], "review": [{"approved": True}]})
    assert run_workflow(flow, agents=player).output == Draft(summary="by one")
    assert real.requests == []


def test_each_call_is_a_run_of_its_own(run_workflow: WorkflowRunner) -> None:
    @workflow
    def flow(ctx: Context) -> Node:
        return Task("a", str, value=ctx.run_id)

    assert [run_workflow(flow).output, run_workflow(flow).output] == ["r1", "r2"]
    assert run_workflow(flow, run_id="mine").output == "mine"
    assert run_workflow.resume(flow, run_id="r1").executed == []


def test_without_a_run_there_is_nothing_to_resume(run_workflow: WorkflowRunner) -> None:
    with pytest.raises(RunNotFound, match="nothing was run here"):
        run_workflow.resume(review_loop(ScriptedAgent(), ScriptedAgent()))


def two_steps(ran: list[str]) -> Workflow[object, object]:
    def step(name: str) -> str:
        ran.append(name)
        return name

    @workflow
    def flow(ctx: Context[object]) -> Node:
        first = Task("first", str, run=lambda: step("first"))
        return Sequence(
            first, Parallel(Task("second", str, run=lambda: step("second")), Task("third", str, value="x"))
        )

    return flow


def rerun(run_workflow: WorkflowRunner) -> RunLook[object]:
    flow = two_steps([])
    run_workflow(flow)
    return run_workflow.resume(flow, rerun=["first"])


def test_an_execution_of_finished_work_is_named_with_its_attempts_and_frames(
    run_workflow: WorkflowRunner,
) -> None:
    run = rerun(run_workflow)
    with pytest.raises(AssertionError) as raised:
        assert_no_reruns(run)
    assert str(raised.value).splitlines()[0] == "r1 executed finished work again:"
    assert "`first` finished in attempt 1, in frame 2, and began attempt 1 of generation 1 in frame " in str(
        raised.value
    )


def test_an_execution_that_was_meant_is_none_to_complain_about(run_workflow: WorkflowRunner) -> None:
    assert_no_reruns(rerun(run_workflow), but=["first"])


def test_the_plugin_imports_next_to_nothing() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import smithers.testing.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert found.split() == ["smithers", "smithers.testing", "smithers.testing.plugin"]


def test_every_public_name_of_the_kit_can_be_imported() -> None:
    import smithers.testing

    for name in smithers.testing.__all__:
        assert getattr(smithers.testing, name).__module__.startswith("smithers.testing.")


def test_a_fork_starts_threads_of_its_own(tmp_path: Path) -> None:
    """Workers that were idle in the parent are not there in its child."""
    program = """
import os, threading
from smithers.workers import Workers
workers = Workers()
def call():
    done = threading.Event()
    workers.submit(done.set)
    return done.wait(10)
assert call()
while not workers._idle: pass
if (pid := os.fork()) == 0:
    os._exit(0 if call() else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)
