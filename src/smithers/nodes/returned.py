"""The output model that a function's annotation names."""

from __future__ import annotations

from functools import partial
from typing import Any, get_type_hints

from smithers.errors import MissingOutputModel, Place

from .option import AnyCallable

_RETURNS: dict[tuple[Any, Any], Any] = {}


def returned_model(run: AnyCallable, id: str, place: Place | None) -> type[Any]:
    """The output model that `run`'s annotation names."""
    while isinstance(run, partial):
        run = run.func
    target: Any = run if hasattr(run, "__annotations__") else type(run).__call__
    # By the annotation too: functions that one factory made share their code.
    key = (getattr(target, "__code__", target), target.__annotations__.get("return"))
    try:
        found: type[Any] | None = _RETURNS[key]
    except KeyError:
        try:
            found = get_type_hints(target).get("return")
        except (NameError, TypeError):
            found = None
        if len(_RETURNS) > 4096:
            _RETURNS.clear()
        _RETURNS[key] = found
    except TypeError:  # an annotation that cannot be hashed names no model
        found = None
    if found is None or found is type(None):
        raise MissingOutputModel(
            f"Task {id} is missing output table.",
            hint="give the task a model as its second argument, or annotate what its function returns",
            place=place,
        )
    return found
