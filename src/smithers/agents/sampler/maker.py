"""Turns a JSON schema into a value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from .name import field_name, reads_as
from .number import number_in
from .part import DROP, Node, Path
from .pattern import matching
from .text import FORMATS, fit, ideas_for

_VALUES: Final = 400
"""Parts of one sample; beyond them only what is required is made."""
_NESTING: Final = 6
"""Models inside models; deeper ones hold only what is required."""


class Slot(NamedTuple):
    """What stands at one path of a value that was made."""

    node: Node
    inside: tuple[str, ...]
    is_optional: bool = False


class Maker:
    """Turns a JSON schema into values. `turn` 0 is the first idea; higher turns are others."""

    def __init__(self, root: dict[str, Any], salt: str) -> None:
        self.root = root
        self.salt = salt
        self.slots: dict[Path, Slot] = {}
        self.at_least: dict[Path, int] = {}
        """Lengths that the model asked for and its schema did not."""
        self.focus: Path | None = None
        """The part being made anew: its turns go through all choices in order, instead of at random."""
        self._definitions: dict[str, Any] = root.get("$defs", {})
        self._heights = self._measure()

    def draw(self, path: Path, turn: int, count: int) -> int:
        """A number from 0 to `count - 1` that depends on the salt, the path and the turn."""
        seed = json.dumps([self.salt, path, turn]).encode()
        return int.from_bytes(blake2b(seed, digest_size=8).digest()) % count

    def remake(self, path: Path, turn: int) -> Any:
        """Another idea for the part at `path`."""
        slot = self.slots[path]
        self.focus = path
        return self.value(slot.node, path, turn, slot.inside, slot.is_optional)

    def value(
        self,
        node: Node,
        path: Path = (),
        turn: int = 0,
        inside: tuple[str, ...] = (),
        is_optional: bool = False,
    ) -> Any:
        self.slots[path] = Slot(node, inside, is_optional)
        node, inside = self._resolve(node, inside)
        if turn == 0 and (examples := node.get("examples")) and isinstance(examples, list):
            return examples[self.draw(path, 0, len(examples))]
        if "const" in node:
            return node["const"]
        if node.get("enum"):
            return self._choice(node["enum"], path, turn)
        for union in ("oneOf", "anyOf"):
            if node.get(union):
                return self._union(node[union], path, turn, inside)
        match node.get("type"):
            case "null":
                return None
            case "boolean":
                return self._boolean(path, turn)
            case "integer" | "number":
                return number_in(node, self._counter(path, turn))
            case "array":
                return self._array(node, path, turn, inside)
            case "object":
                return self._object(node, path, turn, inside)
            case _:  # a string, or anything at all
                return self.text(node, path, turn)

    def _resolve(self, node: Node, inside: tuple[str, ...]) -> tuple[Node, tuple[str, ...]]:
        while True:
            if (name := node.get("$ref")) is not None:
                siblings = {key: value for key, value in node.items() if key != "$ref"}
                node = {**self._definitions[name.rpartition("/")[2]], **siblings}
                inside = (*inside, name)
            elif parts := node.get("allOf"):
                siblings = {key: value for key, value in node.items() if key != "allOf"}
                node = {key: value for part in (*parts, siblings) for key, value in part.items()}
            else:
                return node, inside

    # Recursion: how many models a value of this node needs inside each other, at least.

    def _measure(self) -> dict[str, float]:
        self._heights = dict.fromkeys(self._definitions, math.inf)
        while True:
            measured = {name: self.height(node) for name, node in self._definitions.items()}
            if measured == self._heights:
                return measured
            self._heights = measured

    def height(self, node: Node) -> float:
        if (name := node.get("$ref")) is not None:
            return 1 + self._heights[name.rpartition("/")[2]]
        if options := node.get("anyOf") or node.get("oneOf"):
            return min(map(self.height, options))
        needed = [
            node["properties"][name]
            for name in node.get("required", ())
            if name in node.get("properties", {})
        ]
        needed += node.get("allOf", ())
        least = node.get("minItems", 0)
        needed += node.get("prefixItems", ())[:least]
        if least > len(node.get("prefixItems", ())) and isinstance(node.get("items"), dict):
            needed.append(node["items"])
        return max(map(self.height, needed), default=0)

    def _is_lean(self, inside: tuple[str, ...]) -> bool:
        """Whether only what is required should be made here, so that recursion ends."""
        is_repeated = bool(inside) and inside.count(inside[-1]) > 1
        return is_repeated or len(inside) > _NESTING or len(self.slots) > _VALUES

    # One method a kind.

    def _pick(self, path: Path, turn: int, count: int, first: int) -> int:
        if turn == 0:
            return first
        return (first + turn) % count if path == self.focus else self.draw(path, turn, count)

    def _choice(self, options: Sequence[Any], path: Path, turn: int) -> Any:
        first = self.draw(path, 0, len(options))
        if path and isinstance(path[-1], str):  # elements of a list should differ, verdicts should approve
            good = [
                n for n, option in enumerate(options) if isinstance(option, str) and reads_as(option) is True
            ]
            first = good[0] if good else first
        return options[self._pick(path, turn, len(options), first)]

    def _boolean(self, path: Path, turn: int) -> bool:
        verdict = reads_as(field_name(path))
        return bool(self._pick(path, turn, 2, self.draw(path, 0, 2) if verdict is None else int(verdict)))

    def _union(self, options: Sequence[Node], path: Path, turn: int, inside: tuple[str, ...]) -> Any:
        slot = self.slots[path]
        if self._is_lean(inside):
            ranked = sorted(options, key=self.height)
            nulls = [option for option in ranked if option.get("type") == "null"]
            ranked = nulls + [option for option in ranked if option not in nulls]
            lowest = self.height(ranked[0])
            turn_among = sum(self.height(option) == lowest for option in ranked)
            option = ranked[self._pick(path, turn, turn_among, 0)]
        else:
            # Null comes last; what has no finite value here never comes.
            ranked = sorted(
                (o for o in options if self.height(o) < math.inf), key=lambda o: o.get("type") == "null"
            )
            ranked = _without_twin(ranked)
            solid = sum(option.get("type") != "null" for option in ranked)
            option = ranked[self._pick(path, turn, len(ranked), self.draw(path, 0, solid) if solid else 0)]
        made = self.value(option, path, turn, inside)
        self.slots[path] = slot  # the union, not the option: a repair may choose another
        return made

    def _array(self, node: Node, path: Path, turn: int, inside: tuple[str, ...]) -> list[Any]:
        prefix, items = (
            node.get("prefixItems", []),
            node.get("items", {} if "prefixItems" not in node else False),
        )
        least = max(node.get("minItems", 0), self.at_least.get(path, 0))
        most = node.get("maxItems", math.inf)
        wanted = least if self._is_lean(inside) else max(least, int(min(2, most)), len(prefix))
        if turn and path == self.focus and most != math.inf:
            wanted = max(least, min(wanted, int(most)) - turn % 3)
        made = [
            self.value(item, (*path, n), turn, inside) for n, item in enumerate(prefix[: max(wanted, least)])
        ]
        if items is False or self._is_endless(items):
            return made
        items = {} if items is True else items
        while len(made) < wanted:
            if (item := self._another(node, items, made, (*path, len(made)), turn, inside)) is DROP:
                break
            made.append(item)
        return made

    def _is_endless(self, items: Node | bool) -> bool:
        return isinstance(items, Mapping) and self.height(items) == math.inf

    def _another(
        self, node: Node, items: Node, made: list[Any], path: Path, turn: int, inside: tuple[str, ...]
    ) -> Any:
        """One more element, or `DROP` where they must differ and no other was found."""
        item = self.value(items, path, turn, inside)
        if not node.get("uniqueItems"):
            return item
        focus, self.focus = self.focus, path
        for other in range(turn + 1, turn + 100):
            if item not in made:
                break
            item = self.value(items, path, other, inside)
        self.focus = focus
        return DROP if item in made else item

    def _object(self, node: Node, path: Path, turn: int, inside: tuple[str, ...]) -> dict[str, Any]:
        required = node.get("required", ())
        is_lean = self._is_lean(inside)
        made: dict[str, Any] = {}
        for name, child in node.get("properties", {}).items():
            is_optional = name not in required
            is_left_out = (
                is_lean or (turn > 0 and self.draw((*path, name), turn, 2)) or self.height(child) == math.inf
            )
            if not (is_optional and is_left_out):
                made[name] = self.value(child, (*path, name), turn, inside, is_optional)
        self._fill(made, node, path, turn, inside)
        return made

    def _fill(self, made: dict[str, Any], node: Node, path: Path, turn: int, inside: tuple[str, ...]) -> None:
        """Entries beyond the declared fields: a mapping's, or as many as are required."""
        least = max(node.get("minProperties", 0), self.at_least.get(path, 0))
        wanted = least if node.get("properties") or self._is_lean(inside) else max(least, 1)
        pattern, child = next(
            iter(node.get("patternProperties", {}).items()), (None, node.get("additionalProperties"))
        )
        if child is False or (child is None and not least):
            return
        child = child if isinstance(child, Mapping) else {}
        if self.height(child) == math.inf:
            return
        keys: Node = node.get("propertyNames") or ({"type": "string", "pattern": pattern} if pattern else {})
        wanted = int(min(wanted, node.get("maxProperties", math.inf)))
        for other in range(wanted * 20):
            if len(made) >= wanted:
                return
            key_path = (*path, f"key{other}")
            self.focus, focus = key_path, self.focus
            key = self.value(keys, key_path, other, inside)
            self.focus = focus
            self.slots.pop(key_path)
            if (key := key if isinstance(key, str) else json.dumps(key)) not in made:
                made[key] = self.value(child, (*path, key), turn, inside)

    def _counter(self, path: Path, turn: int) -> Callable[[int], int]:
        """Chooses among so many numbers: at random, or in order where a repair looks for one that fits."""
        if turn and path == self.focus:
            return lambda count: (turn - 1) % count
        return lambda count: self.draw(path, turn, count)

    # Texts.

    def text(self, node: Node, path: Path, turn: int) -> str:
        least, most = node.get("minLength", 0), node.get("maxLength", math.inf)
        if "contentSchema" in node:
            return json.dumps(self.value(node["contentSchema"], (*path, "$"), turn))
        if (known := FORMATS.get(node.get("format", ""))) and turn < 2:
            return known(self.draw(path, turn, 900) + 100)
        number = self.draw(path, 0, 900) + 100
        is_element = bool(path) and isinstance(path[-1], int)
        ideas = ideas_for(field_name(path), number, is_element=is_element)
        text = ideas[self._pick(path, turn, len(ideas), 0)]
        if (pattern := node.get("pattern")) is not None:
            return matching(pattern, least, most, [fit(text, least, most)], self.draw(path, turn, 1 << 32))
        return fit(text, least, most)


def _without_twin(options: list[Node]) -> list[Node]:
    """Drop the text option of a number that may also be written as text: bounds stand beside the number."""
    kinds = [option.get("type") for option in options if option.get("type") != "null"]
    if kinds != ["number", "string"]:
        return options
    is_twin = any(
        set(option) <= {"type", "pattern", "format"} for option in options if option.get("type") == "string"
    )
    return [option for option in options if option.get("type") != "string"] if is_twin else options
