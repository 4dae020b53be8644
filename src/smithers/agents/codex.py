"""OpenAI's Codex: `codex exec --json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from smithers.records import Usage

from .cli import (
    CliAgent,
    Ending,
    Invocation,
    at,
    content_text,
    count_at,
    of_status,
    reset_ms,
    strict_schema,
    text_at,
    toml,
    without_nulls,
    without_result,
)

Sandbox: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]

_SCHEMA_FILE: Final = "answer.json"
_WAITS: Final = 3
"""After how many notes that the network is away its waiting is ended: by itself it waits for ever."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Codex(CliAgent):
    """OpenAI's Codex.

    It may edit files and run programs where it works, without a network; what else it may do is up to
    `sandbox`. It cannot be limited to certain tools.
    """

    kind: ClassVar[str] = "codex"
    program: ClassVar[str] = "codex"
    install: ClassVar[str] = "npm install -g @openai/codex"
    sign_in: ClassVar[str] = "codex login"
    # The second is no key of its own, but what the providers of a configuration often sign in by.
    credentials: ClassVar[tuple[str, ...]] = ("CODEX_API_KEY", "OPENAI_API_KEY", "CODEX_HOME")
    config_variable: ClassVar[str | None] = "CODEX_HOME"
    provider: ClassVar[str | None] = "openai"

    effort: str | None = None
    sandbox: Sandbox | None = "workspace-write"
    """None: as its configuration says."""
    dangerously_bypass_approvals_and_sandbox: bool = False
    add_dirs: Sequence[str | Path] = ()
    """Further folders that it may write to."""
    developer_instructions: str | None = None
    """Beside its own system prompt; a conversation that is continued keeps those it began with."""
    mcp_servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name, as in its configuration: `{"docs": {"command": "docs-server", "args": […]}}`."""
    profile: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further settings, by dotted name: `{"web_search": "disabled"}`."""
    skip_git_repo_check: bool = True

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        words = [self.binary or self.program, "exec", "--json"]
        words += self._access_words()
        words += ["-m", self.model] if self.model is not None else []
        words += ["-p", self.profile] if self.profile is not None else []
        for name, value in self._settings().items():
            words += ["-c", f"{name}={toml(value)}"]
        strict = _strict(request)
        files = {}
        if strict is not None:
            words += ["--output-schema", str(folder / _SCHEMA_FILE)]
            files[_SCHEMA_FILE] = json.dumps(strict, ensure_ascii=False)
        # What stands before the verb counts for it too, even what its own help does not list.
        words += self.args
        if request.session is not None:
            words += ["fork" if request.forks else "resume", request.session]
        prompt = self.prompt(request) if strict is None else request.prompt
        env = self.environment(request, {})
        return Invocation((*words, "-"), env, prompt, self.folder(request), files)

    def _access_words(self) -> list[str]:
        words = ["--skip-git-repo-check"] if self.skip_git_repo_check else []
        if self.dangerously_bypass_approvals_and_sandbox:
            words.append("--dangerously-bypass-approvals-and-sandbox")
        elif self.sandbox is not None:
            words += ["-s", self.sandbox]
        for one in self.add_dirs:
            words += ["--add-dir", str(one)]
        return words

    def _settings(self) -> dict[str, Any]:
        # Otherwise it waits for a network that is away for as long as it is away.
        found: dict[str, Any] = {"features.unbounded_connection_retries": False}
        if self.effort is not None:
            found["model_reasoning_effort"] = self.effort
        if self.developer_instructions is not None:
            found["developer_instructions"] = self.developer_instructions
        servers = {f"mcp_servers.{name}": server for name, server in self.mcp_servers.items()}
        return {**found, **servers, **self.config}

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "resume", session)

    def fold(self, request: AgentRequest) -> CodexFold:
        return CodexFold(request, self.model or "")


def _strict(request: AgentRequest) -> dict[str, Any] | None:
    """The schema that its provider can hold the model to; None: the prompt has to say what is wanted."""
    return None if request.schema is None else strict_schema(json_schema(request.schema))


