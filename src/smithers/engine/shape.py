"""Which columns an output has in its view: derived from its model, once; the store knows no models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from smithers.prompt import stored_schema
from smithers.records import BLOB_LIMIT_BYTES, FrameWrite, JsonPath, OutputShape

_DEEPEST: Final = 6
"""Levels of fields within fields; what lies deeper is in the JSON text of what is around it."""

_MOST_OBSERVED: Final = 100
"""Keys that nobody declared and that are told of, in one run; the store has room for no more in one view."""

_MOST: Final = 5_000
"""Columns of one model: recursive ones grow with every level."""


class Shapes:
    """What one run has told its store of its outputs: each of them once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, type[Any] | None]] = set()
        self._keys: dict[str, set[str]] = {}

    def tell(
        self,
        write: FrameWrite,
        workflow: str,
        output: str,
        model: type[Any] | None,
        body: str,
        *,
        has_table: bool = False,
    ) -> None:
        """Put an output's columns into the frame that stores it, unless they are known.

        Args:
            output: the word that its rows carry.
            body: its JSON text.
        """
        if (output, model) in self._told:
            return
        paths = columns_of(model)
        if paths is not None:
            self._told.add((output, model))
            write.shapes.append(OutputShape(workflow, output, paths, has_table=has_table))
            return
        is_first = output not in self._keys
        keys = self._keys.setdefault(output, set())
        fresh = [key for key in _keys_of(body) if key not in keys] if len(keys) < _MOST_OBSERVED else []
        if fresh or is_first:
            keys.update(fresh)
            paths = tuple((key,) for key in fresh)
            write.shapes.append(OutputShape(workflow, output, paths, True, has_table))


def _keys_of(body: str) -> Sequence[str]:
    # What goes to a blob is not shown in columns, so it needs none.
    if len(body) > BLOB_LIMIT_BYTES:
        return ()
    value = json.loads(body)
    return tuple(value) if isinstance(value, dict) else ()


def columns_of(model: type[Any] | None) -> tuple[JsonPath, ...] | None:
    """Where in a model's JSON its fields are, and the fields of its fields; None: only a value can tell."""
    if model is None:
        return None
    if model is str:
        return (("text",),)
    known: Any = model  # mypy does not take a class for hashable
    return _columns_of(known)


@lru_cache(maxsize=1024)
def _columns_of(model: Any) -> tuple[JsonPath, ...] | None:
    try:
        schema = stored_schema(model)
        found = list(dict.fromkeys(_fields(schema, schema, (), ())))[:_MOST]
    except Exception:  # noqa: BLE001 - pydantic, and an author's own schema hooks, may raise anything
        return None
    if getattr(model, "__pydantic_root_model__", False):
        # It is one value: shown whole, as `root`, and behind it what it consists of.
        return ((), *found)
    return tuple(found) if found or "properties" in schema else None


def _fields(
    schema: Mapping[str, Any], whole: Mapping[str, Any], path: JsonPath, inside: tuple[str, ...]
) -> Iterator[JsonPath]:
    """The fields of whatever a schema allows, outer before inner.

    Args:
        inside: names of the definitions that this one stands in: a model in itself is not followed.
    """
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference not in inside:
            name = reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            yield from _fields(whole["$defs"][name], whole, path, (*inside, reference))
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(kind, ()):
            yield from _fields(option, whole, path, inside)
    if len(path) < _DEEPEST:
        for name, field in schema.get("properties", {}).items():
            yield (*path, name)
            yield from _fields(field, whole, (*path, name), inside)
