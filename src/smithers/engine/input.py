"""The model of a workflow's input: what `ctx: Context[Model]` says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

from smithers.context import Context
from smithers.errors import InvalidNode, Place


def input_model(function: Callable[..., Any], place: Place) -> type[Any] | None:
    """The input model that `ctx: Context[Model]` names; None: any JSON object."""
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1:
        raise InvalidNode(
            f"a workflow takes one parameter, ctx; {function.__name__} takes {len(parameters)}", place=place
        )
    if parameters[0].annotation is inspect.Parameter.empty:
        return None
    try:
        hint = get_type_hints(function).get(parameters[0].name)
    except NameError as error:
        # Annotations are text here, and name something local to the enclosing function: look there too.
        hint = _resolve_locally(function, parameters[0].name, error, place)
    if get_origin(hint) is not Context:
        return None
    (model,) = get_args(hint)
    return model if isinstance(model, type) and hasattr(model, "model_validate") else None


def _resolve_locally(function: Callable[..., Any], name: str, error: NameError, place: Place) -> Any:
    frame = inspect.currentframe()
    while frame is not None:
        try:
            return get_type_hints(function, localns=dict(frame.f_locals)).get(name)
        except NameError:
            frame = frame.f_back
    raise InvalidNode(f"the annotation of {name} cannot be read: {error}", place=place)
