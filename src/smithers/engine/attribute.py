"""What an object holds itself, apart from its class."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any


class Unknown(Exception):
    """It cannot be said what a value is. An answer and no error: it never leaves the engine."""


def attributes(value: Any) -> dict[str, Any]:
    """The attributes that an object holds itself.

    Raises:
        Unknown: it is a thing of C, such as a lock or an open file: what it holds does not show.
    """
    found: dict[str, Any] = {}
    for kind in type(value).__mro__[:-1]:
        if kind in _BASES:
            continue
        if "__module__" not in vars(kind):
            raise Unknown
        for name in _slots(kind):
            mangled = f"_{kind.__name__.lstrip('_')}{name}" if _is_private(name) else name
            if hasattr(value, mangled):
                found[name] = getattr(value, mangled)
    own = getattr(value, "__dict__", None)
    has_slots = any("__slots__" in vars(kind) for kind in type(value).__mro__)
    if own is None and not has_slots and not isinstance(value, tuple(_BASES)):
        raise Unknown
    # Keeps what `functools.cached_property` stored out: it is there only once somebody asked.
    cached = {
        name for kind in type(value).__mro__ for name, m in vars(kind).items() if type(m) is cached_property
    }
    found.update((name, part) for name, part in (own or {}).items() if name not in cached)
    return found


_BASES: frozenset[type] = frozenset(
    {str, bytes, int, float, dict, OrderedDict, defaultdict, list, tuple, set, frozenset}
)
"""Classes of C whose whole content is written otherwise."""


def plain_part(value: Any) -> object:
    """What an instance of a class of texts or numbers is, without the class."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__bytes__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return (name for name in names if name not in ("__dict__", "__weakref__"))
