"""What a program asked the model, the same for every wire protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call."""

    name: str
    schema: dict[str, Any] = field(default_factory=dict)
    """JSON Schema of its arguments."""
    is_freeform: bool = False
    """It takes one text instead of arguments."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; tool results are their own."""

    role: Role
    text: str
    calls: tuple[str, ...] = ()
    """Names of the tools that an assistant's message called; of a result, the tool that it answers."""
    is_error: bool = False
    """Of a result: the tool refused or failed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for an answer."""

    model: str
    messages: tuple[Message, ...]
    """System texts first, wherever they stood in the request."""
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer shall fit, where the request itself says so."""
    is_streamed: bool = True

    @property
    def is_answered_by_tool(self) -> bool:
        """Whether the last word is a tool's: the model called one, and the program executed it."""
        return bool(self.messages) and self.messages[-1].role == "tool"

    @property
    def has_given_output(self) -> bool:
        """Whether the structured answer was given by its tool, and taken."""
        last = self.messages[-1] if self.is_answered_by_tool else None
        return last is not None and last.calls == ("StructuredOutput",) and not last.is_error

    @property
    def is_aside(self) -> bool:
        """Whether it is the program's own business, such as a session's title: no step of the talk."""
        texts = (message.text.lower() for message in self.messages)
        return not self.tools and self.schema is None and any("generate a title" in text for text in texts)
