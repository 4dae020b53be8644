"""How each program is started headless, with its events on stdout: the plain command, without an adapter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agents.installed import launcher, program

_GRACE = 5.0
"""Seconds between a signal and SIGKILL."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a program."""

    name: str
    prompt: str
    session: str | None = None
    """Go on with this session; a new one otherwise."""
    is_fork: bool = False
    """Go on with a copy of the session; not every program can."""
    schema: Path | None = None
    """A file with the JSON Schema of the answer, for the programs that take one: Claude Code and Codex."""
    more: tuple[str, ...] = ()
    """Further arguments, before all others that are not the program's own verb."""

    @property
    def argv(self) -> list[str]:
        """Without the program itself."""
        return _ARGUMENTS[self.name](self)

    @property
    def stdin(self) -> str:
        """What it reads; nothing for the programs that only take a prompt as an argument."""
        return "" if self.name == "kimi" else self.prompt


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program left behind."""

    exit: int
    """Negative: killed by that signal, if nothing caught it."""
    stdout: str
    stderr: str
    events: list[dict[str, Any]] = field(default_factory=list)
    """The lines of stdout that are JSON objects."""


def start(call: Invocation, cwd: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start it as the leader of its own process group, its prompt not yet sent."""
    return subprocess.Popen(
        [launcher(program(call.name)), *call.argv],
        cwd=cwd,
        env=env,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(
    call: Invocation,
    cwd: Path,
    env: dict[str, str],
    *,
    timeout: float = 60,
    meanwhile: Callable[[subprocess.Popen[str]], None] | None = None,
) -> Ended:
    """Run it to its end; whatever is left of its group is killed.

    Args:
        meanwhile: called once the prompt was sent; it waits for what it wants to wait for, and signals the
            group.
    Raises:
        subprocess.TimeoutExpired: it was still running after `timeout` seconds, though nothing had ended it.
    """
    process = start(call, cwd, env)
    try:
        if meanwhile is not None:
            assert process.stdin is not None
            process.stdin.write(call.stdin)
            process.stdin.close()
            process.stdin = None
            meanwhile(process)
            stdout, stderr = _after_signal(process)
        else:
            stdout, stderr = process.communicate(call.stdin, timeout=timeout)
    finally:
        end_group(process, signal.SIGKILL)
        process.communicate()
    return Ended(process.returncode, stdout, stderr, _events(stdout))


def _after_signal(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed; killed if the signal was not enough.

    OpenCode, when SIGTERM meets it between two tries, sometimes spins for ever instead of ending.
    """
    try:
        return process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        end_group(process, signal.SIGKILL)
        return process.communicate()


def end_group(process: subprocess.Popen[str], by: signal.Signals) -> None:
    """Signal the process and all that it started."""
    try:
        os.killpg(process.pid, by)
    except ProcessLookupError:
        pass  # nobody is left


def _events(stdout: str) -> list[dict[str, Any]]:
    found = []
    for line in stdout.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def _claude(call: Invocation) -> list[str]:
    argv = [
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
        "--permission-mode",
        "acceptEdits",
        *call.more,
    ]
    argv += ["--resume", call.session] if call.session else []
    argv += ["--fork-session"] if call.is_fork else []
    return argv + (["--json-schema", call.schema.read_text()] if call.schema else [])


def _codex(call: Invocation) -> list[str]:
    verb = "fork" if call.is_fork else "resume"
    argv = ["exec", verb] if call.session else ["exec"]
    argv += ["--json", "--dangerously-bypass-approvals-and-sandbox", *call.more]
    argv += ["--output-schema", str(call.schema)] if call.schema else []
    return [*argv, *([call.session] if call.session else []), "-"]


def _pi(call: Invocation) -> list[str]:
    argv = ["-p", "--mode", "json", "--provider", "fake", "--model", "fake-model", *call.more]
    return argv + (["--fork" if call.is_fork else "--session", call.session] if call.session else [])


def _opencode(call: Invocation) -> list[str]:
    argv = ["run", "--format", "json", "-m", "fake/fake-model", *call.more]
    argv += ["--fork"] if call.is_fork else []
    return argv + (["--session", call.session] if call.session else [])


def _kimi(call: Invocation) -> list[str]:
    argv = ["--output-format", "stream-json", *call.more]
    return [*argv, *(["--session", call.session] if call.session else []), "-p", call.prompt]


def _kimi_py(call: Invocation) -> list[str]:
    argv = ["--print", "--output-format", "stream-json", "--input-format", "text", *call.more]
    return argv + (["--session", call.session] if call.session else [])


def _gemini(call: Invocation) -> list[str]:
    argv = ["-o", "stream-json", "--approval-mode", "yolo", "-m", "gemini-2.5-pro", *call.more]
    return argv + (["--resume", call.session] if call.session else [])


_ARGUMENTS: dict[str, Callable[[Invocation], list[str]]] = {
    "claude": _claude,
    "codex": _codex,
    "pi": _pi,
    "opencode": _opencode,
    "kimi": _kimi,
    "kimi-py": _kimi_py,
    "gemini": _gemini,
}
