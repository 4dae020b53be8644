"""What can be wrong with a store or with the machine below it: each made, and made good again."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.process import SMITHERS, Project, environment

LAUNCHER = Path(__file__).parents[1] / "chaos" / "launcher.py"
_DROP, _DAC_OVERRIDE, _DAC_READ_SEARCH = 24, 1, 2
"""Of prctl(2) and capabilities(7)."""

Change = Callable[[Project], None]


def nothing(_: Project) -> None:
    """Change nothing."""


def obey_modes() -> None:
    """In a child, before it is executed: modes hold for it as for any user, although it is root's."""
    libc = ctypes.CDLL(None)
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        libc.prctl(_DROP, capability, 0, 0, 0)


def limit(kind: int, value: int) -> Callable[[], None]:
    """In a child, before it is executed: cap what it may use."""
    return lambda: resource.setrlimit(kind, (value, value))


@dataclass(frozen=True)
class Broken:
    """One fault, and what it makes of commands."""

    name: str
    writes: str | None
    """The error's code of commands that write; None: they work."""
    reads: str | None = None
    """The same of commands that only look."""
    spoil: Change = nothing
    heal: Change = nothing
    is_clean: bool = False
    """The store was left cleanly, and has no log."""
    needs: Callable[[Path], bool] = lambda folder: True
    """Whether this machine lets the fault be made."""
    prefix: Callable[[Project], list[str]] = lambda project: []
    before: Callable[[], None] | None = None
    world: Mapping[str, Any] = field(default_factory=dict)
    """See tests/chaos/launcher.py."""
    says: str = ""
    """Words that the message must have."""

    def start(self, project: Project, *words: str) -> subprocess.Popen[str]:
        """Start a command under the fault."""
        program = [sys.executable, str(LAUNCHER)] if self.world else [str(SMITHERS)]
        process = subprocess.Popen(
            [*self.prefix(project), *program, *words],
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(CHAOS_WORLD=json.dumps(dict(self.world))),
            preexec_fn=self.before,  # noqa: PLW1509 - the test has no threads
        )
        project.started.append(process)
        return process


# --- How -----------------------------------------------------------------------------------------


def has_root(folder: Path) -> bool:
    """Whether file systems may be mounted here."""
    return _does("unshare", "-m", "mount", "--bind", str(folder), str(folder))


def has_flags(folder: Path) -> bool:
    """Whether a file can be made immutable."""
    file = folder / "probe"
    file.touch()
    if not _does("chattr", "+i", str(file)):
        return False
    return _does("chattr", "-i", str(file))


def _does(*words: str) -> bool:
    try:
        return subprocess.run(words, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def read_only_mount(project: Project) -> list[str]:
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, str(project.store.parent)]


def mode(file: int, folder: int) -> Change:
    def change(project: Project) -> None:
        project.store.chmod(file)
        project.store.parent.chmod(folder)

    return change


def flag(sign: str) -> Change:
    def change(project: Project) -> None:
        subprocess.run(["chattr", f"{sign}i", str(project.store)], check=True)

    return change


def beside(project: Project, ending: str) -> Path:
    return project.store.with_name(project.store.name + ending)


def keep(project: Project, change: Change = nothing) -> None:
    """Put the store aside before it is changed."""
    kept = project.folder / "kept"
    if not kept.exists():
        shutil.copytree(project.store.parent, kept)
    change(project)


def restore(project: Project) -> None:
    """Put the store back."""
    shutil.rmtree(project.store.parent)
    shutil.copytree(project.folder / "kept", project.store.parent)


def kept(change: Change) -> Change:
    return lambda project: keep(project, change)


def poke(at: Callable[[Project], int], data: bytes) -> Change:
    def change(project: Project) -> None:
        with project.store.open("r+b") as file:
            file.seek(at(project))
            file.write(data)

    return kept(change)


def page_of(table: str) -> Callable[[Project], int]:
    """Where the first page of a table lies in the file."""

    def found(project: Project) -> int:
        with closing(sqlite3.connect(f"file:{project.store}?immutable=1", uri=True)) as connection:
            query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            return 4096 * (int(connection.execute(query, (table,)).fetchone()[0]) - 1)

    return found


def truncate(size: Callable[[int], int]) -> Change:
    def change(project: Project) -> None:
        os.truncate(project.store, size(project.store.stat().st_size))

    return kept(change)


def remove(ending: str) -> Change:
    return kept(lambda project: beside(project, ending).unlink())


def replace(body: Change) -> Change:
    """Something else in the store's place, without its log."""

    def change(project: Project) -> None:
        for ending in ("", "-wal", "-shm"):
            beside(project, ending).unlink(missing_ok=True)
        body(project)

    return kept(change)


def another_programs(project: Project) -> None:
    with closing(sqlite3.connect(project.store)) as connection:
        connection.execute("CREATE TABLE photos (name)")


def newer(project: Project) -> None:
    def change(project: Project) -> None:
        with closing(sqlite3.connect(project.store)) as connection:
            connection.execute("PRAGMA user_version = 99")

    keep(project, change)


def fill(project: Project) -> None:
    """Put the store on a file system of its own, and leave no room on it."""
    keep(project)
    folder = project.store.parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "chaos", str(folder)], check=True)
    shutil.copytree(project.folder / "kept", folder, dirs_exist_ok=True)
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def make_room(project: Project) -> None:
    (project.store.parent / "filler").unlink()


def network_table(folder: Path) -> str:
    table = folder / "mounts"
    table.write_text("20 1 0:20 / / rw - nfs4 server:/export rw\n")
    return str(table)
