"""Made-up but valid values for any pydantic model: what a rehearsal answers.

A first value is drawn from the model's JSON schema. Where the schema says too little (bounds of dates, custom
validators, alias paths) the model's own errors lead to a repair. Nothing is random: a value is a function of
the model, the salt and the place in the model, the same in every process and on every machine.
"""

from __future__ import annotations

import ast
import base64
import importlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

from smithers.errors import AgentError, BugError
from smithers.prompt import json_schema

Path: TypeAlias = tuple[str | int, ...]
"""Keys and positions from the top of a value to a part of it."""
Node: TypeAlias = Mapping[str, Any]
"""A JSON schema, or a part of one."""

_CHECKS: Final = 800
"""Validations that one sample may cost before its model counts as impossible to please."""
_VALUES: Final = 400
"""Parts of one sample; beyond them only what is required is made."""
_NESTING: Final = 6
"""Models inside models; deeper ones hold only what is required."""
_DROP: Final = object()
"""A repair: leave the field out."""

_GOOD = frozenset(
    "accept accepted approve approved clean complete completed converged correct done finished good "
    "green lgtm merge mergeable ok okay pass passed passes passing ready resolved satisfied satisfactory "
    "ship shipped succeeded success successful valid verified".split()
)
_BAD = frozenset(
    "again block blocked blocker blockers blocking broken cancelled continue dirty error errors fail failed "
    "failing failure incomplete invalid issues missing more needs no not reject rejected remaining retry "
    "wrong".split()
)
_ID_LIKE = frozenset("branch code id identifier key name ref slug tag ticket".split())
_FILE_LIKE = frozenset("file filename filepath path".split())


def sample(schema: type[BaseModel], *, salt: str = "") -> Any:
    """A JSON value that the model accepts: readable, and the same for the same model and salt everywhere.

    Booleans that read as a verdict (`approved`, `is_done`, `tests_passed`) are true and those that read as a
    complaint (`needs_work`, `has_errors`) false; a choice takes its approving option. So review loops end.

    Raises:
        AgentError: no value was found, because a validator refuses all of them or the model has no finite
            value; names the paths.
    """
    maker = _Maker(json_schema(schema), salt)
    if maker.height(maker.root) == math.inf:
        raise AgentError(
            f"{schema.__name__} has no finite value: it requires itself",
            hint="make one of the fields on the way round optional",
        )
    return _Repair(schema, maker).run()


# --- Making -------------------------------------------------------------------------------------


class _Slot(NamedTuple):
    """What stands at one path of a value that was made."""

    node: Node
    inside: tuple[str, ...]
    is_optional: bool = False


