"""A project whose runs wait, and the commands that answer them."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from smithers.records import RunRow
from tests.acceptance.process import SMITHERS, Project, environment, wait_until

HEAD = """
from datetime import UTC, datetime, timedelta
from smithers import (
    Approval, ApprovalGate, HumanTask, Signal, Subflow, Timer, TryCatchFinally, WaitForEvent, auto_approve
)

def does(name, **options):
    def run(*args):
        note(name)
        return Text(text=name)
    return Task(name, Text, run=run, **options)
"""
"""What the workflows of these tests begin with."""


def park(project: Project, flow: str, run: str = "r1") -> subprocess.CompletedProcess[str]:
    """Run a workflow until it leaves because it waits."""
    project.write(HEAD + flow)
    done = project.run("up", "flow.py:flow", "-r", run)
    assert done.returncode == 3, done.stderr
    return done


def row(project: Project, run: str = "r1") -> RunRow:
    return next(found for found in project.runs() if found.name == run)


def await_state(project: Project, *states: str, run: str = "r1") -> None:
    wait_until(lambda: row(project, run).state.word in states, f"{run} to be {' or '.join(states)}")


def await_rest(project: Project, run: str = "r1") -> str:
    """Wait until nobody drives a run any more; returns its state."""
    wait_until(lambda: row(project, run).owner is None, f"{run} to be left")
    return row(project, run).state.word


def shell(project: Project, command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as it is shown, as somebody would who copies it."""
    path = f"{SMITHERS.parent}:{environment()['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        check=False,
        cwd=folder or project.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(PATH=path),
    )


def words(command: str) -> list[str]:
    """The words of a shown command, without the program's name."""
    name, *rest = shlex.split(command)
    assert name == "smithers"
    return rest


@contextmanager
def database(project: Project) -> Iterator[sqlite3.Connection]:
    """The store itself, to do to it what only time or another machine does."""
    with closing(sqlite3.connect(project.store, timeout=10)) as connection:
        yield connection
        connection.commit()


def rows(project: Project) -> dict[str, list[Any]]:
    """All that the store holds, table by table."""
    found: dict[str, list[Any]] = {}
    with database(project) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'smithers%'"
        ).fetchall()
        for (name,) in names:
            found[name] = connection.execute(f"SELECT * FROM {name}").fetchall()
    return found


def votes(project: Project) -> list[tuple[str, str]]:
    with database(project) as connection:
        return connection.execute("SELECT word, by FROM smithers_votes ORDER BY id").fetchall()