class CodexFold:
    """Sums up the stream of one call: only `turn.completed` says that it went well.

    Its counters run over the whole conversation. Lines of type `error` may be mere news of another try, and
    items of that type are warnings.
    """

    def __init__(self, request: AgentRequest, model: str = "") -> None:
        self._request = request
        self._model = model
        self._text = ""
        self._session: str | None = None
        self._usage: Usage | None = None
        """Of the whole conversation; None: the turn has not been completed."""
        self._error: str | None = None
        self._has_failed = False
        self._begun: set[str] = set()
        """Items that it has told the beginning of."""
        self._waits = 0

    @property
    def is_over(self) -> bool:
        return self._usage is not None or self._has_failed

    def line(self, text: str) -> Iterator[AgentEvent]:
        yield NoticeEvent(text[:2000])

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("type"):
            case "thread.started":
                yield from self._thread(text_at(event, "thread_id"))
            case "item.started":
                yield from self._item(event.get("item"), is_done=False)
            case "item.completed":
                yield from self._item(event.get("item"), is_done=True)
            case "turn.completed":
                self._usage = _total(event.get("usage"), self._model)
                yield UsageEvent(self._usage.since(self._request.counted))
            case "turn.failed":
                self._has_failed = True
                self._error = text_at(event, "error", "message") or self._error
            case "error":
                yield from self._trouble(text_at(event, "message"))
            case _:
                pass

    def _thread(self, thread: str) -> Iterator[AgentEvent]:
        session = self._request.session
        if session is not None and not self._request.forks and thread != session:
            # It takes a name that it does not know for that of a new conversation.
            raise AgentSessionLost(f"it has no conversation {session}")
        if thread:
            self._session = thread
            yield SessionEvent(thread)

    def _item(self, item: Any, *, is_done: bool) -> Iterator[AgentEvent]:
        kind, name = text_at(item, "type"), text_at(item, "id")
        if kind in ("", "agent_message", "reasoning", "error", "todo_list"):
            yield from self._said(kind, item) if is_done else ()
            return
        if name not in self._begun:
            self._begun.add(name)
            yield ToolCallEvent(name, _tool(item), _input(item))
        if is_done:
            text = text_at(item, "aggregated_output") or content_text(at(item, "result", "content"))
            is_error = at(item, "status") in ("failed", "declined")
            yield ToolResultEvent(name, text or text_at(item, "error", "message"), is_error)

    def _said(self, kind: str, item: Any) -> Iterator[AgentEvent]:
        text = text_at(item, "text")
        if kind == "agent_message":
            self._text = text
            yield TextEvent(text)
        elif kind == "reasoning":
            yield TextEvent(text, is_reasoning=True)
        elif kind == "error":
            yield NoticeEvent(text_at(item, "message"))

    def _trouble(self, text: str) -> Iterator[AgentEvent]:
        again = _RECONNECTING.match(text)
        if again is None:
            self._error = text
            yield NoticeEvent(text)
            return
        error = _failure(again["why"] or text, self._request.now_ms())
        yield RetryEvent(_reason(error), text, int(again["attempt"] or 0))
        if isinstance(error, AgentAuth) and "url: ws" not in text:
            raise error  # no key gets better by another try; a web socket may only be barred by a proxy
        self._waits += "waiting for network" in text
        if self._waits >= _WAITS:
            raise AgentThrottled(text)

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        if self._usage is None:
            raise self._no_result(ending)
        return AgentReply(
            text=self._text,
            output=self._output(),
            session=self._session,
            usage=self._usage.since(self._request.counted),
            counted=self._usage,
        )

    def _output(self) -> Any:
        """The answer to a strict schema as one to the model's own; None: it was not asked for, or is none."""
        if _strict(self._request) is None or self._request.schema is None:
            return None
        try:
            return without_nulls(json.loads(self._text), json_schema(self._request.schema))
        except (ValueError, RecursionError):
            return None

    def _no_result(self, ending: Ending) -> AgentError:
        if self._error is not None:
            return _failure(self._error, self._request.now_ms())
        said = re.split(r"Stack backtrace|\n\s*Usage:", ending.stderr)[0]
        if self._request.session is not None and _UNKNOWN_SESSION.search(said):
            return AgentSessionLost(f"it has no conversation {self._request.session}")
        failed = without_result("codex", ending, said)
        if ending.exit.status == 2 or _BAD_SETUP.search(said):
            return AgentUnfit(failed.message, hint="check its options and its configuration")
        return failed


