"""A project on disk and `smithers` as a process in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from smithers.clock import SystemClock
from smithers.records import RunFilter, RunRow
from smithers.store import open_store

SMITHERS = Path(sys.executable).with_name("smithers")
PATIENCE_S = 30.0
"""How long a test waits for what takes a fraction of it on a quiet machine."""

HEAD = """\
import asyncio, json, os, signal, sys, threading, time
from pathlib import Path
from pydantic import BaseModel
from smithers import Branch, Context, Loop, Parallel, RetryPolicy, Sequence, Task, current, workflow

HERE = Path(__file__).parent

class Text(BaseModel):
    text: str = ""

def note(name):
    with (HERE / "executed").open("a") as file:
        file.write(name + "\\n")

def wait_for(name):
    while not (HERE / name).exists():
        time.sleep(0.01)

"""

STEPS = """
def plan():
    note("plan")
    return Text(text="the plan")

def build():
    note("build")
    wait_for("go")
    return Text(text="built")

@workflow
def flow(ctx):
    first = Task("plan", Text, run=plan)
    return Sequence(first, Task("build", Text, run=build, depends_on=first))
"""
"""The second task goes on once the test has touched `go`."""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**kept, **more}


def smithers(
    folder: Path, *words: str, given: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end. `given` stands on its standard input."""
    return subprocess.run(
        [SMITHERS, *words],
        check=False,
        cwd=folder,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(**more),
    )


class Project:
    """A folder with a git root, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        (folder / ".git").mkdir()

    def write(self, text: str, name: str = "flow.py") -> int:
        """Write a workflow file below the usual imports; returns the line its text begins with."""
        (self.folder / name).write_text(HEAD + dedent(text))
        return HEAD.count("\n") + 1

    def line(self, text: str, name: str = "flow.py") -> int:
        """Number of the only line that holds `text`."""
        lines = (self.folder / name).read_text().splitlines()
        (found,) = [number for number, line in enumerate(lines, 1) if text in line]
        return found

    def run(self, *words: str, given: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end. `given` stands on its standard input."""
        return smithers(self.folder, *words, given=given, **more)

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start one command; it is killed with the test if it is still there."""
        process = subprocess.Popen(
            [SMITHERS, *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**more),
        )
        self.started.append(process)
        return process

    def reach_build(self, flow: str = STEPS) -> subprocess.Popen[str]:
        """Start run `r1`, and wait until it is in the second task of `STEPS`."""
        self.write(flow)
        process = self.start("up", "flow.py", "-r", "r1")
        self.await_executed("build")
        return process

    def die_in_build(self) -> None:
        """Leave run `r1` without its owner, cut off in the second task of `STEPS`."""
        process = self.reach_build()
        process.kill()
        process.wait()

    def document(self, *words: str) -> dict[str, Any]:
        """What a command prints with `--json`."""
        done = self.run(*words, "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @property
    def store(self) -> Path:
        return self.folder / ".smithers" / "smithers.db"

    def runs(self) -> list[RunRow]:
        """All runs, newest first; none without a store."""
        if not self.store.exists():
            return []
        with closing(open_store(self.store, clock=SystemClock(), create=False).reader()) as reader:
            return reader.runs(RunFilter())

    def states(self, run: str) -> dict[str, str]:
        """State of each node of a run, by its id, in its latest pass."""
        return {node["node"]: node["state"] for node in self.document("inspect", run)["nodes"]}

    def touch(self, name: str) -> None:
        (self.folder / name).touch()

    def executed(self) -> list[str]:
        """What tasks noted, in order."""
        path = self.folder / "executed"
        return path.read_text().split() if path.exists() else []

    def await_executed(self, name: str) -> None:
        """Wait until a task has noted `name`."""
        wait_until(lambda: name in self.executed(), f"{name} to begin")

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            with suppress(ValueError):
                process.communicate()


def wait_until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.02)
