"""Parts of a value: where they stand, how one is read or replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and positions from the top of a value to a part of it."""
Node: TypeAlias = Mapping[str, Any]
"""A JSON schema, or a part of one."""

DROP: Final = object()
"""A repair: leave the field out."""


def locate(value: Any, loc: tuple[int | str, ...]) -> Path:
    """The path that an error's location means; the names of union options in it lead nowhere, and go."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(value, dict) and str(part) in value:
            part = str(part)  # also where the model has numbers for keys
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def get(value: Any, path: Path) -> Any:
    """The part at `path`, which must be there."""
    for part in path:
        value = value[part]
    return value


def put(value: Any, path: Path, part: Any) -> Any:
    """A copy of `value` with another part at `path`; objects on the way are made, `DROP` removes a key."""
    if not path:
        return value if part is DROP else part
    first, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(first, int) and first < len(value):
        return [*value[:first], put(value[first], rest, part), *value[first + 1 :]]
    fields = dict(value) if isinstance(value, dict) else {}
    if part is DROP and not rest:
        fields.pop(first, None)
        return fields
    if isinstance(first, int):
        # A path through a list that is not there yet: `AliasPath("names", 0)`.
        return [put(None, rest, part)] * (first + 1)
    return {**fields, first: put(fields.get(first), rest, part)}
