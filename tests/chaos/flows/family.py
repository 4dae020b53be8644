"""A run with a child that has one of its own, which goes on once as a new run."""

from __future__ import annotations

from smithers import Context, ContinueAsNew, Node, Parallel, Sequence, Subflow, Task, workflow

from .four import Part, awaiting, blocking


@workflow(output=Part)
def grandchild(ctx: Context) -> Node:
    return Task("deep", Part, run=awaiting)


@workflow(output=Part)
def child(ctx: Context) -> Node:
    return Sequence(
        Task("first", Part, run=blocking), Subflow("own", grandchild), Task("last", Part, run=awaiting)
    )


@workflow(output=Part)
def family(ctx: Context) -> Node:
    one = Subflow("one", child)
    inside = Subflow("inside", grandchild, mode="inline")
    step = Sequence(Parallel(one, inside), Task("end", Part, run=blocking, deps=(one, inside)))
    return Sequence(step, ContinueAsNew({"again": True}) if ctx.state() is None else None)
