"""What the model, or what stands in for it, can do with one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Fault = Literal[
    "authentication",
    "permission",
    "not_found",
    "invalid",
    "rate_limit",
    "usage_limit",
    "quota",
    "server",
    "overloaded",
]
"""What is wrong, in no provider's words; each wire has its own names for it."""


@dataclass(frozen=True, slots=True)
class Write:
    """Call whichever offered tool writes a file; with `then`, answer its result with that.

    Whether the tool was called already is read from the request, so one `Write` with `then` serves any
    number of runs, one beside another or in a row.
    """

    path: str = "hello.txt"
    """As the program should see it; programs differ in whether a relative one will do."""
    content: str = "hi\n"
    then: Say | Output | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with a text."""

    text: str = "All done."
    stop: Literal["end", "length", "refusal"] = "end"


@dataclass(frozen=True, slots=True)
class Output:
    """Answer with JSON: by the tool for structured output if there is one, as the text otherwise."""

    value: Any = None
    """`None`: a value made from the schema in the request, or `{"ok": true}` without one."""


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool by name, whether it is offered or not."""

    tool: str
    arguments: dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an HTTP error, in the words of the wire."""

    status: int
    fault: Fault
    message: str
    retry_after: int | None = None
    """Seconds, as the header of that name."""
    resets_in: int | None = None
    """Seconds until the limit resets, in the provider's own headers and fields."""
    may_retry: bool | None = None
    """The header `x-should-retry`, if any."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Accept, and never answer; or stop after so many events of a `Say`."""

    after_events: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """Drop the connection in the middle of a `Say`."""

    text: str = "This sentence is never"


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer 200 with a web page, as a proxy's login does."""

    body: str = "<html><body><h1>Welcome to the network</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Empty:
    """Answer 200 with a stream, or an object, in which nothing is said."""


Reply: TypeAlias = Write | Say | Output | Call | Refuse | Hang | Cut | Garbage | Empty
