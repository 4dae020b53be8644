"""A workflow keeps its input's and its output's type, from the function to `run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type

from pydantic import BaseModel

from smithers import (
    Caught,
    Context,
    Node,
    Parallel,
    RunResult,
    Saga,
    SagaStep,
    Sequence,
    Task,
    TryCatchFinally,
    Workflow,
    workflow,
)
from smithers.records import Spending


class Ticket(BaseModel):
    goal: str


class Report(BaseModel):
    text: str


@workflow
def plain(ctx: Context[Ticket]) -> Node:
    return Task("a", Report, value={"text": ctx.input.goal})


@workflow
def untyped(ctx: Context) -> Node:
    return Task("a", Report, value={"text": ctx.input.goal})


@workflow(output=Report)
def reporting(ctx: Context[Ticket]) -> Node:
    return Task("a", Report, value={"text": ctx.input.goal})


@workflow(output=Report)
def reporting_untyped(ctx: Context) -> Node:
    return Task("a", Report, value={"text": ctx.input.goal})


@workflow(name="named", durability="normal", max_concurrency=4, outputs={"results": Report})
def named(ctx: Context[Ticket]) -> list[Node | None]:
    return [Task("a", "results", value={"text": ""}), None]


@workflow
def generator(ctx: Context) -> Iterator[Node]:
    yield Task("a", Report, value={"text": ""})
    yield Sequence()


@workflow
def nothing(ctx: Context) -> None:
    return None


def told(error: Caught) -> Node:
    return Task("told", str, value=f"{error.code} {error.message} {error.node} {error.place or ''}")


@workflow
def guarded(ctx: Context[Ticket]) -> Node:
    task = Task("a", Report, value={"text": ""})
    return TryCatchFinally(
        Saga(SagaStep(task, [task, None]), None, (SagaStep(task) for _ in range(2)), on_failure="fail"),
        TryCatchFinally(task, catch=[task], finally_=False),
        TryCatchFinally(task, catch=lambda error: Task("c", str, value=error.message)),
        Parallel(task, failure_policy="quarantine"),
        catch=told,
        catch_errors=("timeout", "ValueError"),
        finally_=task,
        id="guard",
    )


assert_type(plain, Workflow[Ticket, Any])
assert_type(untyped, Workflow[Any, Any])
assert_type(reporting, Workflow[Ticket, Report])
assert_type(reporting_untyped, Workflow[Any, Report])
assert_type(named, Workflow[Ticket, Any])

assert_type(reporting.run_sync(Ticket(goal="x")), RunResult[Report])
assert_type(reporting.run_sync(Ticket(goal="x")).output, Report | None)
assert_type(reporting.run_sync({"goal": "x"}, run_id="r1", store="x.db", max_concurrency=2).run_id, str)
assert_type(reporting.run_sync(run_id="r1", resume=True).status, str)
assert_type(reporting.run_sync({"goal": "x"}).cost, Spending)
assert_type(reporting.run_sync({"goal": "x"}).cost.usd, float | None)
assert_type(reporting.run_sync({"goal": "x"}).cost.tokens, int | None)
assert_type(plain.run_sync({"goal": "x"}, rehearse=True).output, Any | None)
reporting.graph({"goal": "x"})
reporting.graph(Ticket(goal="x"))

bare: Workflow = reporting


async def awaited() -> Report | None:
    result = await reporting.run(Ticket(goal="x"))
    assert_type(result, RunResult[Report])
    return result.output
