"""Processes of `smithers up` that are started, killed and looked at: from outside, by the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.chaos.checker import Line, Rows, processes_marked, read_journal, read_rows

FLOWS = Path(__file__).parent / "flows"
LAUNCHER = Path(__file__).parent / "launcher.py"
RUN = "r1"
PATIENCE_S = 60.0
"""How long anything may take before it counts as hung."""


@dataclass
class Up:
    """One process of `smithers up`."""

    process: subprocess.Popen[bytes]
    began_ns: int
    """Monotonic."""
    stdout: Path
    stderr: Path
    ended_ns: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def took_s(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e9

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on; it is killed, so that no test leaves a process behind.
        """
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.ended_ns = self.ended_ns or time.monotonic_ns()
        return code

    def has_ended(self) -> bool:
        """Whether it has ended; the first time that it has, the time is noted."""
        if self.process.poll() is None:
            return False
        self.ended_ns = self.ended_ns or time.monotonic_ns()
        return True

    def kill_at(self, moment_s: float) -> int | None:
        """SIGKILL so many seconds after its start; returns the exit code if it had ended before."""
        try:
            code = self.process.wait(max(0.0, moment_s - (time.monotonic_ns() - self.began_ns) / 1e9))
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self.ended_ns = time.monotonic_ns()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.ended_ns = time.monotonic_ns()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def said(self) -> str:
        return self.stderr.read_text(errors="replace")


@dataclass
class Place:
    """A folder with one workflow, one database and one journal."""

    folder: Path
    flow: str
    input: str = "{}"
    marker: str = field(default_factory=lambda: f"chaos-{uuid4().hex}")
    """Stands in the environment of every process of this place."""
    started: list[Up] = field(default_factory=list)
    world: Mapping[str, Any] = field(default_factory=dict)
    """What is changed around each process; see launcher.py."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in FLOWS.glob("*.py"):
            shutil.copy(file, self.folder)  # one may import another

    @property
    def database(self) -> Path:
        return self.folder / "store" / "smithers.db"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def up(self, *words: str) -> Up:
        """Start `smithers up` on this place's workflow."""
        environment = {
            **os.environ,
            "CHAOS_JOURNAL": str(self.journal),
            "CHAOS_MARKER": self.marker,
            "CHAOS_FOLDER": str(self.folder),
            "CHAOS_WORLD": json.dumps(dict(self.world)),
        }
        program = [str(LAUNCHER)] if self.world else ["-m", "smithers"]
        number = len(self.started)
        stdout, stderr = self.folder / f"stdout.{number}", self.folder / f"stderr.{number}"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            began_ns = time.monotonic_ns()
            process = subprocess.Popen(
                [sys.executable, *program, "up", f"{self.flow}.py", "--store", str(self.database),
                 "--run-id", RUN, *words],
                cwd=self.folder, env=environment, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        up = Up(process, began_ns, stdout, stderr)
        self.started.append(up)
        return up

    def start(self) -> Up:
        return self.up("--input", self.input)

    def resume(self) -> Up:
        return self.up("--resume", "true")

    def lines(self) -> list[Line]:
        return read_journal(self.journal)

    def look(self) -> Rows | None:
        """The run as it stands in the file, without touching it.

        A reader of the file itself would replay the log that a killed process left, and with it half of what
        a resume is tested for; so a copy is read.
        """
        copy = self.folder / "copy"
        copy.mkdir(exist_ok=True)
        for ending in ("", "-wal"):
            source = self.database.with_name(self.database.name + ending)
            target = copy / source.name
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        (copy / f"{self.database.name}-shm").unlink(missing_ok=True)
        return read_rows(copy / self.database.name, RUN)

    def wait_for(
        self, key: str, attempt: int = 1, what: str = "start", timeout_s: float = PATIENCE_S
    ) -> Line:
        """Wait until a task has left this line in the journal."""
        give_up_at = time.monotonic() + timeout_s
        while time.monotonic() < give_up_at:
            for line in self.lines():
                if (line.key, line.attempt, line.what) == (key, attempt, what):
                    return line
            time.sleep(0.005)
        raise TimeoutError(f"{key} attempt {attempt} {what}: not within {timeout_s} s")

    def leftovers(self) -> list[int]:
        """Processes of this place that still live."""
        return processes_marked(self.marker)

    def close(self) -> None:
        """End what a failed test may have left running."""
        for up in self.started:
            if up.process.poll() is None:
                up.kill()
