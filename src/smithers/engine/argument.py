"""What `deps` hands to the callables of a task."""

from __future__ import annotations

from typing import Any

from smithers.context import Fields, View, decode, model_of
from smithers.errors import MissingOutput
from smithers.nodes import Task


def arguments(task: Task[Any], view: View) -> tuple[Any, ...]:
    """What `deps` hands to a callable: outputs by position, or one object with named fields.

    Raises:
        MissingOutput: one of them has none yet.
    """
    if task.deps is None:
        return ()
    if isinstance(task.deps, tuple):
        named_outputs = view.state.named_outputs
        return tuple(_read(view, dep.id, model_of(dep, named_outputs)) for dep in task.deps)
    named = {name: _read(view, task.needs.get(name, name), model) for name, model in task.deps.items()}
    return (Fields(named),)


def _read(view: View, node: str, model: Any) -> Any:
    row = view.newest(node)
    if row is None:
        raise MissingOutput(f"{node} has no output yet", node=node)
    return decode(row, model)
