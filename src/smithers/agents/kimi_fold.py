"""What `kimi` says, in both of its generations: messages as JSON lines, and its errors in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from smithers.errors import (
    AgentAuth,
    AgentError,
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
)

from .cli import (
    LONGEST_WAIT_S,
    Ending,
    at,
    content_text,
    count_at,
    list_at,
    number_at,
    of_message,
    text_at,
    without_result,
)

Generation: TypeAlias = Literal["code", "python"]

COLUMNS: Final = 500
"""At which Python is told to break its lines; it would do that at 80, in the middle of words."""
_FAILED: Final = re.compile(
    r"^error: (?:failed to run prompt: )?(?P<code>[a-z_]+\.[a-z_]+: )?(?P<why>.*?)(?=^See log:|\Z)",
    re.MULTILINE | re.DOTALL,
)
_BAD_OPTION: Final = re.compile(
    r"unknown option|Unknown agent profile|is not configured in config|Cannot combine", re.IGNORECASE
)
_BOXED: Final = re.compile(r"│\s*(\S.*?)\s*│")
"""What Python says of its command line, in a frame."""
_GONE: Final = re.compile(r"Session \S+ (?:was )?(?:not found|created under a different directory)")


class KimiFold:
    """Sums up the stream of one call.

    There is no usage and no word of success: it has succeeded if it leaves with status 0 and the model's last
    message calls no tool; Kimi Code then says how to resume, too.

    Args:
        has_model: it was told which one to use.
    """

    def __init__(self, request: AgentRequest, generation: Generation, *, has_model: bool = False) -> None:
        self._request = request
        self._generation = generation
        self._has_model = has_model
        self._session = request.session if generation == "python" else None
        self._is_session_told = False
        self._answer: str | None = None
        """The model's last message; None: it has called a tool, or said nothing."""
        self._has_hint = False
        self._noise: list[str] = []

    @property
    def is_over(self) -> bool:
        return self._has_hint

    def line(self, text: str) -> Iterator[AgentEvent]:
        yield from self._tell_session()
        self._noise = [*self._noise[-40:], text[:2000]]
        yield NoticeEvent(text[:2000])

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        yield from self._tell_session()
        match event.get("role"):
            case "assistant":
                self._noise.clear()  # an error is the last thing that it says
                yield from self._message(event)
            case "tool":
                self._noise.clear()
                text = content_text(at(event, "content"))
                # Python marks what the tool itself says, Kimi Code has no mark.
                yield ToolResultEvent(text_at(event, "tool_call_id"), text, text.startswith("<system>ERROR"))
            case "meta":
                yield from self._meta(event)
            case _:
                pass

    def _tell_session(self) -> Iterator[AgentEvent]:
        if self._session is not None and not self._is_session_told:
            self._is_session_told = True
            yield SessionEvent(self._session)

    def _message(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        for part in list_at(event, "content"):
            if thought := text_at(part, "think"):
                yield TextEvent(thought, is_reasoning=True)
        text = content_text(at(event, "content"))
        if text:
            yield TextEvent(text)
        calls = [*list_at(event, "tool_calls")]
        for call in calls:
            arguments = text_at(call, "function", "arguments")
            yield ToolCallEvent(text_at(call, "id"), text_at(call, "function", "name"), _json(arguments))
        self._answer = None if calls else text

    def _meta(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("type"):
            case "session.resume_hint":
                self._has_hint = True
                if session := text_at(event, "session_id"):
                    self._session = session
                    yield from self._tell_session()
            case "turn.step.retrying":
                yield from self._retry(event)
            case _:
                pass

    def _retry(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        status, text = count_at(event, "status_code"), text_at(event, "error_message")
        delay_ms = number_at(event, "delay_ms")
        delay_s = None if delay_ms is None else delay_ms / 1000
        reason: Literal["throttle", "server", "network"] = (
            "throttle" if status == 429 else "server" if status else "network"
        )
        yield RetryEvent(reason, text[:500], count_at(event, "failed_attempt"), delay_s)
        if delay_s is not None and delay_s > LONGEST_WAIT_S:
            words = f"{status} {text}" if status and not text.startswith(str(status)) else text
            raise of_message(words, self._request.now_ms(), retry_after_s=delay_s)

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        # Kimi Code may linger after its last word, and is ended for that; Python has none to linger after.
        has_left_well = ending.exit.status == 0 if not ending.was_ended else self._has_hint
        is_complete = self._has_hint or self._generation == "python"
        if self._answer is None or not has_left_well or not is_complete:
            raise self._failed_code(ending) if self._generation == "code" else self._failed_python(ending)
        return AgentReply(self._answer, session=self._session)

    def _failed_code(self, ending: Ending) -> AgentError:
        found = _FAILED.search(ending.stderr)
        if found is None:
            return without_result("kimi", ending, f"{ending.stderr}\n{' '.join(self._noise)}")
        code, why = (found["code"] or "").removesuffix(": "), " ".join(found["why"].split())
        if self._request.session is not None and _GONE.search(why):
            return AgentSessionLost(why[:500])
        if _BAD_OPTION.search(why):
            return AgentUnfit(why[:500])
        match code:
            case "provider.auth_error":
                return AgentAuth(why[:500])
            case "compaction.failed":
                return AgentUnfit(
                    why[:500], hint="shorten the prompt, or choose a model with a longer context"
                )
            case "provider.rate_limit" | "provider.overloaded" | "provider.connection_error":
                error = of_message(why, self._request.now_ms())
                return error if type(error) is not AgentError else AgentThrottled(why[:500])
            case _ if "No model configured" in why:
                return AgentAuth(why[:500])
            case _:
                return of_message(why, self._request.now_ms())

    def _failed_python(self, ending: Ending) -> AgentError:
        said = _joined(self._noise)
        if "no longer maintained" in said:
            return AgentUnfit(said[:500], hint="install Kimi Code: `npm install -g @moonshot-ai/kimi-code`")
        if "LLM not set" in said:
            if self._has_model:
                return AgentUnfit("no such model is set up", hint="check model=, and its configuration")
            return AgentAuth("no model is set up")
        if ending.exit.status == 2 and not said:
            why = " ".join(_BOXED.findall(ending.stderr)) or ending.stderr
            return AgentUnfit(" ".join(why.split())[:500], hint="check its options, and args=")
        if not said or ending.was_ended:
            return without_result("kimi", ending, f"{ending.stderr}\n{said}")
        return of_message(said, self._request.now_ms())


def _joined(lines: Sequence[str]) -> str:
    """Text that was broken at a width: at a space, which is gone, or within a word that reached so far."""
    joined = ""
    for line in lines:
        joined += line if len(line) in (80, COLUMNS) else f"{line} "
    return joined.strip()


def _json(text: str) -> Any:
    """The arguments of a call; the text itself, if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
