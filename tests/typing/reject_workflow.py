"""A workflow's input and output are checked where it is run."""

from __future__ import annotations

from pydantic import BaseModel

from smithers import (
    Context,
    Node,
    Parallel,
    RetryPolicy,
    Saga,
    SagaStep,
    Task,
    TryCatchFinally,
    Workflow,
    workflow,
)


class Ticket(BaseModel):
    goal: str


class Report(BaseModel):
    text: str


@workflow(output=Report)
def reporting(ctx: Context[Ticket]) -> Node:
    return Task("a", Report, value={"text": ctx.input.goal})


def without_ctx() -> Node:
    return Task("a", Report, value={"text": ""})


def of_ticket(ticket: Ticket) -> Node:
    return Task("a", Report, value={"text": ticket.goal})


step = Task("a", Report, value={"text": ""})
Saga(step)  # expect-error
Saga(SagaStep(step), on_failure="undo")  # expect-error
SagaStep()  # expect-error
TryCatchFinally(step, catch_errors=[1])  # expect-error
TryCatchFinally(step, catch=3)  # expect-error
TryCatchFinally(step, finally_=lambda: step)  # expect-error
Parallel(step, failure_policy="tolerate")  # expect-error
workflow(without_ctx)  # expect-error
workflow(of_ticket)  # expect-error
workflow(durability="none")  # expect-error
workflow(outputs=[Report])  # expect-error
workflow(max_concurrency="2")  # expect-error
reporting.run_sync(Report(text=""))  # expect-error
reporting.run_sync("x")  # expect-error
reporting.run_sync({"goal": "x"}, resume="r1")  # expect-error
reporting.run_sync({"goal": "x"}, run="r1")  # expect-error
reporting.run_sync({"goal": "x"}).output.text  # expect-error
reporting.run_sync({"goal": "x"}).status = "finished"  # expect-error
another: Workflow[Ticket, Ticket] = reporting  # expect-error
reporting.graph(3)  # expect-error
RetryPolicy(backoff="quadratic")  # expect-error
RetryPolicy(retries="2")  # expect-error
RetryPolicy(delay=3)  # expect-error
