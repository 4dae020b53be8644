"""Claude Code: `claude -p`, by its stream of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
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
from smithers.prompt import json_schema
from smithers.records import NOTHING, Usage

from .cli import (
    CliAgent,
    Ending,
    Invocation,
    at,
    content_text,
    count_at,
    list_at,
    number_at,
    of_status,
    reset_ms,
    text_at,
    without_result,
)

PermissionMode: TypeAlias = Literal["acceptEdits", "auto", "bypassPermissions", "manual", "dontAsk", "plan"]

RETRIES: Final = 3
"""How often it tries a request again by itself; the run tries again after that, and survives meanwhile."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClaudeCode(CliAgent):
    """Anthropic's Claude Code.

    It may edit files where it works; what else it may do is up to `permission_mode` and `allow_tools`.
    """

    kind: ClassVar[str] = "claude-code"
    program: ClassVar[str] = "claude"
    install: ClassVar[str] = "npm install -g @anthropic-ai/claude-code"
    sign_in: ClassVar[str] = "claude auth login"
    credentials: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CONFIG_DIR",
    )
    config_variable: ClassVar[str | None] = "CLAUDE_CONFIG_DIR"
    provider: ClassVar[str | None] = "anthropic"
    takes_schema: ClassVar[bool] = True
    limits_tools: ClassVar[bool] = True

    effort: str | None = None
    permission_mode: PermissionMode = "acceptEdits"
    allow_tools: Sequence[str] | None = None
    """These and no others: `"Bash(git *)"`, `"Write"`; empty: none."""
    deny_tools: Sequence[str] = ()
    add_dirs: Sequence[str | Path] = ()
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    mcp_config: Mapping[str, Any] | str | Path | None = None
    """As a mapping (`{"mcpServers": …}`) or a file; no other servers are used then."""
    max_turns: int | None = None
    max_budget_usd: float | None = None
    fallback_model: str | None = None

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        words = [self.binary or self.program, "-p", "--output-format", "stream-json", "--verbose"]
        words += ["--permission-mode", self.permission_mode]
        for flag, value in (
            ("--model", self.model),
            ("--effort", self.effort),
            ("--system-prompt", self.system_prompt),
            ("--append-system-prompt", self.append_system_prompt),
            ("--max-turns", self.max_turns),
            ("--max-budget-usd", self.max_budget_usd),
            ("--fallback-model", self.fallback_model),
        ):
            words += [flag, str(value)] if value is not None else []
        words += self._tool_words(request)
        for one in self.add_dirs:
            words += ["--add-dir", str(one)]
        if request.schema is not None:
            words += ["--json-schema", json.dumps(json_schema(request.schema), ensure_ascii=False)]
        if request.session is not None:
            words += ["--resume", request.session, *(["--fork-session"] if request.forks else [])]
        own = {
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": str(RETRIES),
        }
        env = self.environment(request, own)
        return Invocation((*words, *self.args), env, self.prompt(request), self.folder(request))

    def _tool_words(self, request: AgentRequest) -> list[str]:
        allow = self.tools_for(request.tools, self.allow_tools)
        words: list[str] = []
        if allow is not None:
            # The first restricts what there is, the second lets it be used without asking anybody.
            built_in = dict.fromkeys(one.partition("(")[0] for one in allow if not one.startswith("mcp__"))
            words += ["--tools", ",".join(built_in)]
            words += ["--allowedTools", ",".join(allow)] if allow else []
        if self.deny_tools:
            words += ["--disallowedTools", ",".join(self.deny_tools)]
        if self.mcp_config is not None:
            given = self.mcp_config
            words += ["--mcp-config", json.dumps(given) if isinstance(given, Mapping) else str(given)]
        wants_servers = allow is None or any(one.startswith("mcp__") for one in allow)
        if self.mcp_config is not None or not wants_servers:
            words.append("--strict-mcp-config")
        return words

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "--resume", session)

    def fold(self, request: AgentRequest) -> ClaudeFold:
        return ClaudeFold(request)


