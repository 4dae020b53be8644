"""The test of a workflow: `--crash-everywhere` kills it at each operation of its store, and resumes it.

pytest test_repo_report.py
pytest test_repo_report.py --crash-everywhere
"""

from __future__ import annotations

from pathlib import Path

from repo_report import repo_report

from smithers.testing import ScriptedAgent, WorkflowRunner, assert_no_reruns

FORKS = "    if a == {0}:\n        return {0}\n"


def branching(name: str, ways: int) -> str:
    """A function of complexity `ways`."""
    return f"def {name}(a):\n" + "".join(FORKS.format(number) for number in range(ways - 1))


def test_the_most_complex_functions_are_reported(run_workflow: WorkflowRunner, tmp_path: Path) -> None:
    repo, out = tmp_path / "repo", tmp_path / "out"
    repo.mkdir()
    (repo / "hot.py").write_text(branching("hot", 40))
    (repo / "warm.py").write_text(branching("warm", 30))
    (repo / "cold.py").write_text("def cold():\n    pass  # TODO: more\n")
    writer = ScriptedAgent({"text": "Split hot()."})

    run = run_workflow(
        repo_report,
        {"repo": str(repo), "max_hot_spots": 1, "report": str(out / "report.md")},
        agents=writer,
        files=out,
    )

    assert run.output is not None
    assert run.output.hot_spots == ["hot.py:1 hot"]
    assert run.attempts["narrow"] == 2
    assert writer.calls("summary") == 1
    assert "Split hot()." in (out / "report.md").read_text()
    assert_no_reruns(run)
