"""Google's Antigravity: `agy -p`.

Written after reports of versions 1.1.8 to 1.2: no test has driven the program itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentTimeout,
    AgentUnfit,
)
from smithers.ports import (
    AgentEvent,
    AgentReply,
    AgentRequest,
    NoticeEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from smithers.prompt import json_schema
from smithers.records import Usage

from .cli import CliAgent, Ending, Invocation, at, count_at, list_at, reset_ms, text_at, without_result

_OUT_OF_QUOTA: Final = 3
"""Its exit status when a limit is used up in the middle of an answer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Antigravity(CliAgent):
    """Google's Antigravity, signed in by its own keyring: keys in the environment are not heeded.

    What it may not do, it is denied, and then it has no answer; see `dangerously_skip_permissions`. It has no
    private folder, cannot fork a conversation, and cannot be limited to certain tools.
    """

    kind: ClassVar[str] = "antigravity"
    program: ClassVar[str] = "agy"
    install: ClassVar[str] = "curl -fsSL https://antigravity.google/cli/install.sh | bash"
    sign_in: ClassVar[str] = "agy"
    takes_schema: ClassVar[bool] = True

    dangerously_skip_permissions: bool = False
    add_dirs: Sequence[str | Path] = ()
    print_timeout: str = "24h"
    """After that it breaks off; its own default is five minutes. Ours are `timeout` and `idle_timeout`."""

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        if request.forks:
            raise self.cannot("fork a conversation")
        if self.config_dir is not None:
            raise self.cannot("have a private folder: leave out config_dir=")
        words = [
            self.binary or self.program,
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
        ]
        words += ["--print-timeout", self.print_timeout]
        words += ["--model", self.model] if self.model is not None else []
        words += ["--dangerously-skip-permissions"] if self.dangerously_skip_permissions else []
        for one in self.add_dirs:
            words += ["--add-dir", str(one)]
        if request.schema is not None:
            words += ["--json-schema", json.dumps(json_schema(request.schema), ensure_ascii=False)]
        words += ["--conversation", request.session] if request.session is not None else []
        said = {"event": "user", "message": {"content": self.prompt(request)}}
        env = self.environment(request, {"AGY_CLI_DISABLE_AUTO_UPDATE": "1"})
        # Without the sign of equality it would take the next word for its prompt.
        return Invocation((*words, *self.args, "-p="), env, f"{json.dumps(said)}\n", self.folder(request))

    def fold(self, request: AgentRequest) -> AntigravityFold:
        return AntigravityFold(request, self.model or "")


