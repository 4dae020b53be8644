"""Counting fsyncs: a few lines of C loaded before libc, where a compiler is at hand."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("syncs.c")


def build(folder: Path) -> Path | None:
    """Compile the counter into `folder`; None without a compiler, or where libraries load in another way."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.uname().sysname != "Linux":
        return None
    library = folder / "syncs.so"
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], capture_output=True, check=False
    )
    return library if built.returncode == 0 else None


def read() -> tuple[int, float] | None:
    """Calls so far in this process and the seconds they took; None: nobody counts."""
    counter = ctypes.CDLL(None)
    try:
        return int(counter.bench_sync_calls()), counter.bench_sync_nanoseconds() / 1e9
    except AttributeError:
        return None
