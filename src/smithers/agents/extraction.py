r"""The JSON in an agent's text: where it may stand, and what keeps a piece of it from being JSON. Pure.

Three promises about any text, however hostile:

* It is read in one direction, and no character more than a fixed number of times.
* Of its fenced blocks, and of the whole of it, a fixed number of pieces are candidates: the last ones.
* Nothing here raises but `NotJson` and `TooLarge`.

Measured on one core: prose 0.01 s a MB, JSON 0.2 s, nothing but brackets 0.5 s; memory, three texts and what
a candidate of `VALUE_LIMIT` values takes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from pydantic_core import from_json

from .bracket import SCALAR, SPAN_LIMIT, STRING, Span, spans

VALUE_LIMIT: Final = 1_000_000
"""Values in one piece: a model may find a fault with each, and a fault takes half a kilobyte."""

_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)([^\r\n`]*+)\r?$", re.MULTILINE)
_LANGUAGE = re.compile(r"[ \t]*([\w+./-]*)")
_FIRST_KEY = re.compile(rf"\{{[ \t\r\n]*+({STRING})")
_BRACKET = re.compile(r"[{\[]")
# The final byte is never a brace, though the standard would allow it: a sequence cut off before an answer
# must not take the answer's first character.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*+[ !$]?[@-Z\\^-z~]?|\][^\x07\x1b\r\n]*+(?:\x07|\x1b\\)|\([0-9A-Z])")
_LAST_LINE = re.compile(rf"[\r\n][ \t]*+({SCALAR})\s*\Z")
_VALUE_START = re.compile(rf"{STRING}|[,{{\[]")
_NOT_FINITE = re.compile(r"-?(?:NaN|Infinity)\b")
_SURROGATE = re.compile("[\ud800-\udfff]")
_POSITION = re.compile(r" at line (\d+) column (\d+)\Z")

_AROUND: Final = " \t\r\n\v\f\0\ufeff\xa0"
"""What may stand around a value without being part of it."""


class Candidate(NamedTuple):
    """A piece of a text that may be the answer. It need not be JSON: then that is what to tell."""

    source: str
    """The text that it was found in, without control sequences."""
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source[self.start : self.end]


class NotJson(ValueError):
    """Why a text is not JSON.

    Args:
        reason: in the parser's words, without a position.
        at: index of the character where it was noticed.
    """

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


class TooLarge(ValueError):
    """More than a model is given: it would find a fault with each value."""


# --- Finding ------------------------------------------------------------------------------------


def candidates(text: str, keys: Collection[str] | None) -> Iterator[Candidate]:
    """Pieces of a text that may be the answer, the likeliest first.

    The fenced blocks of JSON, the last one first; then the objects anywhere in the text, the last one first;
    then lists. What lies inside a JSON value is no candidate of its own, nor what lies inside an answer that
    is broken or was cut off: part of an answer would pass for the whole. A text that is a JSON string is
    looked into.

    Args:
        keys: the answer is an object, and with one of these it begins; None: it may be any JSON value.
    """
    text = _clean(text)
    inner = _scalar(text, 0, len(text))
    if isinstance(inner, str) and keys is not None:
        text = inner
    # Dictionaries as sets in order.
    found = dict.fromkeys(_fenced_values(text, keys)) | dict.fromkeys(_values(text, 0, len(text), keys))
    # A model of an object may take a list, by a validator of its own; yet objects come first.
    for span in sorted(found, key=lambda span: keys is not None and text[span[0]] == "["):
        yield Candidate(text, *span)
    last = _LAST_LINE.search(text, max(0, text.rstrip().rfind("\n"))) if keys is None else None
    if last is not None and last.span(1) not in found:
        yield Candidate(text, *last.span(1))


def begins_with(text: str, keys: Collection[str] | None) -> bool:
    """Whether a candidate begins as the answer may: with one of these keys; None: with anything."""
    found = _FIRST_KEY.match(text)
    return keys is None or (found is not None and found[1][1:-1] in keys)


def _clean(text: str) -> str:
    """Without the control sequences of terminals; a raw escape character is never JSON."""
    return _CONTROL.sub("", text) if "\x1b" in text else text


def _fenced_values(text: str, keys: Collection[str] | None) -> list[Span]:
    """The values in the blocks of JSON, the last one first."""
    found: list[Span] = []
    for start, end in reversed(_fenced(text)):
        found += _values(text, start, end, keys)
        if len(found) >= SPAN_LIMIT:
            break
    return found[:SPAN_LIMIT]


def _values(text: str, start: int, end: int, keys: Collection[str] | None) -> list[Span]:
    """The values in a part of a text, the last one first; all of it if it can only be meant as one."""
    start, end = _trim(text, start, end)
    if start == end:
        return []
    if keys is None and _scalar(text, start, end) is not None:
        return [(start, end)]
    found = spans(text, start, end, keys)[::-1]
    has_object = any(text[at] == "{" for at, _ in found)
    # Where it does not look like JSON, yet can only be meant as that, its fault is told.
    if (text[start] == "{" and not has_object) or (text[start] == "[" and not found):
        found.append((start, end))
    return found


def _trim(text: str, start: int, end: int) -> Span:
    part = text[start:end].rstrip(_AROUND)
    return start + len(part) - len(part.lstrip(_AROUND)), start + len(part)


def _scalar(text: str, start: int, end: int) -> object:
    """The string, number or boolean that a part of a text is; None: it is something else."""
    start, end = _trim(text, start, end)
    if start == end or not (text[start] in '"-tf' or text[start].isdigit()) or text[end - 1] in "}]":
        return None
    try:
        value: object = from_json(text[start:end])
    except (ValueError, TypeError):  # a lone surrogate is a TypeError
        return None
    return value


def _fenced(text: str) -> list[Span]:
    """Where the contents of the last blocks of JSON stand, and of blocks without a language, in order.

    A block that is never closed ends where the next one begins, or with the text.
    """
    blocks: deque[Span] = deque(maxlen=SPAN_LIMIT)
    mark, start = "", -1
    """Of the open block; `start` is -1 if its language is another."""
    for found in _FENCE.finditer(text):
        fence, info = found[1], found[2].strip()
        is_closing = bool(mark) and not info and fence.startswith(mark)
        if mark and not info and not is_closing:
            continue
        if mark and start >= 0:
            blocks.append((start, found.start()))
        mark, start = ("", -1) if is_closing else (fence, _content(text, found))
    if mark and start >= 0:
        blocks.append((start, len(text)))
    return list(blocks)


def _content(text: str, fence: re.Match[str]) -> int:
    """Where the content of a block begins; -1: it is not JSON."""
    language = _LANGUAGE.match(fence[2])
    name = language[1].lower() if language else ""
    if name and not name.startswith("json") and name not in ("ndjson", "application/json"):
        return -1
    # Some begin right behind the language, on the fence's own line.
    bracket = _BRACKET.search(text, fence.start(2), fence.end(2))
    return bracket.start() if bracket else fence.end()


# --- Telling ------------------------------------------------------------------------------------


def check_json(text: str) -> None:
    """Refuse what a lenient parser would let pass, and what is more than a model should be given.

    Raises:
        NotJson: a number that is not finite, or a lone surrogate.
        TooLarge: more than `VALUE_LIMIT` values.
    """
    if not text.isascii() and (lone := _SURROGATE.search(text)):
        raise NotJson(f"half of a character (\\u{ord(lone[0]):04x})", lone.start())
    if sum(map(text.count, ",{[")) > VALUE_LIMIT:
        count = sum(found[0][0] != '"' for found in _VALUE_START.finditer(text))
        if count > VALUE_LIMIT:
            raise TooLarge(f"the answer holds more than {VALUE_LIMIT:,} values")
    if _NOT_FINITE.search(text) is None:
        return
    try:
        from_json(text, allow_inf_nan=False)
    except ValueError as error:
        fault = not_json(text, str(error))
        at = fault.at - (text[fault.at - 1] == "-")  # the parser has read the sign
        if found := _NOT_FINITE.match(text, at):
            raise NotJson(f"{found[0]} is no number of JSON", at) from None


def not_json(text: str, message: str) -> NotJson:
    """A parser's message about a text, with the position as an index.

    The parser counts lines from 1 and columns in bytes.
    """
    found = _POSITION.search(message)
    if found is None:
        return NotJson(message, 0)
    start = 0
    for _ in range(int(found[1]) - 1):
        start = text.find("\n", start) + 1
    ahead = text[start : start + int(found[2])].encode("utf-8", "replace")[: max(0, int(found[2]) - 1)]
    # A line break in a string is counted as the next line's column 0: it is the character before that.
    at = start + len(ahead.decode("utf-8", "ignore")) - (found[2] == "0")
    return NotJson(message[: found.start()], max(0, at))


def position(text: str, at: int) -> tuple[int, int]:
    """Line and column of an index, both from 1, in characters."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
