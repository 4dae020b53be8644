"""What is printed while a live tree stands on the terminal."""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from smithers.cli.streams import patient_stream

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
"""Control characters but tab, and escape, of which colours are made."""


class Printed:
    """Takes what this process and its children print to the terminal, so that it can be drawn above the tree.

    By file descriptor: `print`, `logging` and a program that a task starts all come the same way. What comes
    after the display has closed goes straight to the terminal.
    """

    def __init__(self) -> None:
        self.terminal = patient_stream(os.dup(2), encoding=_encoding(), closes=True)
        self._taken: SimpleQueue[bytes] = SimpleQueue()
        self._rest = b""
        self._is_through = False
        """What comes goes straight to the terminal."""
        self._saved = {fd: os.dup(fd) for fd in (1, 2) if os.isatty(fd)}
        self._out, into = os.pipe()
        _flush()
        for fd in self._saved:
            os.dup2(into, fd)
        os.close(into)
        self._thread = threading.Thread(target=self._read, name="smithers-printed", daemon=True)
        self._thread.start()

    def take(self) -> str:
        """What was printed since the last time, to the last line's end; without control characters."""
        parts = [self._rest]
        with suppress(Empty):
            while True:
                parts.append(self._taken.get_nowait())
        whole = b"".join(parts)
        done, end, self._rest = whole.rpartition(b"\n")
        if self._is_through:
            done, self._rest = whole, b""
        text = done.decode(self.terminal.encoding, errors="replace").replace("\r\n", "\n")
        # Of a line that was written over, the last state; the rest of what moves a cursor would move ours.
        lines = (_CONTROL.sub("", line.rpartition("\r")[2]) for line in text.split("\n"))
        return "\n".join(lines) if done else "\n" if end else ""

    def stop(self) -> None:
        """Give the terminal back to whoever prints."""
        if self._is_through:
            return
        _flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
        # Ends at once, unless a child that goes on still holds the other end.
        self._thread.join(0.2)
        self._is_through = True

    def close(self) -> None:
        """Let go of the terminal."""
        if not self._thread.is_alive():
            with suppress(OSError):
                self.terminal.close()
        for saved in self._saved.values():
            os.close(saved)

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._out, 1 << 16):
                if self._is_through:
                    os.write(self.terminal.fileno(), data)
                else:
                    self._taken.put(data)
        os.close(self._out)


def _encoding() -> str:
    return getattr(sys.stderr, "encoding", None) or "utf-8"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
