"""Pi: `pi -p --mode json`, by its stream of JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from smithers.errors import AgentAuth, AgentError, AgentSessionLost, AgentUnfit
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
    LONGEST_WAIT_S,
    CliAgent,
    Ending,
    Invocation,
    at,
    content_text,
    count_at,
    list_at,
    number_at,
    of_message,
    text_at,
    without_result,
)

Thinking: TypeAlias = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]

_BAD_OPTION: Final = re.compile(r"Unknown option|Unknown provider|Invalid (?:model|option)", re.IGNORECASE)
_GONE: Final = re.compile(r"No session found|Session found in different project")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pi(CliAgent):
    """Pi, of `@earendil-works/pi-coding-agent`. Its tools run without asking; it has no MCP servers.

    A conversation is continued only in the folder where it began; a fork may go anywhere.
    """

    kind: ClassVar[str] = "pi"
    program: ClassVar[str] = "pi"
    install: ClassVar[str] = "npm install -g @earendil-works/pi-coding-agent"
    sign_in: ClassVar[str] = "pi, and then /login"
    credentials: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_OAUTH_TOKEN",
        "GEMINI_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_API_KEY",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "KIMI_API_KEY",
        "MOONSHOT_API_KEY",
        "OPENAI_API_KEY",
        "OPENCODE_API_KEY",
        "PI_CODING_AGENT_DIR",
        "PI_CODING_AGENT_SESSION_DIR",
    )
    config_variable: ClassVar[str | None] = "PI_CODING_AGENT_DIR"
    limits_tools: ClassVar[bool] = True

    provider: str | None = None  # type: ignore[misc]  # of all that it can ask: an option, and no constant
    """`anthropic`, `openai`, …; the model may name it too: `anthropic/claude-sonnet-4-5`."""
    thinking: Thinking | None = None
    allow_tools: Sequence[str] | None = None
    """These and no others: `"read"`, `"bash"`; empty: none."""
    deny_tools: Sequence[str] = ()
    system_prompt: str | None = None
    append_system_prompt: str | None = None

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        words = [self.binary or self.program, "-p", "--mode", "json"]
        for flag, value in (
            ("--provider", self.provider),
            ("--model", self.model),
            ("--thinking", self.thinking),
            ("--system-prompt", self.system_prompt),
            ("--append-system-prompt", self.append_system_prompt),
            ("--fork" if request.forks else "--session", request.session),
        ):
            words += [flag, value] if value is not None else []
        allow = self.tools_for(request.tools, self.allow_tools)
        if allow is not None:
            words += ["--tools", ",".join(allow)] if allow else ["--no-tools"]
        if self.deny_tools:
            words += ["--exclude-tools", ",".join(self.deny_tools)]
        env = self.environment(request, {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"})
        return Invocation((*words, *self.args), env, self.prompt(request), self.folder(request))

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "--session", session)

    def fold(self, request: AgentRequest) -> PiFold:
        return PiFold(request)


class PiFold:
    """Sums up the stream of one call.

    Its exit status is 0 whatever happens, and `agent_end` closes each of its own tries: what counts is the
    last thing that the model said when `agent_settled` comes, and why it stopped there.
    """

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._session: str | None = None
        self._answer: Mapping[str, Any] | None = None
        """The last message of the model."""
        self._usage = NOTHING
        self._is_settled = False
        self._noise: list[str] = []

    @property
    def is_over(self) -> bool:
        return self._is_settled

    def line(self, text: str) -> Iterator[AgentEvent]:
        self._noise = [*self._noise[-20:], text[:500]]
        yield NoticeEvent(text[:2000])

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("type"):
            case "session":
                yield from self._begin(text_at(event, "id"))
            case "message_end":
                yield from self._message(at(event, "message"))
            case "tool_execution_start":
                yield ToolCallEvent(
                    text_at(event, "toolCallId"), text_at(event, "toolName"), at(event, "args")
                )
            case "tool_execution_end":
                text = content_text(at(event, "result", "content"))
                yield ToolResultEvent(text_at(event, "toolCallId"), text, at(event, "isError") is True)
            case "auto_retry_start":
                yield from self._retry(event)
            case "compaction_start":
                yield NoticeEvent(f"it compacts its context: {text_at(event, 'reason')}")
            case "agent_settled":
                self._is_settled = True
            case _:
                pass

    def _begin(self, session: str) -> Iterator[AgentEvent]:
        asked = self._request.session
        if asked is not None and not self._request.forks and session != asked:
            # It asks whether to fork a conversation of another folder, and may take our prompt for a yes.
            raise AgentSessionLost(f"it has begun another conversation than {asked}")
        if session:
            self._session = session
            yield SessionEvent(session)

    def _message(self, message: Any) -> Iterator[AgentEvent]:
        if text_at(message, "role") != "assistant":
            return
        self._answer = message
        for part in list_at(message, "content"):
            match at(part, "type"):
                case "text":
                    yield TextEvent(text_at(part, "text"))
                case "thinking":
                    yield TextEvent(text_at(part, "thinking"), is_reasoning=True)
                case _:
                    pass  # calls are told when they are carried out
        self._usage = self._usage + _usage(message)
        if self._usage:
            yield UsageEvent(self._usage)

    def _retry(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        text = text_at(event, "errorMessage")
        delay_ms = number_at(event, "delayMs")
        delay_s = None if delay_ms is None else delay_ms / 1000
        error = of_message(text, self._request.now_ms(), retry_after_s=delay_s)
        status = error.details.get("status")
        reason: Literal["throttle", "server"] = "throttle" if status == 429 else "server"
        yield RetryEvent(reason, text[:500], count_at(event, "attempt"), delay_s)
        if delay_s is not None and delay_s > LONGEST_WAIT_S:
            raise error

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        answer = self._answer
        if not self._is_settled or answer is None:
            raise self._no_answer(ending)
        if text_at(answer, "stopReason") != "stop":
            raise self._refused(answer)
        return AgentReply(content_text(at(answer, "content")), session=self._session, usage=self._usage)

    def _no_answer(self, ending: Ending) -> AgentError:
        said = f"{ending.stderr}\n{' '.join(self._noise)}"
        if self._request.session is not None and _GONE.search(said):
            return AgentSessionLost(" ".join(said.split())[:300])
        if self._answer is None and "No API key found" in said:
            return AgentAuth(" ".join(said.split())[:500])
        if self._answer is None and _BAD_OPTION.search(said):
            return AgentUnfit(" ".join(said.split())[:500])
        return without_result("pi", ending, said)

    def _refused(self, answer: Mapping[str, Any]) -> AgentError:
        why = text_at(answer, "stopReason")
        text = text_at(answer, "errorMessage")
        if why == "error" and text:
            return of_message(text, self._request.now_ms())
        if why == "length":
            text = text or "its answer is longer than the model may write"
        return AgentError(text or f"it stopped without an answer: {why}", reason=why)


def _usage(message: Any) -> Usage:
    """Of one message. Its input tokens leave out what came from a cache or went into one."""
    usage = at(message, "usage")
    read, written = count_at(usage, "cacheRead"), count_at(usage, "cacheWrite")
    input_tokens = count_at(usage, "input") + read + written
    output_tokens = count_at(usage, "output")
    if not input_tokens and not output_tokens:
        return NOTHING  # of a request that was refused: neither a cost nor a model
    cost = number_at(usage, "cost", "total") or None  # nothing: it knows no prices of this model
    source: Literal["cli", ""] = "cli" if cost is not None else ""
    return Usage(input_tokens, output_tokens, read, written, cost, source, text_at(message, "model"))