class ClaudeFold:
    """Sums up the stream of one call.

    Its exit status says nothing: an interrupted run leaves with 0. The `result` line does, wherever in it
    `type` stands, and that one has `subtype: success` for requests that were refused, too: `is_error` counts.
    """

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._result: Mapping[str, Any] | None = None
        self._error = ""
        """Class of the last refused request, as the program names it."""
        self._retry_status: int | None = None
        self._limit_ms: int | None = None
        self._is_limited = False
        self._noise: list[str] = []

    @property
    def is_over(self) -> bool:
        return self._result is not None

    def line(self, text: str) -> Iterator[AgentEvent]:
        self._noise = [*self._noise[-20:], text[:500]]
        yield NoticeEvent(text[:2000])

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("type"):
            case "system":
                yield from self._system(event)
            case "assistant":
                yield from self._assistant(event)
            case "user":
                for part in list_at(event, "message", "content"):
                    if at(part, "type") == "tool_result":
                        text = content_text(at(part, "content"))
                        yield ToolResultEvent(
                            text_at(part, "tool_use_id"), text, at(part, "is_error") is True
                        )
            case "rate_limit_event":
                yield from self._rate_limit(event)
            case "result":
                yield from self._take_result(event)
            case _:
                pass

    def _system(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("subtype"):
            case "init":
                if session := text_at(event, "session_id"):
                    yield SessionEvent(session)
            case "api_retry":
                yield from self._retry(event)
            case "permission_denied":
                yield NoticeEvent(f"denied: {text_at(event, 'message') or text_at(event, 'tool_name')}")
            case _:
                pass

    def _retry(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        status = count_at(event, "error_status") or None
        delay_ms = number_at(event, "retry_delay_ms")
        error = text_at(event, "error")
        yield RetryEvent(
            "auth" if error == "authentication_failed" else "throttle" if status == 429 else "server",
            f"{error} {status or ''}".strip(),
            count_at(event, "attempt"),
            None if delay_ms is None else delay_ms / 1000,
        )
        if error == "authentication_failed":
            # It would try for three minutes; no key gets better by that.
            raise AgentAuth(f"not signed in: {error} ({status})", status=status)

    def _assistant(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        message = event.get("message")
        if text_at(message, "model") == "<synthetic>":
            # Written by the program itself, in place of an answer: a refused request, or a limit.
            self._error = text_at(event, "error") or self._error
            text = content_text(at(message, "content"))
            self._note_limit(text)
            yield NoticeEvent(text)
            return
        for part in list_at(message, "content"):
            match at(part, "type"):
                case "text":
                    yield TextEvent(text_at(part, "text"))
                case "thinking":
                    yield TextEvent(text_at(part, "thinking"), is_reasoning=True)
                case "tool_use":
                    yield ToolCallEvent(text_at(part, "id"), text_at(part, "name"), at(part, "input"))
                case _:
                    pass

    def _note_limit(self, text: str) -> None:
        if "limit" in text.lower() and (resets := reset_ms(text, self._request.now_ms())) is not None:
            self._is_limited, self._limit_ms = True, resets

    def _rate_limit(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        info = event.get("rate_limit_info")
        status = text_at(info, "status")
        if status == "rejected":
            seconds = number_at(info, "resetsAt")
            self._is_limited = True
            self._limit_ms = None if seconds is None else round(seconds * 1000)
        if status and status != "allowed":
            yield NoticeEvent(f"limit of the account: {status} {text_at(info, 'rateLimitType')}".strip())

    def _take_result(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        self._result = event
        yield UsageEvent(_usage(event, self._request.counted))
        if session := text_at(event, "session_id"):
            yield SessionEvent(session)

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        result = self._result
        if result is None:
            raise self._no_result(ending)
        if result.get("is_error") is not False:
            raise self._refused(result)
        if self._is_limited and not text_at(result, "result"):
            raise AgentQuota("the account's limit is used up", resets_ms=self._limit_ms)
        return AgentReply(
            text=text_at(result, "result"),
            output=result.get("structured_output"),
            session=text_at(result, "session_id") or None,
            usage=_usage(result, self._request.counted),
            counted=_counted(result),
        )

    def _no_result(self, ending: Ending) -> AgentError:
        said = f"{ending.stderr}\n{' '.join(self._noise)}"
        if self._is_limited:
            return AgentQuota("the account's limit is used up", resets_ms=self._limit_ms)
        if self._request.session is not None and "No conversation found" in said:
            return AgentSessionLost(f"it has no conversation {self._request.session}")
        return without_result("claude", ending, said)

    def _refused(self, result: Mapping[str, Any]) -> AgentError:
        text = text_at(result, "result") or "; ".join(str(one) for one in list_at(result, "errors"))
        text = text or text_at(result, "subtype") or "it failed without a reason"
        status = count_at(result, "api_error_status") or None
        now_ms = self._request.now_ms()
        if self._request.session is not None and "No conversation found" in text:
            return AgentSessionLost(f"it has no conversation {self._request.session}")
        if self._error == "authentication_failed":
            return AgentAuth(text, status=status)
        if self._is_limited:
            return AgentQuota(text, status=status, resets_ms=self._limit_ms)
        if text_at(result, "stop_reason") == "refusal":
            return AgentRefusal(text)
        if self._error == "model_not_found":
            return AgentUnfit(text, hint="choose another model=", status=status)
        if text_at(result, "subtype").startswith("error_"):
            return AgentError(text, reason=text_at(result, "subtype"))
        if self._error == "rate_limit" or status == 429:
            resets = reset_ms(text, now_ms)
            is_quota = self._error == "billing_error" or resets is not None
            return of_status(429, text, now_ms, is_quota=is_quota)
        if status is None and self._error in ("server_error", "unknown"):
            return AgentThrottled(text)
        return of_status(status, text, now_ms) if status is not None else AgentError(text)


def _counted(result: Mapping[str, Any]) -> Usage:
    """What the whole conversation has cost: the money is counted over all of it, the tokens are not."""
    cost = number_at(result, "total_cost_usd")
    return Usage(cost_usd=cost, cost_source="cli") if cost is not None else NOTHING


def _usage(result: Mapping[str, Any], before: Usage) -> Usage:
    """Of one call. Its input tokens leave out what came from a cache or went into one.

    Args:
        before: what the conversation had cost.
    """
    read = count_at(result, "usage", "cache_read_input_tokens")
    written = count_at(result, "usage", "cache_creation_input_tokens")
    cost = _counted(result).since(before).cost_usd
    models = at(result, "modelUsage")
    return Usage(
        count_at(result, "usage", "input_tokens") + read + written,
        count_at(result, "usage", "output_tokens"),
        read,
        written,
        cost,
        "cli" if cost is not None else "",
        next(iter(models)) if isinstance(models, Mapping) and len(models) == 1 else "",
    )
