"""An adapter called as the engine calls it: programs are started for it, and its events are kept."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from smithers.agents.cli import CliAgent
from smithers.errors import AgentError
from smithers.ids import NodeKey
from smithers.ports import AgentEvent, AgentReply, AgentRequest, Child, Program, RetryEvent, SessionEvent
from smithers.process import ProcessSpawner
from tests.agents.home import Account, environment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Called:
    """What a call came to."""

    reply: AgentReply | None
    error: AgentError | None
    events: list[AgentEvent]
    seconds: float

    def of(self, kind: type[T]) -> list[T]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def good(self) -> AgentReply:
        """The reply that there has to be."""
        assert self.reply is not None, self.error
        return self.reply

    @property
    def bad(self) -> AgentError:
        """The error that there has to be."""
        assert self.error is not None, self.reply
        return self.error

    @property
    def session(self) -> str | None:
        """As the events told it."""
        told = [event.session for event in self.of(SessionEvent)]
        return told[-1] if told else None

    @property
    def retries(self) -> list[RetryEvent]:
        return self.of(RetryEvent)


@dataclass(slots=True)
class Caller:
    """Calls adapters, one after another or several at once."""

    spawner: ProcessSpawner = field(default_factory=ProcessSpawner)
    children: list[Child] = field(default_factory=list)
    programs: list[list[str]] = field(default_factory=list)
    """The words that each was started with."""
    _numbers: Iterator[int] = field(default_factory=count)

    def call(self, agent: CliAgent, prompt: str = "Write hello.txt, please.", **asked: Any) -> Called:
        return asyncio.run(self.calling(agent, prompt, **asked))

    async def calling(self, agent: CliAgent, prompt: str, **asked: Any) -> Called:
        events: list[AgentEvent] = []
        schema = asked.pop("schema", None)
        request = AgentRequest(
            prompt, schema, NodeKey("t"), "r", 1, emit=events.append, spawn=self.spawn, **asked
        )
        began = time.monotonic()
        reply, error = None, None
        try:
            reply = await agent.call(request)
        except AgentError as raised:
            error = raised
        return Called(reply, error, events, time.monotonic() - began)

    def spawn(self, program: Program) -> Child:
        # A mark of its own: what ends one tree ends all that carries its mark.
        child = self.spawner.spawn(program, f"test:{os.getpid()}:{next(self._numbers)}")
        self.children.append(child)
        self.programs.append([*program.argv])
        try:
            child.go(lambda _: None)
        except BaseException:
            child.close_streams()
            raise
        return child

    @property
    def survivors(self) -> list[int]:
        """Pids of what is left of all that was started."""
        return self.spawner.survivors([child.trace for child in self.children])


@contextmanager
def caller() -> Iterator[Caller]:
    found = Caller()
    try:
        yield found
    finally:
        found.spawner.close()


def variables(name: str, home: Path, account: Account) -> dict[str, str]:
    """What an adapter's `env=` must say, so that its program finds the model server."""
    env = environment(name, home, account)
    return {key: value for key, value in env.items() if os.environ.get(key) != value}
