"""OpenCode: `opencode run --format json`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from smithers.errors import AgentSessionLost, AgentUnfit
from smithers.ports import AgentRequest, AgentTools
from smithers.workers import Workers, on_thread

from .cli import CliAgent, Invocation, Once, at
from .environment import data_home
from .opencode_fold import OpenCodeFold

LIMITED_AGENT: Final = "smithers"
"""Its agent that is limited to certain tools: a name that no configuration of the user's speaks of."""
_EDITORS: Final = frozenset({"write", "patch", "apply_patch", "multiedit"})
"""Tools that have no permission of their own: that of `edit` is theirs too."""
_FOLDERS: Final = ("config", "data", "state", "cache")
_QUIET: Final = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD")

_workers = Workers("smithers-opencode")
_databases = Once[str]()


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenCode(CliAgent):
    """OpenCode. It may do what its configuration allows, which is nearly everything by default.

    A conversation is continued only in the folder where it began, and so is a fork of it.
    """

    kind: ClassVar[str] = "opencode"
    program: ClassVar[str] = "opencode"
    install: ClassVar[str] = "npm install -g opencode-ai"
    sign_in: ClassVar[str] = "opencode auth login"
    credentials: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "GEMINI_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_GENERATIVE_AI_API_KEY",
        "KIMI_API_KEY",
        "MOONSHOT_API_KEY",
        "OPENAI_API_KEY",
        "OPENCODE_API_KEY",
        "OPENCODE_CONFIG",
        "OPENCODE_CONFIG_CONTENT",
        "OPENCODE_CONFIG_DIR",
    )
    limits_tools: ClassVar[bool] = True

    agent: str | None = None
    variant: str | None = None
    """Of the model: how hard it thinks."""
    files: Sequence[str | Path] = ()
    """Attached to the prompt."""
    allow_tools: Sequence[str] | None = None
    """These and no others, by the names of its permissions: `"read"`, `"bash"`, `"edit"` (which is writing,
    too); empty: none."""
    permission: Mapping[str, Any] | None = None
    """As in its configuration: `{"bash": {"*": "deny", "git *": "allow"}}`."""

    def check(self, tools: AgentTools) -> None:
        for one in self.tools_for(tools, self.allow_tools) or ():
            if one in _EDITORS:
                raise AgentUnfit(
                    f"{self.name} has no permission for {one!r} alone",
                    hint='allow "edit": it is for all tools that change files',
                )

    # --- Before the call ------------------------------------------------------------------------

    async def prepare(self, request: AgentRequest) -> tuple[Self, AgentRequest]:
        env = self._environment(request)
        database = await _databases.get(str(data_home(env)), partial(self._warm_up, request, env))
        if request.session is not None:
            began = await on_thread(_workers, partial(_folder_of, database, request.session))
            here = self.folder(request) or Path.cwd()
            if began is not None and began != await on_thread(_workers, here.resolve):
                # It would work there instead, and never tell us when it is done.
                raise AgentSessionLost(f"{request.session} is a conversation of {began}", folder=str(began))
        return self, request

    async def _warm_up(self, request: AgentRequest, env: Mapping[str, str]) -> str:
        """Where its database is, which this makes or brings up to date.

        Several first calls at once on one folder would each want to do that, and all but one die of it.
        """
        answer = await self.asked(request, ("db", "path"), env)
        return (answer.stdout.strip().splitlines() or [""])[-1]

    # --- The call -------------------------------------------------------------------------------

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        # What goes wrong with a request is told in its log only, and so are the retries.
        words = [self.binary or self.program, "run", "--format", "json", "--thinking"]
        words += ["--print-logs", "--log-level", "ERROR"]
        where = self.folder(request)
        for flag, value in (
            ("--model", self.model),
            ("--agent", self._agent(request)),
            ("--variant", self.variant),
            ("--dir", None if where is None else str(where)),
            ("--session", request.session),
        ):
            words += [flag, value] if value is not None else []
        words += ["--fork"] if request.session is not None and request.forks else []
        words += [f"--file={one}" for one in self.files]
        env = self._environment(request)
        return Invocation((*words, *self.args), env, self.prompt(request), where, hears_stderr=True)

    def environment(self, request: AgentRequest, own: Mapping[str, str]) -> dict[str, str]:
        if self.config_dir is None:
            return super().environment(request, own)
        place = Path(self.config_dir).expanduser()
        folders = {f"XDG_{name.upper()}_HOME": str(place / name) for name in _FOLDERS}
        return super().environment(request, {**own, **folders})

    def _environment(self, request: AgentRequest) -> dict[str, str]:
        own = {f"OPENCODE_DISABLE_{what}": "1" for what in _QUIET}
        # Nobody is there to answer; a fork would offer that tool again.
        rules = {"question": "deny", **(self.permission or {})}
        allow = self.tools_for(request.tools, self.allow_tools)
        if allow is not None:
            rules = {"*": "deny", **{one: rules.get(one, "allow") for one in allow}}
        env = self.environment(request, {**own, "OPENCODE_PERMISSION": json.dumps(rules)})
        if allow is not None:
            env["OPENCODE_PERMISSION"] = json.dumps(rules)
            env["OPENCODE_CONFIG_CONTENT"] = self._limited(env.get("OPENCODE_CONFIG_CONTENT"), rules)
        return env

    def _agent(self, request: AgentRequest) -> str | None:
        is_limited = self.tools_for(request.tools, self.allow_tools) is not None
        return LIMITED_AGENT if self.agent is None and is_limited else self.agent

    def _limited(self, content: str | None, rules: Mapping[str, Any]) -> str:
        """A configuration in which our agent has these rules: those of an agent are its last word."""
        try:
            config = json.loads(content) if content else {}
        except ValueError as error:
            raise AgentUnfit(
                f"OPENCODE_CONFIG_CONTENT is not JSON, so no tools can be limited: {error}"
            ) from error
        config = dict(config) if isinstance(config, Mapping) else {}
        agents = dict(at(config, "agent") or {})
        name = self.agent or LIMITED_AGENT
        mode = {} if self.agent is not None else {"mode": "primary"}
        agents[name] = {**mode, **dict(at(agents, name) or {}), "permission": dict(rules)}
        return json.dumps({**config, "agent": agents})

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "--session", session)

    def fold(self, request: AgentRequest) -> OpenCodeFold:
        return OpenCodeFold(request)


def _folder_of(database: str, session: str) -> Path | None:
    """Where a conversation began; None: that could not be found out.

    Raises:
        AgentSessionLost: there is no such conversation.
    """
    try:
        with closing(sqlite3.connect(f"{Path(database).as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            row = db.execute("SELECT directory FROM session WHERE id = ?", (session,)).fetchone()
    except (sqlite3.Error, ValueError):
        return None  # not as we know it: it will say itself
    if row is None:
        raise AgentSessionLost(f"it has no conversation {session}")
    return Path(str(row[0])).resolve()
