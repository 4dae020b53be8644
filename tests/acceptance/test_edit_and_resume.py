"""Resumes as users of other tools have asked for them, and edits in mid-run."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.process import SMITHERS, Project, environment, wait_until

AGENT = """
from smithers import AgentReply
from smithers.testing import ScriptedAgent
from random import Random

class Item(BaseModel):
    n: int = 0

def scripted(answer):
    def reply(request):
        note(request.task.node)
        return answer(request)
    return ScriptedAgent(reply, last=True)

class Shuffled:
    name = "shuffled"
    identity = {}
    def __init__(self, seed):
        self.random = Random(seed)
    async def call(self, request):
        note(request.task.node)
        await asyncio.sleep(self.random.random() / 20)
        return AgentReply(output={"n": 1})
"""

ANSWER = (
    AGENT
    + """
def answer(request):
    if request.task.node in ("item:4", "item:57") and not (HERE / "mended").exists():
        raise RuntimeError("the agent died")
    return {"n": 1}

agent = scripted(answer)

def item(i):
    return Task(f"item:{i}", Item, agent=agent, prompt=f"item {i}", retries=0, continue_on_fail=True)
"""
)
FAN_OUT = {
    "tree": ANSWER
    + """
@workflow
def flow(ctx):
    return Parallel([item(i) for i in range(102)], max_concurrency=50)
""",
    "script": ANSWER
    + """
@workflow
async def flow(ctx):
    await ctx.map(item, range(102), max_concurrency=50)
""",
}
forms = pytest.mark.parametrize("form", ["tree", "script"])


def ran(project: Project) -> Counter[str]:
    """What has been executed since the last look."""
    found = Counter(project.executed())
    (project.folder / "executed").unlink(missing_ok=True)
    return found


# --- What a resume runs ---------------------------------------------------------------------------


@forms
def test_of_102_agents_two_fail_early_and_a_resume_runs_exactly_these_two(
    project: Project, form: str
) -> None:
    project.write(FAN_OUT[form])
    assert project.run("up", "flow.py", "-r", "r1", "-c", "50").returncode == 5
    assert ran(project) == Counter({f"item:{number}": 1 for number in range(102)})
    plan = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert plan["counts"] == {"run": 2, "changed": 0, "blocked": 0, "gone": 0, "keep": 100}
    project.touch("mended")
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    assert ran(project) == {"item:4": 1, "item:57": 1}


SHUFFLED = {
    "tree": """
@workflow
def flow(ctx):
    agent = Shuffled(SEED)
    items = [Task(f"item:{i}", Item, agent=agent, prompt=f"item {i}") for i in ORDER]
    return Sequence(Parallel(items), Task("last", Item, run=last, retries=0))
""",
    "script": """
@workflow
async def flow(ctx):
    agent = Shuffled(SEED)
    async def two(i):
        await ctx.run(Task(f"item:{i}", Item, agent=agent, prompt=f"item {i}"))
        await ctx.run(Task(f"item:{i}:more", Item, agent=agent, prompt=f"more of {i}"))
    async with asyncio.TaskGroup() as group:
        for i in ORDER:
            group.create_task(two(i))
    await ctx.run(Task("last", Item, run=last, retries=0))
""",
}


@forms
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_in_which_agents_finish_is_no_reason_to_run_one_again(
    project: Project, seed: int, form: str
) -> None:
    text = (
        AGENT
        + """
def last():
    note("last")
    if not (HERE / "mended").exists():
        raise RuntimeError("half-way")
    return Item()
"""
        + SHUFFLED[form]
    )
    project.write(text.replace("SEED", str(seed)).replace("ORDER", "range(30)"))
    assert project.run("up", "flow.py", "-r", "r1").returncode == 1
    assert set(ran(project).values()) == {1}
    project.touch("mended")
    project.write(text.replace("SEED", str(seed + 100)).replace("ORDER", "reversed(range(30))"))
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    assert ran(project) == {"last": 1}


TWO_STEPS = {
    "tree": """
@workflow
def flow(ctx):
    return Sequence(first, Task("second", Item, agent=agent, prompt="two", depends_on=first))
""",
    "script": """
@workflow
async def flow(ctx):
    found = await ctx.run(first)
    await ctx.run(Task("second", Item, agent=agent, prompt=f"two of {found.n}"))
""",
}


@forms
def test_the_result_of_an_agent_that_died_and_was_tried_again_is_found_after_a_crash(
    project: Project, form: str
) -> None:
    project.write(
        AGENT
        + """
def answer(request):
    if request.task.node == "first" and request.attempt == 1:
        raise ConnectionError("the agent was killed")
    if request.task.node == "second" and not (HERE / "go").exists():
        (HERE / "reached").touch()
        wait_for("never")
    return {"n": request.attempt}

