"""What an adapter makes of a stream: no process, the lines as they would come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from smithers.agents.cli import CliAgent, Ending, Fold, Invocation
from smithers.agents.cli.line import Lines, event_in
from smithers.errors import AgentError
from smithers.ids import NodeKey
from smithers.ports import AgentEvent, AgentReply, AgentRequest, Exit

E = TypeVar("E")
NOW_MS = 1_767_225_600_000
"""2026-01-01, midnight in Greenwich."""
FOLDER = Path("/call")


class Recorded(Protocol):
    """A kept transcript."""

    stdout: str
    stderr: str
    exit: int


def request(prompt: str = "Do it.", **more: Any) -> AgentRequest:
    schema = more.pop("schema", None)
    return AgentRequest(prompt, schema, NodeKey("task"), "run", 1, now_ms=lambda: NOW_MS, **more)


def called(agent: CliAgent, **more: Any) -> Invocation:
    """How the program is called. Args: more: members of the request."""
    return agent.invocation(request(**more), FOLDER)


@dataclass(frozen=True, slots=True)
class Folded:
    """What a stream came to."""

    events: list[AgentEvent]
    reply: AgentReply | None
    error: AgentError | None

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def answer(self) -> AgentReply:
        assert self.reply is not None, self.error
        return self.reply

    @property
    def failure(self) -> AgentError:
        assert self.error is not None, self.reply
        return self.error


def stream(lines: Iterable[str | Mapping[str, Any]]) -> str:
    """A standard output: events as JSON, texts as they are."""
    return "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)


def folded(
    agent: CliAgent,
    stdout: str,
    *,
    stderr: str = "",
    status: int | None = 0,
    was_ended: bool = False,
    **more: Any,
) -> Folded:
    """Let the agent hear this. Args: more: members of the request."""
    asked = request(**more)
    how = agent.invocation(asked, FOLDER)
    fold = agent.fold(asked)
    lines = Lines(keeps_empty=how.is_text)
    events: list[AgentEvent] = []
    try:
        if how.hears_stderr:
            for line in stderr.splitlines():
                events += fold.line(line)
        for line in (*lines.feed(stdout.encode()), *lines.end()):
            event = None if how.is_text else event_in(line)
            for told in fold.event(event) if event is not None else fold.line(line):
                events.append(told)
        return Folded(events, fold.finish(Ending(Exit(status), stderr, was_ended)), None)
    except AgentError as error:
        return Folded(events, None, error)


def replayed(agent: CliAgent, kept: Recorded, **more: Any) -> Folded:
    return folded(agent, kept.stdout, stderr=kept.stderr, status=kept.exit, **more)


def endured(fold: Fold, events: list[dict[str, Any]], status: int | None, stderr: str) -> None:
    """Feed the fold what nobody would send it: nothing comes of it but events, a reply or an AgentError."""
    found: AgentReply | AgentError
    try:
        for event in events:
            for told in (*fold.event(event), *fold.line(str(event))):
                assert told is not None
        found = fold.finish(Ending(Exit(status), stderr))
    except AgentError as error:
        found = error
    assert isinstance(found, AgentReply) or found.payload()["message"]
