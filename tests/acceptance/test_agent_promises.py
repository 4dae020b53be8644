"""What other systems' users miss most of agents in workflows, each as a user would see it here."""

from __future__ import annotations

import json
import subprocess
import time

from tests.acceptance.process import SMITHERS, Project, environment

AGENT = """
from smithers import AgentReply, Budget
from smithers.errors import AgentQuota
from smithers.records import Usage

class Agent:
    def __init__(self, name, account, answer):
        self.name, self.account, self.answer = name, account, answer
        self.asked = 0

    async def call(self, request):
        self.asked += 1
        said = {"at": time.time(), "task": str(request.task), "session": request.session}
        said["account"] = self.account
        with (HERE / "calls").open("a") as file:
            file.write(json.dumps(said) + "\\n")
        await asyncio.sleep(0.05)
        return await self.answer(self, request)

async def fine(agent, request):
    return AgentReply(output={"text": "done"}, session=request.session or f"s-{request.task.node}")
"""


def calls(project: Project) -> list[dict[str, object]]:
    file = project.folder / "calls"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_after_the_first_limit_error_nothing_of_that_account_is_dispatched_before_its_reset(
    project: Project,
) -> None:
    """Of 40 agents in a fan-out, those that wait for a slot when the limit is met are not begun."""
    project.write(
        AGENT
        + """
async def limited(agent, request):
    if not (HERE / "reset").exists():
        (HERE / "reset").write_text(str(time.time() + 2.0))
    until = float((HERE / "reset").read_text())
    if time.time() < until:
        raise AgentQuota("used up", resets_ms=int(until * 1000) + 1)
    return await fine(agent, request)

@workflow(max_concurrency=4)
def flow(ctx):
    agent = Agent("limited", "shared", limited)
    return Parallel(Task(f"t{n}", Text, agent=agent, prompt="Go.", retries=0) for n in range(40))
"""
    )
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 0, done.stderr
    reset = float((project.folder / "reset").read_text())
    first = [call for call in calls(project) if float(str(call["at"])) < reset - 0.01]
    assert len(first) <= 4, "only those that were under way when the limit was met"
    assert len(calls(project)) == len(first) + 40
    document = json.loads(project.run("inspect", "r1", "--json").stdout)
    counted = [
        one for node in document["nodes"] for one in node["attempts"] if one["failure"] and one["counted"]
    ]
    assert counted == []


def test_another_run_and_another_process_keep_to_a_limit_that_this_one_has_met(project: Project) -> None:
    project.write(
        AGENT
        + """
async def limited(agent, request):
    until = float((HERE / "reset").read_text())
    if time.time() < until:
        raise AgentQuota("used up", resets_ms=int(until * 1000) + 1)
    return await fine(agent, request)

@workflow
def flow(ctx):
    spare = Agent("spare", "other", fine)
    return Task("a", Text, agent=[Agent("limited", "shared", limited), spare], prompt="Go.", retries=0)
"""
    )
    (project.folder / "reset").write_text(str(time.time() + 60))
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0
    assert project.run("up", "flow.py", "-r", "r2").returncode == 0
    assert [call["account"] for call in calls(project)] == ["shared", "other", "other"]


def test_a_run_that_waits_for_a_limit_shows_it_and_goes_on_by_itself(project: Project) -> None:
    project.write(
        AGENT
        + """
async def limited(agent, request):
    if agent.asked == 1:
        raise AgentQuota("used up", resets_ms=int(time.time() * 1000) + 2_500)
    return await fine(agent, request)

AGENT = Agent("limited", "shared", limited)

@workflow
def flow(ctx):
    return Task("a", Text, agent=AGENT, prompt="Go.")
"""
    )
    up = subprocess.Popen(
        [SMITHERS, "up", "flow.py", "-r", "r1"], cwd=project.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 20
    while "waiting-quota" not in (shown := project.run("ps").stdout):
        assert time.monotonic() < end, shown
        assert up.poll() is None, shown
    assert "shared" in project.run("why", "r1").stdout
    assert up.wait(30) == 0


def test_an_agent_that_gives_up_with_a_placeholder_is_not_believed(project: Project) -> None:
    project.write(
        AGENT
        + """
class Review(BaseModel):
    summary: str
    findings: list[str]

async def tired(agent, request):
    if agent.asked == 1:
        return AgentReply(text="I have read it all and there are three faults in the parser.", session="s")
    return AgentReply(text='{"summary": "test", "findings": []}', session="s")

@workflow
def flow(ctx):
    return Task("review", Review, agent=Agent("tired", "mine", tired), prompt="Review.")
"""
    )
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 0, done.stderr
    assert "placeholder" in done.stderr
    node = json.loads(project.run("inspect", "r1", "--json").stdout)["nodes"][0]
    assert node["reason"].startswith("suspect: ")


def test_a_policy_sees_every_attempt_and_can_deny_it(project: Project) -> None:
    project.write(
        AGENT
        + """
def policy(request):
    note(f"{request.node}-{request.attempt}-{request.mode}")
    return "nothing is deployed on Fridays" if request.node == "deploy" else None

@workflow(policy=policy)
def flow(ctx):
    agent = Agent("any", "mine", fine)
    build = Task("build", Text, agent=agent, prompt="Build.")
    check = Task("check", Text, run=lambda: Text())
    return Sequence(build, check, Task("deploy", Text, agent=agent, prompt="Go."))
"""
    )
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 1
    assert "[POLICY_DENIED]" in done.stderr or "nothing is deployed on Fridays" in done.stderr
    assert project.executed() == ["build-1-agent", "check-1-run", "deploy-1-agent"]
    assert [call["task"] for call in calls(project)] == ["build"]


def test_a_later_step_goes_on_in_the_same_session_also_in_another_process(project: Project) -> None:
    project.write(
        AGENT
        + """
@workflow
def flow(ctx):
    agent = Agent("any", "mine", fine)
    plan = Task("plan", Text, agent=agent, prompt="Plan.")
    wait = Task("wait", Text, run=lambda: wait_for("go") or Text())
    return Sequence(plan, wait, Task("build", Text, agent=agent, prompt="Build.", continue_=plan))
"""
    )
    up = subprocess.Popen(
        [SMITHERS, "up", "flow.py", "-r", "r1"], cwd=project.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 20
    while not calls(project):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.2)
    up.kill()
    up.wait()
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert [call["session"] for call in calls(project)] == [None, "s-plan"]


def test_a_run_pauses_at_its_budget_and_goes_on_with_more(project: Project) -> None:
    project.write(
        AGENT
        + """
async def dear(agent, request):
    return AgentReply(output={"text": "x"}, usage=Usage(100, 10, cost_usd=1.0, cost_source="cli"))

@workflow
def flow(ctx):
    agent = Agent("dear", "mine", dear)
    return Sequence(Task(f"t{n}", Text, agent=agent, prompt="Go.") for n in range(5))
"""
    )
    first = project.run("up", "flow.py", "-r", "r1", "--max-usd", "2")
    assert first.returncode == 3, first.stderr
    assert "[BUDGET_EXCEEDED]" in first.stderr
    assert "--max-usd" in first.stderr
    assert len(calls(project)) == 2
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 3
    assert len(calls(project)) == 2
    done = project.run("up", "flow.py", "-r", "r1", "--resume", "--max-usd", "20")
    assert done.returncode == 0, done.stderr
    assert len(calls(project)) == 5
    assert project.run("up", "flow.py", "-r", "r2", "--max-usd", "0").returncode == 4