agent = scripted(answer)
first = Task("first", Item, agent=agent, prompt="one", retry_policy=RetryPolicy(initial_delay=0.01))
"""
        + TWO_STEPS[form]
    )
    owner = project.start("up", "flow.py", "-r", "r1")
    wait_until((project.folder / "reached").exists, "the second agent")
    owner.kill()
    owner.wait()
    assert ran(project) == {"first": 2, "second": 1}
    project.touch("go")
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    assert ran(project) == {"second": 1}
    assert project.run("output", "r1", "first").stdout == '{"n":2}\n'


FIFTY = {
    "tree": """
@workflow
def flow(ctx):
    return Parallel(*(item(i) for i in range(50)))
""",
    "script": """
@workflow
async def flow(ctx):
    await ctx.gather(item(i) for i in range(50))
""",
}


@forms
def test_of_50_agents_that_are_killed_together_none_that_had_finished_runs_again(
    project: Project, form: str
) -> None:
    project.write(
        AGENT
        + """
class Half:
    name = "half"
    identity = {}
    async def call(self, request):
        note(request.task.node)
        if int(request.task.node.split(":")[1]) % 2 and not (HERE / "go").exists():
            await asyncio.sleep(60)
        return AgentReply(output={"n": 1})

def item(i):
    return Task(f"item:{i}", Item, agent=Half(), prompt=f"item {i}")
"""
        + FIFTY[form]
    )
    owner = project.start("up", "flow.py", "-r", "r1", "-c", "50")
    wait_until(
        lambda: list(project.states("r1").values()).count("finished") == 25 if project.runs() else False,
        "half of them",
    )
    owner.kill()
    owner.wait()
    ran(project)
    project.touch("go")
    assert project.run("up", "flow.py", "--resume", "r1", "-c", "50").returncode == 0
    assert ran(project) == {f"item:{number}": 1 for number in range(1, 50, 2)}


@forms
def test_another_directory_session_and_process_resume_the_same_run(
    project: Project, tmp_path: Path, form: str
) -> None:
    project.write(FAN_OUT[form])
    assert project.run("up", "flow.py", "-r", "r1").returncode == 5
    ran(project)
    project.touch("mended")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    done = subprocess.run(
        [SMITHERS, "up", "--resume", "r1", "--store", os.fspath(project.store)],
        check=False,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        start_new_session=True,
        env=environment(HOME=os.fspath(elsewhere), USER="somebody", TMPDIR=os.fspath(elsewhere)),
    )
    assert done.returncode == 0, done.stderr
    assert ran(project) == {"item:4": 1, "item:57": 1}


CHAIN = (
    AGENT
    + """
@workflow
def flow(ctx):
    agent = scripted(lambda request: {"n": 1})
    plan = Task("plan", Item, agent=agent, prompt="plan")
    items = [Task(f"item:{i}", Item, agent=agent, prompt=f"item {i}", deps=plan) for i in range(6)]
    sums = [
        Task(f"sum:{i}", Item, agent=agent, prompt=lambda item: f"sum {item.n}", deps=items[i])
        for i in range(6)
    ]
    return Sequence(plan, Parallel(items), Parallel(sums))
"""
)


def test_k_edited_prompts_run_exactly_these_and_their_dependants(project: Project) -> None:
    project.write(CHAIN)
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0
    ran(project)
    project.write(CHAIN.replace('f"item {i}"', 'f"item {i}" + (" well" if i in (1, 4) else "")'))
    plan = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert plan["counts"] == {"run": 0, "changed": 2, "blocked": 0, "gone": 0, "keep": 11}
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    assert ran(project) == {}
    plan = project.document("up", "flow.py", "--plan", "--rerun", "changed", "--resume", "r1")
    assert {task["node"] for task in plan["tasks"] if task["verdict"] == "run"} == {
        "item:1", "item:4", "sum:1", "sum:4"
    }  # fmt: skip
    assert project.run("up", "flow.py", "--rerun", "changed", "--resume", "r1").returncode == 0
    assert ran(project) == {"item:1": 1, "item:4": 1, "sum:1": 1, "sum:4": 1}
    again = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert again["counts"]["keep"] == 13


ASKED = (
    AGENT
    + """
agent = scripted(lambda request: {"n": len(request.prompt)})

def ask(name, prompt):
    return Task(name, Item, agent=agent, prompt=prompt)

@workflow
async def flow(ctx):
    plan = await ctx.run(ask("plan", "plan"))
    items = await ctx.gather(ask(f"item:{i}", f"item {i} of {plan.n}") for i in range(6))
    await ctx.map(lambda i: ask(f"sum:{i}", f"sum {items[i].n}"), range(6))
