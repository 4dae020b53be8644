"""Run, kill, resume: what `scripts/demo` shows.

Measures the repository around this folder with `repo_report.py`, in a process of its own; kills that process
with SIGKILL half-way; resumes; and counts what was executed how often, in a file that each task appends to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repo_report import git_files, walk_files

EXAMPLES = Path(__file__).resolve().parent
PROJECT = EXAMPLES.parent
FLOW = f"{EXAMPLES.name}/repo_report.py"
# At the root of a git repository a store is found from everywhere below; in a mere folder it is named.
STORE = [] if (PROJECT / ".git").exists() else ["--store", ".smithers/smithers.db"]
TASKS_AT_ONCE = 4
UNDISTURBED_SECONDS = 4.0
"""Measuring is slowed down to this, however many files there are, so that there is something to kill."""
PATIENCE_SECONDS = 120.0
IS_TERMINAL = sys.stdout.isatty()


class DemoFailed(Exception):
    """Something that the demo promises did not happen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as `smithers inspect` shows it."""

    status: str
    outputs: dict[str, Any]
    """Of finished tasks, by name."""
    in_flight: frozenset[str]
    result: dict[str, Any] | None


def main() -> int:
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="smithers-demo-") as folder:
            run = demonstrate(Path(folder))
    except DemoFailed as failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nThat took {time.monotonic() - began:.0f} s. Look at what was stored:\n")
    print(f"  {smithers_line('inspect', run)}")
    return 0


def demonstrate(folder: Path) -> str:
    """The demo; returns the run's id.

    Raises:
        DemoFailed: a promise was broken, or the machine could not keep up.
    """
    listed, _ = git_files(PROJECT)
    files = len(walk_files(PROJECT) if listed is None else listed)
    if files == 0:
        raise DemoFailed(f"there is no Python file in {PROJECT}")
    at_once = max(1, min(TASKS_AT_ONCE, files // 3))
    run = next_run_id()
    log = folder / "executions"
    delay_ms = min(400, round(UNDISTURBED_SECONDS * 1000 * at_once / files))
    environment = {**os.environ, "SMITHERS_DEMO_LOG": str(log), "SMITHERS_DEMO_DELAY_MS": str(delay_ms)}

    heading(f"1. Measure {files} Python files, a task each; slowed down to {delay_ms} ms, to be killed")
    first = Program(["up", FLOW, "--run-id", run, "--rehearse", "-c", str(at_once)], environment, folder)
    try:
        # So many have begun when half of them have ended: the others are in flight.
        first.wait_for(log, min(files, files // 2 + at_once), files)
        first.kill()
    finally:
        first.clear()
    killed = look(run)
    if killed.status != "running":
        raise DemoFailed(f"the run was {killed.status} before it could be killed; try again")

    heading("2. What is left of it")
    shell("ps", "-n", "3")

    heading("3. Resume")
    second = Program(["up", FLOW, "--run-id", run, "--resume", "true"], environment, folder)
    try:
        seconds = second.finish(log, files)
    finally:
        second.clear()
    print(f"  finished in {seconds:.1f} s")

    resumed = look(run)
    executions = Counter(line.split()[0] for line in log.read_text().splitlines())
    heading("4. What was executed how often")
    print_table(killed, resumed, executions)
    check(killed, resumed, executions)
    print("\nNo task that had finished was executed again, and no stored output changed.")
    return run


# --- Processes --------------------------------------------------------------------------------------


class Program:
    """A `smithers` command in a process of its own."""

    def __init__(self, words: list[str], environment: dict[str, str], folder: Path) -> None:
        print(f"  $ {smithers_line(*words)}")
        self._said = folder / f"{words[-1]}.said"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "smithers", *words, *STORE],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, log: Path, wanted: int, files: int) -> None:
        """Until `wanted` files have begun to be measured."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (begun := files_begun(log)) < wanted:
            show_progress(begun, files)
            if self._process.poll() is not None:
                raise DemoFailed(f"the run ended before it could be killed:\n{self._said.read_text()}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"after {PATIENCE_SECONDS:.0f} s only {begun} of {files} files had begun")
            time.sleep(0.005)
        show_progress(wanted, files)

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        clear_progress()
        print(f"  kill -9 {self._process.pid}, half-way")

    def finish(self, log: Path, files: int) -> float:
        """Until it has ended, and well; returns how long that took, in seconds."""
        began = time.monotonic()
        while self._process.poll() is None:
            show_progress(files_begun(log), files)
            if time.monotonic() > began + PATIENCE_SECONDS:
                raise DemoFailed(f"the resume had not ended after {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.01)
        clear_progress()
        if self._process.returncode != 0:
            raise DemoFailed(f"the resume ended with {self._process.returncode}:\n{self._said.read_text()}")
        return time.monotonic() - began

    def clear(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def shell(*words: str) -> None:
    """Run a command on this terminal, as a person would."""
    print(f"  $ {smithers_line(*words)}")
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "smithers", *words, *STORE], cwd=PROJECT, check=False)


def ask(*words: str) -> dict[str, Any]:
    """What a command answers with `--json`."""
    done = subprocess.run(
        [sys.executable, "-m", "smithers", *words, *STORE, "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoFailed(f"smithers {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def next_run_id() -> str:
    if STORE and not (PROJECT / STORE[1]).exists():
        return "demo-1"
    taken = [re.fullmatch(r"demo-(\d+)", row["run"]) for row in ask("ps", "--all")["runs"]]
    return f"demo-{max((int(match[1]) for match in taken if match), default=0) + 1}"


def look(run: str) -> Seen:
    found = ask("inspect", run)
    names = {task_name(node): node for node in found["nodes"]}
    return Seen(
        status=found["status"],
        outputs={name: node["output"] for name, node in names.items() if node["state"] == "finished"},
        in_flight=frozenset(name for name, node in names.items() if node["state"] == "running"),
        result=found["output"],
    )


def task_name(node: dict[str, Any]) -> str:
    """As the tasks write it: `narrow`, `narrow[1]` in the second pass."""
    return f"{node['node']}[{node['iteration']}]" if node["iteration"] else str(node["node"])


def files_begun(log: Path) -> int:
    """How many different files the tasks say that they have begun."""
    try:
        lines = log.read_text().splitlines()
    except FileNotFoundError:
        return 0
    return len({line.split()[0] for line in lines if line.startswith("file:")})


# --- Judging and showing ----------------------------------------------------------------------------


def check(killed: Seen, resumed: Seen, executions: Counter[str]) -> None:
    """Hold the run to what Smithers promises.

    Raises:
        DemoFailed: with the names of the tasks that broke it.
    """
    again = {name for name, count in executions.items() if count > 1}
    broken = {
        "executed again although it had finished": again & killed.outputs.keys(),
        "executed again although it was not in flight": again - killed.outputs.keys() - killed.in_flight,
        "executed more than twice": {name for name, count in executions.items() if count > 2},
        "its output changed or was lost": {
            name for name, output in killed.outputs.items() if resumed.outputs.get(name) != output
        },
        "finished, but never executed": resumed.outputs.keys() - executions.keys(),
    }
    faults = [f"  {why}: {', '.join(sorted(names))}" for why, names in broken.items() if names]
    if resumed.status != "finished":
        faults.insert(0, f"  the run is {resumed.status}, not finished")
    if faults:
        raise DemoFailed("\n".join(["this must never happen, please report it:", *faults]))


def print_table(killed: Seen, resumed: Seen, executions: Counter[str]) -> None:
    again = [name for name, count in executions.items() if count > 1]
    result = resumed.result or {}
    rows = [
        ("finished before the kill", str(len(killed.outputs)), "kept"),
        ("in flight at the kill", str(len(killed.in_flight)), "cut off"),
        ("run again", str(len(again)), "only those in flight"),
        ("run for the first time", str(len(resumed.outputs) - len(killed.outputs) - len(again)), ""),
        ("tasks in total", str(len(resumed.outputs)), f"{executions.total()} executions"),
    ]
    for label, figure, remark in rows:
        print(f"  {label:<26}{figure:>6}   {remark}".rstrip())
    where = result.get("path", "none")
    print(f"\n  report: {os.path.relpath(where, PROJECT) if where != 'none' else where}")
    print(f"  {result.get('lines')} lines, {result.get('functions')} functions, {result.get('todos')} to-dos")
    if result.get("is_summary_rehearsed"):
        print("  its summary was rehearsed: no model was asked, nothing was spent")


def heading(text: str) -> None:
    bold = IS_TERMINAL and "NO_COLOR" not in os.environ
    print(f"\n\033[1m{text}\033[0m\n" if bold else f"\n{text}\n")


def smithers_line(*words: str) -> str:
    """What to type in the project's folder."""
    beside = Path(sys.executable).with_name("smithers")
    found = shutil.which("smithers")
    if found and Path(found).resolve() == beside.resolve():
        command = "smithers"
    elif beside.exists():
        command = str(beside.relative_to(PROJECT) if beside.is_relative_to(PROJECT) else beside)
    else:
        command = f"{sys.executable} -m smithers"
    return " ".join([command, *words, *STORE])


def show_progress(begun: int, files: int) -> None:
    if IS_TERMINAL:
        print(f"\r  {begun} of {files} files", end="", flush=True)


def clear_progress() -> None:
    if IS_TERMINAL:
        print("\r\033[K", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
