"""Calls an agent as a run does, without a run: real processes, and what it told meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from smithers.agents.cli import CliAgent
from smithers.errors import AgentError
from smithers.ids import NodeKey
from smithers.ports import AgentEvent, AgentReply, AgentRequest, Child, Program
from smithers.ports.process import Trace
from smithers.process import ProcessSpawner

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Heard:
    """One call."""

    reply: AgentReply | None
    error: AgentError | None
    events: list[AgentEvent]

    def told(self, kind: type[E]) -> list[E]:
        """Its events of this kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def answer(self) -> AgentReply:
        """Raises: the error that it failed with."""
        if self.reply is None:
            assert self.error is not None
            raise self.error
        return self.reply

    @property
    def failure(self) -> AgentError:
        assert self.error is not None, self.reply
        return self.error


@dataclass
class Caller:
    """Calls agents, one after another; `close` it at last."""

    spawner: ProcessSpawner = field(default_factory=ProcessSpawner)
    traces: list[Trace] = field(default_factory=list)
    """Of all programs that were started."""
    _numbers: Any = field(default_factory=count)

    def ask(self, agent: CliAgent, prompt: str, **more: Any) -> Heard:
        """One call, to its end. Args: more: members of the request."""
        events: list[AgentEvent] = []
        try:
            return Heard(asyncio.run(agent.call(self.request(prompt, events, **more))), None, events)
        except AgentError as error:
            return Heard(None, error, events)

    def request(self, prompt: str, events: list[AgentEvent], **more: Any) -> AgentRequest:
        """What a call is asked. Args: events: what it tells is put there; more: further members."""
        schema = more.pop("schema", None)
        key = NodeKey("task")
        return AgentRequest(prompt, schema, key, "run", 1, emit=events.append, spawn=self._spawn, **more)

    @property
    def survivors(self) -> list[int]:
        """Pids of what is left of all calls."""
        return self.spawner.survivors(self.traces)

    def close(self) -> None:
        self.spawner.close()

    def _spawn(self, program: Program) -> Child:
        child = self.spawner.spawn(program, f"test:{os.getpid()}:{next(self._numbers)}")
        child.go(lambda gone: None)
        self.traces.append(child.trace)
        return child


def own(environment: Mapping[str, str]) -> dict[str, str]:
    """What an environment has that this process's has not: for an agent's `env`."""
    return {name: value for name, value in environment.items() if os.environ.get(name) != value}
