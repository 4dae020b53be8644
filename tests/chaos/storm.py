"""The kill storm: SIGKILL at random moments, resume, repeat until the run ends; then check everything."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

from tests.chaos import checker
from tests.chaos.checker import LOST, RUN_FAILED, Key, Line, Rows
from tests.chaos.harness import Place, Up

FULL = {"capped": 24, "open": 30, "chains": 8, "asked": 16, "passes": 9}
"""200 tasks."""
SHORT = {"capped": 8, "open": 4, "chains": 1, "asked": 6, "passes": 3}
"""60 tasks."""

RESUME_SHARE = 0.3
"""Of the kills of resuming processes, so many are aimed at the time before their first frame."""
RESUME_S = 0.4
"""About as long as a resuming process takes until then: interpreter, imports, claim, first render."""

ENDED = 4
"""Run states from here on are final."""


@dataclass
class Tally:
    """What a storm did, and what was found."""

    seed: int
    runs: int = 0
    kills: int = 0
    in_flight: int = 0
    """Kills that cut off an attempt which the killed process itself had begun."""
    restoring: int = 0
    """Kills of a process that was resuming, and had stored no frame yet."""
    unborn: int = 0
    """Kills before the run's first frame was stored."""
    finished: int = 0
    """Finished tasks over all runs."""
    executions: int = 0
    lost: int = 0
    """Finished tasks that a later look did not find, or found changed."""
    twice: int = 0
    """Executions after a completion, or of an attempt that had been executed already."""
    cut_off: int = 0
    """Attempts that died with their process."""
    crash_loops: int = 0
    """Runs that failed because the same task was killed three times in a row, and were resumed once more."""
    stale_owners: int = 0
    """Rows of dead owners that were still there at the end."""
    dispatch_ms: list[float] = field(default_factory=list)
    """From the start of a resuming process to its first execution."""
    violations: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.in_flight / self.kills if self.kills else 0.0


def undisturbed(folder: Path, size: dict[str, int]) -> tuple[Rows, float]:
    """A run that nobody kills: what it stored, and how long its process took, in seconds."""
    place = Place(folder, "storm", json.dumps(size))
    up = place.start()
    code = up.wait()
    rows = place.look()
    if rows is None or rows.run.state < ENDED:
        raise AssertionError(f"the undisturbed run exited with {code}:\n{up.said()}")
    untold = {str(key) for key, _ in rows.finished} - acknowledged(up)
    problems = [
        *checker.check_rows(rows),
        *checker.check_journal(rows, place.lines()),
        *checker.check_end(rows, rows),
        *(f"{key} was never said to be finished" for key in untold),
    ]
    if problems:
        raise AssertionError(f"the undisturbed run is wrong: {problems}")
    return rows, up.took_s


def acknowledged(up: Up) -> set[str]:
    """Keys that a process told its user to be finished; it does so after the commit."""
    told = re.findall(r"^[\d:]+ ✓ (\S+)", up.said(), re.MULTILINE)
    return {key.removesuffix("[0]") for key in told}


def storm(folder: Path, seed: int, kills: int, size: dict[str, int], reference: Rows, span_s: float) -> Tally:
    """Kill and resume runs of the same workflow until so many kills are spent; the last goes to its end.

    Args:
        reference: the undisturbed run.
        span_s: how long that took; the moments are uniform over it, counted from each process' start.
    """
    random, tally = Random(seed), Tally(seed)
    while tally.kills < kills:
        tally.runs += 1
        place = Place(folder / f"seed{seed}-run{tally.runs}", "storm", json.dumps(size))
        before = len(tally.violations)
        try:
            _OneRun(place, random, tally, kills, reference, span_s).go()
        finally:
            place.close()
        if len(tally.violations) == before:
            shutil.rmtree(place.folder)  # a good run is of no more interest; a bad one stays to be looked at
    return tally


