"""`smithers graph`: what a workflow takes, and the tree of its first frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from smithers.cli import terminal
from smithers.cli.given import read_input
from smithers.cli.load import Target, load, locate
from smithers.cli.options import json_option, store_option
from smithers.cli.table import Column, Table, cut
from smithers.errors import InputError
from smithers.ids import NodeKey

if TYPE_CHECKING:
    from smithers.authoring import Workflow
    from smithers.plan import PlanNode, TaskPlan

_KINDS = {
    "SequencePlan": "sequence",
    "ParallelPlan": "parallel",
    "LoopPlan": "loop",
    "TryPlan": "try",
    "SagaPlan": "saga",
    "ScopePlan": "script",
}


class Field(NamedTuple):
    """One field of a workflow's input."""

    name: str
    type: str
    is_required: bool
    default: Any
    """As JSON; None for a required one."""
    description: str | None


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--input", "-i", "given", metavar="JSON|@FILE|-", help="The run's input; default: none.")
@json_option
@store_option
def graph(file: str, given: str | None, is_json: bool, store: str | None) -> None:
    """Show the input that the workflow in FILE takes, and the tree it would begin with.

    FILE is flow.py, flow.py:name or package.module:name. Nothing is run and nothing is stored. A part that is
    given as a function has no children here: it is made when the run reaches it. Of a script it is what it
    awaits first.

    \b
    --json: {"status": "ok", "workflow", "source", "output", "tree": NODE,
    "input": {"model", "fields": [{"name", "type", "required", "default",
    "description"}]}}; a NODE has "id", "kind", "place" and, by its kind,
    "children", "made_when_reached", "mode", "workflow", "output", "agents",
    "label", "meta", "deps", "after", "continue_on_fail", "max_iterations",
    "on_max_reached", "max_concurrency", "on_failure", "catch_errors",
    "parts": what each of the children of a try block or a saga is.
    """
    target = locate(file)
    value = read_input(given)
    workflow = load(target)
    fields = list(_fields(workflow.definition.input_model))
    if not is_json:
        # Before the tree: whoever lacks an input learns here what it is.
        _print_head(workflow, fields, _source(workflow, target, store))
    try:
        tree = workflow.graph(value)
    except InputError as error:
        error.hint = "pass --input with JSON that fits these fields, to see the tree too"
        raise
    if is_json:
        print(json.dumps(_document(workflow, fields, tree, _source(workflow, target, store)), default=str))
        return
    table = Table([Column("NODE", is_text=True), Column("KIND")], note_title="DETAIL")
    for plan, depth, part in _walk(tree):
        _add(table, plan, depth, part)
    print()
    print("\n".join(table.lines(terminal.width())))
    if workflow.definition.is_script:
        print("\nnote: it is a script: what it asks for after these is known when it gets there")


# --- On a screen ----------------------------------------------------------------------------------


def _print_head(workflow: Workflow[Any, Any], fields: list[Field], source: str) -> None:
    width = terminal.width()
    model = workflow.definition.input_model
    rows = [("Workflow", f"{workflow.name} ({source})")]
    if model is None:
        rows.append(("Input", "any JSON object"))
    else:
        rows.append(("Input", model.__name__ + ("" if fields else ", without fields")))
    rows += [("", _field_text(field)) for field in fields]
    if workflow.definition.output_model is not None:
        rows.append(("Output", workflow.definition.output_model))
    for name, text in rows:
        print(f"{terminal.style(name.ljust(9), None, bold=True)} {cut(text, width - 10)}".rstrip())


def _field_text(field: Field) -> str:
    """`priority: int = 3  (how soon)`."""
    default = "" if field.is_required else f" = {json.dumps(field.default, ensure_ascii=False, default=str)}"
    about = f"  ({field.description})" if field.description else ""
    return f"  {field.name}: {field.type}{default}{about}"


def _add(table: Table, plan: PlanNode, depth: int, part: str) -> None:
    facts = _facts(plan)
    details: list[str] = [facts[name] for name in ("output", "mode") if facts.get(name)]
    if facts.get("workflow"):
        details[-1] = f"run of {facts['workflow']}"
    if facts.get("agents"):
        details[-1] = f"agent {', then '.join(facts['agents'])}"
    if facts.get("deps"):
        details.append("← " + ", ".join(facts["deps"]))
    if facts.get("after"):
        details.append("after " + ", ".join(facts["after"]))
    details += _limits(facts)
    if "made_when_reached" in facts:
        details.append("made when reached")
    if part:
        details.insert(0, part)
    table.add("  " * depth + (plan.id or ""), facts["kind"], note=" · ".join(details))


def _limits(facts: dict[str, Any]) -> Iterator[str]:
    if facts["kind"] == "loop":
        limit = facts["max_iterations"]
        yield "no limit of passes" if limit is None else f"at most {limit} pass{'es' if limit != 1 else ''}"
        if facts["on_max_reached"] == "fail":
            yield "fails at its limit"
    if facts.get("max_concurrency") is not None:
        yield f"at most {facts['max_concurrency']} at once"
    if facts.get("on_failure") == "cancel":
        yield "cancels the others on failure"
    if facts.get("continue_on_fail"):
        yield "may fail"


# --- As JSON --------------------------------------------------------------------------------------


def _document(
    workflow: Workflow[Any, Any], fields: list[Field], tree: PlanNode, source: str
) -> dict[str, Any]:
    model = workflow.definition.input_model
    return {
        "status": "ok",
        "workflow": workflow.name,
        "source": source,
        "input": {
            "model": model.__name__ if model is not None else None,
            "fields": [
                {
                    "name": field.name,
                    "type": field.type,
                    "required": field.is_required,
                    "default": field.default,
                    "description": field.description,
                }
                for field in fields
            ],
        },
        "output": workflow.definition.output_model,
        "tree": _tree(tree),
    }


