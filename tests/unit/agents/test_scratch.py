"""The folders that agents' programs are given, and those that a kill has left."""

from __future__ import annotations

import os
from pathlib import Path

from smithers.agents.cli.scratch import scratch, sweep
from smithers.process.table import look


def test_a_folder_is_ours_alone_and_gone_afterwards() -> None:
    with scratch() as folder:
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
        assert sweep(folder.parent).count(folder.name) == 0, "its process is there"
    assert not folder.exists()


def test_what_a_killed_process_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    own = look(os.getpid())
    assert own is not None
    with scratch() as folder:
        here = folder.name.removeprefix("smithers-").partition(".")[0]
    names = {
        "gone": f"smithers-{here}.{os.getpid()}.{own.ticks + 1}-abc",  # its pid is another process' by now
        "mine": f"smithers-{here}.{os.getpid()}.{own.ticks}-abc",
        "container": f"smithers-{here}7.{os.getpid()}.{own.ticks + 1}-abc",
        "old": "smithers-abc",
        "other": "something-1.1-x",
    }
    for name in names.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "prompt.txt").write_text("secret")
    (tmp_path / "smithers-1.1-link").symlink_to(tmp_path / names["other"])
    assert sweep(tmp_path) == [names["gone"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(name for key, name in names.items() if key != "gone"), "smithers-1.1-link"]
    )
