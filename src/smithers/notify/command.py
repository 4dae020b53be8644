"""A notice by a command of the user's: JSON on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Final

from smithers.errors import NotDelivered
from smithers.notify.letter import Letter

LIMIT_S: Final = 30.0
_TICK_S: Final = 0.05


class Command:
    """Starts a program for each notice; implements `Way`.

    Args:
        command: a line for `/bin/sh`, or the words of a program.
        folder: where it runs.
        is_shown: what it prints goes to stderr; else it is thrown away: there may be secrets in it.
    """

    name = "command"
    is_owed = True

    def __init__(
        self, command: str | Sequence[str], folder: Path, *, is_shown: bool = False, limit_s: float = LIMIT_S
    ) -> None:
        self.limit_s = limit_s
        self._words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        self._folder = folder
        self._output = sys.stderr if is_shown else subprocess.DEVNULL

    def send(self, letter: Letter, stop: Event) -> None:
        """As `Way.send`. It and all that it has started in its group are killed when its time is up."""
        try:
            process = self._start(letter)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise NotDelivered(f"the command could not be started: {reason}") from error
        try:
            code = _wait(process, self.limit_s, stop)
        finally:
            if process.poll() is None:
                _kill(process)
        if code is None:
            why = "as there was no time left" if stop.is_set() else f"after {self.limit_s:.0f} s"
            raise NotDelivered(f"the command did not end, and was killed {why}")
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"left with exit code {code}"
            raise NotDelivered(f"the command {how}")

    def _start(self, letter: Letter) -> subprocess.Popen[bytes]:
        # Through a file: a pipe would block on, or break with, a command that does not read.
        with tempfile.TemporaryFile() as given:
            given.write(letter.body)
            given.seek(0)
            return subprocess.Popen(
                self._words,
                stdin=given,
                stdout=self._output,
                stderr=self._output,
                cwd=self._folder,
                start_new_session=True,  # Ctrl+C is not for it, and the group can be killed
                env=_environment(letter),
            )


def _environment(letter: Letter) -> dict[str, str]:
    # Started by a task, it would count as a program of that attempt, and end with it.
    found = {name: value for name, value in os.environ.items() if name != "SMITHERS_ATTEMPT"}
    return {**found, "SMITHERS_NOTICE": letter.kind.value, "SMITHERS_RUN": letter.run}


def _wait(process: subprocess.Popen[bytes], limit_s: float, stop: Event) -> int | None:
    """Its exit code; None: it has not ended in time."""
    until = time.monotonic() + limit_s
    while not stop.is_set() and time.monotonic() < until:
        try:
            return process.wait(_TICK_S)
        except subprocess.TimeoutExpired:
            continue
    return process.poll()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        # Not yet waited for, so the group is still this one.
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