class AntigravityFold:
    """Sums up the stream of one call.

    Its `status` is not to be believed: `SUCCESS` stands there, too, when an action was denied, and when its
    own time ran out. The first leaves no answer behind, the second no usage.
    """

    def __init__(self, request: AgentRequest, model: str = "") -> None:
        self._request = request
        self._model = model
        self._session: str | None = None
        self._result: Mapping[str, Any] | None = None
        self._begun: set[int] = set()
        """Steps whose tool call was told."""

    @property
    def is_over(self) -> bool:
        return self._result is not None

    def line(self, text: str) -> Iterator[AgentEvent]:
        yield NoticeEvent(text[:2000])

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        if self._session is None and (session := text_at(event, "conversation_id")):
            self._session = session
            yield SessionEvent(session)
        match event.get("event"):
            case "step_update":
                yield from self._step(event.get("step_update"))
            case "result":
                found = event.get("result")
                self._result = found if isinstance(found, Mapping) else {}
                yield UsageEvent(_usage(self._result, self._model))
                for one in list_at(self._result, "denied_actions"):
                    yield NoticeEvent(f"denied: {_shown(one)}")
            case _:
                pass

    def _step(self, step: Any) -> Iterator[AgentEvent]:
        kind, state = at(step, "step_type"), at(step, "state")
        if kind == "agent_response" and (text := text_at(step, "text_delta")):
            yield TextEvent(text)
        if kind != "tool":
            return
        index, info = count_at(step, "step_index"), at(step, "tool_info")
        if index not in self._begun:
            self._begun.add(index)
            name = text_at(step, "tool_name") or text_at(info, "name")
            yield ToolCallEvent(str(index), name, at(info, "parameters"))
        if state in ("DONE", "ERROR"):
            text = _shown(at(info, "output") or at(info, "error") or "")
            yield ToolResultEvent(str(index), text, state == "ERROR")

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        result = self._result
        is_used_up = ending.exit.status == _OUT_OF_QUOTA and not ending.was_ended
        if result is None:
            failed = without_result("agy", ending)
            raise _used_up(failed.message, self._request) if is_used_up else failed
        said = text_at(result, "error")
        if is_used_up:
            raise _used_up(said or "the account's limit is used up", self._request)
        if result.get("status") != "SUCCESS":
            raise self._failure(said or "it failed without a reason")
        return self._believed(result)

    def _believed(self, result: Mapping[str, Any]) -> AgentReply:
        """Its answer, if it is one."""
        text, usage = text_at(result, "response"), _usage(result, self._model)
        denied = [_shown(one) for one in list_at(result, "denied_actions")]
        if denied and not text.strip():
            raise AgentError(
                f"it was denied what it wanted to do, and gave no answer: {'; '.join(denied)[:500]}",
                hint="let it: dangerously_skip_permissions=True, or its own settings",
            )
        if not usage:
            raise AgentTimeout("its own print timeout ran out", hint="set print_timeout=, or ask for less")
        return AgentReply(text, session=self._session, usage=usage)

    def _failure(self, text: str) -> AgentError:
        if self._request.session is not None and _UNKNOWN_SESSION.search(text):
            return AgentSessionLost(f"it has no conversation {self._request.session}")
        if _SIGNED_OUT.search(text):
            return AgentAuth(text)
        if _USED_UP.search(text):
            return _used_up(text, self._request)
        if _BLOCKED.search(text):
            return AgentRefusal(text)
        if _NEVER.search(text):
            return AgentUnfit(text, hint="choose another model=, or check its options")
        if _PASSING.search(text):
            return AgentThrottled(text)
        return AgentError(text)


_UNKNOWN_SESSION: Final = re.compile(r"conversation\b.*\b(?:not found|does not exist)", re.IGNORECASE)
_SIGNED_OUT: Final = re.compile(
    r"not (?:signed|logged) in|sign in|authenticat|unauthorized|\b40[13]\b", re.IGNORECASE
)
_USED_UP: Final = re.compile(r"quota|usage limit|RESOURCE_EXHAUSTED", re.IGNORECASE)
_BLOCKED: Final = re.compile(r"blocked by|safety|content policy", re.IGNORECASE)
_NEVER: Final = re.compile(
    r"(?:unknown|invalid|unsupported) model|model\b.*\b(?:not found|not available|not supported)|\b40[04]\b",
    re.IGNORECASE,
)
_PASSING: Final = re.compile(
    r"\b(?:429|5\d\d)\b|overloaded|unavailable|rate limit|connection|network", re.IGNORECASE
)


def _used_up(text: str, request: AgentRequest) -> AgentQuota:
    return AgentQuota(text, resets_ms=reset_ms(text, request.now_ms()))


def _usage(result: Mapping[str, Any], model: str) -> Usage:
    """Of the whole process, which is one call. Only the sum tells what the parts include."""
    given = at(result, "usage")
    read, cached = count_at(given, "input_tokens"), count_at(given, "cache_read_tokens")
    written, total = count_at(given, "output_tokens"), count_at(given, "total_tokens")
    thought = count_at(given, "thinking_tokens")
    if cached and total >= read + written + thought + cached:
        read += cached
    return Usage(read, max(written, total - read), cached, model=model)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
