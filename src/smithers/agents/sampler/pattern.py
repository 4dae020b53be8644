"""Texts that a regular expression accepts.

Made here, on the parser of the standard library. rstr 3.2.2 was tried: it takes the characters of a
negated class from an unordered set, so that its texts differ from process to process even with a seed, it
cannot aim at a length, and it knows no atomic groups or conditions. exrex is under the AGPL.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from smithers.errors import BugError

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


def matching(pattern: str, least: int, most: float, wishes: list[str], seed: int) -> str:
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
