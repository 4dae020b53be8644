"""What stands behind a decorator, a partial or a member of a class: the function as its author wrote it."""

from __future__ import annotations

from functools import cached_property, partial
from types import FunctionType, MethodType
from typing import Any

from .library import is_library_file


def wrapped(value: Any) -> Any:
    """What `functools.wraps` or `lru_cache` was put around; None: nothing."""
    attributes = getattr(value, "__dict__", None)
    return attributes.get("__wrapped__") if isinstance(attributes, dict) else None


def innermost(value: Any) -> Any:
    """The function below partials, bound methods and decorators."""
    for _ in range(32):
        if isinstance(value, partial):
            value = value.func
        elif isinstance(value, MethodType):
            value = value.__func__
        elif (inner := wrapped(value)) is not None:
            value = inner
        else:
            break
    return value


def methods_of(member: object) -> list[FunctionType]:
    """The functions that a class's author wrote for one of its members; some members are made by others."""
    match member:
        case FunctionType():
            found: list[Any] = [member]
        case staticmethod() | classmethod():
            found = [member.__func__]
        case property():
            found = [member.fget, member.fset]
        case cached_property():
            found = [member.func]
        case _:
            found = []
    return [one for one in found if isinstance(one, FunctionType) and not _is_made(innermost(one))]


def _is_made(method: Any) -> bool:
    """Whether a dataclass, a model or a named tuple made this method of the class's fields."""
    if not isinstance(method, FunctionType):
        return False
    file = method.__code__.co_filename
    return is_library_file(file) or (file.startswith("<") and method.__name__.startswith("__"))