"""
)


def test_k_edited_prompts_of_a_script_run_exactly_these_and_what_is_asked_otherwise_for_them(
    project: Project,
) -> None:
    project.write(ASKED)
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0
    assert ran(project).total() == 13
    project.write(
        ASKED.replace('f"item {i} of {plan.n}"', 'f"item {i} of {plan.n}" + (" well" if i in (1, 4) else "")')
    )
    plan = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert plan["counts"] == {"run": 0, "changed": 2, "blocked": 0, "gone": 0, "keep": 11}
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0
    assert ran(project) == {}
    assert project.run("up", "flow.py", "--rerun", "changed", "--resume", "r1").returncode == 0
    assert ran(project) == {"item:1": 1, "item:4": 1, "sum:1": 1, "sum:4": 1}
    again = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert again["counts"]["keep"] == 13


@forms
def test_a_run_that_has_lost_agents_is_partial_and_never_finished(project: Project, form: str) -> None:
    project.write(FAN_OUT[form])
    done = project.run("up", "flow.py", "-r", "r1", "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["status"] == "partial"
    plan = project.document("up", "flow.py", "--plan", "--resume", "r1")
    assert {task["node"]: task["reason"] for task in plan["tasks"] if task["verdict"] == "run"} == {
        "item:4": "failed; a resume tries it again",
        "item:57": "failed; a resume tries it again",
    }


# --- The plan -------------------------------------------------------------------------------------


def test_a_plan_of_a_run_that_somebody_drives_is_shown_and_disturbs_nobody(project: Project) -> None:
    process = project.reach_build()
    done = project.run("up", "flow.py", "--plan", "--resume", "r1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "r1 (running): 1 run, 1 keep",
        "",
        "VERDICT  TASK   REASON",
        "run      build  runs now",
        "keep     plan   finished",
        "",
        "to do this: smithers up flow.py --run-id r1 --resume",
    ]
    project.touch("go")
    assert process.wait(30) == 0
    assert project.executed() == ["plan", "build"]


def test_a_plan_names_what_was_edited_away_before_anything_runs(project: Project) -> None:
    project.die_in_build()
    text = (project.folder / "flow.py").read_text()
    (project.folder / "flow.py").write_text(text.replace('Task("build"', 'Task("make"'))
    plan = project.document("up", "--plan", "--resume", "r1")
    assert {task["node"]: (task["verdict"], task["reason"]) for task in plan["tasks"]} == {
        "plan": ("keep", "finished"),
        "make": ("run", "new"),
        "build": ("gone", "was cut off, and is not in the file any more"),
    }
    assert project.executed() == ["plan", "build"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["flow.py", "--plan"], "USAGE", "smithers graph"),
        (["flow.py", "--rerun", "plan"], "USAGE", None),
        (["flow.py", "--rerun", "plam", "--resume", "r1"], "NODE_NOT_FOUND", "did you mean plan?"),
        (["flow.py", "--retry", "plan", "--resume", "r1"], "NODE_SETTLED", "--rerun NODE"),
        (["flow.py", "--rerun", "plan[3]", "--resume", "r1"], "PASS_ENDED", "new run"),
        (["flow.py", "--plan", "-d", "--resume", "r1"], "USAGE", None),
        (["flow.py", "--plan", "--resume", "r9"], "RUN_NOT_FOUND", None),
    ],
)
def test_what_cannot_be_done_again_is_refused_and_nothing_changes(
    project: Project, words: list[str], code: str, hint: str | None
) -> None:
    project.die_in_build()
    before = project.runs()[0]
    done = project.run("up", *words)
    assert (done.returncode, done.stderr.partition("]")[0]) == (4, f"[{code}")
    assert hint is None or hint in done.stderr
    after = project.runs()[0]
    assert (after.state, after.seq, after.frame) == (before.state, before.seq, before.frame)


def test_a_strict_resume_wants_to_know_what_becomes_of_a_change(project: Project) -> None:
    project.write(CHAIN)
    project.run("up", "flow.py", "-r", "r1")
    ran(project)
    project.write(CHAIN.replace('prompt="plan"', 'prompt="plan well"'))
    refused = project.run("up", "flow.py", "--strict", "--resume", "r1")
    assert refused.returncode == 4
    assert "[PLAN_CHANGED] 1 finished tasks are not what the file asks for now: plan" in refused.stderr
    assert project.run("up", "flow.py", "--strict", "--rerun", "plan", "--resume", "r1").returncode == 0
    assert sum(ran(project).values()) == 13


def test_an_impure_render_is_refused_by_a_strict_start(project: Project) -> None:
    project.write(
        """
        @workflow
        def flow(ctx):
            return Task("a", Text, value=Text(text=str(time.perf_counter_ns())))
        """
    )
    refused = project.run("up", "flow.py", "--strict", "-r", "r1")
    assert refused.returncode == 4
    assert refused.stderr.startswith("[RENDER_IMPURE] a render made a, and made it otherwise the second time")
    assert project.runs() == []


def test_a_detached_resume_executes_again_what_it_was_told_to(project: Project) -> None:
    project.write(CHAIN)
    project.run("up", "flow.py", "-r", "r1")
    ran(project)
    assert project.run("up", "flow.py", "-d", "--rerun", "sum:3", "--resume", "r1").returncode == 0
    project.await_executed("sum:3")
    wait_until(lambda: project.runs()[0].state.word == "finished", "the run's end")
    assert ran(project) == {"sum:3": 1}
