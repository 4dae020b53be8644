"""A JSON object whose fields read like attributes: the input of a workflow that declares none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Record(Mapping[str, Any]):
    """An immutable JSON object: `record.name` and `record["name"]` are the same."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_fields", dict(fields))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self._fields) or "no fields"
            raise AttributeError(f"no field {name!r}; there is: {known}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a record cannot be changed")

    def __getitem__(self, name: str) -> Any:
        return wrap(self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Record({self._fields!r})"


class Fields(Record):
    """Named dependencies of a task; models stay models."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]


def wrap(value: Any) -> Any:
    """Objects become records, arrays tuples, so that what is read cannot be changed."""
    if isinstance(value, dict):
        return Record(value)
    if isinstance(value, list):
        return tuple(wrap(item) for item in value)
    return value
