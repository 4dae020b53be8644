"""Google's Gemini CLI: `gemini -o stream-json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from smithers.errors import AgentAuth, AgentError, AgentRefusal, AgentSessionLost, AgentThrottled, AgentUnfit
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
from smithers.records import Usage

from .cli import (
    LONGEST_WAIT_S,
    CliAgent,
    Ending,
    Invocation,
    at,
    count_at,
    of_status,
    text_at,
    toml,
    without_result,
)

ApprovalMode: TypeAlias = Literal["default", "auto_edit", "yolo", "plan"]

ATTEMPTS: Final = 3
"""How often it may ask by itself; the run asks again after that, and survives meanwhile."""

_POLICY_FILE: Final = "tools.toml"
_PROMPT_FILE: Final = "system.md"
_SHELL: Final = "run_shell_command"


@dataclass(frozen=True, kw_only=True, eq=False)
class Gemini(CliAgent):
    """Google's Gemini CLI.

    It may edit files where it works; what else it may do is up to `approval_mode` and `allow_tools`. A
    conversation can only be continued in the folder where it began, and not be forked. `@path` in a prompt
    stands for that file's text, if there is such a file.

    It asks a busy provider up to ten times, for minutes, and no option lowers that: it is ended after the
    third, or before a wait of more than a minute.
    """

    kind: ClassVar[str] = "gemini"
    program: ClassVar[str] = "gemini"
    install: ClassVar[str] = "npm install -g @google/gemini-cli"
    sign_in: ClassVar[str] = "gemini"
    credentials: ClassVar[tuple[str, ...]] = (
        "GEMINI_API_KEY",
        "GEMINI_CLI_HOME",
        "GOOGLE_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_GENAI_USE_GCA",
        "GOOGLE_GENAI_USE_VERTEXAI",
    )
    config_variable: ClassVar[str | None] = "GEMINI_CLI_HOME"
    provider: ClassVar[str | None] = "google"
    limits_tools: ClassVar[bool] = True

    approval_mode: ApprovalMode = "auto_edit"
    allow_tools: Sequence[str] | None = None
    """These and no others: `"read_file"`, `"run_shell_command(git status)"`; empty: none. Then its own rules
    about tools do not count."""
    include_directories: Sequence[str | Path] = ()
    system_prompt: str | None = None
    """In place of its own."""

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        if request.forks:
            raise self.cannot("fork a conversation")
        words = [self.binary or self.program, "-o", "stream-json", "--approval-mode", self.approval_mode]
        words += ["-m", self.model] if self.model is not None else []
        for one in self.include_directories:
            words += ["--include-directories", str(one)]
        words += ["--resume", request.session] if request.session is not None else []
        files = {}
        own = {
            "GEMINI_CLI_NO_RELAUNCH": "true",  # else a child does the work, and no signal reaches it
            "GEMINI_CLI_TRUST_WORKSPACE": "true",  # else it leaves at once where nobody has been asked
        }
        if self.system_prompt is not None:
            files[_PROMPT_FILE] = self.system_prompt
            own["GEMINI_SYSTEM_MD"] = str(folder / _PROMPT_FILE)
        allow = self.tools_for(request.tools, self.allow_tools)
        if allow is not None:
            files[_POLICY_FILE] = self._policy(allow)
            words += ["--policy", str(folder / _POLICY_FILE)]
        env = self.environment(request, own)
        return Invocation(
            (*words, *self.args),
            env,
            self.prompt(request),
            self.folder(request),
            files,
            hears_stderr=True,  # only there it says that it tries again
        )

    def _policy(self, allow: Sequence[str]) -> str:
        """Rules that let it use these tools and no others; what is denied is not even shown to the model."""
        rules: list[dict[str, Any]] = [{"toolName": "*", "decision": "deny", "priority": 998}]
        for one in allow:
            name, _, inside = one.partition("(")
            rule = {"toolName": name, "decision": "allow", "priority": 999}
            if command := inside.removesuffix(")").removesuffix("*").strip():
                if name != _SHELL:  # of any other tool it would allow everything
                    raise self.cannot(f"be limited to {one}: only {_SHELL} has commands")
                rule["commandPrefix"] = command
            rules.append(rule)
        parts = ["\n".join(f"{key} = {toml(value)}" for key, value in rule.items()) for rule in rules]
        return "".join(f"[[rule]]\n{part}\n\n" for part in parts)

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "--resume", session)

    def fold(self, request: AgentRequest) -> GeminiFold:
        return GeminiFold(request)


class GeminiFold:
    """Sums up the stream of one call: only a `result` with `status: success` says that it went well.

    Its texts come in pieces, and the result has none. A text that was cut off, and then said again, stands
    there twice: nothing in the stream tells it.
    """

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._texts: list[str] = []
        """Since the last tool: what is said before one is no answer."""
        self._before = ""
        """Nor is it none, if nothing is said after it."""
        self._session: str | None = None
        self._model = ""
        self._result: Mapping[str, Any] | None = None
        self._error = ""
        self._attempt = 0
        """Number of the last one that failed, of one request."""

    @property
    def is_over(self) -> bool:
        return self._result is not None

    def line(self, text: str) -> Iterator[AgentEvent]:
        failed, waits = _ATTEMPT.match(text), _DELAY.search(text)
        if failed is None and waits is None:
            if not _NOISE.match(text):
                yield NoticeEvent(text[:2000])
            return
        self._attempt = int(failed[1]) if failed is not None else self._attempt
        status = int(failed[2]) if failed is not None and failed[2] else 429
        delay_s = int(waits[1]) / 1000 if waits is not None else None
        yield RetryEvent("throttle" if status == 429 else "server", text[:2000], self._attempt, delay_s)
        is_again = "Retrying" in text  # after its last attempt it says itself what it comes to
        if is_again and (self._attempt >= ATTEMPTS or (delay_s or 0) > LONGEST_WAIT_S):
            is_quota = _is_used_up(text, "")
            now_ms = self._request.now_ms()
            raise of_status(status, text, now_ms, is_quota=is_quota, retry_after_s=delay_s)

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("type"):
            case "init":
                self._model = text_at(event, "model")
                self._session = text_at(event, "session_id") or None
                if self._session is not None:
                    yield SessionEvent(self._session)
            case "message" if event.get("role") == "assistant":
                self._texts.append(text_at(event, "content"))
                yield TextEvent(self._texts[-1])
            case "tool_use":
                self._before = "".join(self._texts) or self._before
                self._texts.clear()
                name = text_at(event, "tool_name")
                yield ToolCallEvent(text_at(event, "tool_id"), name, event.get("parameters"))
            case "tool_result":
                text = text_at(event, "output") or text_at(event, "error", "message")
                yield ToolResultEvent(text_at(event, "tool_id"), text, event.get("status") == "error")
            case "error":
                self._error = text_at(event, "message")
                yield NoticeEvent(self._error)
            case "result":
                self._result = event
                yield UsageEvent(self._usage(event))
            case _:
                pass

    def _usage(self, result: Mapping[str, Any]) -> Usage:
        """Of one call. What it thought is only in the sum."""
        read = count_at(result, "stats", "input_tokens")
        models = at(result, "stats", "models")
        used = [
            name
            for name, each in (models.items() if isinstance(models, Mapping) else ())
            if count_at(each, "total_tokens")
        ]
        return Usage(
            read,
            max(count_at(result, "stats", "output_tokens"), count_at(result, "stats", "total_tokens") - read),
            count_at(result, "stats", "cached"),
            model=used[0] if len(used) == 1 else "" if used else self._model,
        )

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        result = self._result
        if result is None:
            raise self._no_result(ending)
        if result.get("status") != "success":
            raise self._refused(result, ending)
        text = "".join(self._texts) or self._before
        return AgentReply(text, session=self._session, usage=self._usage(result))

    def _no_result(self, ending: Ending) -> AgentError:
        failed = without_result("gemini", ending, ending.stderr.partition("\n    at ")[0])
        if self._request.session is not None and "Error resuming session" in ending.stderr:
            return AgentSessionLost(f"it has no conversation {self._request.session} here")
        match ending.exit.status:
            case 41:
                return AgentAuth(failed.message)
            case 42 | 52 | 55:  # its input, its settings, a folder that it does not trust
                return AgentUnfit(failed.message, hint="check its options and its settings")
            case 1 if (found := _BAD_OPTION.search(ending.stderr)) is not None:
                return AgentUnfit(" ".join(found[0].split()), hint="check its options")
            case _:
                return failed

    def _refused(self, result: Mapping[str, Any], ending: Ending) -> AgentError:
        kind = text_at(result, "error", "type")
        text = text_at(result, "error", "message") or self._error or "it failed without a reason"
        if not text.startswith("[API Error: "):
            return self._failed(kind, text)
        # What it advises people to do comes after the brackets, and speaks of quota whatever is the matter.
        said = text[: text.rfind("]") + 1] or text
        status = _status(said, ending)
        if "API key not valid" in said:
            return AgentAuth(said, status=status)
        if status == 404 or "ModelNotFoundError" in ending.stderr:
            return AgentUnfit(said, hint="choose another model=", status=404)
        if status is not None:
            is_quota = _is_used_up(said, ending.stderr)
            return of_status(status, said, self._request.now_ms(), is_quota=is_quota)
        return AgentThrottled(said) if _NETWORK.search(said) else AgentError(said)

    def _failed(self, kind: str, text: str) -> AgentError:
        """Of what it says of itself, not of its provider."""
        if _BLOCKED.search(text):
            return AgentRefusal(text)
        if kind == "FatalAuthenticationError":
            return AgentAuth(text)
        return AgentError(text, reason=kind) if kind else AgentError(text)


_ATTEMPT: Final = re.compile(r"Attempt (\d{1,4}) failed(?: with status (\d{3}))?(?:\.| with |: )")
_DELAY: Final = re.compile(r"Retrying after (\d{1,12})ms\.\.\.$")
_NOISE: Final = re.compile(r"\s|[}\])]|\[STARTUP\]|Warning: 256-color|Ripgrep is not|YOLO mode")
_BAD_OPTION: Final = re.compile(
    r"^(?:Unknown argument|Invalid values|Not enough arguments).*(?:\n +.*)*", re.MULTILINE
)
_BLOCKED: Final = re.compile(r"model response was blocked")
_NETWORK: Final = re.compile(
    r"terminated|fetch failed|Incomplete JSON segment|socket hang up|other side closed|"
    r"ECONN|ETIMEDOUT|EAI_AGAIN"
)
_CAPACITY: Final = re.compile(r"[Nn]o capacity|capacity exceeded|MODEL_CAPACITY")
_STATUSES: Final = {one % 256: one for one in (400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 529)}
"""Its exit status, where that is what is left of the provider's."""


def _status(said: str, ending: Ending) -> int | None:
    """The provider's status: in what it quotes, else in its own exit status."""
    body = said[said.find("{") : said.rfind("}") + 1]
    try:
        quoted = count_at(json.loads(body), "error", "code") if body else 0
    except (ValueError, RecursionError):
        quoted = 0
    if quoted:
        return quoted
    return None if ending.was_ended else _STATUSES.get(ending.exit.status or 0)


def _is_used_up(said: str, stderr: str) -> bool:
    """Whether a 429 is of a limit of the account: the program sorts them itself, and names what it found."""
    if _CAPACITY.search(said):
        return False
    return "TerminalQuotaError" in stderr or ("quota" in said.lower() and "retry after" not in said)
