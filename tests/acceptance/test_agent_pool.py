"""`smithers agents pool` and `unpark`, as they are typed."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import closing

from smithers.clock import SystemClock
from smithers.store import open_store
from tests.acceptance.process import SMITHERS, Project, environment

FLOW = """
class Slow:
    name = "slow-agent"
    pool = "slow"
    async def call(self, request):
        from smithers import AgentReply
        note(request.task.node)
        while not (HERE / "go").exists():
            await asyncio.sleep(0.02)
        return AgentReply(output={"text": "x"})

@workflow
def flow(ctx):
    agent = Slow()
    return Parallel(Task(f"t{n}", Text, agent=agent, prompt="Go.") for n in range(4))
"""


def test_a_pool_is_made_smaller_before_a_run_and_larger_while_it_goes_on(project: Project) -> None:
    project.write(FLOW)
    assert project.run("agents", "pool", "slow", "1").returncode == 0
    up = subprocess.Popen(
        [SMITHERS, "up", "flow.py", "-r", "r1"], cwd=project.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    executed = project.folder / "executed"
    until(executed.exists)
    (one,) = pools(project)
    assert one == {"name": "slow", "at_work": 1, "places": 1, "for": ["r1 t0"]}
    assert "r1 t0" in project.run("agents", "pool").stdout
    assert project.run("agents", "pool", "slow", "3").returncode == 0
    until(lambda: len(executed.read_text().splitlines()) == 3)
    time.sleep(0.6)
    assert len(executed.read_text().splitlines()) == 3
    project.touch("go")
    assert up.wait(30) == 0
    assert pools(project) == [{"name": "slow", "at_work": 0, "places": 3, "for": []}]
    assert project.run("agents", "pool", "slow", "default").returncode == 0
    assert pools(project) == []


def test_what_is_no_number_of_places_is_refused(project: Project) -> None:
    for word in ("0", "-1", "many", "1.5"):
        assert project.run("agents", "pool", "--", "slow", word).returncode == 4


def test_json_is_of_the_pool_that_was_named(project: Project) -> None:
    for name in ("one", "two"):
        assert project.run("agents", "pool", name, "3").returncode == 0
    assert [one["name"] for one in pools(project)] == ["one", "two"]
    assert [one["name"] for one in pools(project, "two")] == ["two"]
    assert pools(project, "three") == []


def test_an_account_that_is_parked_may_be_asked_again(project: Project) -> None:
    assert "nothing is parked" in project.run("agents", "unpark", "claude-code").stdout
    project.write(FLOW)
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0
    opened = open_store(project.store, clock=SystemClock(), create=False)
    with closing(opened.calls()) as calls:
        calls.park("claude-code", int(time.time() * 1000) + 60_000, "limit", first_ms=1, cap_ms=1)
    assert "may be asked again" in project.run("agents", "unpark", "claude-code").stdout
    assert "is not parked" in project.run("agents", "unpark", "claude-code").stdout


def pools(project: Project, *names: str) -> list[dict[str, object]]:
    found = json.loads(project.run("agents", "pool", *names, "--json").stdout)
    assert found["status"] == "ok"
    listed: list[dict[str, object]] = found["pools"]
    return listed


def until(condition: object) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