class _Maker:
    """Turns a JSON schema into values. `turn` 0 is the first idea; higher turns are others."""

    def __init__(self, root: dict[str, Any], salt: str) -> None:
        self.root = root
        self.salt = salt
        self.slots: dict[Path, _Slot] = {}
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
        self.slots[path] = _Slot(node, inside, is_optional)
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
                return _number(node, self._counter(path, turn))
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
                n for n, option in enumerate(options) if isinstance(option, str) and _reads_as(option) is True
            ]
            first = good[0] if good else first
        return options[self._pick(path, turn, len(options), first)]

    def _boolean(self, path: Path, turn: int) -> bool:
        verdict = _reads_as(_name(path))
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
            if (item := self._another(node, items, made, (*path, len(made)), turn, inside)) is _DROP:
                break
            made.append(item)
        return made

    def _is_endless(self, items: Node | bool) -> bool:
        return isinstance(items, Mapping) and self.height(items) == math.inf

    def _another(
        self, node: Node, items: Node, made: list[Any], path: Path, turn: int, inside: tuple[str, ...]
    ) -> Any:
        """One more element, or `_DROP` where they must differ and no other was found."""
        item = self.value(items, path, turn, inside)
        if not node.get("uniqueItems"):
            return item
        focus, self.focus = self.focus, path
        for other in range(turn + 1, turn + 100):
            if item not in made:
                break
            item = self.value(items, path, other, inside)
        self.focus = focus
        return _DROP if item in made else item

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
        if (known := _FORMATS.get(node.get("format", ""))) and turn < 2:
            return known(self.draw(path, turn, 900) + 100)
        ideas = self._ideas(path)
        text = ideas[self._pick(path, turn, len(ideas), 0)]
        if (pattern := node.get("pattern")) is not None:
            return _matching(pattern, least, most, [_fit(text, least, most)], self.draw(path, turn, 1 << 32))
        return _fit(text, least, most)

    def _ideas(self, path: Path) -> list[str]:
        """Texts for a field: the first is the natural one, the others please unusual validators."""
        words = _words(_name(path)) or ["answer"]
        number = self.draw(path, 0, 900) + 100
        is_element = bool(path) and isinstance(path[-1], int)
        plain = f"rehearsed {' '.join(words)} {number}"
        dashed = plain.replace(" ", "-")
        if {"url", "uri", "link"} & set(words[-1:]):
            first = f"https://example.org/rehearsed/{number}"
        elif "email" in words:
            first = f"rehearsed.{number}@example.org"
        elif _FILE_LIKE & set(words[-1:]):
            first = f"rehearsed/{words[-1]}-{number}.txt"
        else:
            # Ids are often derived from names and from the elements of lists: those hold no spaces.
            first = dashed if is_element or _ID_LIKE & set(words[-1:]) else plain
        others = [
            plain,
            dashed,
            plain.title(),
            plain.upper(),
            dashed.replace("-", "_"),
            words[0],
            str(number),
        ]
        others += [
            "a",
            "A",
            "rehearsed",
            "Rehearsed.",
            f"rehearsed.{number}@example.org",
            "2024-01-15",
            "1.2.3",
        ]
        others += [
            f"https://example.org/{number}",
            "rehearsed.txt",
            "/rehearsed",
            "{}",
            "[]",
            "UTC",
            "en",
            "",
        ]
        return [first, *(other for other in others if other != first)]


def _name(path: Path) -> str:
    """The innermost field; an element is called after its list, a text at the top `answer`."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _words(name: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def _reads_as(name: str) -> bool | None:
    """True for a verdict, False for a complaint, None for neither."""
    words = set(_words(name))
    if words & _BAD:
        return False
    return True if words & _GOOD else None


def _without_twin(options: list[Node]) -> list[Node]:
    """Drop the text option of a number that may also be written as text: bounds stand beside the number."""
    kinds = [option.get("type") for option in options if option.get("type") != "null"]
    if kinds != ["number", "string"]:
        return options
    is_twin = any(
        set(option) <= {"type", "pattern", "format"} for option in options if option.get("type") == "string"
    )
    return [option for option in options if option.get("type") != "string"] if is_twin else options


def _fit(text: str, least: int, most: float) -> str:
    """`text` cut or filled up to a length, its end (the number that tells it from others) kept."""
    if len(text) < least:
        text = text + " and so on" * (least // 10 + 1)
        text = text[: int(min(max(least, 1), most))]
    if len(text) > most:
        text = text[len(text) - int(most) :]
    # A model that strips white space must not end up below the minimum.
    return re.sub(r"^\s|\s$", "-", text)


def _code(number: int, version: str) -> str:
    return f"{number:08d}-0000-{version}000-8000-{number:012d}"


_FORMATS: Final[dict[str, Callable[[int], str]]] = {
    # Long past, so that no value changes the day its date goes by.
    "date": lambda n: f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}",
    "date-time": lambda n: f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}T09:{n % 60:02d}:00Z",
    "time": lambda n: f"09:{n % 60:02d}:00",
    "duration": lambda n: f"PT{n % 50 + 1}M",
    "uuid": lambda n: _code(n, "4"),
    **{f"uuid{v}": lambda n, v=v: _code(n, str(v)) for v in range(1, 9)},  # type: ignore[misc]
    "uri": lambda n: f"https://example.org/rehearsed/{n}",
    "multi-host-uri": lambda n: f"https://user:secret@example.org:5432/rehearsed{n}",
    "email": lambda n: f"rehearsed.{n}@example.org",
    "name-email": lambda n: f"Rehearsed <rehearsed.{n}@example.org>",
    "ipv4": lambda n: f"192.0.2.{n % 254 + 1}",
    "ipv6": lambda n: f"2001:db8::{n:x}",
    "ipvanyaddress": lambda n: f"192.0.2.{n % 254 + 1}",
    "ipv4network": lambda n: f"10.{n % 256}.0.0/16",
    "ipv6network": lambda n: f"2001:db8:{n:x}::/48",
    "ipvanynetwork": lambda n: f"10.{n % 256}.0.0/16",
    "ipv4interface": lambda n: f"192.0.2.{n % 254 + 1}/24",
    "ipv6interface": lambda n: f"2001:db8::{n:x}/64",
    "ipvanyinterface": lambda n: f"192.0.2.{n % 254 + 1}/24",
    "regex": lambda n: f"rehearsed{n}",
    "zoneinfo": lambda _: "UTC",
    "path": lambda n: f"rehearsed/{n}.txt",
    "directory-path": lambda _: ".",
    "base64": lambda n: base64.b64encode(f"rehearsed {n}".encode()).decode(),
    "base64url": lambda n: base64.urlsafe_b64encode(f"rehearsed {n}".encode()).decode(),
    "json-string": lambda n: json.dumps({"rehearsed": n}),
    "fraction": lambda n: f"{n}/7",
}


# --- Numbers ------------------------------------------------------------------------------------


def _number(node: Node, pick: Callable[[int], int]) -> int | float:
    """A number within the node's bounds, small and with few digits where they allow it."""
    is_integer = node.get("type") == "integer"
    low, is_low_open = _bound(node, "minimum", "exclusiveMinimum", max)
    high, is_high_open = _bound(node, "maximum", "exclusiveMaximum", min)
    for step in _steps(node.get("multipleOf"), is_integer):
        first = None if low is None else math.ceil(low / step)
        last = None if high is None else math.floor(high / step)
        if first is not None and is_low_open and first * step == low:
            first += 1
        if last is not None and is_high_open and last * step == high:
            last -= 1
        if first is not None and last is not None and first > last:
            continue
        chosen = _among(first, last, 9 if step >= 1 else 99, pick) * step
        if is_integer:
            return int(chosen)
        found = float(chosen)
        if (low is None or found > low or (found == low and not is_low_open)) and (
            high is None or found < high or (found == high and not is_high_open)
        ):
            return found
    # Bounds closer together than any tidy number: the next one after the lower.
    return math.nextafter(float(low or 0), math.inf) if is_low_open else float(low or 0)


