"""Network file systems are recognised from a mount table."""

from __future__ import annotations

from pathlib import Path

import pytest

from smithers.errors import StoreError
from smithers.store.connection import _check_place
from smithers.store.filesystem import file_system_of, network_file_system

TABLE = """\
22 27 0:21 / / rw,relatime - ext4 /dev/vda rw
30 22 0:30 / /home rw shared:1 - nfs4 server:/home rw,vers=4.2
31 30 0:31 / /home/me/local\\040disk rw - xfs /dev/vdb rw
32 22 0:32 / /mnt/share rw - cifs //server/share rw
33 22 0:33 / /mnt/ssh rw - fuse.sshfs me@server:/ rw
34 22 0:34 / /mnt/host rw - 9p host rw
35 22 0:35 / /over rw - nfs server:/old rw
36 22 0:36 / /over rw - tmpfs tmpfs rw
not a mount at all
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/x.db", "ext4"),
        ("/home/me/.smithers/smithers.db", "nfs4"),
        ("/homes/me/x.db", "ext4"),
        ("/home/me/local disk/x.db", "xfs"),
        ("/mnt/share/x.db", "cifs"),
        ("/over/x.db", "tmpfs"),
    ],
)
def test_the_nearest_mount_says_what_a_path_lies_on(path: str, kind: str) -> None:
    assert file_system_of(Path(path), TABLE) == kind


def test_only_network_file_systems_are_named(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    kinds = [
        network_file_system(Path(path), table)
        for path in ("/etc/x", "/home/x", "/mnt/share/x", "/mnt/ssh/x", "/mnt/host/x", "/over/x")
    ]
    assert kinds == [None, "nfs4", "cifs", "fuse.sshfs", "9p", None]


def test_a_system_without_a_mount_table_is_taken_as_local(tmp_path: Path) -> None:
    assert network_file_system(Path("/home/x"), tmp_path / "none") is None


def test_a_store_on_a_network_file_system_is_refused_with_a_way_out(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"30 22 0:30 / {tmp_path} rw - nfs4 server:/ rw\n")
    with pytest.raises(StoreError, match="nfs4") as caught:
        _check_place(tmp_path / "smithers.db", table)
    assert "--store" in caught.value.hint
