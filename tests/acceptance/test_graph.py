"""`graph`: what a workflow takes and what it would begin with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.process import Project

FLOW = """
from typing import Literal
from pydantic import Field

class Ticket(BaseModel):
    goal: str
    size: Literal["s", "m"] = "s"
    tags: list[str] = Field(default_factory=list, description="what it is about")

def coder(prompt):
    note("called")
    return {"text": prompt}

def body(i):
    note("called")
    return Task("inside", Text, value=Text())

@workflow(output=Text)
def ship(ctx: Context[Ticket]):
    research = Task("research", Text, agent=coder, prompt=ctx.input.goal)
    plan = Task("plan", Text, agent=[coder, coder], deps=research, prompt=lambda r: r.text)
    return Sequence(
        research,
        plan,
        Parallel(
            Task("lint", Text, run=lambda: Text(), depends_on="research", continue_on_fail=True),
            Task("test", Text, value=Text()),
            max_concurrency=2,
            on_failure="cancel",
            id="checks",
        ),
        Loop(body, id="refine", max_iterations=3, on_max_reached="fail"),
        Loop(Task("draft", Text, value=Text()), max_iterations=None),
    )
"""


@pytest.fixture
def flow(project: Project) -> Project:
    project.write(FLOW)
    return project


def test_the_tree_is_shown_with_kinds_edges_and_limits_at_80_columns(flow: Project) -> None:
    done = flow.run("graph", "flow.py", "--input", '{"goal": "x"}')
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "Workflow  ship (flow.py:ship)",
        "Input     Ticket",
        "            goal: str",
        "            size: Literal['s', 'm'] = \"s\"",
        "            tags: list[str] = []  (what it is about)",
        "Output    Text",
        "",
        "NODE               KIND      DETAIL",
        "sequence:research  sequence",
        "  research         task      Text · agent coder",
        "  plan             task      Text · agent coder, then coder · ← research",
        "  checks           parallel  at most 2 at once · cancels the others on failure",
        "    lint           task      Text · run · after research · may fail",
        "    test           task      Text · value",
        "  refine           loop      at most 3 passes · fails at its limit",
        "    refine:body    body      made when reached",
        "  loop:draft       loop      no limit of passes",
        "    draft          task      Text · value",
    ]


def test_nothing_is_run_and_nothing_is_stored(flow: Project) -> None:
    flow.run("graph", "flow.py", "--input", '{"goal": "x"}')
    assert flow.executed() == []
    assert not flow.store.exists()


def test_without_its_input_it_still_says_which_it_takes(flow: Project) -> None:
    done = flow.run("graph", "flow.py")
    assert done.returncode == 4
    assert "goal: str\n" in done.stdout
    assert "NODE" not in done.stdout
    assert "goal: Field required" in done.stderr


def test_json_nests_the_tree_and_names_every_fact(flow: Project) -> None:
    found = flow.document("graph", "flow.py", "--input", '{"goal": "x"}')
    assert (found["status"], found["workflow"], found["output"]) == ("ok", "ship", "Text")
    assert found["input"]["model"] == "Ticket"
    assert found["input"]["fields"][1] == {
        "name": "size", "type": "Literal['s', 'm']", "required": False, "default": "s", "description": None,
    }  # fmt: skip
    nodes = {node["id"]: node for node in walk(found["tree"])}
    assert list(nodes)[:3] == ["sequence:research", "research", "plan"]
    assert nodes["plan"]["deps"] == ["research"]
    assert nodes["plan"]["agents"] == ["coder", "coder"]
    assert nodes["plan"]["place"].endswith(f"flow.py:{flow.line('plan = Task')}")
    assert nodes["lint"]["after"] == ["research"]
    assert (nodes["checks"]["max_concurrency"], nodes["checks"]["on_failure"]) == (2, "cancel")
    assert (nodes["refine"]["max_iterations"], nodes["refine"]["on_max_reached"]) == (3, "fail")
    assert nodes["refine:body"]["made_when_reached"] is True
    assert "children" not in nodes["refine:body"]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(inner for child in node.get("children", []) for inner in walk(child))]


def test_a_workflow_without_an_input_model_takes_any_object(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("a", Text, value=Text())
    """)
    assert "Input     any JSON object\n" in project.run("graph", "flow.py").stdout
    assert project.document("graph", "flow.py")["input"] == {"model": None, "fields": []}
