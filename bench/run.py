"""`scripts/bench [--quick] [--json FILE] [CASE …]`: the figures of this machine, its floor beside them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench import floor, syncs, table
from bench.case import CASES, QUICK, Case
from bench.hotspots import THREADS, Hotspot
from bench.meter import Figures, FloorFigures, Planned, Spent, disk_bytes, read_frames
from bench.verdict import Machine, Results, Verdict, judge, median, needed_by, typical

ROOT = Path(__file__).resolve().parent.parent
SAMPLES, QUICK_SAMPLES, COMMAND_SAMPLES = 5, 3, 7
PYTHON = sys.executable
SMITHERS = str(Path(PYTHON).with_name("smithers"))
COMMANDS = {
    "import": [PYTHON, "-c", "import smithers"],
    "names": [PYTHON, "-c", "from smithers import Context, Loop, Task, workflow"],
    "help": [PYTHON, SMITHERS, "--help"],
    "ps": [PYTHON, SMITHERS, "ps"],
}
BARE = [PYTHON, "-c", "pass"]


@dataclass
class Bench:
    """One run of the bench: samples taken in rounds, so that a slow minute of the machine meets all cases."""

    cases: list[Case]
    samples: int
    scratch: Path
    """On the file system of the checkout: a disk in memory syncs for nothing."""
    counter: Path | None
    taken: dict[str, list[Figures]] = field(default_factory=dict)
    floors: dict[tuple[int, int], list[FloorFigures]] = field(default_factory=dict)
    commands: dict[str, float] = field(default_factory=dict)
    """Seconds of CPU, the least of all calls."""
    live: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    bare_s: float | None = None
    """Seconds of CPU of a Python that does nothing."""
    disk: list[Machine] = field(default_factory=list)

    # --- Sampling -------------------------------------------------------------------------------

    def take(self) -> None:
        """Take all samples."""
        for number in range(self.samples):
            self.disk.append(self._measure_disk())
            for case in self.cases:
                if case.kind == "live" and number < (case.samples or self.samples):
                    self._say(f"{number + 1}/{self.samples} {case.name}")
                    self.live.setdefault(case.name, []).append(self._live(case))
                if case.kind in ("command", "live") or number >= (case.samples or self.samples):
                    continue
                self._say(f"{number + 1}/{self.samples} {case.name}")
                self.taken.setdefault(case.name, []).append(self.sample(case))
                place = (case.width, case.tasks)
                if case.width and len(self.floors.setdefault(place, [])) <= number:
                    self.floors[place].append(self._floor(*place))
        self._commands()
        self._say("")

    def _measure_disk(self) -> Machine:
        with self._folder() as folder:
            rate, fsync_s = floor.commits_per_s(folder, 0.3), floor.fsync_s(folder)
        return Machine(rate, fsync_s, os.getloadavg()[0], os.cpu_count() or 1)

    def sample(self, case: Case) -> Figures:
        """One sample of a workflow, in a fresh process and a fresh folder."""
        with self._folder() as folder:
            if case.kind == "resume":
                shutil.copytree(self._killed(case), folder, dirs_exist_ok=True)
            planned: Planned = json.loads(self._child(case.name, str(case.tasks), str(folder)))
            figures: Figures = {
                **planned,
                **read_frames(folder / ".smithers" / "smithers.db"),
                "disk_bytes": disk_bytes(folder / ".smithers"),
            }
            if figures["settled"] != case.settled:
                raise SystemExit(f"{case.name}: {figures['settled']} nodes settled instead of {case.settled}")
            return figures

    def _live(self, case: Case) -> dict[str, float]:
        with self._folder() as folder:
            figures: dict[str, float] = json.loads(self._child(case.name, str(case.tasks), str(folder)))
            return figures

    def _floor(self, width: int, tasks: int) -> FloorFigures:
        with self._folder() as folder:
            spent: Spent = json.loads(self._child(f"floor-{width}", str(tasks), str(folder)))
            return {**spent, "disk_bytes": disk_bytes(folder)}

    def _killed(self, case: Case) -> Path:
        """A store in which a run died before its last task; each sample resumes a copy of it."""
        folder = self.scratch / f"killed-{case.name}"
        if folder.exists():
            return folder
        folder.mkdir()
        self._say(f"preparing {case.name}")
        command = [PYTHON, "-m", "bench.sample", case.name, str(case.tasks), str(folder)]
        died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if died.returncode != -9:
            raise SystemExit(f"the run that was to be killed returned {died.returncode}\n{died.stderr}")
        return folder

    def _child(self, *arguments: str) -> str:
        command = [PYTHON, "-m", "bench.sample", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._env(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} returned {done.returncode}\n{done.stderr}")
        return done.stdout

    def _env(self) -> dict[str, str]:
        return {**os.environ, "LD_PRELOAD": str(self.counter)} if self.counter else dict(os.environ)

    def _commands(self) -> None:
        commands = [case for case in self.cases if case.kind == "command"]
        if not commands:
            return
        for runs in sorted({case.tasks for case in commands}):
            with self._folder() as folder:
                self._child("runs", str(runs), str(folder))
                self._say(f"commands beside {runs} runs")
                bare_s = min(_cpu_s(BARE, folder) for _ in range(COMMAND_SAMPLES))
                self.bare_s = self.bare_s or bare_s
                for case in commands:
                    if case.tasks == runs:
                        cpu_s = min(_cpu_s(COMMANDS[case.shape], folder) for _ in range(COMMAND_SAMPLES))
                        is_above_bare = case.shape in ("import", "names")
                        self.commands[case.name] = cpu_s - bare_s if is_above_bare else cpu_s

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    # --- Explaining a miss ----------------------------------------------------------------------

    def spots(self, case: Case, verdict: Verdict) -> list[str]:
        """The three largest entries of what the missed measure is made of."""
        if verdict.measure in ("KB/task", "KB/task, times 1,000's"):
            return self._tables(case)
        if case.kind == "command":
            return self._imports(case)
        if case.kind == "live":
            return []
        found: list[Hotspot] = []
        for thread in THREADS:
            with self._folder() as folder:
                if case.kind == "resume":
                    shutil.copytree(self._killed(case), folder, dirs_exist_ok=True)
                found += json.loads(self._child(case.name, str(case.tasks), str(folder), thread))
        found.sort(key=lambda spot: -spot["own_ms"])
        return [
            f"{spot['own_ms']:8,.1f} ms in {spot['calls']:,} calls: {spot['where']}" for spot in found[:3]
        ]

    def _tables(self, case: Case) -> list[str]:
        import sqlite3

        with self._folder() as folder:
            self._child(case.name, str(case.tasks), str(folder))
            connection = sqlite3.connect(folder / ".smithers" / "smithers.db")
            try:
                rows = connection.execute(
                    "SELECT name, SUM(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 3"
                ).fetchall()
            except sqlite3.OperationalError as error:
                return [f"by table: {error}"]  # an SQLite built without `dbstat`
            finally:
                connection.close()
        return [f"{size / 1e3:8,.0f} KB in {name}" for name, size in rows]

    def _imports(self, case: Case) -> list[str]:
        python, *arguments = COMMANDS[case.shape]
        with self._folder() as folder:
            command = [python, "-X", "importtime", *arguments]
            lines = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr
        rows = [
            line.removeprefix("import time:").split("|") for line in lines.splitlines()[1:] if "|" in line
        ]
        rows.sort(key=lambda row: -int(row[0]))
        return [f"{int(own) / 1000:8.1f} ms importing {name.strip()}" for own, _, name in rows[:3]]


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in samples) for name in samples[0]}


def _cpu_s(command: list[str], folder: Path) -> float:
    """User and system time of one command."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} returned {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def choose(names: list[str], is_quick: bool) -> list[Case]:
    """The cases whose names begin so, and what they are compared with; in the order of the list."""
    chosen = {case.name for case in CASES if not names or case.name.startswith(tuple(names))}
    if not chosen:
        raise SystemExit(
            f"no case begins with {', '.join(names)}; there are {', '.join(c.name for c in CASES)}"
        )
    cases = []
    for case in CASES:
        if is_quick and case.tasks > QUICK:
            if case.kind != "resume":
                chosen.discard(case.name)
            case = replace(case, tasks=QUICK)
        cases.append(case)
    for case in cases:
        if case.name in chosen:
            chosen.update(needed_by(case))
    return [case for case in cases if case.name in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="The figures of this machine.")
    parser.add_argument("--quick", action="store_true", help="3 samples instead of 5, and no 10,000 tasks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store all samples, too")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only those whose names begin so")
    options = parser.parse_args()
    cases = choose(options.cases, options.quick)
    cache = ROOT / ".cache" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        bench = Bench(
            cases, QUICK_SAMPLES if options.quick else SAMPLES, Path(scratch), syncs.build(Path(scratch))
        )
        bench.take()
        report(bench, options.json)


def report(bench: Bench, file: Path | None) -> None:
    """Print the table and the targets, and store all of it if asked to."""
    machine = typical(bench.disk)
    results = Results(
        {name: median(samples) for name, samples in bench.taken.items()},
        bench.commands,
        {name: _medians(samples) for name, samples in bench.live.items()},
    )
    floors = {place: median(samples) for place, samples in bench.floors.items()}
    table.show_machine(machine, bench.counter is not None)
    table.show_runs(bench.cases, results, floors)
    table.show_commands(bench.cases, results, bench.bare_s)
    table.show_verdict_heading()
    verdicts = []
    for case in bench.cases:
        for verdict in judge(case, results, machine):
            verdicts.append(verdict)
            table.show_verdict(verdict, [] if verdict.is_met else bench.spots(case, verdict))
    if file is not None:
        stored = {
            "machine": asdict(machine),
            "samples": bench.taken,
            "commands": bench.commands,
            "live": bench.live,
            "floors": {
                f"{tasks} tasks, {width} at once": taken for (width, tasks), taken in bench.floors.items()
            },
            "targets": [{**asdict(one), "ratio": one.ratio, "met": one.is_met} for one in verdicts],
        }
        file.write_text(json.dumps(stored, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
