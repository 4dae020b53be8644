"""What `opencode run --format json` says: JSON lines, and its log, which alone tells of retries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ports import (
    AgentEvent,
    AgentReply,
    AgentRequest,
    NoticeEvent,
    RetryEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from smithers.records import NOTHING, Usage

from .cli import (
    Ending,
    at,
    count_at,
    number_at,
    of_message,
    of_status,
    speaks_of_quota,
    text_at,
    without_result,
)

RETRIES: Final = 3
"""How often it may try a request again by itself; it would go on for more than a minute, or without end."""
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_LOGGED: Final = re.compile(r'^timestamp=\S+ level=ERROR .*?\bmessage=("stream error"|\S+)')
_WHY: Final = re.compile(r'\berror(?:\.error)?="((?:[^"\\]|\\.)*)"')
_REF: Final = re.compile(r"\bref=(\w+)")
_NO_AGENT: Final = re.compile(r'agent "[^"]*" (?:not found|is a subagent)')


class OpenCodeFold:
    """Sums up the stream of one call.

    Success is a step that ends with the reason `stop`, without an error after it. A refused request is tried
    again without a word on its output: only its log tells. An answer that ends for no reason makes it ask
    again at once, for ever, with a step each time.
    """

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._session: str | None = None
        self._texts: list[str] = []
        """Of the step that is under way, or was the last one."""
        self._reason = ""
        """Why the last step ended."""
        self._error: Mapping[str, Any] | None = None
        """What has gone wrong since the last step began."""
        self._usage = NOTHING
        self._refusals = 0
        """Requests that failed since it has last got on."""
        self._blanks = 0
        """Steps in a row that ended for no reason."""
        self._logged: dict[str, str] = {}
        """Why, by the reference that an event of an unknown error carries."""

    @property
    def is_over(self) -> bool:
        return self._reason == "stop" and self._error is None

    def line(self, text: str) -> Iterator[AgentEvent]:
        text = _ANSI.sub("", text).strip()
        if _NO_AGENT.search(text):
            # It would go on with another one, which may have other tools.
            raise AgentUnfit(text.lstrip("! ")[:500], hint="check agent=")
        logged = _LOGGED.match(text)
        why = _WHY.search(text)
        if logged is None or why is None:
            yield NoticeEvent(text[:2000])
            return
        if (reference := _REF.search(text)) is not None:
            self._logged[reference[1]] = _unquoted(why[1])
        if logged[1] == '"stream error"' and "small=true" not in text:
            yield from self._refusal(_unquoted(why[1]))

    def _refusal(self, why: str) -> Iterator[AgentEvent]:
        """A request has failed; it will be tried again, or be told of as an error."""
        self._refusals += 1
        error = of_message(why.partition(": ")[2] or why, self._request.now_ms())
        reason = {"AGENT_QUOTA": "quota", "AGENT_AUTH": "auth", "AGENT_THROTTLED": "throttle"}.get(error.code)
        yield RetryEvent(_reason(reason), why[:500], self._refusals)
        if error.code == "AGENT_QUOTA":
            raise error
        if self._refusals > RETRIES:
            raise error if error.code == "AGENT_THROTTLED" else AgentThrottled(why[:500])

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        session = text_at(event, "sessionID")
        if session and session != self._session:
            self._session = session
            yield SessionEvent(session)
        part = at(event, "part")
        match event.get("type"):
            case "step_start":
                self._texts, self._reason, self._error = [], "", None
            case "text":
                self._texts.append(text_at(part, "text"))
                yield TextEvent(text_at(part, "text"))
            case "reasoning":
                yield TextEvent(text_at(part, "text"), is_reasoning=True)
            case "tool_use":
                yield from _tool(part)
            case "step_finish":
                yield from self._step(part)
            case "error":
                self._error = event
                yield NoticeEvent(f"error: {_message(event)[:2000]}")
            case _:
                pass

    def _step(self, part: Any) -> Iterator[AgentEvent]:
        self._reason = text_at(part, "reason")
        self._usage = self._usage + _usage(part)
        yield UsageEvent(self._usage)
        if self._reason != "unknown":
            self._refusals = self._blanks = 0
            return
        self._blanks += 1
        if self._blanks > RETRIES:
            raise AgentThrottled("its model's answers end without a reason, again and again")

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        if self._error is not None:
            raise self._failed(self._error)
        match self._reason:
            case "stop":
                text = "".join(self._texts)
                return AgentReply(text, session=self._session, usage=self._usage)
            case "content-filter":
                raise AgentRefusal("its provider has blocked the answer")
            case "length":
                raise AgentError("its answer is longer than the model may write", reason="length")
            case _:
                raise self._no_answer(ending)

    def _no_answer(self, ending: Ending) -> AgentError:
        said = _ANSI.sub("", ending.stderr)
        if self._request.session is not None and "Session not found" in said:
            return AgentSessionLost(f"it has no conversation {self._request.session}")
        if self._session is None and said.lstrip().startswith("opencode run [message"):
            return AgentUnfit("it does not know one of the words of its command line", hint="check args=")
        return without_result("opencode", ending, said)

    def _failed(self, event: Mapping[str, Any]) -> AgentError:
        text = _message(event)
        data = at(event, "error", "data")
        status = count_at(data, "statusCode") or None
        match text_at(event, "error", "name"):
            case "APIError":
                body = f"{text} {text_at(data, 'responseBody')}"
                after = text_at(data, "responseHeaders", "retry-after")
                return of_status(
                    status,
                    body if speaks_of_quota(body) else text,
                    self._request.now_ms(),
                    is_quota=speaks_of_quota(body),
                    retry_after_s=float(after) if after.isdecimal() else None,
                )
            case "ProviderAuthError":
                return AgentAuth(text)
            case "ContextOverflowError":
                return AgentUnfit(text, hint="shorten the prompt, or choose a model with a longer context")
            case "ContentFilterError":
                return AgentRefusal(text)
            case _:
                why = self._logged.get(text_at(data, "ref"), "")
                if "ModelNotFound" in why:
                    return AgentUnfit(why, hint='choose another model="provider/model"')
                return of_message(why or text, self._request.now_ms())


def _tool(part: Any) -> Iterator[AgentEvent]:
    """It tells of a tool when that has answered."""
    call, state = text_at(part, "callID"), at(part, "state")
    is_error = text_at(state, "status") == "error"
    yield ToolCallEvent(call, text_at(part, "tool"), at(state, "input"))
    yield ToolResultEvent(call, text_at(state, "error" if is_error else "output"), is_error)


def _reason(name: str | None) -> Literal["quota", "throttle", "auth", "other"]:
    match name:
        case "quota" | "throttle" | "auth":
            return name
        case _:
            return "other"


def _message(event: Mapping[str, Any]) -> str:
    data = text_at(event, "error", "data", "message")
    return data or text_at(event, "error", "name") or "it failed without a reason"


def _unquoted(text: str) -> str:
    return text.replace('\\"', '"').replace("\\n", "\n")


def _usage(part: Any) -> Usage:
    """Of one step. Its input tokens leave out what came from a cache or went into one."""
    tokens = at(part, "tokens")
    read, written = count_at(tokens, "cache", "read"), count_at(tokens, "cache", "write")
    input_tokens = count_at(tokens, "input") + read + written
    output, reasoning = count_at(tokens, "output"), count_at(tokens, "reasoning")
    if input_tokens + output + reasoning <= count_at(tokens, "total"):
        output += reasoning  # counted beside the output, not within it
    cost = number_at(part, "cost") or None  # nothing: it knows no prices of this model
    return Usage(input_tokens, output, read, written, cost, "cli" if cost is not None else "")
