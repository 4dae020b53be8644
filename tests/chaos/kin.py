"""A family of runs whose process dies at one of its statements: what is stored, and what ran, afterwards."""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smithers.clock import SystemClock
from smithers.errors import StoreError
from smithers.records import RunFilter
from smithers.store import open_store
from tests.chaos.sites import AT_ONCE, child
from tests.chaos.strike import DEATH, DIED
from tests.chaos.trial import ENDED

FLOW = "family"


@dataclass
class Kin:
    """All runs of a store."""

    runs: dict[str, Any] = field(default_factory=dict)
    """State, outputs and place of each, by name."""
    finished: set[str] = field(default_factory=set)
    """Keys of finished tasks with code, by run and node."""


def look(folder: Path) -> Kin:
    """What is stored, from a copy; nothing if there is no store yet."""
    copy, found = folder / "copy", Kin()
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "store", copy, ignore_dangling_symlinks=True)
    try:
        reader = open_store(copy / "smithers.db", clock=SystemClock(), create=False).reader()
    except StoreError:
        return found
    with closing(reader):
        for run in reader.runs(RunFilter()):
            parent = run.kin.parent
            found.runs[run.name] = (
                run.state.word,
                {str(row.key): row.body for row in reader.outputs(run.id)},
                None if parent is None else (parent.name, str(parent.key)),
                run.kin.previous,
            )
            found.finished |= {
                f"{run.name} {row.key}" for row in reader.nodes(run.id) if row.state.word == "finished"
            }
    return found


def started(folder: Path) -> Counter[str]:
    """How often each task's code has begun."""
    journal = folder / "journal"
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Counter(line.split()[0] for line in lines if line.split()[2] == "start")


@dataclass
class Deaths:
    """What a row of deaths did, and what was found."""

    sites: int = 0
    died: int = 0
    again: int = 0
    """Tasks that were cut off, and began once more."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.sites} sites, {self.died} deaths, {self.again} begun again, wrong {len(self.violations)}"
        )


def undisturbed(folder: Path) -> tuple[Kin, int]:
    """The end that all others must come to, and how many statements it takes."""
    folder.mkdir(parents=True)
    assert child(folder, FLOW, {}) == ENDED
    return look(folder), int((folder / "count").read_text())


def die_everywhere(folder: Path, wanted: Kin, sites: int, moment: str, *, every: int = 1) -> Deaths:
    """Die at each so-manieth statement, one process each, and resume to the end."""
    total = Deaths()

    def one(site: int) -> Deaths:
        found, home = Deaths(1), folder / f"{moment}-{site}"
        home.mkdir(parents=True)
        code = child(home, FLOW, {"at": site, "moment": moment, "name": DEATH})
        found.died = int(code == DIED)
        before, begun = look(home) if (home / "store").exists() else Kin(), started(home)
        code = child(home, FLOW, {})
        after = look(home)
        begun_again = started(home) - begun
        if code != ENDED:
            found.violations.append(f"{home.name}: the resume left with {code}: {_error(home)}")
        if after.runs != wanted.runs:
            found.violations.append(f"{home.name}: ended as {after.runs}")
        # The journal does not name runs: what has finished in all that have it has no more to do.
        for name in begun_again:
            ran = [f"{run} {name}" for run in wanted.runs if f"{run} {name}" in wanted.finished]
            if ran and all(one in before.finished for one in ran):
                found.violations.append(f"{home.name}: {name} had finished, and began again")
        found.again = sum(count - 2 for count in started(home).values() if count > 2)
        if not found.violations:
            shutil.rmtree(home)
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in pool.map(one, range(1, sites + 1, every)):
            total.sites += found.sites
            total.died += found.died
            total.again += found.again
            total.violations += found.violations
    return total


def _error(folder: Path) -> str:
    error = folder / "error"
    return error.read_text() if error.exists() else ""
