"""An agent that follows a script, for tests of workflows."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from smithers.errors import AgentError
from smithers.ports import AgentReply, AgentRequest, TextEvent

from .tape import running_tape

_serials = itertools.count(1)

Reply: TypeAlias = object
"""An `AgentReply`, a text, the output (the model, or anything it validates), an exception, which is raised,
or a function of the `AgentRequest` that returns one of these."""


class ScriptedAgent:
    """Answers call after call as a script says, and remembers what it was asked.

        coder = ScriptedAgent({"summary": "first try"}, TimeoutError("slow"), {"summary": "second try"})

    Args:
        replies: of the first call, the second, and so on, whichever task asks.
        by_task: task ids to the replies of that task's calls, which are counted by themselves.
        last: whether the last reply is given again once the script is at its end; else that is an error.
        delay: seconds that each answer takes.
        name: what people see.
    """

    def __init__(
        self,
        *replies: Reply,
        by_task: Mapping[str, Sequence[Reply]] | None = None,
        last: bool = False,
        delay: float = 0.0,
        name: str = "scripted",
    ) -> None:
        self._name = name
        self._replies = replies
        self._by_task = MappingProxyType({task: tuple(script) for task, script in (by_task or {}).items()})
        self._last = last
        self._delay = delay
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._serial = next(_serials)
        self.requests: list[AgentRequest] = []
        """Every request, in the order they came."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> Mapping[str, Any]:
        """Nothing: another script does not make another agent of it."""
        return {}

    @property
    def prompts(self) -> list[str]:
        """The prompt of every request."""
        return [request.prompt for request in self.requests]

    @property
    def tasks(self) -> list[str]:
        """Which task asked, such as `draft` or `review[1]`, for every request."""
        return [str(request.task) for request in self.requests]

    def calls(self, task: str) -> int:
        """How often a task has asked; by its id alone in all passes, by `id[1]` in one of them."""
        return sum(task in (request.task.node, str(request.task)) for request in self.requests)

    def __repr__(self) -> str:
        return f"ScriptedAgent({self._name!r})"

    async def call(self, request: AgentRequest) -> AgentReply:
        """Answer one request.

        Raises:
            AgentError: the script has no further reply; or whatever the script says.
        """
        reply = self._next(request)
        request.emit(TextEvent(f"reply {len(self.requests)} of a script"))
        if self._delay > 0:
            await asyncio.sleep(self._delay)
        return _spoken(reply, request)

    def _next(self, request: AgentRequest) -> Reply:
        node = request.task.node
        with self._lock:
            place = node if node in self._by_task else ""
            script = self._by_task[node] if place else self._replies
            tape = running_tape()
            if tape is not None:
                # A trial of this workflow, of which the test itself must see nothing.
                number = tape.number(self._serial, place, request.task, request.attempt, self._taken[place])
            else:
                self.requests.append(request)
                number = self._taken[place]
                self._taken[place] += 1
        if number < len(script):
            return script[number]
        if self._last and script:
            return script[-1]
        raise AgentError(
            f"{request.task} asks for reply {number + 1}, and the script of {self._name} has {len(script)}",
            hint="add a reply, or pass last=True to give the last one again",
        )


def _spoken(reply: Reply, request: AgentRequest) -> AgentReply:
    if callable(reply) and not isinstance(reply, type):
        made: Callable[[AgentRequest], Reply] = reply
        return _spoken(made(request), request)
    if isinstance(reply, type) and issubclass(reply, BaseException):
        raise reply
    if isinstance(reply, BaseException):
        raise reply
    if isinstance(reply, AgentReply):
        return reply
    return AgentReply(text=reply) if isinstance(reply, str) else AgentReply(output=reply)
