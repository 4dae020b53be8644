"""Mistakes in a sub-workflow that the editor shows before anything runs."""

from __future__ import annotations

from pydantic import BaseModel

from smithers import Context, ContinueAsNew, Node, Subflow, Task, workflow


class Draft(BaseModel):
    text: str


@workflow(output=Draft)
def writes(ctx: Context) -> Node:
    return Task("write", Draft, value=Draft(text=""))


def plain(ctx: Context) -> Node:
    return Task("write", Draft, value=Draft(text=""))


# A function without @workflow.
Subflow("a", plain)  # expect-error
# A field that its output does not have.
own = Subflow("own", writes)
Task("b", str, deps=own, run=lambda draft: draft.words)  # expect-error
# A mode that there is not.
Subflow("c", writes, mode="child")  # expect-error
# Not an option of a sub-workflow.
Subflow("d", writes, agent=print)  # expect-error
# The state goes by position, and there is one.
ContinueAsNew({}, {})  # expect-error
