"""A folder for the files that an agent's program is given, and the ones that killed processes have left."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from smithers.process.table import look

_NAME = re.compile(r"smithers-(\d+)\.(\d+)\.(\d+)-")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own, which only we can read; gone afterwards."""
    _sweep_once()
    prefix = f"{_prefix()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as made:
        yield Path(made)


def sweep(parent: Path) -> list[str]:
    """Remove what processes that are gone have left; returns the names.

    Each folder is named after the process that made it: where its pid counts, the pid, and when it began. Of
    processes that cannot be seen from here, as those of another container, nothing is removed.
    """
    swept = []
    with os.scandir(parent) as entries:
        for entry in entries:
            found = _NAME.match(entry.name)
            if found is None or not entry.is_dir(follow_symlinks=False):
                continue
            if entry.stat(follow_symlinks=False).st_uid != os.geteuid() or _may_be_there(*found.groups()):
                continue
            shutil.rmtree(entry.path, ignore_errors=True)
            swept.append(entry.name)
    return swept


@cache
def _sweep_once() -> None:
    try:
        sweep(Path(tempfile.gettempdir()))
    except OSError:
        pass  # whoever comes next does it


def _prefix() -> str:
    own = look(os.getpid())
    return f"smithers-{_namespace()}.{os.getpid()}.{own.ticks if own is not None else 0}"


def _namespace() -> int:
    """Where pids count; 0 where the system does not tell."""
    try:
        return int(re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink())))
    except (OSError, ValueError):
        return 0


def _may_be_there(namespace: str, pid: str, ticks: str) -> bool:
    if int(namespace) != _namespace():
        return True
    seen = look(int(pid))
    return seen is not None and seen.ticks == int(ticks)
