# ruff: noqa: ARG001
"""The workflows that are measured, written as a user would write them.

A workflow takes `ctx` and an agent its prompt, needed or not.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, Sequence, Task, Workflow, workflow


class Answer(BaseModel):
    """80 bytes of JSON."""

    text: str


ANSWER = "x" * 69
AT_ONCE = 16

Work = Callable[[], Answer] | Callable[[], Awaitable[Answer]]


async def work_async() -> Answer:
    """A task that costs nothing itself."""
    return Answer(text=ANSWER)


def work_def() -> Answer:
    """The same, on a thread."""
    return Answer(text=ANSWER)


async def sleep_async() -> Answer:
    """A second of waiting."""
    await asyncio.sleep(1)
    return Answer(text=ANSWER)


def sleep_def() -> Answer:
    """A second of blocking."""
    time.sleep(1)
    return Answer(text=ANSWER)


def ids(count: int) -> list[str]:
    """Ids of 12 characters."""
    return [f"task-{number:07d}" for number in range(count)]


def build(shape: str, count: int, folder: Path) -> Workflow[Any, Any]:
    """The workflow of a case.

    Args:
        count: its tasks; for `resume` those before the last one.
        folder: where it may leave a file.
    """
    name, _, form = shape.partition("-")
    match name:
        case "sequence":
            return _sequence(form, count)
        case "fanout":
            return _fan_out(work_async if form == "async" else work_def, count, AT_ONCE)
        case "map":
            return _map(count)
        case "awaits":
            return _awaits(count)
        case "rerun":
            return _script_killed_before_the_last(count, folder)
        case "loop":
            return _loop(form, count)
        case "sleepers":
            return _fan_out(sleep_async if form == "async" else sleep_def, count, count)
        case "prompts":
            return _prompts(form, count)
        case "resume":
            return _killed_before_the_last(count, folder)
        case "empty":
            return _sequence("async", 1)
        case "agents":
            return _agents(count, folder)
        case "runs":
            return _sequence("async", 3)
        case "asleep":
            return _asleep()
        case _:
            raise ValueError(f"no workflow is called {shape}")


def _sequence(form: str, count: int) -> Workflow[Any, Any]:
    run = work_async if form == "async" else work_def

    @workflow
    def sequence(ctx: Context) -> Node:
        return Sequence(Task(name, Answer, run=run) for name in ids(count))

    return sequence


def _asleep() -> Workflow[Any, Any]:
    async def sleep() -> Answer:
        await asyncio.sleep(3600)
        return Answer(text=ANSWER)

    @workflow
    def asleep(ctx: Context) -> Node:
        return Sequence(Task("asleep", Answer, run=sleep))

    return asleep


def _fan_out(run: Work, count: int, at_once: int) -> Workflow[Any, Any]:
    @workflow(max_concurrency=at_once)
    def fan_out(ctx: Context) -> Node:
        return Parallel(Task(name, Answer, run=run) for name in ids(count))

    return fan_out


def _loop(form: str, count: int) -> Workflow[Any, Any]:
    """`bool`: each pass is judged by what a render found, so there is a render a pass."""

    @workflow
    def loop(ctx: Context) -> Node:
        latest = ctx.latest(Answer, "task-0000000") if form == "bool" else None
        return Loop(
            Task("task-0000000", Answer, run=work_async),
            until=(latest is not None and latest.text == "enough") if form == "bool" else lambda: False,
            max_iterations=count,
        )

    return loop


def _die_once(folder: Path) -> Callable[[], Answer]:
    mark = folder / "has-died"

    def die_once() -> Answer:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Answer(text=ANSWER)

    return die_once


def _killed_before_the_last(count: int, folder: Path) -> Workflow[Any, Any]:
    """Dies when all but the last task have finished; a second time it goes through."""
    die_once = _die_once(folder)

    @workflow
    def resumed(ctx: Context) -> Node:
        return Sequence(
            Parallel(Task(name, Answer, run=work_async) for name in ids(count)),
            Task("last", Answer, run=die_once),
        )

    return resumed


def _map(count: int) -> Workflow[Any, Any]:
    @workflow(max_concurrency=AT_ONCE)
    async def mapped(ctx: Context) -> None:
        await ctx.map(lambda name: Task(name, Answer, run=work_async), ids(count))

    return mapped


def _awaits(count: int) -> Workflow[Any, Any]:
    @workflow
    async def awaits(ctx: Context) -> None:
        for name in ids(count):
            await ctx.run(Task(name, Answer, run=work_async))

    return awaits


def _script_killed_before_the_last(count: int, folder: Path) -> Workflow[Any, Any]:
    """The same as a script, which awaits one after the other once more."""
    die_once = _die_once(folder)

    @workflow
    async def resumed(ctx: Context) -> None:
        names = ids(count)
        if not (folder / "has-died").exists():
            await ctx.map(lambda name: Task(name, Answer, run=work_async), names)
        else:
            for name in names:
                await ctx.run(Task(name, Answer, run=work_async))
        await ctx.run(Task("last", Answer, run=die_once))

    return resumed


def _agents(count: int, folder: Path) -> Workflow[Any, Any]:
    """Tasks of an agent whose program says at once what took a real one some minutes, four at a time."""
    from bench.transcript import claude_stream
    from smithers.agents import ClaudeCode

    (folder / "stream").write_text(claude_stream(ANSWER), encoding="utf-8")
    program = folder / "claude"
    program.write_text(f"#!/bin/sh\nexec cat '{folder}/stream'\n", encoding="utf-8")
    program.chmod(0o755)
    agent = ClaudeCode(binary=str(program))

    @workflow(max_concurrency=4)
    def agents(ctx: Context) -> Node:
        return Parallel(Task(name, Answer, agent=agent, prompt="Go on.") for name in ids(count))

    return agents


def _prompts(form: str, count: int) -> Workflow[Any, Any]:
    """A chain of agent tasks, each prompted with the one before it."""

    async def agent(prompt: str) -> Answer:
        return Answer(text=ANSWER)

    @workflow
    def prompted(ctx: Context) -> Node:
        tasks: list[Task[Answer]] = []
        for name in ids(count):
            before = tasks[-1] if tasks else None
            if before is None or form == "static":
                tasks.append(Task(name, Answer, agent=agent, prompt="Go on."))
            elif form == "callable":
                tasks.append(
                    Task(name, Answer, agent=agent, deps=before, prompt=lambda a: f"Go on: {a.text}")
                )
            else:
                found = ctx.output_maybe(before)
                said = found.text if found is not None else "nothing yet"
                tasks.append(Task(name, Answer, agent=agent, prompt=f"Go on: {said}"))
        return Sequence(tasks)

    return prompted
