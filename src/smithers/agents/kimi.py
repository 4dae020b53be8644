"""Kimi, in both of its generations: Kimi Code (TypeScript), and the last Kimi CLI (Python)."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any, ClassVar, Final, Self, assert_never
from uuid import uuid4

from smithers.errors import AgentError, AgentMissing, AgentSessionLost, AgentUnfit
from smithers.ports import AgentRequest
from smithers.workers import Workers, on_thread

from .cli import CliAgent, Invocation, Once, list_at, text_at
from .kimi_fold import COLUMNS, Generation, KimiFold

RETRIES: Final = 3
"""How often it tries a request again by itself; the run tries again after that, and survives meanwhile."""
LONGEST_PROMPT_BYTES: Final = 120_000
"""Of Kimi Code, which has it among its words: Linux takes none of more than 128 KiB."""
_FORKED: Final = re.compile(r"Forked to (\S+)")

_workers = Workers("smithers-kimi")
_generations = Once[Generation]()


@dataclass(frozen=True, kw_only=True, eq=False)
class Kimi(CliAgent):
    """Kimi Code, or the last Kimi CLI in Python, whichever is installed. It asks nobody before it acts.

    Neither tells what a call costs. A conversation is continued only in the folder where it began. Kimi Code
    has the prompt in its command line, where other users of the machine can read it.
    """

    kind: ClassVar[str] = "kimi"
    program: ClassVar[str] = "kimi"
    install: ClassVar[str] = "npm install -g @moonshot-ai/kimi-code"
    sign_in: ClassVar[str] = "kimi login"
    credentials: ClassVar[tuple[str, ...]] = (
        "KIMI_API_KEY",
        "KIMI_BASE_URL",
        "KIMI_CODE_BASE_URL",
        "KIMI_CODE_HOME",
        "KIMI_MODEL_API_KEY",
        "KIMI_MODEL_BASE_URL",
        "KIMI_MODEL_MAX_CONTEXT_SIZE",
        "KIMI_MODEL_NAME",
        "KIMI_MODEL_PROVIDER_TYPE",
        "KIMI_SHARE_DIR",
    )

    generation: Generation | None = None
    """`code` or `python`; None: as what is installed says of itself."""
    agent: str | None = None
    """Name of one of its agents; a conversation of Kimi Code that is continued keeps its own."""
    agent_file: str | Path | None = None
    add_dirs: Sequence[str | Path] = ()
    thinking: bool | None = None
    """Python only."""
    max_steps_per_turn: int | None = None
    mcp_config: Mapping[str, Any] | str | Path | None = None
    """As a mapping (`{"mcpServers": …}`) or a file; Python only."""
    start_timeout: float | str | None = "15m"
    """Longest time until its first event, which for Python is a whole message of the model."""

    # --- Before the call ------------------------------------------------------------------------

    async def prepare(self, request: AgentRequest) -> tuple[Self, AgentRequest]:
        generation = self.generation or await self._installed(request)
        agent = replace(self, generation=generation)
        if generation == "code":
            return agent, await agent._forked(request) if request.session and request.forks else request
        if request.session is None:
            return agent, replace(request, session=str(uuid4()))
        if request.forks:
            raise self.cannot("fork a conversation")
        await on_thread(_workers, partial(agent._find_session, request, request.session))
        return agent, request

    async def _installed(self, request: AgentRequest) -> Generation:
        """Which one it is: by its file, else by what it says; each file is asked once in this process."""
        env = self.environment(request, {})
        name = self.binary or self.program
        found = await on_thread(_workers, partial(_look, name, env.get("PATH")))
        if found is None:
            raise AgentMissing(f"there is no program {name}", hint=f"install it: `{self.install}`")
        file, changed_ns, generation = found
        if generation is not None:
            return generation

        async def ask() -> Generation:
            answer = await self.asked(request, ("--version",), env)
            said = answer.stdout.strip()
            if not said:
                raise AgentError(f"{name} does not say its version: {answer.stderr.strip()[:300]}")
            return "python" if "version" in said or "kimi-cli" in said else "code"

        return await _generations.get((file, changed_ns), ask)

    async def _forked(self, request: AgentRequest) -> AgentRequest:
        """The same, asked of a copy: Kimi Code makes one by a command of its own."""
        words = ("fork", "--yes", request.session or "")
        answer = await self.asked(request, words, self._environment(request))
        if (copy := _FORKED.search(answer.stdout)) is not None:
            return replace(request, session=copy[1], forks=False)
        why = " ".join(answer.stderr.split())[:500]
        if "not found" in why:
            raise AgentSessionLost(f"it has no conversation {request.session}")
        raise AgentError(f"{self.name} did not copy {request.session}: {why or answer.exit}")

    def _find_session(self, request: AgentRequest, session: str) -> None:
        """Python begins a conversation anew, and empties what it has of it, if it does not find it.

        Raises:
            AgentSessionLost: it would not find it.
        """
        env = self._environment(request)
        share = Path(env.get("KIMI_SHARE_DIR") or f"{env.get('HOME', '')}/.kimi")
        here = str((self.folder(request) or Path.cwd()).resolve())
        kept = share / "sessions" / md5(here.encode(), usedforsecurity=False).hexdigest() / session
        try:
            known = json.loads((share / "kimi.json").read_bytes())
        except (OSError, ValueError):
            known = None
        is_known = any(text_at(one, "path") == here for one in list_at(known, "work_dirs"))
        if not (is_known and (kept / "context.jsonl").is_file()):
            raise AgentSessionLost(f"it has no conversation {session} of {here}")

    # --- The call -------------------------------------------------------------------------------

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        words = [self.binary or self.program, "--output-format", "stream-json"]
        for flag, value in (
            ("--model", self.model),
            ("--session", request.session),
            ("--agent", self.agent),
            ("--agent-file", None if self.agent_file is None else str(self.agent_file)),
        ):
            is_kept = self.generation != "python" and request.session is not None and "agent" in flag
            words += [flag, value] if value is not None and not is_kept else []
        for one in self.add_dirs:
            words += ["--add-dir", str(one)]
        env, where, prompt = self._environment(request), self.folder(request), self.prompt(request)
        if self.generation == "python":
            return Invocation((*words, *self._python_words(), *self.args), env, prompt, where)
        self._check_code(prompt)
        return Invocation((*words, *self.args, f"--prompt={prompt}"), env, None, where)

    def _python_words(self) -> list[str]:
        words = ["--print", "--input-format", "text"]
        if self.thinking is not None:
            words.append("--thinking" if self.thinking else "--no-thinking")
        if self.max_steps_per_turn is not None:
            words += ["--max-steps-per-turn", str(self.max_steps_per_turn)]
        if isinstance(self.mcp_config, Mapping):
            words += ["--mcp-config", json.dumps(self.mcp_config)]
        elif self.mcp_config is not None:
            words += ["--mcp-config-file", str(self.mcp_config)]
        return words

    def _check_code(self, prompt: str) -> None:
        if self.thinking is not None:
            raise self.cannot("be told to think by an option: Kimi Code has it in its configuration")
        if self.mcp_config is not None:
            raise self.cannot("be given MCP servers by an option: Kimi Code has them in its configuration")
        if (size := len(prompt.encode(errors="replace"))) > LONGEST_PROMPT_BYTES:
            raise AgentUnfit(
                f"a prompt of {size} bytes does not fit the command line of {self.name}",
                hint="have it read a file, or give the task another agent",
            )

    def environment(self, request: AgentRequest, own: Mapping[str, str]) -> dict[str, str]:
        if self.config_dir is None:
            return super().environment(request, own)
        place = str(Path(self.config_dir).expanduser())
        homes = {"code": "KIMI_CODE_HOME", "python": "KIMI_SHARE_DIR"}
        config = {name: place for one, name in homes.items() if self.generation in (one, None)}
        return super().environment(request, {**own, **config})

    def _environment(self, request: AgentRequest) -> dict[str, str]:
        generation: Generation = self.generation or "code"
        match generation:
            case "code":
                own = {
                    "KIMI_CODE_NO_AUTO_UPDATE": "1",
                    "KIMI_DISABLE_TELEMETRY": "1",
                    "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP": str(RETRIES + 1),
                }
                if self.max_steps_per_turn is not None:
                    own["KIMI_LOOP_MAX_STEPS_PER_TURN"] = str(self.max_steps_per_turn)
            case "python":
                own = {"KIMI_CLI_NO_AUTO_UPDATE": "1", "COLUMNS": str(COLUMNS)}
            case _:
                assert_never(generation)
        return self.environment(request, own)

    def resume_words(self, session: str) -> tuple[str, ...]:
        return (self.binary or self.program, "--session", session)

    def fold(self, request: AgentRequest) -> KimiFold:
        return KimiFold(request, self.generation or "code", has_model=self.model is not None)


def _look(name: str, path: str | None) -> tuple[str, int, Generation | None] | None:
    """The file of a program, when it was changed in ns, and what it shows of itself; None: there is none."""
    found = shutil.which(name, path=path)
    if found is None:
        return None
    file = Path(found)
    try:
        changed_ns = file.stat().st_mtime_ns
        with file.open("rb") as opened:
            head = opened.read(1024)
    except OSError:
        return found, 0, None
    shebang = head.partition(b"\n")[0] if head.startswith(b"#!") else b""
    if b"python" in shebang or b"kimi_cli" in head:
        return found, changed_ns, "python"
    is_code = b"node" in shebang or "@moonshot-ai/kimi-code" in str(file.resolve())
    return found, changed_ns, "code" if is_code else None
