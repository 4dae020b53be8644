"""Files that every trial finds as the first one found them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Mark: TypeAlias = tuple[str | int, ...]
"""Tells an entry from one that was changed: its kind, and what goes with that."""


class Place:
    """Files and folders, remembered as they were.

    Only what has changed is touched, and only what is below them.

    Args:
        kept: need not exist; what is there now is copied.
        scratch: a folder for the copies.
    """

    def __init__(self, kept: Iterable[Path], scratch: Path) -> None:
        self._roots: dict[Path, tuple[Path, dict[Path, Mark]]] = {}
        for root in dict.fromkeys(kept):
            copy, marks = scratch / str(len(self._roots)), _marks(root)
            for path, mark in marks.items():
                _copy(root / path, copy / path, mark)
            self._roots[root] = copy, marks

    def put_back(self) -> None:
        """Make them what they were."""
        for root, (copy, marks) in self._roots.items():
            found = _marks(root)
            for path in sorted(found, reverse=True):  # what lies in a folder before the folder
                if path not in marks or found[path][0] != marks[path][0]:
                    _remove(root / path, found.pop(path))
            for path, mark in marks.items():
                if found.get(path) != mark:
                    if path in found:
                        _remove(root / path, mark)
                    _copy(copy / path, root / path, mark)
                    marks[path] = _mark(root / path)


def files_in(folder: Path | None) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    if folder is None:
        return {}
    files = (path for path, mark in _marks(folder).items() if mark[0] == "file")
    return {path.as_posix(): (folder / path).read_bytes() for path in files}


def _marks(root: Path) -> dict[Path, Mark]:
    """All that is at or below a path, folders before what lies in them."""
    if not os.path.lexists(root):
        return {}
    found = {Path(): _mark(root)}
    if found[Path()][0] == "folder":
        for where, below, names in os.walk(root):
            for name in sorted((*below, *names)):
                path = Path(where, name)
                found[path.relative_to(root)] = _mark(path)
    return found


def _mark(path: Path) -> Mark:
    seen = path.lstat()
    if stat.S_ISDIR(seen.st_mode):
        return ("folder",)
    if stat.S_ISLNK(seen.st_mode):
        return ("link", str(path.readlink()))
    if stat.S_ISREG(seen.st_mode):
        return ("file", seen.st_ino, seen.st_mtime_ns, seen.st_size)
    return ("other",)  # a socket or a pipe: whoever made it will know


def _copy(source: Path, target: Path, mark: Mark) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if mark[0] == "folder":
        target.mkdir(exist_ok=True)
    elif mark[0] == "link":
        target.symlink_to(str(mark[1]))
    elif mark[0] == "file":
        shutil.copy2(source, target)


def _remove(path: Path, mark: Mark) -> None:
    if mark[0] == "folder":
        shutil.rmtree(path)
    elif mark[0] != "other":
        path.unlink()
