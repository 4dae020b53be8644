"""What the model does, request after request, independent of the wire."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.agents.model_server.reply import (
    Cut,
    Empty,
    Garbage,
    Hang,
    Output,
    Refuse,
    Reply,
    Say,
    Write,
)


@dataclass(frozen=True, slots=True)
class Script:
    """Replies in order, one a request; the last one repeats.

    Requests beside the conversation, such as for a title, take none.
    """

    name: str
    replies: tuple[Reply, ...]
    delay: float = 0.0
    """Seconds before each event of a stream."""

    def slowly(self, delay: float) -> Script:
        """The same with `delay` seconds before each event."""
        return replace(self, name=f"slow {self.name}", delay=delay)


def says(*replies: Reply, name: str = "turns") -> Script:
    """An arbitrary list of turns."""
    return Script(name, replies)


def writes(path: str = "hello.txt", content: str = "hi\n", *, then: Say | Output | None = None) -> Script:
    """Write a file by a tool, then give the final answer; by default JSON, as the request asks for it."""
    return Script("write", (Write(path, content, then or Output()),))


def text(said: str = "All done.") -> Script:
    return Script("text", (Say(said),))


def flaky(failures: int, failure: Refuse | None = None, then: Script | None = None) -> Script:
    """Fail so many requests, then be fine."""
    after = then or text()
    return Script(f"flaky {after.name}", ((failure or OVERLOADED.replies[0]),) * failures + after.replies)


UNAUTHORIZED = Script("401", (Refuse(401, "authentication", "invalid x-api-key", may_retry=False),))
UNAUTHORIZED_BARE = Script("401 bare", (Refuse(401, "authentication", "invalid x-api-key"),))
"""As many gateways say it: without `x-should-retry`, so that some programs try for minutes."""
FORBIDDEN = Script("403", (Refuse(403, "permission", "This key may not use this model", may_retry=False),))
RATE_LIMITED = Script("429", (Refuse(429, "rate_limit", "Too many requests"),))
"""Without a word about when to come back."""
OUT_OF_QUOTA = Script(
    "429 quota", (Refuse(429, "quota", "You exceeded your current quota, check your plan and billing"),)
)
SERVER_ERROR = Script("500", (Refuse(500, "server", "Internal server error"),))
OVERLOADED = Script("529", (Refuse(529, "overloaded", "Overloaded"),))
HANG = Script("hang", (Hang(),))
HANG_AFTER_FIRST = Script("hang after first event", (Hang(after_events=1),))
CUT = Script("cut", (Cut(),))
GARBAGE = Script("garbage", (Garbage(),))
EMPTY = Script("empty", (Empty(),))


def retry_after(seconds: int) -> Script:
    """A 429 that says, by the plain header, when to come back."""
    return Script("429 retry-after", (Refuse(429, "rate_limit", "Too many requests", retry_after=seconds),))


def usage_limit(resets_in: int) -> Script:
    """A 429 of a plan that is used up until `resets_in` seconds from now, in the provider's own fields."""
    used_up = Refuse(429, "usage_limit", "The usage limit has been reached", resets_in=resets_in)
    return Script("429 usage limit", (used_up,))
