"""Each command on each broken store: a named error, a hint, exit 1, never an empty list; then it goes on."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace as with_
from pathlib import Path

import pytest

from tests.acceptance.broken import (
    Broken,
    another_programs,
    fill,
    flag,
    has_flags,
    has_root,
    limit,
    make_room,
    mode,
    network_table,
    newer,
    obey_modes,
    page_of,
    poke,
    read_only_mount,
    remove,
    replace,
    restore,
    truncate,
)
from tests.acceptance.process import Project

READS = (
    ("ps",),
    ("ps", "--json"),
    ("inspect", "r1"),
    ("why", "r1"),
    ("output", "r1", "plan"),
    ("logs", "r1"),
)
WRITES = (
    ("up", "flow.py", "-r", "r2"),
    ("up", "flow.py", "-r", "r1", "--resume"),
    ("cancel", "r1"),
)

CORRUPT, NOT_A_STORE, READ_ONLY = "STORE_CORRUPT", "NOT_A_STORE", "STORE_READ_ONLY"

TABLE = [
    Broken("the file is 0444", READ_ONLY, None, mode(0o444, 0o700), mode(0o600, 0o700), before=obey_modes),
    Broken(
        "the folder is 0555", READ_ONLY, None, mode(0o600, 0o555), mode(0o600, 0o700),
        is_clean=True, before=obey_modes,
    ),
    Broken(
        "the folder is 0000", READ_ONLY, READ_ONLY, mode(0o600, 0o000), mode(0o600, 0o700),
        before=obey_modes, says="Permission denied",
    ),
    Broken("a read-only mount", READ_ONLY, None, is_clean=True, needs=has_root, prefix=read_only_mount),
    Broken("a read-only mount after a crash", READ_ONLY, None, needs=has_root, prefix=read_only_mount),
    Broken("an immutable file", READ_ONLY, None, flag("+"), flag("-"), needs=has_flags),
    Broken(
        "a head of zeros", NOT_A_STORE, NOT_A_STORE, poke(lambda _: 0, bytes(100)), restore, is_clean=True
    ),
    Broken("a damaged schema", CORRUPT, CORRUPT, poke(lambda _: 100, b"\xff" * 3996), restore, is_clean=True),
    Broken(
        "a page of zeros", CORRUPT, CORRUPT, poke(page_of("smithers_runs"), bytes(4096)), restore,
        is_clean=True,
    ),
    Broken("half a file", CORRUPT, CORRUPT, truncate(lambda size: size // 2), restore, is_clean=True),
    Broken("an empty file with its log", CORRUPT, CORRUPT, truncate(lambda _: 0), restore, says="is empty"),
    Broken("a log without its file", CORRUPT, CORRUPT, remove(""), restore, says="is gone"),
    Broken("a file without its log", CORRUPT, CORRUPT, remove("-wal"), restore, says="the last commits"),
    Broken(
        "a text", NOT_A_STORE, NOT_A_STORE, replace(lambda project: _write(project.store, "# notes\n" * 200)),
        restore, says="is not a database",
    ),
    Broken(
        "another program's database", NOT_A_STORE, NOT_A_STORE, replace(another_programs), restore,
        says="another program",
    ),
    Broken(
        "a folder", NOT_A_STORE, NOT_A_STORE, replace(lambda project: project.store.mkdir()), restore,
        says="is a folder",
    ),
    Broken("a newer version's", "STORE_TOO_NEW", "STORE_TOO_NEW", newer, restore, says="schema 99"),
    Broken(
        "a network file system", "STORE", "STORE", world={"mount_table": "mounts"}, says="nfs4",
    ),
    Broken("an I/O error", "STORE", "STORE", world={"fault": {"at": 1}}, says="cannot use"),
    Broken("no memory", *["OUT_OF_RESOURCES"] * 2, world={"fault": {"at": 1, "name": "memory"}}),
    Broken("a full disk", "STORE_FULL", None, fill, make_room, is_clean=True, needs=has_root),
    Broken("files at their largest", "STORE", None, before=limit(resource.RLIMIT_FSIZE, 40_000)),
]  # fmt: skip


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture(name="template", scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `r1`, whose first task has finished and whose process was killed in the second."""
    project = Project(tmp_path_factory.mktemp("template"))
    project.die_in_build()
    project.close()
    return project.folder


@pytest.fixture(name="cut_off")
def _cut_off(template: Path, project: Project) -> Iterator[Project]:
    """A copy of it."""
    shutil.copytree(template, project.folder, dirs_exist_ok=True)
    project.touch("go")
    yield project
    subprocess.run(["umount", "-l", str(project.store.parent)], check=False, capture_output=True)
    subprocess.run(["chattr", "-i", str(project.store)], check=False, capture_output=True)
    project.store.parent.chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize("broken", TABLE, ids=lambda broken: broken.name)
def test_each_command_names_what_is_wrong_with_the_store_and_goes_on_when_it_is_not(
    cut_off: Project, broken: Broken
) -> None:
    project = cut_off
    if not broken.needs(project.folder):
        pytest.skip(f"this machine does not let a test make {broken.name}")
    if broken.is_clean:
        assert project.run("ps").returncode == 0  # the last to leave moves the log into the file
    if "mount_table" in broken.world:
        broken = with_(broken, world={"mount_table": network_table(project.folder)})
    broken.spoil(project)
    # Side by side: they only look.
    for words, process in [(words, broken.start(project, *words)) for words in READS]:
        check(words, *process.communicate(timeout=60), process.returncode, broken.reads, broken)
    for words in WRITES:
        process = broken.start(project, *words)
        check(words, *process.communicate(timeout=60), process.returncode, broken.writes, broken)
    broken.heal(project)
    again = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {"text": "built"}
    assert project.executed() == ["plan", "build", "build"]


def check(
    words: tuple[str, ...], out: str, err: str, exit_code: int, code: str | None, broken: Broken
) -> None:
    """Args: code: of the error that the command must end with; None: it must work."""
    said = f"{' '.join(words)} ({exit_code}):\n{out}{err}"
    assert "Traceback" not in err, said
    if code is None:
        assert exit_code == 0, said
        assert (
            out.startswith('{"text":"the plan"}') if words[0] == "output" else "r1" in out or "run" in out
        ), said
        return
    assert exit_code == 1, said
    assert f"[{code}]" in err, said
    assert "\n  hint: " in err, said
    assert broken.says in err, said
    if "--json" in words:
        assert json.loads(out)["error"]["code"] == code, said
    else:
        assert out == "", said


def test_the_page_of_faults_says_what_each_command_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    told = {row[0]: (row[1].strip("`"), row[2].strip("`")) for row in rows if len(row) == 4}
    told.pop("What is wrong")
    assert told == {broken.name: (broken.writes or "works", broken.reads or "works") for broken in TABLE}
