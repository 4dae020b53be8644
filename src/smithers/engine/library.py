"""Whose code it is: the author's, or that of Python, an installed package or ourselves."""

from __future__ import annotations

import sys
import sysconfig
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def _library_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {Path(path).resolve() for path in map(sysconfig.get_path, names) if path}
    return (*folders, Path(__file__).resolve().parents[1])


@lru_cache(maxsize=1024)
def is_library_file(file: str) -> bool:
    """Whether a file came with Python, a package or us; a change of theirs is an upgrade, not an edit."""
    return not file.startswith("<") and any(map(Path(file).resolve().is_relative_to, _library_folders()))


@lru_cache(maxsize=1024)
def _is_library(module: str) -> bool:
    if module == "__main__":
        return False
    found = sys.modules.get(module)
    if found is None:
        return False
    file = getattr(found, "__file__", None)
    return file is None or is_library_file(file)


def has_author(kind: type) -> bool:
    """Whether a class was written by the workflow's author."""
    return not _is_library(kind.__module__)
