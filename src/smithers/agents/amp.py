"""Amp: `amp -x --stream-json`, whose stream is shaped like Claude Code's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

from smithers.errors import AgentAuth, AgentError, AgentSessionLost, AgentThrottled, AgentUnfit
from smithers.ports import AgentEvent, AgentReply, AgentRequest
from smithers.workers import Workers, on_thread

from .claude_code import ClaudeFold
from .cli import CliAgent, Ending, Invocation, of_message, text_at, without_result
from .environment import data_home

Mode: TypeAlias = Literal["low", "medium", "high", "ultra"]

SERVICE: Final = "https://ampcode.com"
_SIGNED_OUT: Final = re.compile(r"No API key found|Invalid or missing API key|Access token expired")
_STATUS: Final = re.compile(r"API request for \S+ failed: (\d{3})")
_PASSING: Final = re.compile(r"Amp server returned an error|Couldn't connect to|Cannot reach Amp servers")
_GONE: Final = re.compile(r"Invalid thread URL or ID|[Tt]hread \S* ?(?:was )?not found")
_BAD_OPTION: Final = re.compile(r"unknown option|Invalid MCP server configuration|[Uu]nknown (?:agent )?mode")

_workers = Workers("smithers-amp")


@dataclass(frozen=True, kw_only=True, eq=False)
class Amp(CliAgent):
    """Amp, which works through its own service: it has modes instead of models.

    Only its failures were driven (0.0.1790142911-g7618fb): without its service there is no answer of it.
    """

    kind: ClassVar[str] = "amp"
    program: ClassVar[str] = "amp"
    install: ClassVar[str] = "npm install -g --allow-scripts=@ampcode/cli @ampcode/cli"
    sign_in: ClassVar[str] = "amp login"
    credentials: ClassVar[tuple[str, ...]] = ("AMP_API_KEY", "AMP_SETTINGS_FILE", "AMP_URL")

    mode: Mode | str | None = None
    """What it works with: `low`, `medium`, `high`, `ultra`, or one of a plugin's."""
    dangerously_allow_all: bool = False
    """It need not ask before it uses a tool."""
    mcp_config: Mapping[str, Any] | str | Path | None = None
    """As a mapping (`{"mcpServers": …}`) or a file."""
    visibility: Literal["private", "unlisted", "workspace", "group"] | None = None
    """Who else may read its threads, which are kept by its service."""
    labels: Sequence[str] = ()
    """Of the thread."""

    async def prepare(self, request: AgentRequest) -> tuple[Self, AgentRequest]:
        env = self.environment(request, {})
        if not await on_thread(_workers, partial(_is_signed_in, env)):
            # It would begin to sign somebody in, and wait for a code.
            raise AgentAuth("not signed in: there is no AMP_API_KEY, and no key that `amp login` has kept")
        return self, request

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        if self.model is not None:
            raise self.cannot("choose a model: it has mode=")
        if request.forks:
            raise self.cannot("fork a conversation")
        words = [self.binary or self.program]
        words += ["threads", "continue", request.session] if request.session is not None else []
        words += ["-x", "--stream-json", "--no-ide", "--no-notifications", "--no-color"]
        for flag, value in (("--mode", self.mode), ("--visibility", self.visibility)):
            words += [flag, value] if value is not None else []
        for one in self.labels:
            words += ["--label", one]
        if self.mcp_config is not None:
            words += ["--mcp-config", _servers(self.mcp_config)]
        if self.config_dir is not None:
            words += ["--settings-file", str(Path(self.config_dir).expanduser() / "settings.json")]
        words += ["--dangerously-allow-all"] if self.dangerously_allow_all else []
        env = self.environment(request, {"AMP_SKIP_UPDATE_CHECK": "1"})
        return Invocation((*words, *self.args), env, self.prompt(request), self.folder(request))

    def environment(self, request: AgentRequest, own: Mapping[str, str]) -> dict[str, str]:
        if self.config_dir is None:
            return super().environment(request, own)
        return super().environment(
            request, {**own, "XDG_DATA_HOME": str(Path(self.config_dir).expanduser() / "data")}
        )

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "threads", "continue", session)

    def fold(self, request: AgentRequest) -> AmpFold:
        return AmpFold(request)


def _servers(given: Mapping[str, Any] | str | Path) -> str:
    """Amp wants the servers themselves, without the key that others have above them."""
    if not isinstance(given, Mapping):
        return str(given)
    inner = given.get("mcpServers")
    return json.dumps(inner if isinstance(inner, Mapping) else given)


def _is_signed_in(env: Mapping[str, str]) -> bool:
    if env.get("AMP_API_KEY"):
        return True
    key = f"apiKey@{env.get('AMP_URL') or SERVICE}".rstrip("/")
    try:
        kept = json.loads((data_home(env) / "amp/secrets.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(text_at(kept, key) or text_at(kept, f"{key}/"))


class AmpFold(ClaudeFold):
    """As Claude Code's; but what its service refuses, and what it cannot do, is told on standard error."""

    def line(self, text: str) -> Iterator[AgentEvent]:
        if "Starting login flow" in text:
            raise AgentAuth("not signed in: it wants to sign somebody in")
        yield from super().line(text)

    def finish(self, ending: Ending) -> AgentReply:
        if not self.is_over:
            raise self._unanswered(ending)
        return super().finish(ending)

    def _unanswered(self, ending: Ending) -> AgentError:
        said = ending.stderr
        why = " ".join(said.split()).removeprefix("Error: ")[:500]
        if _SIGNED_OUT.search(said):
            return AgentAuth(why)
        if self._request.session is not None and _GONE.search(said):
            return AgentSessionLost(why)
        if _BAD_OPTION.search(said):
            return AgentUnfit(why)
        if (status := _STATUS.search(said)) is not None:
            return of_message(f"{status[1]} {why}", self._request.now_ms())
        if _PASSING.search(said):
            return AgentThrottled(why)
        return without_result("amp", ending)
