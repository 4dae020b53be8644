"""Disks that are full or broken under a real process: what is stored is a prefix, a resume ends the same."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.sites import Crashes, Undisturbed, fail_at, undisturbed

POINTS = 20
ERRORS = 100


@pytest.fixture(name="growing", scope="module")
def _growing(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("growing") / "undisturbed", "grow")


def tell(found: Crashes) -> None:
    print(f"\n{found}")
    print(*found.violations, sep="\n")
    assert found.violations == []


def points(low: int, high: int, *, quick: bool) -> list[int]:
    """Evenly from one to the other."""
    count = 4 if quick else POINTS
    return [low + (high - low) * n // (count - 1) for n in range(count)]


def test_a_database_that_may_not_grow_stops_its_run_by_name_at_any_size(
    tmp_path: Path, growing: Undisturbed, quick: bool
) -> None:
    faults = [{"pages": pages} for pages in points(2, 130, quick=quick)]
    found = fail_at(tmp_path, growing, "pages", faults)
    tell(found)
    assert set(found.said) <= {"STORE_FULL", "ended well"}
    assert found.refused > len(faults) // 2


def test_files_that_may_not_grow_stop_a_run_by_name_at_any_size(
    tmp_path: Path, growing: Undisturbed, quick: bool
) -> None:
    faults = [{"file_bytes": size} for size in points(1, 700_000, quick=quick)]
    found = fail_at(tmp_path, growing, "file size", faults)
    tell(found)
    assert found.refused > len(faults) // 2


def test_a_disk_that_is_full_stops_a_run_by_name_wherever_it_stands(
    tmp_path: Path, growing: Undisturbed, quick: bool
) -> None:
    free = [size // 4096 * 4096 for size in points(4096, 1_300_000, quick=quick)]

    @contextmanager
    def small_disk(at: tuple[Path, int]) -> Iterator[None]:
        """A file system of its own below the store; at the end it has room again."""
        folder, number = at[0] / "store", at[1]
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={free[number]}", "chaos", str(folder)],
            check=False, capture_output=True,
        )  # fmt: skip
        if mounted.returncode != 0:
            pytest.skip("no file system can be mounted here")
        mounts.append(folder)
        yield
        subprocess.run(["mount", "-o", "remount,size=16m", str(folder)], check=True)

    mounts: list[Path] = []
    try:
        found = fail_at(tmp_path, growing, "disk", [{}] * len(free), small_disk)
    finally:
        for folder in mounts:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
    tell(found)
    assert set(found.said) <= {"STORE_FULL", "ended well"}
    assert found.refused > len(free) // 2


@pytest.mark.parametrize("name", ["SQLITE_IOERR", "memory", "SQLITE_FULL"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_error_at_the_nth_statement_of_a_process_loses_nothing(
    tmp_path: Path, quick: bool, name: str, moment: str
) -> None:
    wanted = undisturbed(tmp_path / "undisturbed", "fan")
    numbers = range(1, max(ERRORS, wanted.sites) + 1, 15 if quick else 1)
    faults = [{"at": number, "name": name, "moment": moment} for number in numbers]
    found = fail_at(tmp_path, wanted, f"{name} {moment}", faults)
    tell(found)
    assert found.refused >= 0.4 * len(faults)
