"""Crashes at every statement in turn: the process dies there, the run is resumed, and all is checked."""

from __future__ import annotations

import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.chaos import checker
from tests.chaos.checker import Rows
from tests.chaos.strike import DEATH, DIED
from tests.chaos.trial import ENDED, REFUSED, RUN, drive

Around: TypeAlias = Callable[[tuple[Path, int]], AbstractContextManager[object]]

AT_ONCE = 2
PATIENCE_S = 60.0

_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(["tests.chaos.trial"])
# Each start looks after everybody's children, and would take an exit code from the thread that waits for it.
vars(multiprocessing.process)["_cleanup"] = lambda: None


def child(folder: Path, flow: str, fault: dict[str, Any]) -> int | None:
    """Run one process to its end; returns its exit code, None if it hangs."""
    process = _children.Process(target=drive, args=(folder, flow, fault))
    process.start()
    process.join(PATIENCE_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


def look(folder: Path) -> Rows | None:
    """The run as it stands, from a copy: a reader of the file would tidy up what a crash has left."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for ending in ("", "-wal"):
        source = folder / "store" / f"smithers.db{ending}"
        if source.exists():
            shutil.copyfile(source, copy / source.name)
    return checker.read_rows(copy / "smithers.db", RUN)


@dataclass
class Undisturbed:
    """A run that nobody disturbs, and how many statements it and its resume took."""

    flow: str
    rows: Rows
    sites: int


def undisturbed(folder: Path, flow: str) -> Undisturbed:
    """Run a workflow, and check what it is measured by."""
    folder.mkdir(parents=True)
    assert child(folder, flow, {}) == ENDED
    rows = look(folder)
    assert rows is not None
    problems = [*checker.check_rows(rows), *_check_end(folder, rows, rows)]
    assert problems == []
    return Undisturbed(flow, rows, int((folder / "count").read_text()))


@dataclass
class Crashes:
    """What a row of crashes did, and what was found."""

    name: str
    sites: int = 0
    died: int = 0
    unborn: int = 0
    """Deaths before the run was stored."""
    cut_off: int = 0
    executions: int = 0
    refused: int = 0
    """Processes that ended with an error by name."""
    said: Counter[str] = field(default_factory=Counter)
    """How often by which code."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.refused:
            codes = ", ".join(f"{code} {count}" for code, count in self.said.most_common())
            return f"{self.name}: {self.sites} faults: {codes}; wrong {len(self.violations)}"
        return (
            f"{self.name}: {self.sites} sites, {self.died} deaths ({self.unborn} before the run was stored), "
            f"{self.cut_off} attempts cut off, {self.executions} executions, wrong {len(self.violations)}"
        )


def crash_everywhere(folder: Path, wanted: Undisturbed, moment: str, *, every: int = 1) -> Crashes:
    """Die at each site of a run, one process a site, and resume.

    Args:
        moment: `before` the statement takes effect, or `after`.
        every: only each so-manieth site.
    """
    found = Crashes(f"{wanted.flow}, {moment}")
    sites = range(1, wanted.sites + 1, every)

    def one(site: int) -> Trial:
        trial = Trial(folder / f"{moment}-{site}", wanted)
        trial.crash(site, moment)
        trial.finish()
        return trial

    return _gather(found, sites, one)


def crash_twice(folder: Path, wanted: Undisturbed, first: int, *, every: int = 1) -> Crashes:
    """Die at a site, and then at each site of the recovery in turn.

    Args:
        first: where the first process dies.
    """
    template = Trial(folder / f"first-{first}", wanted)
    template.crash(first, "before")
    count = Trial(folder / f"first-{first}-count", wanted, template)
    count.finish()
    found = Crashes(f"{wanted.flow}, first at {first}")
    found.violations += template.found + count.found

    def one(site: int) -> Trial:
        trial = Trial(folder / f"first-{first}-{site}", wanted, template)
        trial.crash(site, "before")
        trial.finish()
        return trial

    found = _gather(found, range(1, count.count + 1, every), one)
    shutil.rmtree(template.folder)
    return found


def fail_at(
    folder: Path,
    wanted: Undisturbed,
    name: str,
    faults: Iterable[dict[str, Any]],
    around: Around = nullcontext,
) -> Crashes:
    """Let each fault in turn hit a run that lives on with it; then resume without it.

    Args:
        around: makes the fault's surroundings for a trial's folder, and ends with the fault made good.
    """
    found = Crashes(f"{wanted.flow}, {name}")
    listed = list(faults)

    def one(number: int) -> Trial:
        trial = Trial(folder / f"{name.replace(' ', '-')}-{number}", wanted)
        with around((trial.folder, number)):
            trial.stop(listed[number])
        trial.finish()
        return trial

    return _gather(found, range(len(listed)), one)


def _gather(found: Crashes, sites: Iterable[int], one: Any) -> Crashes:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for trial in pool.map(one, sites):
            found.sites += 1
            found.died += trial.died
            found.unborn += trial.unborn
            found.refused += trial.refused
            found.said[trial.said or "ended well"] += 1
            found.cut_off += trial.cut_off
            found.executions += trial.executions
            found.violations += [f"{found.name}, {trial.folder.name}: {text}" for text in trial.found]
            if not trial.found:
                shutil.rmtree(trial.folder, ignore_errors=True)  # it may be a mount point
    return found


class Trial:
    """One run and its deaths."""

    def __init__(self, folder: Path, wanted: Undisturbed, template: Trial | None = None) -> None:
        self.folder = folder
        self.found: list[str] = []
        self.died = self.refused = self.unborn = self.cut_off = self.executions = self.count = 0
        self.said = ""
        """The code of the error that a process ended with."""
        self._wanted = wanted
        self._last: Rows | None = None
        self._hits: Counter[Any] = Counter()
        if template is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(template.folder, folder)
            self._last, self._hits = template._last, template._hits.copy()
            self.unborn = 0

    def crash(self, site: int, moment: str) -> None:
        """A process that dies there; if there are fewer sites than expected, it ends."""
        code = child(self.folder, self._wanted.flow, {"at": site, "moment": moment, "name": DEATH})
        if code not in (DIED, ENDED):
            self.found.append(f"exit {code} instead of death: {self._error()}")
        self.died += code == DIED
        self._look(code == DIED)

    def stop(self, fault: dict[str, Any]) -> None:
        """A process that lives on with a fault of its disk: it may end well, or say by name what is wrong."""
        code = child(self.folder, self._wanted.flow, fault)
        said = self._error()
        if code not in (ENDED, REFUSED) or (code == REFUSED and len(said.split("\n", 2)) < 3):
            self.found.append(f"exit {code} under {fault}: {said}")
        self.refused += code == REFUSED
        self.said = said.partition("\n")[0]
        rows = self._look(has_died=True)
        if rows is not None:
            self.found += checker.check_prefix(rows, self._wanted.rows)
            if code == ENDED:
                self.found += checker.check_end(rows, self._wanted.rows)

    def finish(self) -> None:
        """Resume, and check the end."""
        code = child(self.folder, self._wanted.flow, {})
        if code != ENDED:
            self.found.append(f"a resume ended with {code}: {self._error()}")
            return
        self.count = int((self.folder / "count").read_text())
        rows = self._look(False)
        if rows is None:
            self.found.append("no run was stored")
            return
        self.found += _check_end(self.folder, rows, self._wanted.rows)
        lost = Counter((key, generation) for (key, generation, _), row in rows.attempts.items()
                       if row.state == checker.LOST)  # fmt: skip
        self.found += [
            f"I4 {slot[0]} lost {count} attempts to {self._hits[slot]} crashes"
            for slot, count in lost.items()
            if count > self._hits[slot]
        ]
        self.cut_off = sum(lost.values())

    def _look(self, has_died: bool) -> Rows | None:
        """What holds at any moment, and what must not have changed since the last."""
        rows, last = look(self.folder), self._last
        lines = checker.read_journal(self.folder / "journal")
        self.executions = sum(line.what == "start" for line in lines)
        if rows is None:
            self.unborn += has_died
            if last is not None:
                self.found.append("I3 the run is gone")
            elif lines:
                self.found.append(f"I4 {lines[0].key} was executed before anything was stored")
            return None
        if has_died:
            self._hits.update((key, generation) for key, generation, _ in rows.running)
        self.found += checker.check_rows(rows)
        if last is not None:
            self.found += checker.check_history(last, rows)
            self.found += checker.check_process_death(last, rows)
        told = self.folder / "acknowledged"
        missing = set(told.read_text().split() if told.exists() else ()) - {
            str(key) for key, _ in rows.finished
        }
        self.found += [f"I3 {key} was said to be finished, and is not stored" for key in missing]
        self._last = rows
        return rows

    def _error(self) -> str:
        error = self.folder / "error"
        return error.read_text() if error.exists() else ""


def _check_end(folder: Path, rows: Rows, wanted: Rows) -> list[str]:
    lines = checker.read_journal(folder / "journal")
    return [
        *checker.check_journal(rows, lines, unjournalled=("seed", "report")),
        *checker.check_end(rows, wanted),
        *checker.check_blobs(rows, folder / "store" / "blobs"),
    ]
