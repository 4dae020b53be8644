"""Forge: `forge`, with the prompt on its input; it writes text, and no events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Self
from uuid import uuid4

from smithers.errors import AgentAuth, AgentError, AgentUnfit
from smithers.ports import AgentEvent, AgentReply, AgentRequest, NoticeEvent, SessionEvent, TextEvent

from .cli import CliAgent, Ending, Invocation, of_message, without_result

RETRIES: Final = 3
"""How often it tries a request again by itself; the run tries again after that, and survives meanwhile."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forge(CliAgent):
    """Forge, of forgecode.dev. Its model and provider are those of its configuration.

    It was not driven: what is known of it is its documentation and its source. It tells neither what a call
    costs nor what its tools do, and it lays its answers out for a terminal.
    """

    kind: ClassVar[str] = "forge"
    program: ClassVar[str] = "forge"
    install: ClassVar[str] = "curl -fsSL https://forgecode.dev/cli | sh"
    sign_in: ClassVar[str] = "forge provider login"
    credentials: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_URL",
        "FORGE_CONFIG",
        "FORGE_KEY",
        "GEMINI_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_URL",
    )

    agent: str | None = None
    """`forge`, `muse`, `sage`, or one of your own."""
    start_timeout: float | str | None = "15m"
    """Longest time until its first line."""

    async def prepare(self, request: AgentRequest) -> tuple[Self, AgentRequest]:
        # It does not tell the name of a conversation, but takes one.
        named = replace(request, session=str(uuid4())) if request.session is None else request
        return self, named

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        if self.model is not None:
            raise self.cannot("choose a model by an option: `forge config set model` does")
        if request.forks:
            raise self.cannot("fork a conversation")
        if self.config_dir is not None:
            raise self.cannot("be given a folder of its own by config_dir=: set FORGE_CONFIG in env=")
        where = self.folder(request)
        words = [self.binary or self.program]
        for flag, value in (
            ("-C", None if where is None else str(where)),
            ("--conversation-id", request.session),
            ("--agent", self.agent),
        ):
            words += [flag, value] if value is not None else []
        own = {
            "FORGE_RETRY_MAX_ATTEMPTS": str(RETRIES),
            "FORGE_SHOW_TASK_STATS": "false",
            "NO_COLOR": "1",
        }
        env = self.environment(request, own)
        return Invocation((*words, *self.args), env, self.prompt(request), where, is_text=True)

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "conversation", "resume", session)

    def fold(self, request: AgentRequest) -> ForgeFold:
        return ForgeFold(request)


_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TITLE: Final = re.compile(r"^[⏺●∙] \[\d\d:\d\d:\d\d\] (?P<error>ERROR: )?(?P<text>.*)", re.DOTALL)
_SIGNED_OUT: Final = re.compile(r"provider login|API key|[Uu]nauthorized")
_NO_AGENT: Final = re.compile(r"Undefined agent|agent \S+ not found", re.IGNORECASE)


class ForgeFold:
    """Sums up what it prints: text, between titles with a time of day that tell what it does.

    It leaves with status 0 after an error, too; that is the last thing it prints then, as a title.
    """

    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._lines: list[str] = []
        """Of the text since the last title."""
        self._text = ""
        """The last text that there was before a title: one comes after the answer, too."""
        self._error: list[str] | None = None
        """Lines of an error; None: the last title was none."""
        self._is_session_told = False

    @property
    def is_over(self) -> bool:
        return False

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        """There are none."""
        return iter(())

    def line(self, text: str) -> Iterator[AgentEvent]:
        if not self._is_session_told and self._request.session is not None:
            self._is_session_told = True
            yield SessionEvent(self._request.session)
        text = _ANSI.sub("", text).rstrip()
        title = _TITLE.match(text)
        if title is not None:
            self._text, self._lines = self._last_text, []
            self._error = [title["text"]] if title["error"] else None
            yield NoticeEvent(text[:2000])
        elif self._error is not None:
            self._error.append(text)
            yield NoticeEvent(text[:2000])
        else:
            self._lines.append(text)
            yield TextEvent(f"{text}\n")

    @property
    def _last_text(self) -> str:
        return "\n".join(self._lines).strip() or self._text

    def finish(self, ending: Ending) -> AgentReply:
        if self._error is not None:
            raise self._failed(" ".join(" ".join(self._error).split()), ending)
        if ending.was_ended or ending.exit.status != 0:
            raise self._failed(" ".join(ending.stderr.split()), ending)
        return AgentReply(self._last_text, session=self._request.session)

    def _failed(self, why: str, ending: Ending) -> AgentError:
        if not why:
            return without_result("forge", ending, "\n".join(self._lines))
        if _NO_AGENT.search(why) or ending.exit.status == 2:
            return AgentUnfit(why[:500])
        error = of_message(why, self._request.now_ms())
        is_signed_out = type(error) is AgentError and _SIGNED_OUT.search(why) is not None
        return AgentAuth(why[:500]) if is_signed_out else error
