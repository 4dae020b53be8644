"""The three streams: stdout belongs to the command's result, and stderr must not end what it tells of."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class _Patient(io.FileIO):
    """A file whose reader may leave: what cannot be written is dropped."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:  # a closed pipe, a terminal that is gone, a full disk behind `2>`
            return memoryview(data).nbytes


def patient_stream(descriptor: int, *, encoding: str, closes: bool = False) -> TextIO:
    """A text stream on a file descriptor for remarks: a run does not end because nobody reads them any more.

    Args:
        closes: whether closing the stream closes the descriptor.
    """
    raw = _Patient(descriptor, "w", closefd=closes)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=True)


def occupy_standard_descriptors() -> None:
    """Give 0, 1 and 2 something to stand for where this process was started without them.

    Else the next file to be opened would be taken for one of them, and be printed into.
    """
    while (found := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(found, True)
    os.close(found)


@contextmanager
def stdout_kept() -> Iterator[None]:
    """What tasks and their programs print goes to stderr meanwhile: stdout is the result's alone."""
    if sys.stdout.isatty():
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