class _OneRun:
    """One run from its first process to its end."""

    def __init__(
        self, place: Place, random: Random, tally: Tally, kills: int, reference: Rows, span_s: float
    ) -> None:
        self._place = place
        self._random = random
        self._tally = tally
        self._kills = kills
        self._reference = reference
        self._span_s = span_s
        self._last: Rows | None = None
        self._journalled = 0
        """Lines there were at the last look."""
        self._hits: Counter[tuple[Key, int]] = Counter()
        """Kills that found an attempt of this slot in flight."""

    def go(self) -> None:
        tally, place = self._tally, self._place
        while True:
            up = place.start() if self._last is None else place.resume()
            code = up.kill_at(self._moment_s()) if tally.kills < self._kills else up.wait()
            rows = self._look(up, was_killed=code is None)
            if not self._goes_on(rows, was_killed=code is None):
                self._finish(rows, up, code)
                return
            if len(place.started) > 50 + self._kills:
                self._blame([f"the run does not end: {len(place.started)} processes"])
                return

    def _moment_s(self) -> float:
        """When to kill, from the start of the process."""
        if self._last is not None and self._random.random() < RESUME_SHARE:
            return self._random.uniform(0, RESUME_S)
        return self._random.uniform(0, self._span_s)

    def _goes_on(self, rows: Rows | None, *, was_killed: bool) -> bool:
        """Whether a user would resume the run."""
        if rows is None or rows.run.state < ENDED:
            return was_killed
        if rows.run.state == RUN_FAILED and self._is_crash_loop(rows):
            self._tally.crash_loops += 1
            return True
        return False

    def _look(self, up: Up, *, was_killed: bool) -> Rows | None:
        """Compare the run with what it was when the last process had ended."""
        tally, last = self._tally, self._last
        rows, lines = self._place.look(), self._place.lines()
        fresh = lines[self._journalled :]
        self._journalled = len(lines)
        own = [line for line in fresh if line.pid == up.pid]
        if was_killed:
            self._count_kill(rows, own)
        if last is not None:
            started = [line.at_ns for line in own if line.what == "start"]
            tally.dispatch_ms += [(at_ns - up.began_ns) / 1e6 for at_ns in started[:1]]
        if rows is None:
            if last is not None:
                self._blame(["I3 the run is gone"])
            elif fresh:
                self._blame([f"I4 {fresh[0].key} was executed before anything was stored"])
            return None
        self._blame(checker.check_rows(rows))
        self._check_acknowledged(rows, up)
        if last is not None:
            self._compare(last, rows, fresh)
        self._last = rows
        return rows

    def _count_kill(self, rows: Rows | None, own: list[Line]) -> None:
        """Args: own: what the killed process' tasks have left."""
        tally = self._tally
        tally.kills += 1
        tally.unborn += rows is None
        tally.restoring += (
            rows is not None and self._last is not None and rows.run.frame == self._last.run.frame
        )
        began = {(line.key, line.attempt) for line in own if line.what == "start"}
        ended = {(line.key, line.attempt) for line in own if line.what == "end"}
        running = rows.running if rows is not None else set()
        # What an earlier process left running is no merit of this kill.
        before = self._last.running if self._last is not None else set()
        tally.in_flight += bool(began - ended or running - before)
        self._hits.update((key, generation) for key, generation, _ in running)

    def _compare(self, last: Rows, rows: Rows, fresh: list[Line]) -> None:
        history = checker.check_history(last, rows)
        self._tally.lost += sum(
            rows.finished.get(slot) != output or rows.nodes.get(slot) != last.nodes[slot]
            for slot, output in last.finished.items()
        )
        self._blame(history + checker.check_process_death(last, rows))
        done = {str(key) for key, _ in last.finished}
        again = [line for line in fresh if line.what == "start" and line.key in done]
        self._tally.twice += len(again)
        self._blame([f"I4 {line.key} had finished before the kill, and was executed again" for line in again])

    def _check_acknowledged(self, rows: Rows, up: Up) -> None:
        """What the process told its user to be finished is finished."""
        missing = acknowledged(up) - {str(key) for key, _ in rows.finished}
        self._tally.lost += len(missing)
        self._blame([f"I3 {key} was said to be finished, and is not stored" for key in missing])

    def _is_crash_loop(self, rows: Rows) -> bool:
        """Whether the run failed only because kills hit the same task three times in a row, as it should."""
        if "CRASH_LOOP" not in (rows.run.error or ""):
            return False
        hit = [
            (key, generation)
            for (key, generation), node in rows.nodes.items()
            if node.state == checker.FAILED and rows.attempts[key, generation, node.attempt].state == LOST
        ]
        for key, generation in hit:
            last = rows.nodes[key, generation].attempt
            row = [rows.attempts.get((key, generation, last - back)) for back in range(3)]
            if any(attempt is None or attempt.state != LOST for attempt in row):
                self._blame([f"I7 {key} ended as a crash loop after {last} attempts"])
        return bool(hit)

    def _finish(self, rows: Rows | None, up: Up, code: int | None) -> None:
        tally, place = self._tally, self._place
        if rows is None:
            self._blame([f"no run was stored, exit {code}: {up.said()}"])
            return
        lines = place.lines()
        offset_ms = time.time() * 1000 - time.monotonic() * 1000
        twice = checker.run_twice(rows, lines) + checker.run_after_completion(rows, lines, offset_ms)
        tally.twice += len(twice)
        if code is not None and code != 5:
            self._blame([f"I7 the run is partial, and `up` exited with {code}: {up.said()[-500:]}"])
        self._blame([*twice, *checker.check_journal(rows, lines), *checker.check_end(rows, self._reference)])
        for (key, generation), hits in Counter(
            (key, generation) for (key, generation, _), row in rows.attempts.items() if row.state == LOST
        ).items():
            if hits > self._hits[key, generation]:
                self._blame([f"I4 {key} lost {hits} attempts to {self._hits[key, generation]} kills"])
        self._blame([f"I10 process {pid} is left" for pid in place.leftovers()])
        tally.finished += len(rows.finished)
        tally.executions += sum(line.what == "start" for line in lines)
        tally.cut_off += sum(row.state == LOST for row in rows.attempts.values())
        tally.stale_owners += rows.owners

    def _blame(self, violations: list[str]) -> None:
        where = f"seed {self._tally.seed}, run {self._tally.runs}, process {len(self._place.started)}"
        self._tally.violations.extend(f"{where}: {text} [{self._place.folder}]" for text in violations)


