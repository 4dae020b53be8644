"""Three tasks to kill and resume: research (fast), plan (slow), implement.

    smithers up ship_it.py --run-id r1
    # ^C, or kill -9, while plan is in flight
    smithers up ship_it.py --run-id r1 --resume true

`research` is not run again: its output is stored. `plan` runs again, as attempt 2; `implement` runs
for the first time.
"""

from __future__ import annotations

import asyncio
import os

from pydantic import BaseModel

from smithers import Context, Node, Sequence, Task, current, workflow


class Goal(BaseModel):
    goal: str = "make the parser fast"


class Research(BaseModel):
    findings: list[str]


class Plan(BaseModel):
    steps: list[str]


class Change(BaseModel):
    files: list[str]


def research(goal: str) -> Research:
    note()
    return Research(findings=[f"asked to {goal}", "its cache is never used"])


async def plan(found: Research) -> Plan:
    note()
    # Stands for an agent that takes its time.
    await asyncio.sleep(float(os.environ.get("SHIP_IT_PLAN_SECONDS", "10")))
    return Plan(steps=[f"fix: {finding}" for finding in found.findings])


def implement(made: Plan) -> Change:
    note()
    return Change(files=[f"src/step_{number}.py" for number, _ in enumerate(made.steps, 1)])


@workflow(output=Change)
def ship_it(ctx: Context[Goal]) -> Node:
    first = Task("research", Research, run=lambda: research(ctx.input.goal))
    second = Task("plan", run=plan, deps=first)
    third = Task("implement", run=implement, deps=second)
    return Sequence(first, second, third)


def note() -> None:
    """For the demo only: append `plan 2` to $SMITHERS_DEMO_LOG, so that executions can be counted."""
    if path := os.environ.get("SMITHERS_DEMO_LOG"):
        line = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(line, f"{current().node} {current().attempt}\n".encode())
        os.fsync(line)
        os.close(line)
