"""What a task is, in 16 bytes: two attempts with the same fingerprint were asked for the same thing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from smithers.agents import CallableAgent
from smithers.nodes import Subflow, Task
from smithers.ports import Agent
from smithers.prompt import json_schema

from .attribute import Unknown
from .identity import Walk


def fingerprint(task: Task[Any], agents: Sequence[Agent], model: type[Any] | None = None) -> bytes | None:
    """Hash of a task's mode, prompt or code, `skip_if`, what it is given, its agents and its output schema.

    Pure, except that the first call for a function reads its file. What a function names in its module is
    looked at then, and not again. How a task is retried, timed and named is no part of it.

    Args:
        agents: the chain that answers the task; empty unless it has a prompt.
        model: what the output must fit, where the task itself only names it.
    Returns:
        16 bytes, the same in every process; None: it cannot be said (code without a file, or a captured value
        that only this process has).
    """
    walk = Walk()
    try:
        walk.add(_shape(task, task.model if task.model is not None else model))
        match task.mode:
            case "run":
                walk.called(task.run)
            case "value" | "continue":
                _add(walk, task.value)
            case "child":
                _add_workflow(walk, task)
                _add(walk, task.value)
            case _:
                _add(walk, task.prompt)
                for agent in agents:
                    _add_agent(walk, agent)
                _add_agent_options(walk, task)
        if task.skip_if is not False:
            walk.plain(b"?", None)
            _add(walk, task.skip_if)
        if task.dep_names or task.needs:
            walk.plain(b"<", (task.dep_names, dict(task.needs)))
    except Exception:  # noqa: BLE001
        # `Unknown`, and whatever the properties and serializers of captured objects raise: that says nothing
        # about the task and must not stop it. None is stored, and shown as unknown.
        return None
    return walk.digest()


def code_mark(task: Task[Any]) -> bytes | None:
    """Hash of what `run` or `value` is written as; None: it cannot be said."""
    return _mark(lambda walk: walk.called(task.run if task.mode == "run" else task.value))


def chain_mark(agents: Sequence[Agent]) -> bytes | None:
    """Hash of who answers: all agents of a chain, in order; None: it cannot be said.

    Closer than `fingerprint`, where doubt keeps what is there: an agent that does not say what it is counts
    as all that it holds.
    """

    def add(walk: Walk) -> None:
        for agent in agents:
            _add_agent(walk, agent)
            if not isinstance(agent, CallableAgent) and not isinstance(
                getattr(agent, "identity", None), Mapping
            ):
                walk.value(agent)

    return _mark(add)


def shape_mark(task: Task[Any], model: type[Any] | None) -> bytes | None:
    """Hash of what the output looks like: mode, name and schema; None: it cannot be said."""
    return _mark(lambda walk: walk.add(_shape(task, task.model if task.model is not None else model)))


def _mark(write: Callable[[Walk], None]) -> bytes | None:
    walk = Walk()
    try:
        write(walk)
    except Exception:  # noqa: BLE001 - as in `fingerprint`
        return None
    return walk.digest()


def _add(walk: Walk, value: Any) -> None:
    """What is called when the task starts, or a value as it is."""
    if callable(value):
        walk.called(value)
    else:
        walk.value(value)


def _add_workflow(walk: Walk, task: Task[Any]) -> None:
    """What the workflow function is; what its tasks are is compared where their own run is resumed."""
    if isinstance(task, Subflow):
        walk.plain(b"w", task.workflow.name)
        walk.called(task.workflow.definition.function)


def _add_agent_options(walk: Walk, task: Task[Any]) -> None:
    """What a task says to its agent beside the prompt; nothing, if it says nothing."""
    if task.allow_tools is not None:
        walk.plain(b"t", task.allow_tools)
    for mark, source in ((b"c", task.continue_), (b"f", task.fork)):
        if source is not None:
            walk.plain(mark, source if isinstance(source, str) else source.id)


def _add_agent(walk: Walk, agent: Agent) -> None:
    walk.plain(b"A", agent.name)
    if isinstance(agent, CallableAgent):
        walk.called(agent.function)
    identity = getattr(agent, "identity", None)
    if isinstance(identity, Mapping):
        walk.value(dict(identity))


# --- Shape --------------------------------------------------------------------------------------

_LIMIT = 4096
_shapes: dict[tuple[object, ...], bytes | None] = {}


def _shape(task: Task[Any], model: type[Any] | None) -> bytes:
    """Hash of mode, output name and output schema; computed once for each combination of them."""
    key = (task.mode, task.model_name, model, task.schema)
    try:
        found = _shapes[key]
    except KeyError:
        if len(_shapes) >= _LIMIT:
            _shapes.clear()
        found = _shapes[key] = _shape_of(task.mode, task.model_name, model, task.schema)
    if found is None:
        raise Unknown
    return found


def _shape_of(mode: str, name: str, model: type[Any] | None, schema: type[Any] | None) -> bytes | None:
    try:
        schemas = [_schema_text(one) for one in (model, schema)]
    except Exception:  # noqa: BLE001 - pydantic, and an author's own schema hooks, may raise anything
        return None
    return blake2b(json.dumps([mode, name, *schemas]).encode(), digest_size=16).digest()


def _schema_text(model: type[Any] | None) -> Any:
    if model is None or not hasattr(model, "model_json_schema"):
        return None if model is None else model.__name__
    return json.dumps(_ordered(json_schema(model)), sort_keys=True)


def _ordered(schema: Any) -> Any:
    """The schema with the defaults of sets in one order: a process writes them in an order of its own."""
    if isinstance(schema, list):
        return [_ordered(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _ordered(item) for name, item in schema.items()}
    if isinstance(found.get("default"), list) and '"uniqueItems"' in json.dumps(found):
        found["default"] = sorted(found["default"], key=lambda item: json.dumps(item, sort_keys=True))
    return found