def _bound(
    node: Node, closed: str, opened: str, stricter: Callable[[Fraction, Fraction], Fraction]
) -> tuple[Fraction | None, bool]:
    given = [Fraction(node[name]) for name in (closed, opened) if name in node and math.isfinite(node[name])]
    if not given:
        return None, False
    bound = stricter(given[0], given[-1])
    return bound, opened in node and math.isfinite(node[opened]) and Fraction(node[opened]) == bound


def _steps(multiple: float | None, is_integer: bool) -> Iterator[Fraction]:
    if multiple is not None:
        step = Fraction(str(multiple))  # as written: 0.1 is a tenth
        yield step * step.denominator if is_integer else step
        return
    if is_integer:
        yield Fraction(1)
        return
    for digits in (1, 0, 2, 3, 4, 6, 9, 15, 30, 100, 300):
        yield Fraction(1, 10**digits)


def _among(first: int | None, last: int | None, width: int, pick: Callable[[int], int]) -> int:
    """One of at most `width` integers from `first` to `last`: the smallest positive ones if there are any."""
    low = first if first is not None and (first > 0 or (last is not None and last < 1)) else None
    if low is None:
        if last is None or last >= 1:
            low = 1
        else:
            return last - pick(width if first is None else min(width, last - first + 1))
    return low + pick(width if last is None else min(width, last - low + 1))


# --- Patterns -----------------------------------------------------------------------------------
# Made here, on the parser of the standard library. rstr 3.2.2 was tried: it takes the characters of a
# negated class from an unordered set, so that its texts differ from process to process even with a seed, it
# cannot aim at a length, and it knows no atomic groups or conditions. exrex is under the AGPL.

_TIERS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "-_. ",
    "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~\t\n\r\f\v",
)

_CATEGORIES: Final[dict[str, Callable[[str], bool]]] = {
    "CATEGORY_DIGIT": str.isdigit,
    "CATEGORY_NOT_DIGIT": lambda char: not char.isdigit(),
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_NOT_SPACE": lambda char: not char.isspace(),
    "CATEGORY_WORD": lambda char: char.isalnum() or char == "_",
    "CATEGORY_NOT_WORD": lambda char: not (char.isalnum() or char == "_"),
}

