r"""The JSON in an agent's text: where it may stand, and what keeps a piece of it from being JSON. Pure.

Three promises about any text, however hostile:

* It is read in one direction, and no character more than a fixed number of times.
* Of its fenced blocks, and of the whole of it, at most the last `CANDIDATE_LIMIT` pieces are candidates.
* Nothing here raises but `NotJson` and `TooLarge`.

Measured on one core: prose 0.01 s a MB, JSON 0.15 s, brackets without end 0.3 s; memory, three texts and what
one candidate of `VALUE_LIMIT` values takes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic_core import from_json

CANDIDATE_LIMIT: Final = 256
"""Pieces of one text that are tried, fenced ones and others each; the ones before them are not."""
VALUE_LIMIT: Final = 1_000_000
"""Values in one piece: a model may find a fault with each, and a fault takes half a kilobyte."""

_DEPTH: Final = 1_024
"""Open brackets that are remembered. What nests deeper than 200 is refused by the parser anyhow."""
_CUT_CHECKS: Final = 16
"""Unclosed brackets of one text of which it is asked whether the text was cut off inside them."""
_CUT_WINDOW: Final = 1 << 20
"""Characters after such a bracket that are looked at. Prose is no JSON after far fewer."""

# --- Patterns. Every repetition is possessive: nothing is read twice by one of them. ---

_SPACE = r"[ \t\r\n]*+"
_CHARS = r'(?:[^"\\\r\n]++|\\.)*+'
_STRING = f'"{_CHARS}"'
_SCALAR = rf"(?:{_STRING}|-?\d[\d.eE+-]*+|true|false|null)"

_INSIDE = rf'(?:[^{{}}\[\]"]++|"{_CHARS}"?)*+'
"""Up to the next bracket that stands in no string. A line break ends a string: JSON has none in strings, and
a stray quotation mark then spoils one line at most."""

_IN_OBJECT = rf"{_SPACE}(?:\}}|{_STRING}{_SPACE}:)"
_IN_LIST = rf'{_SPACE}(?:\[{_SPACE}){{0,7}}+(?:\]|\{{{_SPACE}["}}]|{_SCALAR}{_SPACE}[,\]])'
_OPENING = re.compile(rf"\{{(?={_IN_OBJECT})(?:{_INSIDE}\}})?+|\[(?={_IN_LIST})(?:{_INSIDE}\])?+")
"""A bracket behind which JSON follows: `{"name":`, `[1,`; all of the value if no other bracket is in it.
`{braces}` in prose and code are none."""
_NEXT = re.compile(rf"{_INSIDE}([{{}}\[\]])")

_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)([^\r\n`]*+)\r?$", re.MULTILINE)
_LANGUAGE = re.compile(r"[ \t]*([\w+./-]*)")
_BRACKET = re.compile(r"[{\[]")
# The final byte is never a brace, though the standard would allow it: a sequence cut off before an answer
# must not take the answer's first character.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*+[ !$]?[@-Z\\^-z~]?|\][^\x07\x1b\r\n]*+(?:\x07|\x1b\\)|\([0-9A-Z])")
_LAST_LINE = re.compile(rf"[\r\n][ \t]*+({_SCALAR})\s*\Z")
_VALUE_START = re.compile(rf"{_STRING}|[,{{\[]")
_NOT_FINITE = re.compile(r"-?(?:NaN|Infinity)\b")
_SURROGATE = re.compile("[\ud800-\udfff]")
_POSITION = re.compile(r" at line (\d+) column (\d+)\Z")
_ESCAPE = re.compile(rb"\\.")
_CONTROLS_TO_SPACES = bytes(max(byte, 32) for byte in range(256))

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


def candidates(text: str, *, takes_any: bool = False) -> Iterator[Candidate]:
    """Pieces of a text that may be the answer, the likeliest first.

    The fenced blocks of JSON, the last one first; then the objects anywhere in the text, the last one first;
    then lists. What lies inside a JSON value is no candidate of its own, not even when that value is broken
    or was cut off: part of an answer would pass for the whole. A text that is a JSON string is looked into.

    Args:
        takes_any: the answer may be a list or a bare value, not only an object.
    """
    text = _clean(text)
    inner = _scalar(text, 0, len(text))
    if isinstance(inner, str) and not takes_any:
        text = inner
    # A dictionary as a set in order.
    spans = dict.fromkeys(_fenced_spans(text, takes_any)) | dict.fromkeys(
        _pieces(text, 0, len(text), takes_any)
    )
    # A model of an object may take a list, by a validator of its own; yet objects come first.
    for span in sorted(spans, key=lambda span: not takes_any and text[span[0]] == "["):
        yield Candidate(text, *span)
    if takes_any and (found := _LAST_LINE.search(text, max(0, text.rstrip().rfind("\n")))):
        yield Candidate(text, *found.span(1))


def _clean(text: str) -> str:
    """Without the control sequences of terminals; a raw escape character is never JSON."""
    return _CONTROL.sub("", text) if "\x1b" in text else text


def _fenced_spans(text: str, takes_any: bool) -> list[tuple[int, int]]:
    """The values in the blocks of JSON, the last one first."""
    spans: list[tuple[int, int]] = []
    for start, end in reversed(_fenced(text)):
        spans += _pieces(text, start, end, takes_any)
        if len(spans) >= CANDIDATE_LIMIT:
            break
    return spans[:CANDIDATE_LIMIT]


def _pieces(text: str, start: int, end: int, takes_any: bool) -> list[tuple[int, int]]:
    """The values in a part of a text, the last one first; the whole part if it can only be meant as one."""
    start, end = _trim(text, start, end)
    if start == end:
        return []
    if takes_any and _scalar(text, start, end) is not None:
        return [(start, end)]
    spans = _spans(text, start, end)[::-1]
    has_object = any(text[at] == "{" for at, _ in spans)
    # Where it does not look like JSON, yet can only be meant as that, its fault is told.
    if (text[start] == "{" and not has_object) or (text[start] == "[" and not spans):
        spans.append((start, end))
    return spans


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
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


def _fenced(text: str) -> list[tuple[int, int]]:
    """Where the contents of the last blocks of JSON stand, and of blocks without a language, in order.

    A block that is never closed ends where the next one begins, or with the text.
    """
    blocks: deque[tuple[int, int]] = deque(maxlen=CANDIDATE_LIMIT)
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


def _spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The outermost things between brackets that look like JSON, in order; the last may be cut off."""
    spans: deque[tuple[int, int]] = deque(maxlen=CANDIDATE_LIMIT)
    stack = _Stack()
    at = start
    while True:
        if not stack.openings:
            # Between values, quotation marks and other brackets mean nothing.
            if (found := _OPENING.search(text, at, end)) is None:
                break
            at = found.end()
            if at - found.start() > 1:
                spans.append(found.span())
            else:
                stack.push(text, found.start(), True)
            continue
        if (found := _NEXT.match(text, at, end)) is None:
            break
        at = found.end()
        if found[1] in "{[":
            stack.push(text, at - 1, _OPENING.match(text, at - 1, end) is not None)
        elif (opening := stack.pop(text, found[1])) is not None:
            _add(spans, opening, at)
    cut = _cut_at(text, [place for place, is_json in stack.openings if is_json], end)
    if cut is not None:
        _add(spans, cut, end)
    return list(spans)