def _tree(plan: PlanNode) -> dict[str, Any]:
    """A plan as nested objects. At most as deep as a plan may be, which an interpreter's stack can hold."""
    found = {"id": plan.id, **_facts(plan), "place": str(plan.place) if plan.place else None}
    if found["kind"] != "task" and "made_when_reached" not in found:
        children = _children(plan)
        if any(part for part, _ in children):
            found["parts"] = [part for part, _ in children]
        found["children"] = [_tree(child) for _, child in children]
    return found


# --- Facts ----------------------------------------------------------------------------------------


def _walk(tree: PlanNode) -> Iterator[tuple[PlanNode, int, str]]:
    """Every plan node in document order, with its depth, and which part of a block it is."""
    todo = [(tree, 0, "")]
    while todo:
        plan, depth, part = todo.pop()
        yield plan, depth, part
        todo.extend((child, depth + 1, name) for name, child in reversed(_children(plan)))


def _facts(plan: PlanNode) -> dict[str, Any]:
    """What is known of a node besides its id and place."""
    from smithers.nodes import Loop, Parallel, Saga, TryCatchFinally
    from smithers.plan import HolePlan, LoopPlan, ParallelPlan, ScopePlan, TaskPlan, TryPlan

    if isinstance(plan, TaskPlan):
        return _task_facts(plan)
    payload = plan.payload
    if isinstance(plan, HolePlan):
        # A loop's body has the loop itself as its payload; a parallel or a branch stands for itself.
        kinds: dict[type, str] = {Loop: "body", TryCatchFinally: "catch"}
        kind = "body" if payload is None else kinds.get(type(payload)) or type(payload).__name__.lower()
        found: dict[str, Any] = {"kind": kind, "made_when_reached": True}
    else:
        is_quarantine = isinstance(plan, TryPlan) and isinstance(payload, Parallel)
        found = {"kind": "quarantine" if is_quarantine else _KINDS[type(plan).__name__]}
    if isinstance(plan, LoopPlan):
        found["max_iterations"] = plan.max_iterations
        found["on_max_reached"] = "fail" if plan.fail_on_max else "return-last"
    if isinstance(plan, ScopePlan) and plan.cap is not None:
        found = {"kind": "parallel", "max_concurrency": plan.cap, "on_failure": "wait"}
    if isinstance(payload, Saga):
        found["on_failure"] = payload.on_failure
    if isinstance(payload, TryCatchFinally) and payload.catch_errors and not isinstance(plan, HolePlan):
        found["catch_errors"] = list(payload.catch_errors)
    if isinstance(payload, Parallel) and isinstance(plan, ParallelPlan | HolePlan):
        found["max_concurrency"] = payload.max_concurrency
        found["on_failure"] = payload.on_failure
    return found


def _task_facts(plan: TaskPlan) -> dict[str, Any]:
    from smithers.agents import as_agent

    task = plan.payload
    return {
        "kind": "task",
        "mode": task.mode,
        "workflow": task.workflow.name if task.mode == "child" else None,
        "output": task.model_name,
        "agents": [as_agent(agent).name for agent in task.agents],
        "label": task.label,
        "meta": dict(task.meta) if task.meta is not None else None,
        "deps": [edge.target for edge in plan.edges if edge.needs_output],
        "after": [edge.target for edge in plan.edges if not edge.needs_output],
        "continue_on_fail": plan.continue_on_fail,
    }


def _children(plan: PlanNode) -> tuple[tuple[str, PlanNode], ...]:
    """The children of a node, each with the part of a block that it is, if it is one."""
    from smithers.plan import LoopPlan, ParallelPlan, SagaPlan, ScopePlan, SequencePlan, TryPlan

    if isinstance(plan, SequencePlan | ParallelPlan):
        return tuple(("", child) for child in plan.children)
    if isinstance(plan, ScopePlan):
        return tuple(("", shown) for child in plan.calls(NodeKey(plan.id)).plans for shown in _shown(child))
    if isinstance(plan, TryPlan | SagaPlan):
        from smithers.scheduler.block import parts_of

        return tuple((part.name, part.plan) for part in parts_of(plan))
    return tuple(("", shown) for shown in _shown(plan.body)) if isinstance(plan, LoopPlan) else ()


def _shown(plan: PlanNode) -> list[PlanNode]:
    """It, or what stands in it, where it only serves a script's plan."""
    from smithers.engine.scope import SCAFFOLD
    from smithers.plan import ScopePlan, TryPlan

    if plan.payload is not SCAFFOLD:
        return [plan]
    if isinstance(plan, ScopePlan):
        return [child for _, child in _children(plan)]
    return _shown(plan.body) if isinstance(plan, TryPlan) else []


def _fields(model: type[Any] | None) -> Iterator[Field]:
    """The fields of a pydantic model; none of anything else."""
    for name, field in getattr(model, "model_fields", {}).items():
        is_required = field.is_required()
        default = None if is_required else field.get_default(call_default_factory=True, validated_data={})
        if default is not None and hasattr(default, "model_dump"):
            default = default.model_dump(mode="json")
        yield Field(
            field.alias or name, _type_text(field.annotation), is_required, default, field.description
        )


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, type) and not getattr(annotation, "__args__", None):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _source(workflow: Workflow[Any, Any], target: Target, store: str | None) -> str:
    """How a run of it would name it: relative to the project, where there is one."""
    from smithers.store import find_store, project_root

    path = find_store(target.folder, store)
    return workflow.source(project_root(path) if path is not None else Path.cwd())
