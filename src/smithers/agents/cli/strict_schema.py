"""OpenAI's strict subset of JSON schema: from a model's schema to it, and back from an answer. Pure.

In it every object lists all its keys, all of them are required, and there are no others. What may be left out
has to be null instead; `without_nulls` takes those nulls out again. Limits that it has no word for are told
in the description: the model itself has the last word on every answer.

Source:
    OpenAI, "Structured model outputs", supported schemas (2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .json_value import at

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
_KEPT: Final = (
    "type title description enum const pattern format multipleOf minimum maximum exclusiveMinimum "
    "exclusiveMaximum minItems maxItems".split()
)
_TOLD: Final = ("minLength", "maxLength", "uniqueItems", "format", "pattern")
"""Limits that it does not know, or not in every form."""
_REFUSED: Final = frozenset(
    "allOf not if then else dependentRequired dependentSchemas patternProperties propertyNames prefixItems "
    "unevaluatedItems unevaluatedProperties contains $dynamicRef".split()
)
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "deprecated"})
_LOOKAROUND: Final = re.compile(r"\(\?<?[=!]")
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_FAR: Final = 64
"""No reference leads on more often, and no union holds unions deeper."""
_COPIES: Final = 3
"""How deep copies of what is referred to may lie in copies: each level may hold all of them again."""


class _Unsayable(Exception):
    """A part that the subset has no word for."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the subset; None: it cannot be said there, such as one of an object with free keys."""
    root = _referred(schema, schema) if "$ref" in schema else schema
    try:
        found = _Strict(schema).node(root, ())
        definitions = {
            name: _Strict(schema).node(node, (f"#/$defs/{name}",))
            for name, node in schema.get("$defs", {}).items()
        }
    except _Unsayable:
        return None
    if found.get("type") != "object":
        return None
    return {**found, "$defs": definitions} if definitions else found


class _Strict:
    """One walk through a schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def node(self, node: Any, inside: tuple[str, ...]) -> dict[str, Any]:
        """One part of it.

        Args:
            inside: references that it was reached by.
        """
        if not isinstance(node, Mapping) or _REFUSED & node.keys():
            raise _Unsayable
        if "$ref" in node:
            return self._reference(node, inside)
        options = node.get("anyOf", node.get("oneOf"))
        if options is not None:
            return self._union(node, options, inside)
        found = _described(node)
        kinds = _kinds(node)
        found["type"] = kinds[0] if len(kinds) == 1 else kinds
        if "object" in kinds:
            found.update(self._object(node, inside))
        if "array" in kinds:
            found["items"] = self.node(node.get("items"), inside)
        return found

    def _reference(self, node: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        name = node["$ref"]
        target = _referred(node, self._root)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        if beside.keys() - _ANNOTATIONS or target is node:
            raise _Unsayable
        # Nothing may stand beside a reference: what describes it is written into a copy of its target.
        if "description" in beside and name not in inside and len(inside) < _COPIES:
            return self.node({**target, "description": beside["description"]}, (*inside, name))
        return {"$ref": name}

    def _union(self, node: Mapping[str, Any], options: Any, inside: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(options, list) or not options:
            raise _Unsayable
        parts = [self.node(option, inside) for option in options]
        seen = [first for part in parts if (first := self._first_key(part)) is not None]
        if len(seen) != len(set(seen)):
            raise _Unsayable  # two objects that begin alike are refused
        described = {key: node[key] for key in ("title", "description") if key in node}
        return {**described, "anyOf": parts}

    def _first_key(self, part: Mapping[str, Any]) -> str | None:
        """By what an object that is an option of a union tells itself from the others; None: it is none."""
        part = _referred(part, self._root) if "$ref" in part else part
        for key, value in part.get("properties", {}).items():
            return f"{key}={value['const']!r}" if "const" in value else str(key)
        return None

    def _object(self, node: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        properties = node.get("properties", {})
        if node.get("additionalProperties", False) is not False or (
            not properties and "additionalProperties" not in node and "properties" not in node
        ):
            raise _Unsayable
        required = node.get("required", ())
        strict = {
            name: self.node(one, inside) if name in required else self._nullable(one, inside)
            for name, one in properties.items()
        }
        return {"properties": strict, "required": list(strict), "additionalProperties": False}

    def _nullable(self, node: Any, inside: tuple[str, ...]) -> dict[str, Any]:
        found = self.node(node, inside)
        if _takes_null(node, self._root):
            return found
        if "anyOf" in found:
            return {**found, "anyOf": [*found["anyOf"], {"type": "null"}]}
        return {"anyOf": [found, {"type": "null"}]}


def _described(node: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: node[key] for key in _KEPT if key in node and key != "type"}
    if found.get("format") not in _FORMATS:
        found.pop("format", None)
    if _LOOKAROUND.search(str(found.get("pattern", ""))):
        del found["pattern"]
    told = [f"{key}: {node[key]}" for key in _TOLD if key in node and key not in found]
    if told:
        found["description"] = f"{node.get('description', '')} ({', '.join(told)})".strip()
    return found


def _kinds(node: Mapping[str, Any]) -> list[str]:
    given = node.get("type")
    if given is None:
        # A part must name its type, which pydantic leaves out where several are mixed.
        values = [node["const"]] if "const" in node else node.get("enum", [])
        given = list(dict.fromkeys(_TYPES.get(type(value), "") for value in values))
    kinds = [given] if isinstance(given, str) else list(given)
    if not kinds or not all(kinds):
        raise _Unsayable  # anything at all
    return kinds


def _referred(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference leads to, over other references too; the node itself if it leads nowhere."""
    found: Any = node
    for _ in range(_FAR):
        if not isinstance(found, Mapping) or not isinstance(found.get("$ref"), str):
            break
        found = at(root, "$defs", found["$ref"].removeprefix("#/$defs/"))
    return found if isinstance(found, Mapping) and "$ref" not in found else node