_DIALECT: Final = (
    # What the Rust engine of pydantic understands and the parser of Python does not, as near as possible.
    (r"\\z", r"\\Z"),
    (r"\(\?<(?![=!])", "(?P<"),
    (r"\[:(?:alpha|upper|lower):\]", "a-zA-Z"),
    (r"\[:digit:\]", "0-9"),
    (r"\[:alnum:\]", "0-9a-zA-Z"),
    (r"\\p(?:\{(?:Lu|Uppercase)\})", "[A-Z]"),
    (r"\\p(?:\{(?:Ll|Lowercase)\})", "[a-z]"),
    (r"\\p(?:L|\{(?:L|Letter|Alphabetic)\})", "[a-zA-Z]"),
    (r"\\p(?:N|\{(?:N|Nd|Number)\})", "[0-9]"),
)


def _matching(pattern: str, least: int, most: float, wishes: list[str], seed: int) -> str:
    """A text that the pattern accepts, of a length in bounds; the first wish if it is one already."""
    accepts = _acceptor(pattern, least, None if most == math.inf else int(most))
    for text in wishes:
        if accepts(text):
            return text
    parsed = _parsed(pattern)
    if parsed is None:
        return wishes[0]
    for attempt in range(240):
        text = _TextOf(
            seed + attempt, _spare(attempt, parsed.getwidth()[0], least, most), attempt % 2 == 1
        ).of(parsed)
        missing = "a" * max(0, least - len(text))
        for whole in (text, text + missing, missing + text) if missing else (text,):
            if accepts(whole):
                return whole
    return wishes[0]


