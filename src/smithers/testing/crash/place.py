"""Folders that every trial finds as the first one found them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


class Place:
    """Folders, remembered as they were.

    Args:
        folders: need not exist; what is in them now is copied.
        scratch: where to.
    """

    def __init__(self, folders: list[Path], scratch: Path) -> None:
        self._copies = {folder: scratch / str(number) for number, folder in enumerate(folders)}
        for folder, copy in self._copies.items():
            if folder.is_dir():
                shutil.copytree(folder, copy, symlinks=True)
        self._seen = {folder: _signature(folder) for folder in self._copies}

    def put_back(self) -> None:
        """Make the folders what they were."""
        for folder, copy in self._copies.items():
            if _signature(folder) == self._seen[folder]:
                continue
            if folder.is_dir():
                for entry in folder.iterdir():  # the folder itself stays: somebody may stand in it
                    _remove(entry)
            if copy.is_dir():
                shutil.copytree(copy, folder, symlinks=True, dirs_exist_ok=True)
            self._seen[folder] = _signature(folder)


def files_in(folder: Path | None) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    if folder is None or not folder.is_dir():
        return {}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    found = [Path(where, name) for where, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.is_file())


def _signature(folder: Path) -> Mapping[str, tuple[int, int, int]] | None:
    """Tells a folder that was changed from one that was not; None: it is not there."""
    if not folder.is_dir():
        return None
    found = {}
    for where, below, names in os.walk(folder):
        for name in (*below, *names):
            stat = Path(where, name).lstat()
            is_folder = name in below
            found[str(Path(where, name))] = (
                stat.st_ino if not is_folder else 0,
                0 if is_folder else stat.st_mtime_ns,
                0 if is_folder else stat.st_size,
            )
    return found


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
