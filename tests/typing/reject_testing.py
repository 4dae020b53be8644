"""What the testing kit must not let pass."""

from __future__ import annotations

from pydantic import BaseModel

from smithers import Context, Node, Task, workflow
from smithers.testing import WorkflowRunner, simulate


class Ticket(BaseModel):
    goal: str


class Report(BaseModel):
    text: str


@workflow(output=Report)
def reporting(ctx: Context[Ticket]) -> Node:
    return Task("report", Report, value=Report(text=ctx.input.goal))


def check(run_workflow: WorkflowRunner) -> None:
    run_workflow(reporting, 3)  # expect-error
    run_workflow.resume(reporting, rerun=3)  # expect-error
    run_workflow(reporting).output.nothing  # expect-error
    simulate("reporting")  # expect-error
