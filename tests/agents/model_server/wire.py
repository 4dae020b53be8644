"""What each wire protocol knows: to read a request, and to say an answer or an error in its own words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.agents.model_server.asked import Asked
from tests.agents.model_server.reply import Call, Refuse

INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS = 1200, 100, 34
"""What every answer says it used; the cached ones are among the input."""


@dataclass(frozen=True, slots=True)
class Said:
    """A whole answer: a text, possibly none, and possibly a tool's call."""

    text: str = ""
    call: Call | None = None
    stop: Literal["end", "length", "refusal"] = "end"

    @property
    def pieces(self) -> list[str]:
        """The text as a stream brings it: in up to four parts."""
        size = max(1, -(-len(self.text) // 4))
        return [self.text[at : at + size] for at in range(0, len(self.text), size)]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error's headers, beside the content type, and its JSON body."""

    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Wire(Protocol):
    """One protocol."""

    name: str

    def asked(self, path: str, body: dict[str, Any]) -> Asked:
        """The request, understood."""

    def events(self, asked: Asked, said: Said) -> list[bytes]:
        """The answer as a stream: one frame of server-sent events each."""

    def whole(self, asked: Asked, said: Said) -> dict[str, Any]:
        """The answer in one object."""

    def refusal(self, refuse: Refuse, now: float) -> Refusal:
        """The error; `now` in seconds since the epoch, for limits that reset."""


def sse(data: dict[str, Any] | str, event: str | None = None) -> bytes:
    """One frame."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


def text_of(content: Any) -> str:
    """The text in a message's content: a string, or a list of parts of which some have text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part if isinstance(part, str) else part.get("text") for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))
