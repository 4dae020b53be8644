"""Calls of one agent at once."""

from __future__ import annotations

import asyncio
from typing import Any

from smithers.ports import AgentReply
from tests.agents.real_agent import Bench


def at_once(bench: Bench, agent: Any, count: int) -> list[AgentReply]:
    """Their replies. Raises: the error of the first that fails."""

    async def all_of_them() -> list[AgentReply]:
        requests = (bench.caller.request(f"Say {n}.", []) for n in range(count))
        return await asyncio.gather(*(agent.call(request) for request in requests))

    return asyncio.run(all_of_them())
