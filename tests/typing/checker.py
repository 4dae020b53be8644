"""Both type checkers as functions from files to complaints, away from the project's own settings.

A user's files are checked as a user's editor does it: mypy strict, pyright as it comes, Python 3.11.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[2]

Report: TypeAlias = dict[tuple[Path, int], str]
"""The first complaint about each line, by file and line (from 1)."""

Checker: TypeAlias = Callable[[Sequence[Path], Path], Report]
"""Takes the files and the folder to stand in: imports of neighbours are looked up there."""


def mypy(files: Sequence[Path], folder: Path) -> Report:
    options = ["--config-file=", "--strict", "--python-version=3.11", "--output=json"]
    found: Report = {}
    for line in _output([sys.executable, "-m", "mypy", *options], files, folder).splitlines():
        entry = json.loads(line)
        if entry["severity"] == "error":
            place = (folder / entry["file"], entry["line"])
            found.setdefault(place, f"{entry['message']} [{entry['code']}]")
    return found


def pyright(files: Sequence[Path], folder: Path) -> Report:
    options = [f"--pythonpath={sys.executable}", "--pythonversion=3.11", "--outputjson"]
    found: Report = {}
    answer = json.loads(_output([sys.executable, "-m", "pyright", *options], files, folder))
    for entry in answer["generalDiagnostics"]:
        if entry["severity"] == "error":
            # Pyright counts lines from 0.
            place = (Path(entry["file"]), entry["range"]["start"]["line"] + 1)
            found.setdefault(place, entry["message"])
    return found


def _output(command: list[str], files: Sequence[Path], folder: Path) -> str:
    ran = subprocess.run(
        [*command, *map(str, files)],
        cwd=folder,
        env=os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # 1 means that there are complaints; anything else, that there was no check.
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return ran.stdout
