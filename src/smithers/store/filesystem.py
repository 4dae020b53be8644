"""What kind of file system a path lies on: SQLite's shared memory does not work over a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "9p", "fuse.sshfs"})
MOUNT_TABLE: Final = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path, mount_table: Path = MOUNT_TABLE) -> str | None:
    """The type of the network file system that `path` lies on (`nfs4`, `cifs`, …), or None.

    Args:
        path: absolute, links resolved; it need not exist.
        mount_table: in the format of Linux' `mountinfo`; a system without one is taken as local.
    """
    try:
        table = mount_table.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = file_system_of(path, table)
    return kind if kind in _NETWORK else None


def file_system_of(path: Path, table: str) -> str | None:
    """The type of the mount nearest above `path` in a mount table; None if there is none."""
    found, depth = None, -1
    for line in table.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split()
        if len(fields) < 5 or not source:
            continue
        point = Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        # `>=`: of two mounts on one point the later one is on top.
        if len(point.parts) >= depth and path.is_relative_to(point):
            found, depth = source.split()[0], len(point.parts)
    return found
