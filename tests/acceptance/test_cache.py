"""The cache, as a user meets it: two runs, an edit, a crash, and the commands that tell of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from tests.acceptance.process import Project

ASK = """
from smithers import Cache
from smithers.testing import ScriptedAgent

def answer(request):
    note(request.task.node)
    return {{"text": request.prompt.upper()}}

@workflow
def flow(ctx):
    agent = ScriptedAgent(answer, last=True)
    draft = Task("draft", Text, agent=agent, prompt="{prompt}", cache=Cache(by=lambda ctx: ctx.input))
    return Sequence(draft, Task("done", Text, deps=draft, run=lambda d: d))
"""

DIES = """
from pydantic import field_serializer
from smithers import Cache

class Made(BaseModel):
    text: str

    @field_serializer("text")
    def _text(self, text):
        # The function has returned, and nothing of that is stored.
        if (HERE / "die").exists():
            (HERE / "die").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return text

def make():
    note("make")
    return Made(text="made")

@workflow
def flow(ctx):
    return Task("make", Made, run=make, cache=Cache())
"""


def cache_of(project: Project, run: str, node: str = "draft") -> Any:
    return project.document("why", run, node)["cache"]


def entries(project: Project) -> list[Any]:
    found: list[Any] = project.document("cache")["entries"]
    return found


def test_a_second_run_takes_what_the_first_has_stored_and_an_edited_prompt_does_not(project: Project) -> None:
    project.write(ASK.format(prompt="go"))
    assert project.run("up", "flow.py", "-r", "r1").stdout == '{"text": "GO"}\n'
    second = project.run("up", "flow.py", "-r", "r2")
    assert second.stdout == '{"text": "GO"}\n'
    assert "draft from the cache" in second.stderr
    assert project.executed() == ["draft"]
    project.write(ASK.format(prompt="go on"))
    assert project.run("up", "flow.py", "-r", "r3").stdout == '{"text": "GO ON"}\n'
    assert project.run("up", "flow.py", "-r", "r4", "-i", '{"k": 1}').returncode == 0
    assert project.executed() == ["draft"] * 3

    assert (cache_of(project, "r1")["verdict"], cache_of(project, "r1")["key"]) == (
        "empty",
        cache_of(project, "r2")["key"],
    )
    hit = cache_of(project, "r2")
    assert (hit["hit"], hit["run"], hit["node"], hit["differs"]) == (True, "r1", "draft", [])
    assert hit["text"].startswith("hit: stored by run r1 ")
    miss = cache_of(project, "r3")
    assert (miss["hit"], miss["verdict"], miss["differs"], miss["run"]) == (
        False,
        "differs",
        ["prompt"],
        "r1",
    )
    assert cache_of(project, "r4")["differs"] == ["by"]
    assert (
        "cache miss: prompt differs from what was stored by run r1"
        in project.run("why", "r3", "draft").stdout
    )
    assert cache_of(project, "r2", "done") is None


def test_a_hit_is_shown_by_whatever_shows_attempts(project: Project) -> None:
    project.write(ASK.format(prompt="go"))
    for run in ("r1", "r2"):
        assert project.run("up", "flow.py", "-r", run).returncode == 0
    (attempt,) = project.document("node", "r2", "draft")["attempts"]
    assert (attempt["state"], attempt["cached"], attempt["cache"]["run"]) == ("finished", True, "r1")
    assert attempt["agent"] is None
    node = project.run("node", "r2", "draft").stdout
    assert "1  cached" in node
    assert "Cache     hit: stored by run r1" in node
    assert "draft  finished      1" in project.run("inspect", "r2").stdout
    assert "(cached)" in project.run("inspect", "r2").stdout
    assert "node-finished draft attempt 1  cached=r1" in project.run("logs", "r2").stdout
    (row,) = (row for row in project.document("inspect", "r2")["nodes"] if row["node"] == "draft")
    assert row["agent"] is None


def test_a_kill_between_execution_and_commit_stores_nothing_and_the_resume_executes_again(
    project: Project,
) -> None:
    project.write(DIES)
    project.touch("die")
    assert project.run("up", "flow.py", "-r", "r1").returncode == -9
    assert (project.executed(), entries(project)) == (["make"], [])
    with closing(sqlite3.connect(project.store)) as plain:
        for table in ("smithers_cache", "smithers_lookups", "smithers_outputs"):
            assert plain.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert project.run("up", "--resume", "r1").stdout == '{"text": "made"}\n'
    assert project.executed() == ["make", "make"]
    assert [row["run"] for row in entries(project)] == ["r1"]
    assert project.run("up", "flow.py", "-r", "r2").stdout == '{"text": "made"}\n'
    assert project.executed() == ["make", "make"]


def test_what_is_cleared_is_executed_by_the_next_run(project: Project) -> None:
    assert project.run("cache").stdout.startswith("Nothing is stored.")
    assert project.run("cache", "clear").stdout == "nothing to clear\n"
    assert not project.store.exists()
    project.write(ASK.format(prompt="go"))
    project.run("up", "flow.py", "-r", "r1")
    (entry,) = entries(project)
    assert (entry["workflow"], entry["task"], entry["scope"], entry["run"]) == (
        "flow",
        "draft",
        "workflow",
        "r1",
    )
    assert sorted(entry["parts"]) == ["agent", "by", "prompt", "schema"]
    assert entry["key"][:12] in project.run("cache", "list").stdout
    project.run("up", "flow.py", "-r", "other", "-i", '{"k": 1}')
    short = project.run("cache", "-n", "1", "--task", "draft")
    assert "more: smithers cache -n 10 --task draft" in short.stderr
    assert short.stdout.count("draft") == 1
    assert project.document("cache", "clear", "--task", "other") == {"status": "ok", "cleared": 0}
    assert project.document("cache", "clear", "--workflow", "flow", "--task", "draft")["cleared"] == 2
    assert project.document("cache") == {"status": "ok", "entries": []}
    assert project.run("output", "r1").stdout == '{"text":"GO"}\n'
    project.run("up", "flow.py", "-r", "r2")
    assert (project.executed(), cache_of(project, "r2")["verdict"]) == (["draft"] * 3, "empty")


def test_a_rerun_executes_again_and_says_so(project: Project) -> None:
    project.write(ASK.format(prompt="go"))
    for run in ("r1", "r2"):
        project.run("up", "flow.py", "-r", run)
    assert project.run("up", "--resume", "r2", "--rerun", "draft").returncode == 0
    assert project.executed() == ["draft"] * 2
    assert cache_of(project, "r2")["verdict"] == "rerun"
    assert [row["run"] for row in entries(project)] == ["r2"]


def test_a_rehearsal_leaves_the_cache_alone(project: Project) -> None:
    project.write(ASK.format(prompt="go"))
    assert project.run("up", "flow.py", "-r", "r1", "--rehearse").returncode == 0
    assert (entries(project), cache_of(project, "r1")) == ([], None)


def test_a_bad_cache_is_refused_before_anything_runs(project: Project) -> None:
    project.write(ASK.format(prompt="go").replace("cache=Cache(", 'cache=Cache(scope="global", '))
    done = project.run("up", "flow.py")
    assert done.returncode == 4
    assert "[INVALID_NODE]" in done.stderr
    assert f"flow.py:{project.line('scope=')}" in done.stderr
