"""What another process can find by its name: functions and models at the top level of a module's file."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from smithers.errors import NotImportable, Place

set_aside: dict[str, ModuleType] = {}
"""Modules by name that code still belongs to, although newer imports of the same files stand under these
names in `sys.modules`, or are about to."""


class Reference(NamedTuple):
    """Where something is written."""

    module: str
    name: str
    """With dots: `Class.method`."""
    file: str | None
    """The module's; None: it has none."""


def reference(value: Any) -> Reference | None:
    """Where `value` is found again; None: another process could not find it."""
    home = getattr(value, "__module__", None) or ""
    found = _in_module(value, sys.modules.get(home))
    return found if found is not None else _in_module(value, set_aside.get(home))


def _in_module(value: Any, module: ModuleType | None) -> Reference | None:
    name = getattr(value, "__qualname__", None)
    if module is None or module.__name__ == "__main__" or not isinstance(name, str):
        return None
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part, None)
        if isinstance(found, staticmethod):
            found = found.__func__
    return Reference(module.__name__, name, getattr(module, "__file__", None)) if found is value else None


def check_importable(run: Any, deps: Any, id: str, place: Place | None) -> None:
    """Raise `NotImportable` unless another process can call `run` with the outputs of `deps`."""
    if reference(run) is None:
        raise NotImportable(
            f'Task {id}: run_in="process" needs a function that is found by its name; {_why_not(run)}',
            place=place,
        )
    if deps is None:
        return
    models = deps.items() if isinstance(deps, Mapping) else [(dep.id, dep.model) for dep in deps]
    annotated = _annotated(run)
    for index, (name, model) in enumerate(models):
        if not isinstance(model, type) or model is str or reference(model) is not None:
            continue
        if isinstance(deps, Mapping) or index not in annotated:
            raise NotImportable(
                f'Task {id}: run_in="process" cannot hand over {name}: its model {model.__qualname__} is not '
                "at the top level of a module",
                hint="move the model there, or annotate the function's parameter with a model that is",
                place=place,
            )


def _annotated(run: Any) -> set[int]:
    """Positions of the parameters with an annotation."""
    parameters = inspect.signature(run).parameters.values()
    return {n for n, one in enumerate(parameters) if one.annotation is not inspect.Parameter.empty}


def _why_not(run: Any) -> str:
    """What is wrong with it, in the author's terms."""
    name = getattr(run, "__qualname__", None)
    if name is None:
        return f"{run!r} has none"
    if inspect.ismethod(run):
        return f"{name} is a method of an object that the process does not have"
    if "<lambda>" in name:
        return "a lambda has none"
    if "<locals>" in name:
        return f"{name} is made anew by each call of the function around it"
    module = getattr(run, "__module__", None)
    if module == "__main__":
        return (
            f"{name} stands in the program that was started itself (`__main__`): start the workflow with "
            "`smithers up FILE`, or import it from a module"
        )
    return f"{module}.{name} is not it"
