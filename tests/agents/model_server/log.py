"""What the programs asked, for tests to look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.agents.model_server.asked import Message


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as it arrived."""

    at: float
    """Seconds since the epoch."""
    wire: str
    """`anthropic`, `responses`, `chat`, `gemini`; or `models`, `count`, `unknown`."""
    method: str
    path: str
    key: str | None
    """The API key or token, from whichever header or parameter brought it."""
    model: str = ""
    tools: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    schema: dict[str, Any] | None = None
    """What the request itself says the answer shall fit."""
    is_streamed: bool = False
    is_aside: bool = False
    """Beside the conversation, such as for a title."""
    script: str = ""
    """The name of the script that answered."""
    reply: str = ""
    """The kind of reply, such as `Write`."""

    def texts(self, *roles: str) -> list[str]:
        """The texts of the messages of these roles; of all without any."""
        return [message.text for message in self.messages if not roles or message.role in roles]

    @property
    def is_step(self) -> bool:
        """Whether it is a step of a conversation."""
        return self.wire in ("anthropic", "responses", "chat", "gemini") and not self.is_aside


class RequestLog:
    """The requests of one server, in the order of their arrival; written before they are answered."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._changed = threading.Condition()

    def add(self, request: Request) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    @property
    def all(self) -> list[Request]:
        with self._changed:
            return list(self._requests)

    @property
    def steps(self) -> list[Request]:
        """Those of conversations: no titles, model lists, or counts of tokens."""
        return [request for request in self.all if request.is_step]

    def wait_for(self, is_there: Callable[[Request], bool], count: int = 1, timeout: float = 60) -> Request:
        """The first such request, or the one that makes `count` of them, now or within `timeout` seconds.

        Raises:
            TimeoutError: none came.
        """
        until = time.monotonic() + timeout
        with self._changed:
            while len(found := [request for request in self._requests if is_there(request)]) < count:
                if not self._changed.wait(until - time.monotonic()):
                    raise TimeoutError(f"none of {len(self._requests)} requests is it")
        return found[count - 1]