def _spare(attempt: int, width: int, least: int, most: float) -> int:
    """Characters to add to the shortest match: a readable number first, then every number that may fit."""
    fewest = max(0, least - width)
    plan = [fewest + 4, fewest, 0, fewest + 1, fewest + 2]
    spare = plan[attempt // 2] if attempt // 2 < len(plan) else attempt // 4
    return int(max(0, min(spare, most - width)))


@lru_cache(maxsize=256)
def _acceptor(pattern: str, least: int, most: int | None) -> Callable[[str], bool]:
    """Whether pydantic itself takes a text, by the engine it uses for the pattern."""

    def validator(engine: Any) -> SchemaValidator:
        config = core_schema.CoreConfig(regex_engine=engine)
        return SchemaValidator(
            core_schema.str_schema(pattern=pattern, min_length=least, max_length=most), config
        )

    try:
        return validator("rust-regex").isinstance_python
    except SchemaError:
        pass
    try:
        return validator("python-re").isinstance_python  # look-around and references to groups
    except SchemaError:
        return lambda _: False


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> Any:
    # The parser has no public name, yet it is what `re` itself runs on; its answer is checked by pydantic.
    parser = importlib.import_module("re._parser")
    for theirs, ours in _DIALECT:
        pattern = re.sub(theirs, ours, pattern)
    try:
        return parser.parse(pattern)
    except re.error:
        return None


class _TextOf:
    """Writes one text for a parsed pattern.

    Args:
        spare: characters that repeats may use beyond their minimum; the first ones take them.
        writes_lookahead: put what a look-ahead asks for into the text, for a later part to cover
            (`(?=.*\\d).{8,}`), instead of hoping that a later part has it.
    """

    def __init__(self, seed: int, spare: int, writes_lookahead: bool) -> None:
        self.seed = seed
        self.spare = spare
        self.writes_lookahead = writes_lookahead
        self.groups: dict[int, str] = {}
        self.count = 0

    def draw(self, count: int) -> int:
        self.count += 1
        drawn = blake2b(f"{self.seed}/{self.count}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn) % count

    def of(self, parsed: Any) -> str:
        return "".join(self.part(operation.name, operand) for operation, operand in parsed)

    def part(self, operation: str, operand: Any) -> str:
        match operation:
            case "LITERAL":
                return chr(operand)
            case "NOT_LITERAL":
                return self.char([("NEGATE", None), ("LITERAL", operand)])
            case "ANY":
                return self.char([("NEGATE", None), ("LITERAL", 10)])
            case "IN":
                return self.char([(found.name, value) for found, value in operand])
            case "BRANCH":
                return self.branch(operand[1])
            case "SUBPATTERN":
                group, text = operand[0], self.of(operand[3])
                self.groups[group] = text
                return text
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self.repeat(*operand)
            case "ATOMIC_GROUP":
                return self.of(operand)
            case "GROUPREF":
                return self.groups.get(operand, "")
            case "GROUPREF_EXISTS":
                group, yes, no = operand
                return self.of(yes if group in self.groups else no or ())
            case "ASSERT":
                return self.of(operand[1]) if self.writes_lookahead and operand[0] > 0 else ""
            case _:  # anchors, word boundaries and negative look-around have no width
                return ""

    def branch(self, branches: Any) -> str:
        if self.spare:
            return self.of(branches[self.draw(len(branches))])
        return self.of(min(branches, key=lambda branch: branch.getwidth()[0]))

    def repeat(self, least: int, most: int, body: Any) -> str:
        width = max(1, body.getwidth()[0])
        more = min(int(most) - least, self.spare // width)
        self.spare -= more * width
        return "".join(self.of(body) for _ in range(least + more))

    def char(self, members: list[tuple[str, Any]]) -> str:
        for tier in _TIERS:
            if fitting := [char for char in tier if _is_member(char, members)]:
                return fitting[self.draw(len(fitting))]
        codes = [value for kind, value in members if kind == "LITERAL"]
        codes += [value[0] for kind, value in members if kind == "RANGE"]
        return chr(codes[self.draw(len(codes))]) if codes else ""


def _is_member(char: str, members: list[tuple[str, Any]]) -> bool:
    code, found, negated = ord(char), False, False
    for kind, value in members:
        match kind:
            case "NEGATE":
                negated = True
            case "LITERAL":
                found = found or code == value
            case "RANGE":
                found = found or value[0] <= code <= value[1]
            case "CATEGORY":
                found = found or _CATEGORIES[value.name](char)
            case _:
                raise BugError(f"a member of a character class that we do not know: {kind}")
    return found != negated


# --- Repairing ----------------------------------------------------------------------------------


class _Fault(NamedTuple):
    """One error of the model about a value."""

    loc: tuple[int | str, ...]
    kind: str
    message: str
    context: Mapping[str, Any]
    value: Any


class _Repair:
    """Changes a value, one fault at a time, until its model accepts it."""

    def __init__(self, schema: type[BaseModel], maker: _Maker) -> None:
        self.schema = schema
        self.maker = maker
        self.checks = 0

    def run(self) -> Any:
        value = self.maker.value(self.maker.root)
        faults = self.check(value)
        seen = {_key(value)}
        while faults:
            if (better := self.improve(value, faults, seen)) is None:
                raise self.impossible(faults)
            value, faults = better
        return value

    def improve(self, value: Any, faults: list[_Fault], seen: set[str]) -> tuple[Any, list[_Fault]] | None:
        """The first change that ends a fault without being a step back; None if there is none."""
        for fault in faults:
            for changed in self.changes(value, fault):
                if self.checks >= _CHECKS:
                    return None
                if (key := _key(changed)) in seen:
                    continue
                seen.add(key)
                left = self.check(changed)
                # Another fault in the place of this one is progress too: the model checks in layers.
                if len(left) < len(faults) or all(
                    now.loc != fault.loc or now.kind != fault.kind for now in left
                ):
                    return changed, left
        return None

    def check(self, value: Any) -> list[_Fault]:
        self.checks += 1
        text = json.dumps(value)
        try:
            # A copy: validators that run before the fields often take things out of what they are given.
            self.schema.model_validate(json.loads(text))
            return []
        except ValidationError:
            pass
        except Exception as error:  # noqa: BLE001
            # A validator of the author's that expects another shape: try others, and quote it if none do.
            return [_Fault((), type(error).__name__, str(error), {}, value)]
        try:
            # A strict model takes its dates and sets only from JSON, which is what an agent would send.
            self.schema.model_validate_json(text)
            return []
        except ValidationError as error:
            return [
                _Fault(found["loc"], found["type"], found["msg"], found.get("ctx", {}), found["input"])
                for found in error.errors(include_url=False)
            ]

    def impossible(self, faults: list[_Fault]) -> AgentError:
        first = faults[0]
        path = ".".join(map(str, first.loc)) or "$"
        return AgentError(
            f"no rehearsed value fits {self.schema.__name__} at {path}: {first.message}",
            hint="a validator of the model refuses every value tried there; "
            "give the rehearsal one yourself: RehearsalAgent(answers={task id: value})",
            errors=[
                {"path": ".".join(map(str, fault.loc)) or "$", "message": fault.message}
                for fault in faults[:20]
            ],
        )

    def changes(self, value: Any, fault: _Fault) -> Iterator[Any]:
        """Other values, the most likely repair first."""
        path = _locate(value, fault.loc)
        if fault.loc[-1:] == ("[key]",) and path:
            yield from self.other_keys(value, path)
        for part in _proposals(fault):
            yield _put(value, path, part)
        if fault.kind == "missing":
            yield _put(value, fault.loc, "rehearsed")
        if fault.kind in ("too_short", "string_too_short") and path in self.maker.slots:
            self.maker.at_least[path] = fault.context["min_length"]
            yield _put(value, path, self.maker.remake(path, 0))
        for depth in range(len(path), -1, -1):
            yield from self.remade(value, path[:depth])

    def remade(self, value: Any, path: Path) -> Iterator[Any]:
        slot = self.maker.slots.get(path)
        if slot is None:
            return
        for turn in range(1, 41):
            yield _put(value, path, self.maker.remake(path, turn))
            if turn == 8 and slot.is_optional:
                yield _put(value, path, _DROP)

    def other_keys(self, value: Any, path: Path) -> Iterator[Any]:
        parent = _get(value, path[:-1])
        if not isinstance(parent, dict):
            return
        rest = {key: part for key, part in parent.items() if key != path[-1]}
        number = len(rest) + 1
        while rest.keys() & (ideas := _key_ideas(number)):
            number += 1
        for key in (*ideas, "true", "false"):
            if key not in rest:
                yield _put(value, path[:-1], {**rest, key: parent[path[-1]]})


def _key_ideas(number: int) -> list[str]:
    day = date(2024, 1, 1) + timedelta(days=number)
    return [str(number), day.isoformat(), f"{day}T09:00:00Z", f"{number}.5", _code(number, "4")]


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _locate(value: Any, loc: tuple[int | str, ...]) -> Path:
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


def _get(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _put(value: Any, path: Path, part: Any) -> Any:
    """A copy of `value` with another part at `path`; objects on the way are made, `_DROP` removes a key."""
    if not path:
        return value if part is _DROP else part
    first, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(first, int) and first < len(value):
        return [*value[:first], _put(value[first], rest, part), *value[first + 1 :]]
    fields = dict(value) if isinstance(value, dict) else {}
    if part is _DROP and not rest:
        fields.pop(first, None)
        return fields
    if isinstance(first, int):
        # A path through a list that is not there yet: `AliasPath("names", 0)`.
        return [_put(None, rest, part)] * (first + 1)
    return {**fields, first: _put(fields.get(first), rest, part)}


def _proposals(fault: _Fault) -> Iterator[Any]:
    """Values that the words of an error suggest."""
    kind, context, value = fault.kind, fault.context, fault.value
    yield from _BY_KIND.get(kind, ())
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        yield from _beyond(next(iter(context.values())), upwards=kind.startswith("greater"))
    elif kind == "multiple_of":
        yield from (context["multiple_of"] * factor for factor in (1, 2, 10, 0))
    elif kind in ("too_long", "string_too_long", "bytes_too_long"):
        yield value[: context["max_length"]] if isinstance(value, str | list) else _DROP
    elif kind == "too_short" and isinstance(value, list):
        yield [*value, *(value[-1:] or ["rehearsed"]) * (context["min_length"] - len(value))]
    elif kind in ("string_too_short", "bytes_too_short"):
        yield _fit(str(value), context["min_length"], math.inf)
    elif kind == "string_pattern_mismatch":
        yield _matching(context["pattern"], 0, math.inf, [str(value)], 0)
    elif kind in ("literal_error", "enum"):
        yield from _quoted(str(context["expected"]))
    elif kind == "url_scheme":
        for scheme in _quoted(str(context["expected_schemes"])):
            yield f"{scheme}://user:secret@example.org/rehearsed"
            yield f"{scheme}:///rehearsed"
    elif kind == "uuid_version":
        yield _code(100, str(context["expected_version"]))
    elif kind == "is_instance_of":
        yield from ([], {})
    elif kind == "extra_forbidden":
        yield _DROP


_BY_KIND: Final[dict[str, Sequence[Any]]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "decimal_max_places"), (1,)),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), (1.5, 1)),
    **dict.fromkeys(("decimal_max_digits", "decimal_whole_digits", "finite_number"), (1, 0.5)),
    **dict.fromkeys(("bool_type", "bool_parsing"), (True,)),
    **dict.fromkeys(("string_type", "bytes_type"), ("rehearsed",)),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type", "mapping_type"), ({},)
    ),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), ([],)),
    "none_required": (None,),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), ("2024-01-15",)),
    **dict.fromkeys(("datetime_type", "datetime_parsing"), ("2024-01-15T09:30:00Z",)),
    **dict.fromkeys(("time_type", "time_parsing"), ("09:30:00",)),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), ("PT5M",)),
    "timezone_naive": ("2024-01-15T09:30:00", "09:30:00"),
    "timezone_aware": ("2024-01-15T09:30:00Z", "09:30:00Z"),
    "date_past": ("2001-01-15",),
    "date_future": ("2999-01-15",),
    "datetime_past": ("2001-01-15T09:30:00Z", "2001-01-15T09:30:00"),
    "datetime_future": ("2999-01-15T09:30:00Z", "2999-01-15T09:30:00"),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), (_code(100, "4"),)),
    **dict.fromkeys(("url_type", "url_parsing", "url_syntax_violation"), ("https://example.org/rehearsed",)),
    "import_error": ("math.pi", "math"),
    "fraction_parsing": ("1/2",),
    **dict.fromkeys(("complex_type", "complex_str_parsing"), ("1+2j", 1.5)),
    **dict.fromkeys(("byte_size", "byte_size_unit"), (1024, "1kb")),
    "zoneinfo_str": ("UTC",),
    "path_not_directory": (".",),
    **dict.fromkeys(("ip_v4_address", "ip_v4_network", "ip_v4_interface", "ip_any_address"), ("192.0.2.1",)),
    **dict.fromkeys(("ip_v6_address", "ip_v6_network", "ip_v6_interface"), ("2001:db8::1",)),
    "json_invalid": ("{}", "[]", "1"),
    "pattern_regex": ("rehearsed",),
}


