"""Where an agent is asked: real processes, and a look at what it left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Any

from smithers.errors import AgentError
from smithers.ids import NodeKey
from smithers.ports import Agent, AgentEvent, AgentReply, AgentRequest, Child, Program, Spawner
from smithers.process import ProcessSpawner
from tests.contract.agent_case import RECORDED_MS

_number = itertools.count(1)


class Stage:
    """Asks agents, and hands their programs to a spawner as the engine does."""

    def __init__(self) -> None:
        self.spawner = ProcessSpawner()
        self.events: list[AgentEvent] = []
        """Of the latest call."""
        self.children: list[Child] = []
        """Of all calls."""

    def close(self) -> None:
        """End what is still there."""
        self.spawner.close()

    def spawn(self, program: Program) -> Child:
        """Start a program at once."""
        return start(self.spawner, program, self.children)

    def request(self, prompt: str = "Do it.", **asks: Any) -> AgentRequest:
        """A request whose events are kept."""
        own = {"schema": None, "emit": self.events.append, "spawn": self.spawn, "now_ms": lambda: RECORDED_MS}
        asks = {**own, **asks}
        return AgentRequest(prompt, task=NodeKey("task"), run_id="run", attempt=1, **asks)

    def ask(self, agent: Agent, prompt: str = "Do it.", **asks: Any) -> AgentReply:
        """Ask it once; nothing of its program may be left then, however it went."""
        self.events = []
        before = len(self.children)
        try:
            return asyncio.run(_call(agent, self.request(prompt, **asks)))
        finally:
            assert self.survivors(before) == []

    def error(self, agent: Agent, prompt: str = "Do it.", **asks: Any) -> AgentError:
        """The same, where it has to fail."""
        try:
            reply = self.ask(agent, prompt, **asks)
        except AgentError as error:
            return error
        raise AssertionError(f"it did not fail: {reply}")

    def cancel(self, agent: Agent, when: Callable[[], bool], **asks: Any) -> None:
        """Ask it, and cancel the call as soon as something is so."""
        asyncio.run(_call_off(agent, self.request(**asks), when))

    def survivors(self, since: int = 0) -> list[int]:
        """Pids of what is there of the programs, by the spawner's own proofs."""
        return self.spawner.survivors([child.trace for child in self.children[since:]])


def start(spawner: Spawner, program: Program, children: list[Child]) -> Child:
    """Start a program at once, and note it; if it cannot begin, nothing of it is left."""
    child = spawner.spawn(program, f"stage:{os.getpid()}:{next(_number)}")
    children.append(child)
    try:
        child.go(lambda found: None)
    except BaseException:
        child.end(0)
        child.close_streams()
        raise
    return child


async def _call(agent: Agent, request: AgentRequest) -> AgentReply:
    return await agent.call(request)


async def _call_off(agent: Agent, request: AgentRequest, when: Callable[[], bool]) -> None:
    calling = asyncio.ensure_future(_call(agent, request))
    while not when():
        await asyncio.sleep(0.002)
        if calling.done():
            raise AssertionError(f"it was over too early: {calling.result()}")
    calling.cancel()
    try:
        await calling
    except asyncio.CancelledError:
        return
    raise AssertionError("it did not let itself be cancelled")
