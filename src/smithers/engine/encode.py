"""A task's value as the JSON text that is stored: validated first, and refused if JSON cannot hold it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from smithers.context import from_stored
from smithers.errors import (
    BugError,
    InputError,
    InvalidOutput,
    Place,
    StateInvalid,
    StateTooLarge,
    fault_path,
)
from smithers.nodes import ContinueAsNew, Subflow, Task
from smithers.records import INPUT_LIMIT_BYTES, STATE_LIMIT_BYTES


def encode_output(task: Task[Any], model: type[Any] | None, value: object) -> str:
    """The stored text of `value`.

    Args:
        model: what it must fit; None: any JSON object.
    Raises:
        InvalidOutput: it does not fit the task's model, or JSON cannot hold it; names each path and value.
    """
    if model is str:
        if not isinstance(value, str):
            raise _refusal(task, [("", "expected text", value)])
        return _dump(task, {"text": value})
    if model is None:
        if isinstance(value, BaseModel):
            return _dump_model(task, value)
        if not isinstance(value, Mapping):
            raise _refusal(task, [("", "expected a JSON object", value)])
        return _dump(task, value)
    if isinstance(value, BaseModel) and not isinstance(value, model):
        # Another model's instance, such as `output_schema`'s: what fits is taken from its fields.
        fields: Mapping[str, Any] = getattr(model, "model_fields", {})
        if fields and not fields.keys() & type(value).model_fields.keys():
            # Defaults alone would do, and all that was returned would be gone without a word.
            raise _refusal(task, [("", f"a {type(value).__name__} has no field of it", value)])
        value = value.model_dump()
    try:
        valid: Any = value if isinstance(value, model) else model.model_validate(value)
    except ValidationError as error:
        raise _refusal(task, _faults(error)) from None
    return _readable(task, model, valid)


def encode_json(
    task: Task[Any], model: type[Any] | None, text: str, maker: tuple[str, ...] | None = None
) -> str:
    """The same for a value that came as JSON, from another process.

    Args:
        maker: module and name of the model that it was an instance of there; None: of none.
    """
    value = json.loads(text)
    if model is None or model is str:
        return encode_output(task, model, value)
    fields: Mapping[str, Any] = getattr(model, "model_fields", {})
    if (
        maker not in (None, (model.__module__, model.__qualname__))
        and fields
        and not fields.keys() & value.keys()
    ):
        raise _refusal(task, [("", "another model has no field of it", value)])
    try:
        valid = from_stored(model, text)
    except ValidationError as error:
        raise _refusal(task, _faults(error)) from None
    return _readable(task, model, valid)


def _faults(error: ValidationError) -> list[tuple[str, str, object]]:
    return [(fault_path(e["loc"]), e["msg"], e["input"]) for e in error.errors()]


def _readable(task: Task[Any], model: type[Any], value: BaseModel) -> str:
    """The text of a model, read back once: what is acknowledged must not turn out unreadable."""
    text = _dump_model(task, value)
    for is_last in (False, True):
        try:
            from_stored(model, text)
        except ValueError as error:
            if is_last:
                raise _refusal(task, [("", f"it cannot be read back: {error}", value)]) from None
            # Computed fields are no input of a model that forbids others.
            text = _dump_model(task, value, round_trip=True)
        else:
            return text
    raise BugError("unreachable")


def encode_input(model: type[Any] | None, given: Any, workflow: str) -> str:
    """A run's input as stored: validated, with defaults filled in once and for all.

    Args:
        given: the model, or JSON; None: an empty object.
    Raises:
        InputError: names every field that does not fit.
    """
    if given is None:
        given = {}
    if model is None:
        if isinstance(given, BaseModel):
            return _limited(given.model_dump_json())
        if not isinstance(given, Mapping):
            raise InputError(f"the input of {workflow} is a JSON object, not {_short(given)}")
        try:
            return _limited(json.dumps(given, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        except (TypeError, ValueError) as error:
            raise InputError(f"the input is not JSON: {error}") from None
    try:
        valid = given if isinstance(given, model) else model.model_validate(given)
    except ValidationError as error:
        faults = [(fault_path(e["loc"]), e["msg"], _short(e["input"])) for e in error.errors()]
        lines = [f"{path or 'the input'}: {what}, got {value}" for path, what, value in faults]
        raise InputError(
            f"the input does not fit {workflow} ({model.__name__}): " + "; ".join(lines),
            errors=[{"path": path, "message": what, "value": value} for path, what, value in faults],
        ) from None
    text = str(valid.model_dump_json(by_alias=False))
    try:
        from_stored(model, text)
    except ValidationError as error:
        raise InputError(f"the input of {workflow} cannot be read back: {error}") from None
    return _limited(text)


def child_input(task: Task[Any], given: Any) -> str:
    """The input of a sub-workflow's run as stored.

    Raises:
        InputError: it does not fit; with the node's place.
    """
    assert isinstance(task, Subflow)
    definition = task.workflow.definition
    try:
        return encode_input(definition.input_model, given, definition.name)
    except InputError as error:
        error.place = task.place
        error.message = f"Subflow {task.id}: {error.message}"
        error.hint = "see what it takes: its function's `ctx: Context[Model]`"
        raise


def encode_state(node: ContinueAsNew, value: object) -> str:
    """What a run hands over to the next, as JSON text.

    Raises:
        StateInvalid: JSON cannot hold it; names the place in it.
        StateTooLarge: it has more than 10 MB.
    """
    try:
        if isinstance(value, BaseModel):
            found = list(_not_finite(value.model_dump(warnings=False), ""))
            text = "" if found else value.model_dump_json(by_alias=False, warnings=False)
        else:
            found = list(_not_finite(value, ""))
            text = "" if found else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        raise StateInvalid(f"{node.id}: its state is not JSON: {error}", place=node.place) from None
    if found:
        where = "; ".join(f"{path or 'the value'}: {_short(number)}" for path, number in found[:5])
        raise StateInvalid(f"{node.id}: its state is not JSON: {where}", place=node.place)
    if size > STATE_LIMIT_BYTES:
        raise StateTooLarge(
            f"{node.id}: its state has {size} bytes; at most {STATE_LIMIT_BYTES} are carried over",
            place=node.place,
        )
    return text


def _limited(text: str) -> str:
    if len(text.encode()) > INPUT_LIMIT_BYTES:
        raise InputError(
            f"the input has {len(text.encode())} bytes; at most {INPUT_LIMIT_BYTES} are taken",
            hint="pass a path, and read the file in a task",
        )
    return text


def _dump_model(task: Task[Any], value: BaseModel, *, round_trip: bool = False) -> str:
    try:
        text = value.model_dump_json(by_alias=False, round_trip=round_trip, warnings=False)
    except (PydanticSerializationError, ValueError) as error:
        raise _refusal(task, [("", f"JSON cannot hold it: {error}", value)]) from None
    # Non-finite numbers are written as null, so only a text with null in it needs the look.
    if "null" in text:
        found = list(_not_finite(value.model_dump(warnings=False), ""))
        if found:
            raise _refusal(task, [(path, "JSON cannot hold this number", number) for path, number in found])
    return text


def _dump(task: Task[Any], value: Mapping[str, Any]) -> str:
    found = list(_not_finite(value, ""))
    if found:
        raise _refusal(task, [(path, "JSON cannot hold this number", number) for path, number in found])
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _refusal(task, [("", f"JSON cannot hold it: {error}", value)]) from None
    return text


def _not_finite(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _not_finite(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{path}[{index}]")


def _refusal(task: Task[Any], problems: list[tuple[str, str, object]]) -> InvalidOutput:
    lines = [f"{path or 'the value'}: {what}, got {_short(value)}" for path, what, value in problems]
    place: Place | None = task.place
    return InvalidOutput(
        f"Task {task.id}: the output does not fit {task.model_name}: " + "; ".join(lines[:5]),
        place=place,
        errors=[{"path": path, "message": what, "value": _short(value)} for path, what, value in problems],
    )


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the author's `__repr__` may raise anything
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 80 else text[:77] + "..."