# --- What it calls its troubles -----------------------------------------------------------------

_RECONNECTING: Final = re.compile(
    r"Reconnecting(?:\.\.\.|…)\s*(?:(?P<attempt>\d+)/\d+|waiting for network)?\s*(?:\((?P<why>.*)\)\s*$)?",
    re.DOTALL,
)
_STATUS: Final = re.compile(r"(?:unexpected status|last status:) (\d{3})\b")
_REFUSED: Final = re.compile(r"content_filter|content[_ ]policy|flagged for possible|misalignment policy")
_USED_UP: Final = re.compile(r"hit your usage limit|Quota exceeded|usage_limit_reached|insufficient_quota")
_SIGNED_OUT: Final = re.compile(
    r"Missing environment variable|could not be refreshed|sign in again|with your ChatGPT plan"
)
_NEVER: Final = re.compile(
    r"context window|invalid_request_error|[Mm]odel .+ (?:does not exist|is not supported)"
)
_PASSING: Final = re.compile(
    r"high demand|at capacity|stream (?:disconnected|closed)|Connection failed|error sending request|"
    r"server response|timed? ?out|[Rr]ate limit"
)
_UNKNOWN_SESSION: Final = re.compile(
    r"no rollout found|[Ss]ession not found|no thread with id|thread not found"
)
_BAD_SETUP: Final = re.compile(
    r"Error loading config|Model provider `.*` not found|--skip-git-repo-check was not specified"
)


def _failure(text: str, now_ms: int) -> AgentError:
    """The class of what it says in place of an answer."""
    found = _STATUS.search(text)
    status = int(found[1]) if found is not None else None
    resets = reset_ms(text, now_ms)
    shown = " ".join(text.split())[:500] or "it failed without a reason"
    if _REFUSED.search(text):
        return AgentRefusal(shown)
    if status is not None:
        return of_status(status, text, now_ms, is_quota=_USED_UP.search(text) is not None)
    if _USED_UP.search(text):
        return AgentQuota(shown, resets_ms=resets)
    if _SIGNED_OUT.search(text):
        return AgentAuth(shown)
    if _NEVER.search(text):
        return AgentUnfit(shown, hint="check its model, its options and the length of the prompt")
    if _PASSING.search(text):
        return AgentThrottled(shown, retry_after_s=None if resets is None else (resets - now_ms) / 1000)
    return AgentError(shown)


def _reason(error: AgentError) -> Literal["quota", "throttle", "auth", "server", "network", "other"]:
    status = error.details.get("status")
    match error:
        case AgentQuota():
            return "quota"
        case AgentAuth():
            return "auth"
        case AgentThrottled() if status == 429:
            return "throttle"
        case AgentThrottled() if status is not None or "high demand" in error.message:
            return "server"
        case AgentThrottled():
            return "network"
        case _:
            return "other"


# --- Parts of its events ------------------------------------------------------------------------

_ANSWERED: Final = frozenset({"id", "type", "status", "aggregated_output", "exit_code", "result", "error"})
"""Members of an item that do not say what was asked of the tool."""


def _tool(item: Mapping[str, Any]) -> str:
    if name := text_at(item, "tool"):
        return f"{text_at(item, 'server')}.{name}"
    return text_at(item, "type")


def _input(item: Mapping[str, Any]) -> Any:
    if "arguments" in item:
        return item["arguments"]
    return {key: value for key, value in item.items() if key not in _ANSWERED}


def _total(usage: Any, model: str) -> Usage:
    """What the conversation has cost; its input tokens include the cached ones."""
    return Usage(
        count_at(usage, "input_tokens"),
        count_at(usage, "output_tokens"),
        count_at(usage, "cached_input_tokens"),
        count_at(usage, "cache_write_input_tokens"),
        model=model,
    )