def _add(spans: deque[tuple[int, int]], start: int, end: int) -> None:
    while spans and spans[-1][0] > start:
        spans.pop()
    spans.append((start, end))


class _Stack:
    """The brackets that are open; the outermost are forgotten beyond `_DEPTH`."""

    def __init__(self) -> None:
        self.openings: deque[tuple[int, bool]] = deque()
        """Each with whether JSON follows it."""
        self._open = {"{": 0, "[": 0}

    def push(self, text: str, at: int, is_json: bool) -> None:
        if len(self.openings) == _DEPTH:
            self._open[text[self.openings.popleft()[0]]] -= 1
        self._open[text[at]] += 1
        self.openings.append((at, is_json))

    def pop(self, text: str, closing: str) -> int | None:
        """Where the value began that ends here, if it looked like JSON.

        Brackets of the other kind that were left open inside end with it; without any of its own kind the
        bracket means nothing.
        """
        opening = "{" if closing == "}" else "["
        if not self._open[opening]:
            return None
        while True:
            at, is_json = self.openings.pop()
            self._open[text[at]] -= 1
            if text[at] == opening:
                return at if is_json else None


def _cut_at(text: str, openings: list[int], end: int) -> int | None:
    """The outermost of some unclosed brackets inside which the text ends; behind the others comes prose."""
    is_prose_from = 0
    checks = 0
    for at in openings:
        # A value that another one holds is no better than that: it breaks at the same place.
        if at < is_prose_from:
            continue
        if (checks := checks + 1) > _CUT_CHECKS:
            return None
        broken = _breaks_at(text[at : min(end, at + _CUT_WINDOW)])
        if broken is None:
            return at
        is_prose_from = at + broken
    return None


def _breaks_at(text: str) -> int | None:
    """Where something stops being JSON, bad escapes and line breaks in strings aside; None: nowhere.

    One byte stands for each character, so that positions stay.
    """
    mended = text.encode("ascii", "replace").translate(_CONTROLS_TO_SPACES)
    try:
        from_json(_ESCAPE.sub(b"xx", mended), allow_partial="trailing-strings")
    except ValueError as error:
        found = _POSITION.search(str(error))
        return max(0, int(found[2]) - 1) if found else 0
    return None


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
