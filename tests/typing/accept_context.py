"""What `ctx` returns is typed by what is read: a task, `(Model, "id")`, or a model and an id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

from pydantic import BaseModel

from smithers import Branch, Context, Current, Loop, Node, Parallel, Pass, Sequence, SqlTable, Task, current


class Ticket(BaseModel):
    goal: str


class Draft(BaseModel):
    summary: str


class Review(BaseModel):
    approved: bool


draft = Task("draft", Draft, value={"summary": ""})
review = Task("review", Review, value={"approved": True})
text = Task("text", str, value="")


def typed(ctx: Context[Ticket]) -> Node:
    assert_type(ctx.input, Ticket)
    assert_type(ctx.input.goal, str)

    assert_type(ctx.output(draft), Draft)
    assert_type(ctx.output(text), str)
    assert_type(ctx.output((Draft, "draft")), Draft)
    assert_type(ctx.output(Draft, "draft"), Draft)

    assert_type(ctx.output_maybe(draft), Draft | None)
    assert_type(ctx.output_maybe((Draft, "draft")), Draft | None)
    assert_type(ctx.output_maybe(Draft, "draft"), Draft | None)

    assert_type(ctx.latest(draft), Draft | None)
    assert_type(ctx.latest((Review, "review")), Review | None)
    assert_type(ctx.latest(Review, "review"), Review | None)

    assert_type(ctx.outputs(Draft), list[Draft])
    assert_type(ctx.outputs("results"), list[Any])
    assert_type(ctx.outputs(SqlTable("drafts", Draft)), list[Draft])
    assert_type(ctx.output(("results", "draft")), Any)
    assert_type(ctx.output_maybe("results", "draft"), Any)
    assert_type(ctx.latest("results", "draft"), Any)

    assert_type(ctx.iteration_count(draft), int)
    assert_type(ctx.iteration_count(Draft, "draft"), int)
    assert_type(ctx.iteration, int)
    assert_type(ctx.run_id, str)
    assert_type(ctx.status(draft), str)
    assert_type(ctx.failure(draft), Mapping[str, Any] | None)

    verdict = ctx.latest(Review, "review")
    return Loop(draft, review, until=verdict is not None and verdict.approved, max_iterations=None)


def untyped(ctx: Context) -> Node:
    assert_type(ctx.input, Any)
    return Sequence(draft, ctx.input.wants_review and review)


def refine(i: Pass) -> Node:
    assert_type(i.index, int)
    assert_type(i.previous(draft), Draft | None)
    assert_type(i.previous((Draft, "draft")), Draft | None)
    before = i.previous(draft)
    return Task("refine", Draft, value={"summary": before.summary if before else ""})


# --- Containers take nodes, absent ones, iterables of them, and functions of them ------------------


def containers(ctx: Context[Ticket], hurry: bool) -> list[Node | None]:
    return [
        Sequence(draft, None, False, [review, None], (text for _ in range(2)), id="s"),
        Parallel(draft, hurry and review, [text], max_concurrency=2, on_failure="cancel"),
        Parallel(lambda: [draft, review]),
        Parallel(lambda: (Task(f"t:{n}", str, value="") for n in range(3))),
        Branch(hurry, draft, review),
        Branch(lambda: ctx.output(review).approved, then=draft),
        Branch(hurry, lambda: draft, lambda: [review, None]),
        Loop(refine, id="refining", on_max_reached="fail"),
        Loop(lambda i: Task("t", str, value=str(i.index)), until=lambda: ctx.output(review).approved),
        Loop(lambda i: [draft, review if i.index else None]),
        Loop(Loop(draft), until=False),
        draft if hurry else None,
    ]


async def inside_a_task() -> str:
    attempt = current()
    assert_type(attempt, Current)
    assert_type(attempt.attempt, int)
    assert_type(attempt.idempotency_key, str)
    attempt.heartbeat({"done": 3})
    return f"{attempt.run_id} {attempt.node} {attempt.iteration} {attempt.last_heartbeat}"


Task("beats", run=inside_a_task)
