"""One agent's program on this machine: where it is, what it would be started with, what its files say."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from smithers.agents.environment import environment_for, scrubbed
from smithers.agents.registry import KnownAgent
from smithers.agents.short_call import Answer, ShortCalls

_FILE_BYTES: Final = 1 << 20
"""Settings are smaller; what is larger is not read."""
_SHORTEST_SECRET: Final = 4
"""What is shorter is a word of its own in many texts."""
_NPM_DEPTH: Final = 6
"""Folders from a package's own file up to its `package.json`, at most."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What all programs have around them."""

    env: Mapping[str, str]
    """Ours, as it is."""
    home: Path
    cwd: Path
    now_ms: int
    is_root: bool = False
    is_mac: bool = False
    temporary: tuple[Path, ...] = ()
    """Folders that programs take for temporary ones."""

    @classmethod
    def here(cls, now_ms: int) -> Machine:
        """This one."""
        # Not `tempfile`: it tries each by writing to it.
        folders = {Path(name).resolve(): None for name in (os.environ.get("TMPDIR") or "/tmp", "/tmp")}  # noqa: S108
        return cls(
            dict(os.environ),
            Path.home(),
            Path.cwd(),
            now_ms,
            os.geteuid() == 0,
            sys.platform == "darwin",
            tuple(folders),
        )


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that is there.

    Args:
        calls: None: it must not be started.
    """

    known: KnownAgent
    path: Path
    """As PATH has it: a link is not followed."""
    machine: Machine
    calls: ShortCalls | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """What its adapter starts it with, by default."""

    @property
    def config(self) -> Path:
        """Its private folder, whether it exists or not."""
        variable = self.known.config_variable
        if variable is not None and (named := self.env.get(variable)):
            return Path(named).expanduser()
        return self.machine.home / self.known.config

    def ask(self, *words: str) -> Answer | None:
        """What it answers to these words of a command line; None: it must not be started."""
        if self.calls is None:
            return None
        return self.calls.ask([str(self.path), *words], {**self.env, **self.known.quiet})

    def without_secrets(self, text: str) -> str:
        """What the program said, fit to be shown: keys of its environment are struck out."""
        for name, value in self.env.items():
            if name.endswith(("KEY", "TOKEN", "SECRET", "PASSWORD")) and len(value) >= _SHORTEST_SECRET:
                text = text.replace(value, f"({name})")
        return text

    def has(self, *variables: str) -> str | None:
        """The first of these variables that it would be given with a value."""
        return next((name for name in variables if self.env.get(name, "").strip()), None)

    def packaged_version(self) -> str | None:
        """What the `package.json` of the npm package says that its file belongs to."""
        folder = self.path.resolve().parent
        for _ in range(_NPM_DEPTH):
            package = json_file(folder / "package.json")
            if isinstance(package, dict) and package.get("name") == self.known.package:
                version = package.get("version")
                return version if isinstance(version, str) else None
            folder = folder.parent
        return None

    def is_node_script(self) -> bool:
        """Whether Node, as PATH has it, executes it."""
        try:
            with self.path.open("rb") as file:
                line = file.readline(200)
        except OSError:
            return False
        return line.startswith(b"#!") and line.rstrip().endswith((b"/node", b" node"))


def find(known: KnownAgent, machine: Machine, calls: ShortCalls | None) -> Installed | None:
    """The program as its adapter would find it; None: it is not on PATH."""
    env = environment_for(known.credentials, {}, machine.env)
    path = shutil.which(known.program, path=env.get("PATH", os.defpath))
    if path is None:
        return None
    return Installed(known, Path(path).absolute(), machine, calls, env)


def node_version(machine: Machine, calls: ShortCalls) -> str | None:
    """Of the Node on PATH, as it says it; None: there is none."""
    answer = calls.ask(["node", "--version"], scrubbed(machine.env))
    return answer.text if answer.status == 0 else None


def json_file(path: Path) -> Any:
    """What a file holds; None: it is not there, or holds no JSON."""
    text = text_file(path)
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None


def toml_file(path: Path) -> dict[str, Any]:
    """What a file holds; empty: it is not there, or holds no TOML."""
    text = text_file(path)
    try:
        return tomllib.loads(text) if text is not None else {}
    except (ValueError, RecursionError):
        return {}


def text_file(path: Path) -> str | None:
    """What a file holds; None: it is not there, or too long for settings."""
    try:
        with path.open("rb") as file:
            found = file.read(_FILE_BYTES + 1)
    except OSError:
        return None
    return found.decode(errors="replace") if len(found) <= _FILE_BYTES else None