def _quoted(text: str) -> list[Any]:
    """The values in a text such as `'a', 'b' or 3`."""
    return [ast.literal_eval(found) for found in re.findall(r"'(?:[^'\\]|\\.)*'|-?\d+", text)]


def _beyond(bound: Any, *, upwards: bool) -> Iterator[Any]:
    """Values at a bound and a little inside it."""
    sign = 1 if upwards else -1
    if isinstance(bound, int | float | Decimal):
        number = bound if isinstance(bound, int) else float(bound)
        yield from (number + sign, number, number + sign * 0.01, number + sign * abs(number) * 0.001)
        return
    text = str(bound)
    if (span := _span(text)) is not None:
        for step in (timedelta(), timedelta(seconds=1), timedelta(microseconds=1)):
            yield (span + sign * step).total_seconds()
        return
    for kind, steps in (
        (date, (timedelta(days=1), timedelta())),
        (datetime, (timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1), timedelta())),
    ):
        try:
            start = kind.fromisoformat(text)
        except ValueError:
            continue
        yield from ((start + sign * step).isoformat() for step in steps)
        return
    try:
        clock = datetime.combine(date(2024, 1, 15), time.fromisoformat(text))
    except ValueError:
        return
    for step in (timedelta(minutes=1), timedelta(seconds=1), timedelta(microseconds=1), timedelta()):
        yield (clock + sign * step).timetz().isoformat()


def _span(text: str) -> timedelta | None:
    """A span as pydantic's errors write it: `1 day, 2 hours and 3 seconds`."""
    found = re.findall(r"(-?\d+) (week|day|hour|minute|second|millisecond|microsecond)s?", text)
    if not found:
        return None
    return sum((timedelta(**{f"{unit}s": int(count)}) for count, unit in found), timedelta())