# --- Back ---------------------------------------------------------------------------------------


def without_nulls(answer: Any, schema: Mapping[str, Any]) -> Any:
    """An answer to the strict schema as one to `schema`: without the nulls of what may be left out."""
    return _bare(answer, schema, schema)


def _bare(value: Any, node: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(value, (list, dict)):
        return value
    fitting = _fitting(value, node, root)
    if isinstance(value, list):
        return [_bare(one, fitting.get("items", {}), root) for one in value]
    properties = fitting.get("properties", {})
    required = fitting.get("required", ())
    return {
        key: _bare(one, properties.get(key, {}), root)
        for key, one in value.items()
        if one is not None or key in required or _takes_null(properties.get(key, {}), root)
    }


def _fitting(value: Any, node: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a union that a list or an object is of, at a glance; an empty one: none of them."""
    kind = "object" if isinstance(value, dict) else "array"
    found = [option for option in _options(node, root) if kind in option.get("type", ())]
    if isinstance(value, dict) and len(found) > 1:
        found = [option for option in found if _is_like(value, option.get("properties", {}))]
    return found[0] if found else {}


def _is_like(value: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    consts = {key: one["const"] for key, one in properties.items() if at(one, "const") is not None}
    return properties.keys() == value.keys() and all(value[key] == const for key, const in consts.items())


def _options(node: Any, root: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if not isinstance(node, Mapping) or depth > _FAR:
        return
    node = _referred(node, root)
    options = node.get("anyOf", node.get("oneOf"))
    if options is None:
        yield node
        return
    for option in options:
        yield from _options(option, root, depth + 1)


def _takes_null(node: Any, root: Mapping[str, Any]) -> bool:
    return any(_is_null_in(option) for option in _options(node, root))


def _is_null_in(option: Mapping[str, Any]) -> bool:
    if "const" in option:
        return option["const"] is None
    if "enum" in option:
        return None in option["enum"]
    kinds = option.get("type")
    return kinds is None or kinds == "null" or (isinstance(kinds, list) and "null" in kinds)
