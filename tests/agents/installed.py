"""The agent programs that tests drive: which, at which version, and where they stand once installed.

They stand in `.cache/agents` of the checkout; `SMITHERS_AGENTS` names another folder, so that several
checkouts can share one. `scripts/agents install` fills it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]

Runtime = Literal["native", "node", "python"]
"""What executes the program: itself, the private Node, or a private Python."""


@dataclass(frozen=True, slots=True)
class Program:
    """One agent program, pinned: event streams and exit codes change from week to week."""

    name: str
    """Ours; also the folder of its recorded transcripts."""
    package: str
    version: str
    runtime: Runtime
    executable: str
    """What the package calls it; two of them are called `kimi`."""

    @property
    def pin(self) -> str:
        return f"{self.package}{'==' if self.runtime == 'python' else '@'}{self.version}"


NODE = Program("node", "node", "24.21.0", "native", "node")
NODE_FILE = Path("node/node_modules/node/bin/node")

PROGRAMS = (
    Program("claude", "@anthropic-ai/claude-code", "2.1.328", "native", "claude"),
    Program("codex", "@openai/codex", "0.169.0", "node", "codex"),
    # 1.x asks for sister packages that cannot be installed everywhere.
    Program("pi", "@earendil-works/pi-coding-agent", "0.87.1", "node", "pi"),
    Program("opencode", "opencode-ai", "1.18.33", "native", "opencode"),
    Program("kimi", "@moonshot-ai/kimi-code", "2.1.0", "node", "kimi"),
    Program("gemini", "@google/gemini-cli", "0.61.0", "node", "gemini"),
    # The last one: what came after only says that it is no longer maintained.
    Program("kimi-py", "kimi-cli", "1.49.0", "python", "kimi"),
    # Installs and starts, yet talks to nothing but its own service: no test drives it.
    Program("amp", "@ampcode/cli", "0.0.1790142911-g7618fb", "native", "amp"),
)


def cache() -> Path:
    """The folder that holds the programs, whether it exists or not."""
    return Path(os.environ.get("SMITHERS_AGENTS") or ROOT / ".cache/agents").absolute()


def program(name: str) -> Program:
    """The program of that name.

    Raises:
        KeyError: there is none.
    """
    return {each.name: each for each in PROGRAMS}[name]


def stamp(of: Program) -> Path:
    """The file that says which pin is installed; written last, so a half-made prefix has none."""
    return cache() / of.name / "stamp"


def is_installed(of: Program) -> bool:
    """Whether it is there at the pinned version."""
    return stamp(of).is_file() and stamp(of).read_text() == of.pin and launcher(of).is_file()


def launcher(of: Program) -> Path:
    """The file to execute: it finds the right Node or Python itself, and becomes the program (`exec`)."""
    return cache() / NODE_FILE if of is NODE else cache() / "bin" / of.name
