"""Small workflows with everything that a store is asked for; each execution leaves two lines in a journal."""

from __future__ import annotations

import os
import time

from pydantic import BaseModel

from smithers import Branch, Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, current, workflow

SOON = RetryPolicy(retries=2, backoff="fixed", initial_delay=0.001)
LARGE = 1_200_000
"""Characters: more than fits in a row."""


WEIGHT = 20_000


class Part(BaseModel):
    text: str


class Report(BaseModel):
    parts: list[str]


def note(what: str) -> str:
    """Leave a line; returns the key of whoever runs. No fsync: processes die here, not machines."""
    me = current()
    line = f"{me.key} {me.attempt} {what} {os.getpid()} {time.monotonic_ns()}\n"
    journal = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)
    return str(me.key)


def blocking(*inputs: Part) -> Part:
    key = note("start")
    note("end")
    return Part(text="+".join([key, *(part.text[:40] for part in inputs)]))


async def awaiting(*inputs: Part) -> Part:
    return blocking(*inputs)


def flaky() -> Part:
    """Fails in its first two attempts."""
    key = note("start")
    note("end")
    if current().attempt <= 2:
        raise RuntimeError("not yet")
    return Part(text=key)


def hopeless() -> Part:
    note("start")
    note("end")
    raise RuntimeError("never")


def large(part: Part) -> Part:
    key = note("start")
    note("end")
    return Part(text=f"{key}{part.text}" * (LARGE // len(key + part.text)))


def weary(prompt: str) -> str:
    note("start")
    note("end")
    raise RuntimeError(f"too tired for {prompt}")


def keen(prompt: str) -> dict[str, str]:
    note("start")
    note("end")
    return {"text": prompt[-40:]}


def after(*tasks: Task[Part]) -> dict[str, list[str]]:
    return {"after": [task.id for task in tasks]}


@workflow
def sequence(ctx: Context) -> Node:
    return Sequence(Task(f"step:{n}", Part, run=awaiting if n % 2 else blocking) for n in range(4))


@workflow
def fan(ctx: Context) -> Node:
    """Ends as partial."""
    return Sequence(
        Task("first", Part, run=blocking),
        Parallel(
            [Task(f"part:{n}", Part, run=blocking if n % 2 else awaiting) for n in range(5)],
            Task("flaky", Part, run=flaky, retry_policy=SOON),
            Task("hopeless", Part, run=hopeless, retries=0, continue_on_fail=True),
            Task("asked", Part, agent=[weary, keen], prompt="say it", retry_policy=SOON),
            max_concurrency=3,
        ),
    )


@workflow
def loops(ctx: Context) -> Node:
    """Two inner passes in each of two outer ones, and another branch in the second."""
    inner = Task("inner", Part, run=awaiting)
    left, right = Task("left", Part, run=blocking), Task("right", Part, run=blocking)
    around = Task("around", Part, run=blocking)
    return Loop(
        Loop(inner, until=lambda: ctx.iteration_count(inner) >= 2, max_iterations=4, id="in"),
        Branch(condition=ctx.iteration_count(around) == 0, then=left, else_=right),
        around,
        until=lambda: ctx.iteration_count(around) >= 2,
        max_iterations=4,
        id="out",
    )


@workflow(output=Report)
def data(ctx: Context) -> Node:
    """Values, callables and outputs too large for a row."""
    seed = Task("seed", Part, value=Part(text="seed"))
    much = Task("much", Part, run=large, deps=seed, meta=after(seed))
    short = Task("short", Part, run=blocking, deps=(seed, much), meta=after(seed, much))
    asked = Task(
        "asked", Part, agent=keen, prompt=lambda part: f"of {part.text}", deps=short, meta=after(short)
    )

    def opened() -> list[Task[Part]]:
        return [Task(f"open:{ctx.output(seed).text}:{n}", Part, run=awaiting) for n in range(2)]

    def sum_up() -> Report:
        return Report(parts=[part.text[:60] for part in ctx.outputs(Part)])

    return Sequence(
        seed, much, short, Parallel(asked, Parallel(opened)), Task("report", Report, value=sum_up)
    )


def heavy() -> Part:
    key = note("start")
    note("end")
    return Part(text=key * (WEIGHT // len(key)))


@workflow
def grow(ctx: Context) -> Node:
    """One task after another, and each makes the file larger: for disks that fill up."""
    return Sequence(Task(f"heavy:{n}", Part, run=heavy) for n in range(20))


FOUR = {"sequence": sequence, "fan": fan, "loops": loops, "data": data}
FLOWS = {**FOUR, "grow": grow}
