"""Forty agent calls under a budget; each writes down what it is about to cost before it begins."""

import asyncio
import json
import os
import random
from pathlib import Path

from pydantic import BaseModel

from smithers import AgentReply, AgentRequest, Budget, Context, Node, Parallel, Task, workflow
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


@workflow(max_concurrency=PLAN["slots"])
def flow(ctx: Context) -> Node:
    agent = Spender()
    tasks = [Task(f"t{n}", Word, agent=agent, prompt="Go.") for n in range(40)]
    return Budget(Parallel(tasks), usd=PLAN["usd"], on_exceeded=PLAN["on_exceeded"], id="all")
