"""What a sub-workflow's type says, and what a run reads of the one before it."""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel

from smithers import Context, ContinueAsNew, Node, Sequence, Subflow, Task, Workflow, workflow


class Ticket(BaseModel):
    goal: str = ""


class Draft(BaseModel):
    text: str


class Other(BaseModel):
    text: str


@workflow(output=Draft)
def writes(ctx: Context[Ticket]) -> Node:
    return Task("write", Draft, value=Draft(text=ctx.input.goal))


@workflow
def says_nothing(ctx: Context) -> Node:
    return Task("write", Draft, value=Draft(text=""))


@workflow
def flow(ctx: Context) -> Node:
    own = Subflow("own", writes, input=Ticket(goal="x"))
    assert_type(ctx.output(own), Draft)
    assert_type(ctx.latest(own), Draft | None)
    other = Subflow("other", writes, Other, mode="inline")
    assert_type(ctx.output(other), Other)
    plain = Subflow("plain", says_nothing, Draft)
    assert_type(ctx.output(plain), Draft)
    maybe = Subflow("maybe", writes, continue_on_fail=True)
    assert_type(ctx.output(maybe), Draft | None)
    named = Subflow("named", writes, "drafts")
    assert_type(ctx.output(named), Any)
    after = Task("after", str, deps=own, value=lambda draft: draft.text)
    then = Subflow("then", writes, input=lambda text: Ticket(goal=text), deps=after, timeout="2h", retries=2)
    assert_type(then, Subflow[Draft])
    assert_type(ctx.state(), Any)
    assert_type(ctx.state(Ticket), Ticket | None)
    return Sequence(own, other, plain, maybe, named, after, then, ContinueAsNew(Ticket()))


assert_type(flow, Workflow[Any, Any])
