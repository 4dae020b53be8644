"""Put the agent programs into `.cache/agents`: each pinned, in its own prefix, from its package registry.

.cache/agents/bin/NAME       what to execute
.cache/agents/NAME/          one npm prefix or venv a program, with a stamp once it is complete
.cache/agents/node/          a private Node, since several programs want a newer one than systems have
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import assert_never

from tests.agents.installed import NODE, NODE_FILE, Program, cache, is_installed, launcher, stamp


class CannotInstall(Exception):
    """It is not for this machine; the text says why."""


def install(program: Program) -> None:
    """Make `launcher(program)` run the pinned version; does nothing when it does.

    Raises:
        CannotInstall: npm, a fitting Python, or the package itself is missing.
    """
    if is_installed(program):
        return
    say(f"installing {program.name}: {program.pin}")
    prefix = cache() / program.name
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.mkdir(parents=True)
    if program.runtime == "python":
        _pip(program, prefix)
    else:
        if program is not NODE:
            install(NODE)
        _npm(program, prefix)
    if program is not NODE:
        _write_launcher(program)
    stamp(program).write_text(program.pin)


def version(program: Program) -> str:
    """What the installed program says of itself: one line, or what went wrong."""
    home = cache() / "home"  # several write their config at any call; not into the user's
    home.mkdir(exist_ok=True)
    env = {**os.environ, "HOME": str(home), "PI_OFFLINE": "1", "KIMI_CLI_NO_AUTO_UPDATE": "1"}
    asked = subprocess.run(
        [launcher(program), "--version"],
        capture_output=True, text=True, timeout=60, check=False, env=env, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = (asked.stdout or asked.stderr).strip().splitlines()
    return lines[0] if lines else f"silent, exit {asked.returncode}"


def say(line: str) -> None:
    print(f"agents: {line}", file=sys.stderr, flush=True)


def _npm(program: Program, prefix: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall("there is no npm on PATH")
    # Scripts after an install do not run unless allowed, and Amp's fetches the program itself.
    (prefix / "package.json").write_text(
        json.dumps({"private": True, "allowScripts": {program.package: True}})
    )
    # npm prefers versions that fit the Node it runs on: under an old one it silently takes old packages.
    node = cache() / NODE_FILE.parent
    env = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
    _call(
        [npm, "install", "--no-audit", "--no-fund", "--save-exact", "--prefix", str(prefix), program.pin], env
    )


def _pip(program: Program, prefix: Path) -> None:
    python = _python()
    _call([python, "-m", "venv", str(prefix)])
    _call(
        [str(prefix / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", program.pin]
    )


def _python() -> str:
    """A Python of 3.12 or 3.13 that runs: shims offer names that do not."""
    roots = sorted(Path.home().glob(".pyenv/versions/3.1[23]*/bin/python"), reverse=True)
    names = [name for name in ("python3.13", "python3.12") if shutil.which(name)]
    check = "import ensurepip, sys, venv; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))"
    for python in [*names, *map(str, roots)]:
        if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
            return python
    raise CannotInstall("there is no Python 3.12 or 3.13, neither on PATH nor in ~/.pyenv/versions")


def _call(argv: list[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise CannotInstall("\n".join((done.stderr or done.stdout).strip().splitlines()[-8:]))


def _write_launcher(program: Program) -> None:
    """Paths beside itself, so that the folder may move; `exec`, so that signals reach the program."""
    here = "${0%/*}/.."
    binary = f"{here}/{program.name}/node_modules/.bin/{program.executable}"
    match program.runtime:
        case "native":
            words = [binary]
        case "node":
            words = [f"{here}/{NODE_FILE}", binary]
        case "python":
            words = [f"{here}/{program.name}/bin/python", f"{here}/{program.name}/bin/{program.executable}"]
        case _:
            assert_never(program.runtime)
    file = launcher(program)
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\nexec " + " ".join(f'"{word}"' for word in words) + ' "$@"\n')
    file.chmod(0o755)
