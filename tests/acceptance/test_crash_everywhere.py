"""`pytest --crash-everywhere` as a process: what is sound passes, what does something twice does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ALONE = ("-p", "no:cacheprovider", "-c", os.devnull)
"""Nothing of this repository's own configuration."""
EXAMPLES = Path(__file__).parents[2] / "examples"

PUBLISHING = """
from smithers import Context, Node, Sequence, Task, workflow

@workflow
def publishing(ctx: Context) -> Node:
    return Sequence(*(Task(name, str, run=lambda: "done") for name in ("write", "publish", "announce")))

def test_it_is_published(run_workflow):
    assert run_workflow(publishing).status == "finished"

def test_it_is_published_again(run_workflow):
    assert run_workflow(publishing).status == "finished"

def test_something_else():
    pass
"""

# The engine settles `publish` and forgets it: its attempt ends, and no row says that the task has finished.
FORGETFUL = """
from smithers.engine.settling import Settling

finish = Settling._finish

def forgetful(self, draft, job, done):
    finish(self, draft, job, done)
    if job.key.node == "publish":
        draft.write.settled = [end for end in draft.write.settled if end.key != job.key]
        draft.write.outputs = [row for row in draft.write.outputs if row.key != job.key]

Settling._finish = forgetful
"""

# A resume that does not take the stored completion of `publish` for one.
BLIND = """
from smithers.engine.memory import Memory

restore = Memory.restore

def blind(self, stored, in_flight):
    found = restore(self, stored, in_flight)
    for row in stored.nodes:
        if row.key.node == "publish":
            self.log(row.key).last = row.attempt
            del self.facts.nodes[row.key]
    return found

Memory.restore = blind
"""


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(folder),
            "-c",
            os.devnull,
            *words,
        ],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_example_dies_at_its_operations_and_passes(tmp_path: Path) -> None:
    for name in ("repo_report.py", "test_repo_report.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    found = run_pytest(tmp_path, "-q", "test_repo_report.py", "--crash-everywhere", "--crash-sample=20")
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(
        r"test_repo_report.py::test_the_most_\w+: repo-report: \d+ operations, 20 sites of \d+, "
        r"\d+ deaths, \d+ attempts cut off, 0 violations",
        found.stdout,
    )


def test_without_the_option_nothing_dies(tmp_path: Path) -> None:
    (tmp_path / "test_flow.py").write_text(PUBLISHING)
    found = run_pytest(tmp_path, "-q")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "3 passed" in found.stdout
    assert "deaths" not in found.stdout


def test_what_was_tried_is_said_for_each_test_also_by_several_workers(tmp_path: Path) -> None:
    (tmp_path / "test_flow.py").write_text(PUBLISHING)
    found = run_pytest(tmp_path, "-q", "-n2", "--crash-everywhere", "--crash-sample=4")
    assert found.returncode == 0, found.stdout + found.stderr
    said = re.findall(
        r"^test_flow.py::(\w+): publishing: \d+ operations, 4 sites of", found.stdout, re.MULTILINE
    )
    assert sorted(said) == ["test_it_is_published", "test_it_is_published_again"]


def test_a_planted_double_execution_fails_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(BLIND)
    (tmp_path / "test_flow.py").write_text(PUBLISHING)
    found = run_pytest(tmp_path, "-q", "test_flow.py::test_it_is_published", "--crash-everywhere")
    assert found.returncode == 1, found.stdout + found.stderr
    assert re.search(
        r"died after operation \d+ \(commit of frame 3: publish finished, announce started\)"
        r" → on resume `publish` executed twice",
        found.stdout,
    ), found.stdout


def test_a_planted_loss_of_what_has_settled_fails_even_undisturbed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(FORGETFUL)
    (tmp_path / "test_flow.py").write_text(PUBLISHING)
    found = run_pytest(tmp_path, "-q", "test_flow.py::test_it_is_published", "--crash-everywhere")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "`publish` has a finished attempt, and has not finished" in found.stdout


def test_a_sample_of_nothing_is_refused(tmp_path: Path) -> None:
    found = run_pytest(tmp_path, "--crash-sample=0")
    assert found.returncode == 4
    assert "--crash-sample" in found.stderr


def test_the_options_stand_in_a_group_of_their_own(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, "--help").stdout
    group = said.partition("smithers (workflows):")[2].partition("\n\n")[0]
    assert "--crash-everywhere" in group
    assert "--crash-sample=N" in group
