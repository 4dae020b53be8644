"""Process trees of all kinds, and waiting for what they do."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

from smithers.ports import Child, Exit, Program, Spawner
from smithers.process.table import look

DEAF = 'trap "" TERM; '
"""A shell that does not hear SIGTERM, and nor do its children."""
FAMILY = """
import os, signal, subprocess, sys, time
folder, deaf = sys.argv[1], sys.argv[2] == "deaf"
if deaf:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

def note(name):
    with open(f"{folder}/{name}.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/{name}.new", f"{folder}/{name}")

def child(name, *calls):
    if os.fork() == 0:
        for call in calls:
            call()
        note(name)
        while True:
            time.sleep(100)

def fork_away():
    between = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == between:  # who is called away is no part of the family
        time.sleep(0.001)

child("plain")
child("session", os.setsid)
child("twice", fork_away)
child("away", os.setsid, fork_away)
child("stopped", lambda: note("stopped"), lambda: os.kill(os.getpid(), signal.SIGSTOP))
note("root")
while True:
    time.sleep(100)
"""
"""A root, a child in its group, one in its own session, two that forked away, and one that is stopped."""
NAMES = ("root", "plain", "session", "twice", "away", "stopped")


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)


def lives(pid: int) -> bool:
    seen = look(pid)
    return seen is not None and not seen.is_over


_number = itertools.count(1)


def start(spawner: Spawner, program: Program, mark: str | None = None) -> tuple[Child, list[Exit]]:
    """Start a program at once; its exit is put into the list."""
    gone: list[Exit] = []
    # By its mark a process is known wherever it hides: those of tests that run beside this one have others.
    child = spawner.spawn(program, mark or f"store:{os.getpid()}:task:{next(_number)}")
    child.go(gone.append)
    return child, gone


def pids(folder: Path) -> dict[str, int]:
    return {name: int((folder / name).read_text()) for name in NAMES if (folder / name).exists()}
