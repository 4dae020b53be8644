"""The demo and its workflow, in small repositories of their own: real processes, a real kill."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

APP = """\
def main(a, b):
    # TODO: more
    if a and b:
        return 1
    return "TODO"
"""
TREE = """\
class Tree:
    def walk(self):
        # FIXME later
        return [x for x in self if x]
"""


def branching(name: str, ways: int) -> str:
    """A function of complexity `ways`."""
    body = "".join(f"    if a == {number}:\n        return {number}\n" for number in range(ways - 1))
    return f"def {name}(a):\n{body}"


SOURCES = {
    "app.py": APP,
    "pkg/__init__.py": "",
    "pkg/deep/tree.py": TREE,
    "odd name, ünïcode.py": "def odd():\n    pass\n",
    "broken.py": "def (:\n",
    "escape.py": 'text = "\\d"\n',
    "latin.py": "# -*- coding: latin-1 -*-\nname = 'é'\n",
    "nul.py": "x = 1\0\n",
    "hot.py": branching("hot", 40),
    "warm.py": branching("warm", 30),
}


def bare_environment(home: Path, **more: str) -> dict[str, str]:
    """No git identity, no configuration, no terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **more}


def make_repository(folder: Path, *, with_git: bool) -> Path:
    """The sources of `SOURCES`, and the examples."""
    for name, text in SOURCES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1" if name == "latin.py" else "utf-8"))
    (folder / "examples").mkdir()
    for name in ("demo.py", "repo_report.py"):
        shutil.copy(EXAMPLES / name, folder / "examples")
    if with_git:
        for words in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *words], cwd=folder, check=True, env=bare_environment(folder))
        (folder / "untracked.py").write_text("x = 1\n")
    return folder


def run_demo(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "examples/demo.py"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        env=bare_environment(folder / "home", **more),
    )


def smithers(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "smithers", *words],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=bare_environment(folder / "home", **more),
    )


def report_on(
    folder: Path, *, environment: dict[str, str] | None = None, **given: Any
) -> tuple[dict[str, Any], str]:
    """Run the workflow; returns its output and the report's text."""
    words = ["up", "examples/repo_report.py", "--rehearse", "--json", "--input", json.dumps(given)]
    done = smithers(folder, *words, **(environment or {}))
    assert done.returncode == 0, done.stderr
    output: dict[str, Any] = json.loads(done.stdout)["output"]
    return output, Path(output["path"]).read_text()


def figures(table: str) -> dict[str, int]:
    """The table's rows: `finished before the kill      93   kept`."""
    return {
        label: int(figure) for label, figure in re.findall(r"^  (\S.*?) {2,}(\d+)\b", table, re.MULTILINE)
    }


# --- The demo -----------------------------------------------------------------------------------


