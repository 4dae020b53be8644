"""Asking programs something small, such as their version: all of them at once, none for longer than the rest.

Nothing that is asked like this belongs to an attempt, so it needs no ledger; it is ended with this process's
own patience. A program that hangs, floods its output or leaves children behind holds nobody up.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

LIMIT_BYTES: Final = 64 << 10
"""What says more than this in answer to a small question is ended: it answers something else."""
_TICK_S: Final = 0.1
_DRAIN_S: Final = 0.2
"""How long output is read on when the program has left and something of it still holds the pipe."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said."""

    stdout: str = ""
    stderr: str = ""
    status: int | None = None
    """How it left, as `subprocess` counts; None: it did not by itself, or did not begin."""
    problem: Literal["", "late", "flood", "unstarted"] = ""
    """Why there is no status."""

    @property
    def text(self) -> str:
        """Its output, or else what it complained of."""
        return (self.stdout.strip() or self.stderr.strip())[:2000]


class ShortCalls:
    """Calls that share one deadline: `with ShortCalls(2.5) as calls: … calls.ask(…)`, from any thread.

    Leaving it ends what still runs, whatever has happened.
    """

    def __init__(self, patience_s: float, cwd: Path | None = None) -> None:
        self._deadline = time.monotonic() + patience_s
        self._cwd = cwd
        self._is_closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed.set()

    def ask(self, argv: Sequence[str], env: Mapping[str, str]) -> Answer:
        """Start a program without any input and hear it out; never raises for what it does."""
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=self._cwd,
                start_new_session=True,  # so that all of it can be ended, and Ctrl+C is ours to pass on
            )
        except OSError as error:
            return Answer(stderr=error.strerror or str(error), problem="unstarted")
        with process:
            try:
                return self._hear(process)
            finally:
                _kill(process)

    def _hear(self, process: subprocess.Popen[bytes]) -> Answer:
        out, err = bytearray(), bytearray()
        left_at: float | None = None
        with selectors.DefaultSelector() as selector:
            for stream, kept in ((process.stdout, out), (process.stderr, err)):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, kept)
            while selector.get_map() or process.poll() is None:
                now = time.monotonic()
                if process.poll() is not None and left_at is None:
                    left_at = now
                if left_at is not None and now >= left_at + _DRAIN_S:
                    break
                if problem := self._problem(now, out, err):
                    _kill(process)
                    return Answer(_text(out), _text(err), problem=problem)
                _listen(selector, process, min(_TICK_S, self._deadline - now))
        return Answer(_text(out), _text(err), process.returncode)

    def _problem(self, now: float, out: bytearray, err: bytearray) -> Literal["", "late", "flood"]:
        if now >= self._deadline or self._is_closed.is_set():
            return "late"
        return "flood" if max(len(out), len(err)) > LIMIT_BYTES else ""


def _listen(selector: selectors.BaseSelector, process: subprocess.Popen[bytes], patience_s: float) -> None:
    if not selector.get_map():
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    for key, _ in selector.select(patience_s) if selector.get_map() else ():
        if chunk := os.read(key.fd, LIMIT_BYTES):
            key.data.extend(chunk)
        else:
            selector.unregister(key.fileobj)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End its group, unless it has left: what it leaves behind then, such as its own updater, is its own."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def _text(said: bytearray) -> str:
    return said[:LIMIT_BYTES].decode(errors="replace")