_COLUMNS: dict[str, Callable[[Tally], object]] = {
    "seed": lambda tally: "all" if tally.seed < 0 else tally.seed,
    "runs": lambda tally: tally.runs,
    "kills": lambda tally: tally.kills,
    "resuming": lambda tally: tally.restoring,
    "in flight": lambda tally: f"{tally.share:.0%}",
    "finished": lambda tally: tally.finished,
    "executed": lambda tally: tally.executions,
    "cut off": lambda tally: tally.cut_off,
    "lost": lambda tally: tally.lost,
    "twice": lambda tally: tally.twice,
    "loops": lambda tally: tally.crash_loops,
    "owners left": lambda tally: tally.stale_owners,
    "wrong": lambda tally: len(tally.violations),
    "resume ms p50/max": lambda tally: (
        f"{median(tally.dispatch_ms):.0f}/{max(tally.dispatch_ms):.0f}" if tally.dispatch_ms else "-"
    ),
}


def table(tallies: list[Tally]) -> str:
    """One line a seed, and their sum."""
    rows = [*tallies, *([_sum(tallies)] if len(tallies) > 1 else [])]
    cells = [list(_COLUMNS), *([str(show(tally)) for show in _COLUMNS.values()] for tally in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
    )


def _sum(tallies: list[Tally]) -> Tally:
    total = Tally(-1)
    for tally in tallies:
        for name in ("runs", "kills", "in_flight", "restoring", "unborn", "finished", "executions",
                     "lost", "twice", "cut_off", "crash_loops", "stale_owners"):  # fmt: skip
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.dispatch_ms += tally.dispatch_ms
        total.violations += tally.violations
    return total
