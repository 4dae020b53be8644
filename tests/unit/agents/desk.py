"""A made-up machine: an empty home, and programs that are a few lines of shell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from smithers.agents.installed import Installed, Machine, find
from smithers.agents.probe import LOOK, Effort, Seen, probe
from smithers.agents.registry import KnownAgent
from smithers.agents.short_call import ShortCalls

NOW_MS = 1_795_000_000_000
BASE_PATH = "/usr/bin:/bin"
PATIENCE_S = 20.0
"""For programs that answer at once: a busy machine may take its time."""


class Desk:
    """Stands in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.cwd = folder / "work"
        for each in (self.home, self.bin, self.cwd):
            each.mkdir()
        self.env: dict[str, str] = {"PATH": f"{self.bin}{os.pathsep}{BASE_PATH}", "HOME": str(self.home)}
        self.is_root = False

    def program(self, name: str, script: str = "echo 1.2.3") -> Path:
        """Put a program on PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def packaged(self, name: str, package: str, version: str, script: str = "echo 1.2.3") -> Path:
        """Put a program on PATH as npm does: a link to a file of a package."""
        inside = self.folder / "lib/node_modules" / package
        (inside / "bin").mkdir(parents=True)
        (inside / "package.json").write_text(json.dumps({"name": package, "version": version}))
        made = self.program(name, script)
        made.rename(inside / "bin/main.js")
        made.symlink_to(inside / "bin/main.js")
        return made

    def file(self, path: str, content: Any) -> Path:
        """Write a file below home; what is no text is written as JSON."""
        found = self.home / path
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(content if isinstance(content, str) else json.dumps(content))
        return found

    @property
    def machine(self) -> Machine:
        return Machine(self.env, self.home, self.cwd, NOW_MS, is_root=self.is_root)

    def installed(self, known: KnownAgent, *, starts: bool = False) -> Installed:
        """The program of an agent; it is made up where it is missing.

        Args:
            starts: it may be started.
        """
        if not (self.bin / known.program).exists():
            self.program(known.program)
        found = find(known, self.machine, ShortCalls(PATIENCE_S) if starts else None)
        assert found is not None
        return found

    def seen(self, known: KnownAgent, effort: Effort = LOOK) -> Seen:
        """What a probe sees of one agent."""
        (found,) = probe([known], self.machine, effort)
        return found
