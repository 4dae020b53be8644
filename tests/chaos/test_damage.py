"""Files damaged at random: a command works or says so, and no run is continued on what cannot be trusted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.chaos import checker
from tests.chaos.damage import damage
from tests.chaos.sites import Undisturbed, child, look, undisturbed
from tests.chaos.strike import DEATH, DIED
from tests.chaos.trial import ENDED, REFUSED

COMMANDS = """
import json, sys
from smithers.cli.run import run
for words in json.loads(sys.argv[1]):
    print("=>", run([*words, "--store", sys.argv[2]]), flush=True)
"""
"""All in one process: a damaged page is met by many, and starting them is what takes the time."""
READS = (
    '[["ps"], ["inspect", "r1"], ["why", "r1"], ["output", "r1", "first"], ["logs", "r1"], ["ps", "--json"]]'
)


@pytest.fixture(name="cut_off", scope="module")
def _cut_off(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Undisturbed]:
    """A run whose process died late, its log moved into the file; and what it would have come to."""
    base = tmp_path_factory.mktemp("damage")
    wanted = undisturbed(base / "undisturbed", "fan")
    folder = base / "cut-off"
    folder.mkdir()
    assert child(folder, "fan", {"at": wanted.sites * 4 // 5, "name": DEATH}) == DIED
    rows = checker.read_rows(folder / "store" / "smithers.db", "r1")
    assert rows is not None
    assert 3 <= len(rows.finished) < len(wanted.rows.finished)
    return folder, wanted


def test_a_damaged_file_is_never_a_bug_an_empty_list_or_another_result(
    tmp_path: Path, pytestconfig: pytest.Config, cut_off: tuple[Path, Undisturbed]
) -> None:
    template, wanted = cut_off
    first = pytestconfig.getoption("--first-seed")
    count = 12 if pytestconfig.getoption("--quick") else pytestconfig.getoption("--damages")
    wrong: list[str] = []
    ended: Counter[str] = Counter()
    for seed in range(first, first + count):
        folder = tmp_path / str(seed)
        shutil.copytree(template, folder)
        database = folder / "store" / "smithers.db"
        kind = damage(database, Random(seed))
        found = _look(database, kind) + _resume(folder, kind, wanted, ended)
        wrong += [f"seed {seed}, {kind}: {text} [{folder}]" for text in found]
        if not found:
            shutil.rmtree(folder)
    print(f"\n{count} damaged files: {dict(ended)}; wrong {len(wrong)}")
    print(*wrong, sep="\n")
    assert wrong == []


def _look(database: Path, kind: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, READS, str(database)],
        check=False, capture_output=True, text=True, timeout=60, env={**os.environ},
    )  # fmt: skip
    said = f"{done.stdout}{done.stderr}"
    codes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("=> ")]
    found = [f"{len(codes)} commands ended"] if len(codes) != 6 else []
    # 4: a run's name that was damaged is no run's.
    found += [f"exit {code}" for code in codes if code not in ("0", "1", "4")]
    # A page in the place of another one may be sound in itself, and no code of ours has written its rows.
    for word in ("No runs yet",) if kind == "copy" else ("Traceback", "[BUG]", "No runs yet"):
        if word in said:
            found.append(f"said {word}: {said[-700:]}")
    return found


def _resume(folder: Path, kind: str, wanted: Undisturbed, ended: Counter[str]) -> list[str]:
    code = child(folder, "fan", {})
    error = folder / "error"
    said = error.read_text() if error.exists() else ""
    ended["ended" if code == ENDED else said.partition("\n")[0]] += 1
    if code == REFUSED or (kind == "copy" and said.startswith("BUG")):
        return []
    if code != ENDED:
        return [f"a resume left with {code}: {said[-1500:]}"]
    if kind in ("flip", "burst", "header"):
        return []  # a byte within a value: SQLite keeps no checksums, and a JSON text may still be one
    try:
        rows = look(folder)
    except Exception as error:  # noqa: BLE001 - it is what is left of a damaged file
        return [f"a resume ended well, and left what cannot be read: {error!r}"]
    return ["the run is gone"] if rows is None else checker.check_end(rows, wanted.rows)
