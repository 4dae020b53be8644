"""The testing kit keeps a workflow's types: what goes in is its input, what comes out its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from pydantic import BaseModel

from smithers import Context, Node, RunResult, Task, Workflow, workflow
from smithers.testing import RunLook, ScriptedAgent, Simulation, WorkflowRunner, assert_no_reruns, simulate


class Ticket(BaseModel):
    goal: str


class Report(BaseModel):
    text: str


@workflow(output=Report)
def typed(ctx: Context[Ticket]) -> Node:
    return Task("report", Report, value=Report(text=ctx.input.goal))


@workflow
def bare(ctx: Context) -> Node:
    return Task("report", Report, value=Report(text="x"))


def check_runs(run_workflow: WorkflowRunner, tmp_path: Path) -> None:
    run = run_workflow(typed, Ticket(goal="g"), agents=ScriptedAgent(), files=tmp_path)
    assert_type(run, RunLook[Report])
    assert_type(run.output, Report | None)
    result: RunResult[Report] = run
    assert_no_reruns(run, but=["report"])
    again = run_workflow.resume(typed, {"goal": "g"}, agents={"report": ScriptedAgent()}, rerun=["report"])
    assert_type(again, RunLook[Report])
    assert_type(run_workflow(bare), RunLook[Any])
    assert_type(typed.played_by(ScriptedAgent()), Workflow[Ticket, Report])
    assert result.output == again.output


def check_simulations() -> None:
    assert_type(simulate(typed, Ticket(goal="g"), seeds=range(3)), Simulation)
    assert_type(simulate(lambda: typed, {"goal": "g"}, agents=ScriptedAgent()), Simulation)
