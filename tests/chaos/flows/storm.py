"""Everything a run may be made of, sized by its input; each execution leaves two lines in a journal.

A line is `key attempt start|end pid monotonic_ns`, appended and fsynced before the body goes on. Outputs are
made of nothing but the keys: a run that was killed often must answer what an undisturbed one does.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from zlib import crc32

from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, current, workflow

SOON = RetryPolicy(retries=2, backoff="fixed", initial_delay=0.02)


class Size(BaseModel):
    """How much of each kind; `tasks` says how many tasks that makes."""

    capped: int = 24
    open: int = 30
    chains: int = 8
    asked: int = 16
    passes: int = 9


class Part(BaseModel):
    """What every task answers: its key, and a number that is made of its inputs'."""

    key: str
    sum: int


class Report(BaseModel):
    """The run's own output."""

    parts: int
    sum: int


def note(what: str) -> str:
    """Leave a durable line; returns the key of whoever runs."""
    me = current()
    line = f"{me.key} {me.attempt} {what} {os.getpid()} {time.monotonic_ns()}\n"
    journal = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(journal, line.encode())
        os.fsync(journal)
    finally:
        os.close(journal)
    return str(me.key)


def span_s(key: str) -> float:
    """5 to 50 ms, the same for the same key."""
    return (5 + crc32(key.encode()) % 46) / 1000


def made(key: str, *inputs: Part) -> Part:
    return Part(key=key, sum=(crc32(key.encode()) + sum(part.sum for part in inputs)) % 1_000_003)


def blocking(*inputs: Part) -> Part:
    key = note("start")
    time.sleep(span_s(key))
    note("end")
    return made(key, *inputs)


async def awaiting(*inputs: Part) -> Part:
    key = note("start")
    await asyncio.sleep(span_s(key))
    note("end")
    return made(key, *inputs)


def flaky() -> Part:
    """Fails in its first two attempts."""
    key = note("start")
    time.sleep(span_s(key))
    note("end")
    if current().attempt <= 2:
        raise RuntimeError("not yet")
    return made(key)


async def hopeless() -> Part:
    key = note("start")
    await asyncio.sleep(span_s(key))
    note("end")
    raise RuntimeError("never")


async def weary(prompt: str) -> Part:
    """An agent that always fails: the next one of the list is asked."""
    key = note("start")
    await asyncio.sleep(span_s(key) / 2)
    note("end")
    raise RuntimeError(f"too tired for {prompt}")


def keen(prompt: str) -> Part:
    """An agent; its answer shows that it was given the prompt of its own task."""
    key = note("start")
    time.sleep(span_s(key))
    note("end")
    return Part(key=key, sum=int(prompt.rpartition(" ")[2]))


def body(number: int) -> Callable[..., object]:
    return awaiting if number % 2 else blocking


def after(*tasks: Task[Part]) -> dict[str, list[str]]:
    """Facts for the checker: whose outputs a task must not run before."""
    return {"after": [task.id for task in tasks]}


def chain(plan: Task[Part], number: int) -> Sequence:
    links = [plan]
    for step in range(4):
        before = links[-1]
        links.append(Task(f"chain:{number}:{step}", Part, run=body(step), deps=before, meta=after(before)))
    return Sequence(*links[1:])


def asked(number: int, source: Task[Part]) -> Task[Part]:
    """Every other one has an agent before it that fails."""
    return Task(
        f"ask:{number}",
        Part,
        agent=[weary, keen] if number % 2 else keen,
        prompt=lambda part: f"make much of {part.key}: {part.sum}",
        deps=source,
        retry_policy=SOON,
        meta=after(source),
    )


def refine(ctx: Context[Size]) -> Loop:
    """Loops in a loop: three inner passes of two tasks, and two more around them, in each outer pass."""
    draft = Task("draft", Part, run=awaiting)
    improve = Task("improve", Part, run=blocking, deps=draft, meta=after(draft))
    check = Task("check", Part, run=awaiting, deps=(draft, improve), meta=after(draft, improve))
    inner = Loop(improve, check, until=lambda: ctx.iteration_count(check) >= 4, max_iterations=9, id="inner")
    review = Task("review", Part, run=blocking, deps=check, meta=after(check))
    passes = ctx.input.passes
    return Loop(
        draft,
        inner,
        review,
        until=lambda: ctx.iteration_count(review) >= passes,
        max_iterations=20,
        id="outer",
    )


@workflow(output=Report)
def storm(ctx: Context[Size]) -> Node:
    size = ctx.input
    plan = Task("plan", Part, run=awaiting)
    capped = [Task(f"capped:{n}", Part, run=body(n), deps=plan, meta=after(plan)) for n in range(size.capped)]
    tolerated = [
        Task(f"hopeless:{n}", Part, run=hopeless, continue_on_fail=True, retries=0) for n in range(2)
    ]
    retried = [Task(f"flaky:{n}", Part, run=flaky, retry_policy=SOON) for n in range(4)]
    questions = [asked(n, capped[n % size.capped]) for n in range(size.asked)]

    def opened() -> list[Task[Part]]:
        """Made by a render of its own, from what the plan said."""
        key = ctx.output(plan).key
        return [Task(f"open:{key}:{n}", Part, run=body(n)) for n in range(size.open)]

    def sum_up() -> Report:
        note("start")
        parts = ctx.outputs(Part)
        note("end")
        return Report(parts=len(parts), sum=sum(part.sum for part in parts) % 1_000_003)

    return Sequence(
        plan,
        Parallel(*capped, max_concurrency=16),
        Parallel(
            refine(ctx),
            Parallel(opened),
            [chain(plan, n) for n in range(size.chains)],
            Parallel(*questions, max_concurrency=4),
            tolerated,
            retried,
        ),
        Task("report", Report, run=sum_up),
    )
