"""An agent that costs nothing: valid, made-up answers, to try a workflow's shape before its agents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from smithers.agents.sampler import sample
from smithers.ports import AgentReply, AgentRequest, TextEvent
from smithers.records import Usage


class RehearsalAgent:
    """Answers any request with a sample of what was asked for.

    The same task gets the same answer in every run, attempt and process; another iteration gets another one.
    `sample` says what the answers look like, and which of them end a review loop.

    Args:
        name: what people see.
        delay: seconds that each answer takes.
        answers: task ids to what is answered instead: a text, the output model, or anything it validates.
    """

    __slots__ = ("_answers", "_delay", "_name")

    def __init__(
        self, name: str = "rehearsal", delay: float = 0.0, answers: Mapping[str, Any] | None = None
    ) -> None:
        self._name = name
        self._delay = delay
        self._answers = MappingProxyType(dict(answers or {}))

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its answers depend on besides the request."""
        return {"answers": dict(self._answers)}

    def __repr__(self) -> str:
        return f"RehearsalAgent({self._name!r})"

    async def call(self, request: AgentRequest) -> AgentReply:
        """Answer one request; `usage` says that it cost nothing.

        Raises:
            AgentError: no value could be made that the output model accepts.
        """
        request.emit(TextEvent(f"rehearsing {request.task}"))
        if self._delay > 0:
            await asyncio.sleep(self._delay)
        usage = Usage(model="rehearsal")
        if request.task.node in self._answers:
            answer = self._answers[request.task.node]
            if isinstance(answer, str):
                return AgentReply(text=answer, usage=usage)
            return AgentReply(output=answer, usage=usage)
        if request.schema is None:
            return AgentReply(text=f"This is a rehearsed answer of {request.task}.", usage=usage)
        # Not the attempt and not the run: a retry must not turn a rehearsal into a lottery.
        return AgentReply(output=sample(request.schema, salt=str(request.task)), usage=usage)