@pytest.mark.parametrize("with_git", [True, False], ids=["git", "no git"])
def test_the_demo_kills_half_way_and_repeats_only_what_was_in_flight(tmp_path: Path, with_git: bool) -> None:
    folder = make_repository(tmp_path, with_git=with_git)

    done = run_demo(folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    shown = figures(done.stdout)
    files = len(SOURCES) + 2
    assert 1 <= shown["finished before the kill"] < files
    assert shown["in flight at the kill"] >= 1
    assert shown["run again"] <= shown["in flight at the kill"]
    assert shown["tasks in total"] == (
        shown["finished before the kill"] + shown["run again"] + shown["run for the first time"]
    )
    executions = re.search(r"(\d+) executions", done.stdout)
    assert executions
    assert int(executions[1]) == shown["tasks in total"] + shown["run again"]
    assert shown["tasks in total"] > files
    assert "orphaned" in done.stdout
    assert "summary was rehearsed" in done.stdout
    assert (folder / ".smithers/reports/demo-1.md").read_text().startswith(f"# {folder.name}: {files} ")
    assert with_git is False or max(map(len, done.stdout.splitlines())) <= 80
    assert "\033" not in done.stdout

    command = done.stdout.splitlines()[-1].split()
    assert command[:3] == ["smithers", "inspect", "demo-1"]
    looked = subprocess.run(
        command, check=False, cwd=folder, capture_output=True, text=True, env=bare_environment(folder)
    )
    assert looked.returncode == 0
    assert "finished" in looked.stdout


def test_the_demo_may_be_run_again(tmp_path: Path) -> None:
    folder = make_repository(tmp_path, with_git=False)
    for number in (1, 2):
        done = run_demo(folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1].startswith(f"  smithers inspect demo-{number} ")


def test_the_demo_fails_with_the_names_of_tasks_that_broke_the_promise() -> None:
    demo = load_example("demo.py")
    kept = demo["Seen"]("running", {"a": 1, "b": 2}, frozenset({"c"}), None)
    after = demo["Seen"]("finished", {"a": 1, "b": 2, "c": 3, "d": 4}, frozenset(), None)
    counter = demo["Counter"]

    demo["check"](kept, after, counter("abcd") + counter("c"))

    with pytest.raises(demo["DemoFailed"], match=r"although it had finished: a$"):
        demo["check"](kept, after, counter("abcd") + counter("a"))
    with pytest.raises(demo["DemoFailed"], match=r"although it was not in flight: d$"):
        demo["check"](kept, after, counter("abcd") + counter("d"))
    with pytest.raises(demo["DemoFailed"], match=r"never executed: b$"):
        demo["check"](kept, after, counter("acd"))
    changed = demo["Seen"]("finished", {"a": 1, "b": 9, "c": 3, "d": 4}, frozenset(), None)
    with pytest.raises(demo["DemoFailed"], match=r"changed or was lost: b$"):
        demo["check"](kept, changed, counter("abcd"))


def load_example(name: str) -> dict[str, Any]:
    sys.path.insert(0, str(EXAMPLES))
    try:
        return runpy.run_path(str(EXAMPLES / name))
    finally:
        sys.path.remove(str(EXAMPLES))


# --- Its workflow -------------------------------------------------------------------------------


def test_the_report_says_what_each_file_holds_and_which_could_not_be_read(tmp_path: Path) -> None:
    folder = make_repository(tmp_path, with_git=True)

    output, text = report_on(folder, max_hot_spots=1)

    assert output["found_by"] == "git ls-files"
    assert output["files"] == len(SOURCES) + 2
    assert "untracked.py" not in text
    assert "- app.py:2: TODO: more" in text
    assert "- pkg/deep/tree.py:3: FIXME later" in text
    assert '"TODO"' not in text
    problems = text.partition("## Files that could not be read")[2]
    assert sorted(re.findall(r"^- (\S+):", problems, re.MULTILINE)) == ["broken.py", "nul.py"]
    assert output["problems"] == 2
    assert "| `hot` | 40 | hot.py:1 |" in text
    assert "`warm`" not in text


def test_the_loop_narrows_until_few_enough_are_left_or_all_are_alike(tmp_path: Path) -> None:
    folder = make_repository(tmp_path, with_git=False)
    measured = folder / "measured"
    measured.mkdir()
    for name, ways in {"hot": 40, "twin": 40, "warm": 30, "mild": 12, "cold": 10}.items():
        (measured / f"{name}.py").write_text(branching(name, ways))

    def spots(wanted: int) -> tuple[int, list[str]]:
        output, _ = report_on(folder, repo="measured", max_hot_spots=wanted)
        return output["passes"], [spot.rpartition(" ")[2] for spot in output["hot_spots"]]

    assert spots(4) == (1, ["hot", "twin", "warm", "mild"])
    assert spots(3) == (2, ["hot", "twin", "warm"])
    assert spots(2) == (3, ["hot", "twin"])
    # Two functions share the highest complexity, and one pass more finds that out.
    assert spots(1) == (4, ["hot", "twin"])


def test_without_git_the_folder_is_walked_and_the_report_says_so(tmp_path: Path) -> None:
    folder = make_repository(tmp_path, with_git=False)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "no.py").write_text("")
    (folder / "venv" / "lib").mkdir(parents=True)
    (folder / "venv" / "pyvenv.cfg").write_text("")
    (folder / "venv" / "lib" / "no.py").write_text("")

    output, text = report_on(folder)

    assert output["found_by"].startswith("walking the folder")
    assert output["files"] == len(SOURCES) + 2
    assert "Files found by walking the folder" in text

    (tmp_path / "nothing").mkdir()
    output, _ = report_on(folder, environment={"PATH": str(tmp_path / "nothing")})
    assert output["found_by"] == "walking the folder: git is not installed"


def test_the_report_says_that_its_summary_was_rehearsed(tmp_path: Path) -> None:
    folder = make_repository(tmp_path, with_git=False)
    output, text = report_on(folder, max_files=2, report="out/report.md")
    assert output["is_summary_rehearsed"] is True
    assert "**This summary was rehearsed" in text
    assert output["path"] == str(folder / "out" / "report.md")
    assert output["files"] == 2


def test_an_empty_repository_has_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = make_repository(tmp_path, with_git=False)
    output, text = report_on(folder, repo="empty")
    assert (output["files"], output["hot_spots"]) == (0, [])
    assert text.count("None.") == 3


def test_a_repository_that_is_not_there_is_named_before_anything_else_runs(tmp_path: Path) -> None:
    folder = make_repository(tmp_path, with_git=False)
    done = smithers(folder, "up", "examples/repo_report.py", "--rehearse", "--input", '{"repo": "nowhere"}')
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "file:" not in done.stderr


def test_names_of_files_become_valid_and_different_task_ids() -> None:
    from smithers.ids import check_node_id

    file_id = load_example("repo_report.py")["file_id"]
    paths = [
        "a.py",
        "a b.py",
        "a-b.py",
        "a+b.py",
        "ä.py",
        "x/" * 150 + "a.py",
        "x/" * 150 + "b.py",
        "a\nb.py",
    ]
    ids = [check_node_id(file_id(path)) for path in paths]
    assert ids[0] == "file:a.py"
    assert len(set(ids)) == len(paths)
    assert ids == [file_id(path) for path in paths]
