"""What a value is, written down so that two processes agree: the same text, the same value.

A function is what it is written as, the defaults and captured values it has, and what it names in its own
module: functions and classes likewise, plain constants by their value. Anything else that a module keeps
(lists, clients, tables of prompts) may change while a run goes on, and counts as it is written. What is
imported counts by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from hashlib import blake2b
from marshal import dumps
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from smithers.context import Context, Current, LoopPass, Record, View
from smithers.errors import Place
from smithers.nodes import Node, Task
from smithers.nodes.inline import InlineResult
from smithers.prompt import Prompt

from .attribute import Unknown, attributes, plain_part
from .library import has_author, is_library_file
from .syntax import Source, names_in, source_with
from .wrapper import innermost, methods_of, wrapped

_SIZE_LIMIT = 2000
"""Values other than JSON that one walk looks at; an object that reaches further is not a parameter."""
_READERS = (Context, LoopPass, Current, View, InlineResult)
"""Ways to the run's state, not parts of it."""
_LITERALS = (date, time, timedelta, Decimal, Fraction, UUID, PurePath, range)
"""Values whose text says all."""
_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_BUILT_IN: frozenset[type] = frozenset({dict, list, tuple, set, frozenset, Record, MappingProxyType})


class Walk:
    """Writes values one after another; `digest` is the hash of all.

    Every method that takes a value raises `Unknown` where no text of it would be true.
    """

    __slots__ = ("_left", "_met", "_parts", "_under_way")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._met: dict[int, tuple[int, object]] = {}
        """Functions and classes by their id: their number, and themselves so that the id stays theirs."""
        self._under_way: dict[int, int] = {}
        """Objects that are being written, by id: an object inside itself is its depth."""
        self._left = _SIZE_LIMIT

    def digest(self) -> bytes:
        """16 bytes."""
        return blake2b(b"".join(self._parts), digest_size=16).digest()

    def add(self, digest: bytes) -> None:
        """What was hashed before, always 16 bytes."""
        self._parts.append(digest)

    def plain(self, tag: bytes, value: object) -> None:
        """A value made of the built-in JSON types (and bytes, tuples, sets) and nothing else.

        Version 2 of the format has no references and sorts sets: equal values give equal bytes.
        """
        self._parts.append(tag + dumps(value, 2))  # type: ignore[arg-type]

    def value(self, value: Any) -> None:
        """Any value."""
        kind = type(value)
        if kind is Context:
            self._parts.append(b"c")
        elif kind is FunctionType:
            self._function(value)
        else:
            try:
                self._parts.append(b"=" + dumps(value, 2))
            except ValueError:
                self._rich(value)

    def called(self, function: Any) -> None:
        """A function that a task calls. It counts as written wherever it comes from, a library too."""
        if type(function) is FunctionType:
            if function.__dict__ and wrapped(function) is not None:
                self._function(function)
            else:
                self._own(function)
        elif isinstance(function, partial):
            self._parts.append(b"p")
            self.called(function.func)
            self.value(function.args)
            self.value(function.keywords)
        elif isinstance(function, type):
            raise Unknown  # what calling it does is spread over a class and its bases
        else:
            self.value(function)

    # --- Functions ------------------------------------------------------------------------------

    def _function(self, function: FunctionType) -> None:
        if not is_library_file(function.__code__.co_filename):
            self._own(function)
            return
        self.plain(b"n", (function.__module__, function.__qualname__))
        inner = wrapped(function)
        if inner is None:
            self._bound(function)
        else:
            # A decorator from elsewhere: its arguments are part of what it decorates, as written there.
            self.value(inner)

    def _own(self, function: FunctionType) -> None:
        number = len(self._met)
        met = self._met.setdefault(id(function), (number, function))
        if met[0] != number:
            self.plain(b"r", met[0])
            return
        self._written(function)
        self._bound(function)

    def _written(self, function: FunctionType) -> None:
        """The part of a function that all functions of the same code share."""
        self._parts.append(_static_of(function, function.__code__, function.__globals__))

    def _bound(self, function: FunctionType) -> None:
        """The part that each has for itself: defaults and captured values."""
        if function.__defaults__:
            self._parts.append(b"d")
            self.value(function.__defaults__)
        if function.__kwdefaults__:
            self._parts.append(b"k")
            self.value(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                captured = cell.cell_contents
            except ValueError:
                self._parts.append(b"e")  # not bound yet, or not any more
            else:
                self.value(captured)

    # --- Everything that is not JSON ------------------------------------------------------------

    def _rich(self, value: Any) -> None:
        self._left -= 1
        if self._left < 0:
            raise Unknown
        match value:
            case Task():
                self.plain(b"t", value.id)
            case Node():
                self.plain(b"N", (type(value).__name__, value.first_id()))
            case _ if isinstance(value, _READERS):
                self._parts.append(b"c")
            case Place():
                self._parts.append(b"@")
            case type():
                self._class(value)
            case ModuleType():
                self.plain(b"m", value.__name__)
            case partial() | MethodType() | BuiltinFunctionType():
                self._callable_object(value)
            case Prompt():
                self.plain(b"P", (value.is_text, value.source))
                self.value(dict(value.values))
            case BaseModel():
                self._class(type(value))
                self.value(value.model_dump(warnings=False))
            case Enum():
                self.plain(b"E", (type(value).__qualname__, value.name))
                self.value(value.value)
            case _ if isinstance(value, _LITERALS):
                self.plain(b"l", (type(value).__qualname__, str(value)))
            case re.Pattern():
                self.plain(b"x", (value.pattern, value.flags))
            case _ if (inner := wrapped(value)) is not None:
                self.plain(b"w", type(value).__qualname__)
                self.value(inner)
            case _:
                self._container(value)

    def _callable_object(self, value: Any) -> None:
        match value:
            case partial():
                self._parts.append(b"p")
                self.value((value.func, value.args, value.keywords))
            case MethodType():
                self._parts.append(b"b")
                self.value(value.__func__)
                self.value(value.__self__)
            case _:  # a function of C
                self.plain(b"n", value.__qualname__)
                self.value(value.__self__)

    def _container(self, value: Any) -> None:
        match value:
            case Mapping() if isinstance(value, (dict, Record, MappingProxyType)):
                self._sized(value, b"D")
                for name, item in value.items():
                    self.value(name)
                    self.value(item)
            case list() | tuple():
                self._sized(value, b"L")
                for item in value:
                    self.value(item)
            case set() | frozenset():
                self._sized(value, b"S")
                self._parts.extend(sorted(_alone(item) for item in value))
            case str() | bytes() | int() | float():
                self._class(type(value))
                self.plain(b"=", plain_part(value))
            case _:
                self._class(type(value))
        if type(value) not in _BUILT_IN:
            self._object(value)

    def _sized(self, value: Any, tag: bytes) -> None:
        self.plain(tag, len(value))
        if type(value) not in _BUILT_IN:
            self._class(type(value))

    def _object(self, value: Any) -> None:
        """What an object's own attributes hold."""
        if (depth := self._under_way.get(id(value))) is not None:
            self.plain(b"^", depth)
            return
        self._under_way[id(value)] = len(self._under_way)
        try:
            for name, part in sorted(attributes(value).items()):
                self.plain(b".", name)
                self.value(part)
        finally:
            del self._under_way[id(value)]

    def _class(self, kind: type) -> None:
        """A class by its name; one of the author's with what its methods are written as."""
        if not has_author(kind):
            self.plain(b"n", (kind.__module__, kind.__qualname__))
        else:
            self._parts.append(_static_of(kind, kind, None))


class _StaticWalk(Walk):
    """Writes what the code says, which is the same for all functions made of it."""

    __slots__ = ()

    def _written(self, function: FunctionType) -> None:
        found = source_with(function.__code__)
        if found is None:
            raise Unknown
        source, syntax = found
        self.add(syntax)
        home = function.__globals__
        for name in names_in(function.__code__):
            # `__name__` and `__file__` differ with how a file was started; a class body loads the former.
            if name in home and not name.startswith("__"):
                self.plain(b":", name)
                self._named(name, home[name], home, source)

    def _named(self, name: str, value: Any, home: Mapping[str, Any], source: Source) -> None:
        """What a module's name stands for, to a function of that module."""
        inner = innermost(value)
        if isinstance(inner, FunctionType) and inner.__globals__ is not home:
            self.plain(b"n", (inner.__module__, inner.__qualname__))
        elif isinstance(inner, FunctionType):
            self.value(value)
        elif isinstance(value, type) and value.__module__ == home.get("__name__"):
            self._class(value)
        elif isinstance(value, (type, BuiltinFunctionType)):
            self.plain(b"n", (value.__module__, value.__qualname__))
        elif isinstance(value, ModuleType):
            self.plain(b"m", value.__name__)
        elif _is_constant(value) and not source.is_rebound(name):
            self.plain(b"=", value)
        else:
            self.plain(b"s", type(value).__qualname__)
            self.add(source.assigned(name))

    def _class(self, kind: type) -> None:
        if not has_author(kind):
            super()._class(kind)
            return
        number = len(self._met)
        met = self._met.setdefault(id(kind), (number, kind))
        if met[0] != number:
            self.plain(b"r", met[0])
            return
        self.plain(b"C", kind.__qualname__)
        for base in kind.__mro__:
            if base is not kind:
                self._class(base)
        for name, member in sorted(vars(kind).items()):
            for method in methods_of(member):
                self.plain(b".", (name, type(member).__name__))
                self.value(method)

    def written(self, subject: FunctionType | type) -> None:
        """The static part of `subject`."""
        if isinstance(subject, type):
            self._class(subject)
        else:
            self._met[id(subject)] = (0, subject)
            self._written(subject)


# --- What was found before ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    subject: CodeType | type
    """Kept, so that no other gets its id."""
    home: Mapping[str, Any] | None
    digest: bytes | None


_LIMIT = 4096
_known: dict[int, _Known] = {}


def _static_of(owner: FunctionType | type, subject: CodeType | type, home: dict[str, Any] | None) -> bytes:
    """Hash of what the code says, computed once for each code and class.

    By id and not by equality: functions of two files may have equal codes.
    """
    known = _known.get(id(subject))
    if known is None or known.home is not home:
        if len(_known) >= _LIMIT:
            _known.clear()
        known = _known[id(subject)] = _Known(subject, home, _compute(owner))
    if known.digest is None:
        raise Unknown
    return known.digest


def _compute(owner: FunctionType | type) -> bytes | None:
    walk = _StaticWalk()
    try:
        walk.written(owner)
    except (Unknown, RecursionError):
        return None
    return walk.digest()


def _alone(value: Any) -> bytes:
    walk = Walk()
    walk.value(value)
    return walk.digest()


def _is_constant(value: object) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_constant, value))  # type: ignore[call-overload]
    return type(value) in _SCALARS
