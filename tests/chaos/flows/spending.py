"""Forty agent calls under a budget, in one run or in four: each says what it costs before it begins."""

import asyncio
import json
import os
import random
from pathlib import Path

from pydantic import BaseModel

from smithers import AgentReply, AgentRequest, Budget, Context, Node, Parallel, Subflow, Task, workflow
from smithers.records import Usage

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "plan.json").read_text())


class Word(BaseModel):
    text: str


class Spender:
    name = "spender"

    async def call(self, request: AgentRequest) -> AgentReply:
        chance = random.Random(f"{PLAN['seed']} {request.task} {request.attempt}")
        cost = round(chance.uniform(*PLAN["cost"]), 4)
        line = json.dumps({"task": str(request.task), "cost": cost, "pid": os.getpid()}) + "\n"
        file = os.open(HERE / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, line.encode())
        os.close(file)
        await asyncio.sleep(chance.uniform(*PLAN["takes"]))
        usage = Usage(int(cost * 1000), 0, cost_usd=cost, cost_source="cli")
        return AgentReply(output={"text": "done"}, usage=usage)


def asks(first: int, count: int) -> list[Task[Word]]:
    agent = Spender()
    return [Task(f"t{n}", Word, agent=agent, prompt="Go.") for n in range(first, first + count)]


class Part(BaseModel):
    first: int


@workflow(max_concurrency=PLAN["slots"] // 4)
def part(ctx: Context[Part]) -> Node:
    return Parallel(asks(ctx.input.first, 10))


@workflow(max_concurrency=PLAN["slots"])
def flow(ctx: Context) -> Node:
    runs = [Subflow(f"s{n}", part, "any", input=Part(first=n * 10)) for n in range(4)]
    work = runs if PLAN["has_children"] else asks(0, 40)
    return Budget(Parallel(work), usd=PLAN["usd"], on_exceeded=PLAN["on_exceeded"], id="all")
