"""The texts of an answer, each with what the schema says around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .placeholder import is_pair
from .wording import KEYWORDS, TYPES, stem, words

_KEY: Final = 40
"""Characters of a key that are told."""
_FORM: Final = 1_000
"""Characters of a mapping that is read as one text."""
_TERMS: Final = 12
"""Entries of the longest of these."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the schema says around a value."""

    field: str
    """Name of the nearest field; of the model at the root."""
    path: str
    names: AbstractSet[str]
    """Stems of the words in the names around it."""
    descriptions: tuple[str, ...]
    closed: AbstractSet[Any]
    """Values of which it may only be one."""
    is_required: bool
    key: str = ""
    """Of the nearest mapping, if it stands in one."""

    @classmethod
    def of(cls, schema: type[BaseModel], output: BaseModel) -> Around:
        names = stems(schema.__name__) | {"".join(filter(str.isupper, schema.__name__)).lower()}
        return cls(schema.__name__, "", names, _documentation(type(output)), frozenset(), True)

    def field_of(self, model: type[BaseModel], name: str, info: FieldInfo) -> Around:
        if name == "root":
            return Around(self.field, self.path, self.names, self.descriptions, closed(info.annotation), True)
        siblings = frozenset[str]().union(*map(stems, model.model_fields))
        descriptions = (*self.descriptions, *([info.description] if info.description else []))
        return Around(
            name,
            f"{self.path}.{name}" if self.path else name,
            self.names | stems(model.__name__) | siblings,
            descriptions,
            closed(info.annotation),
            info.is_required(),
        )

    def entry(self, key: object) -> Around:
        """Of a mapping, in which `key` and `value` name nothing but themselves."""
        return replace(self.item(key), field=f"{self.field} key value", key=str(key)[:_FORM])

    def item(self, key: object) -> Around:
        return replace(self, path=f"{self.path}[{repr(key)[:_KEY]}]", is_required=True)


class Slot(NamedTuple):
    """A text in an answer, where any text may stand."""

    around: Around
    text: str
    is_key: bool = False
    is_key_of_text: bool = False
    """What it is the key of is a text, too."""

    @property
    def is_required(self) -> bool:
        return self.around.is_required


def slots(value: object, around: Around) -> Iterator[Slot]:
    if isinstance(value, BaseModel):
        model = type(value)
        for name, info in model.model_fields.items():
            item = getattr(value, name)
            if info.is_required() or not _is_default(item, info):
                yield from slots(item, around.field_of(model, name, info))
    elif isinstance(value, Mapping) and _is_about_form(value):
        yield Slot(around, str(value)[:_FORM])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inner = around.entry(key)
            if isinstance(key, str) and not isinstance(key, Enum) and key not in around.closed:
                yield Slot(replace(inner, key=""), key.strip(), True, isinstance(item, str))
            yield from slots(item, inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from slots(item, around.item(index))
    elif isinstance(value, str) and not isinstance(value, Enum) and value not in around.closed:
        yield Slot(around, value.strip())


def _is_about_form(value: Mapping[Any, Any]) -> bool:
    """Whether a mapping is to be read as one text: the schema of one, or a pair of names."""
    if not 0 < len(value) <= _TERMS or not all(isinstance(item, str) for item in value):
        return False
    types = [item for item in value.values() if item in TYPES] if KEYWORDS.issuperset(value) else []
    is_schema = value.get("type") in TYPES if types else False
    # Of the columns of a table any may be called `title` or `type`, but then all are mapped to types.
    is_schema = is_schema and len(types) < len(value)
    return is_schema or is_pair(str(value)[:_FORM])


def _is_default(item: object, info: FieldInfo) -> bool:
    """Whether a text is its field's default, which nobody wrote."""
    return isinstance(item, str) and isinstance(info.default, str) and item == info.default


def stems(name: str) -> frozenset[str]:
    return frozenset(map(stem, words(name)))


def _documentation(model: type[BaseModel]) -> tuple[str, ...]:
    return (model.__doc__,) if model.__doc__ else ()


def closed(annotation: object) -> frozenset[Any]:
    """The members of all literals in an annotation."""
    annotation = getattr(annotation, "__value__", annotation)  # of a `type` statement
    arguments = get_args(annotation)
    found = frozenset(arguments) if getattr(annotation, "__origin__", None) is Literal else frozenset[Any]()
    return found.union(*map(closed, arguments)) if arguments and not found else found
