"""stdout belongs to the command's result: what else is printed meanwhile goes to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
