"""What a script returns, as the JSON text of its own output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from smithers.errors import InvalidNode, InvalidOutput, Place
from smithers.nodes import Node, Task

from .definition import Definition
from .encode import encode_output
from .scope import SCRIPT_ID

VALUE = "value"
"""Output name of JSON that is no object: it is stored as one, in a field of this name."""


def encode_returned(definition: Definition, value: Any) -> tuple[str | None, str]:
    """The stored text of what a script returned, and the word that its output carries.

    Returns:
        None for the text of a script that returned nothing.
    Raises:
        InvalidOutput: it does not fit the workflow's output model, or JSON cannot hold it.
    """
    from pydantic import BaseModel
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    model = definition.returns
    if isinstance(value, Node):
        raise InvalidNode(
            f"{definition.name} is a script and returned a node, which nobody has run",
            hint="write `await ctx.run(node)`; or write `def`, and return the tree",
            place=value.place,
        )
    if model is None and value is None:
        return None, VALUE
    if model is None:
        if isinstance(value, str):
            model = str
        elif isinstance(value, BaseModel):
            model = type(value)
    place = definition.place
    if model is not None:
        return encode_output(_task(model, place), model, value), "str" if model is str else model.__name__
    try:
        plain = to_jsonable_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidOutput(
            f"{definition.name} returned what JSON cannot hold: {error}", place=place
        ) from None
    found = plain if isinstance(value, Mapping) else {VALUE: plain}
    return encode_output(_task(str, place), None, found), VALUE


def returned_model(function: Callable[..., Any]) -> type[Any] | None:
    """The model that an `async def` says it returns; None: any JSON, or nothing."""
    try:
        found = get_type_hints(function).get("return")
    except (NameError, TypeError):
        return None
    is_model = found is str or (inspect.isclass(found) and hasattr(found, "model_validate"))
    return found if is_model and isinstance(found, type) else None


def _task(model: type[Any], place: Place | None) -> Task[Any]:
    """What an error is about."""
    task: Task[Any] = Task(SCRIPT_ID, model, value=None)
    task.place = place
    return task
