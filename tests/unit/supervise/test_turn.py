"""Whose turn it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from smithers.supervise.turn import Turn, folder_of


def test_one_at_a_time_and_the_holder_is_known(tmp_path: Path) -> None:
    first, second = Turn(tmp_path / "lock"), Turn(tmp_path / "lock")
    assert first.take()
    assert first.take()
    assert not second.take()
    assert not second.is_free
    first.sign(os.getpid())
    assert second.holder == os.getpid()
    first.drop()
    assert second.take()
    assert (first.is_held, second.is_held) == (False, True)
    second.drop()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from smithers.supervise.turn import Turn\n"
        "turn = Turn(Path(sys.argv[1])); turn.take(); turn.sign(os.getpid())\n"
        "print(flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        own = Turn(tmp_path / "lock")
        assert not own.take()
        assert own.holder == process.pid
        process.kill()
        process.wait()
        assert own.take()
        own.drop()


def test_a_lock_whose_file_was_removed_is_no_lock(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "lock")
    turn.take()
    (tmp_path / "lock").unlink()
    assert not turn.is_held
    turn.drop()


def test_locks_lie_beside_the_store_and_are_its_owners_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "smithers.db")
    assert folder == tmp_path / "smithers.db.supervise"
    assert folder.stat().st_mode & 0o777 == 0o700
