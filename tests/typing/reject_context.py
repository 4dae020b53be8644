"""Reads and trees that cannot be right."""

from __future__ import annotations

from pydantic import BaseModel

from smithers import Branch, Context, Loop, Node, Parallel, Pass, Sequence, Task, current


class Ticket(BaseModel):
    goal: str


class Draft(BaseModel):
    summary: str


class Review(BaseModel):
    approved: bool


draft = Task("draft", Draft, value={"summary": ""})
review = Task("review", Review, value={"approved": True})


def component() -> Node:
    return draft


def reads(ctx: Context[Ticket]) -> None:
    ctx.input.gaol  # expect-error
    found: Review = ctx.output(draft)  # expect-error
    other: Review = ctx.output(Draft, "draft")  # expect-error
    missing: Draft = ctx.output_maybe(draft)  # expect-error
    ctx.output_maybe(draft).summary  # expect-error
    ctx.latest(Review, "review").approved  # expect-error
    ctx.latest((Draft, "draft")).summary  # expect-error
    ctx.output(Draft)  # expect-error
    ctx.output("draft")  # expect-error
    ctx.output(Draft, 3)  # expect-error
    ctx.outputs(Draft)[0].approved  # expect-error
    ctx.input = Ticket(goal="another")  # expect-error
    ctx.ouput(draft)  # expect-error


def body(i: Pass) -> Node:
    i.previous(draft).summary  # expect-error
    wrong: Review | None = i.previous(draft)  # expect-error
    i.index = 3  # expect-error
    return draft


def trees(ctx: Context[Ticket]) -> None:
    # A child is a node, None or False, or an iterable of children.
    Sequence("draft")  # expect-error
    Sequence(Draft(summary=""))  # expect-error
    Sequence(draft, 3)  # expect-error
    Sequence([draft, "review"])  # expect-error
    Sequence(component)  # expect-error
    Parallel(draft, {"a": 1})  # expect-error
    Parallel(lambda i: draft)  # expect-error
    Loop(lambda: draft)  # expect-error
    Loop(3)  # expect-error

    # Options.
    Loop(draft, until="approved")  # expect-error
    Loop(draft, until=lambda i: True)  # expect-error
    Loop(draft, until=ctx.latest(Review, "review"))  # expect-error
    Loop(draft, max_iterations="5")  # expect-error
    Loop(draft, max_iteration=5)  # expect-error
    Loop(draft, on_max_reached="stop")  # expect-error
    Parallel(draft, max_concurrency="2")  # expect-error
    Parallel(draft, on_failure="ignore")  # expect-error
    Branch("yes", draft)  # expect-error
    Branch(True, "draft")  # expect-error
    Branch(True)  # expect-error
    current().heartbeats()  # expect-error
