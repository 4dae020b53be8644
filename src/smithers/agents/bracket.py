"""Values between brackets in a text that is mostly not JSON. Pure.

One pass over the brackets, without a parser; only where it must be known whether something is JSON is it
parsed, a fixed number of times.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from enum import Enum
from typing import Final

from pydantic_core import from_json

SPAN_LIMIT: Final = 256
"""Values of one text that are kept, of those that begin like the answer and of others each: the last."""

_DEPTH: Final = 1_024
"""Open brackets that are remembered. What nests deeper than 200 is refused by the parser anyhow."""
_PARSED: Final = 4
"""How often a text's length is parsed in all to know which values in it are JSON."""
_PARSED_ANYHOW: Final = 1_000_000
"""Characters that are parsed for that in any text."""
_CUTS: Final = 16
"""Unclosed brackets of one text of which it is asked whether the text ends inside their value."""
_WINDOW: Final = 1 << 20
"""Characters from a bracket on that are parsed at most: prose is no JSON after far fewer."""

# Every repetition is possessive: nothing is read twice by one pattern.
SPACE: Final = r"[ \t\r\n]*+"
STRING: Final = r'"(?:[^"\\\r\n]++|\\.)*+"'
SCALAR: Final = rf"(?:{STRING}|-?\d[\d.eE+-]*+|true|false|null)"

_IN_OBJECT = rf"{SPACE}(?:\}}|({STRING}){SPACE}:)"
_IN_LIST = rf'{SPACE}(?:\[{SPACE}){{0,7}}+(?:\]|\{{{SPACE}["}}]|{SCALAR}{SPACE}[,\]])'
_ANOTHER = rf'\{{(?!{SPACE}"[^"\\\r\n,:{{}}\[\]]++"{SPACE}:)'
_INSIDE = rf'(?:[^{{}}\[\]"]++|"(?:[^"\\\r\n{{]++|\\[^{{\r\n]?|{_ANOTHER})*+"?)*+'
"""Up to the next bracket that stands in no string. A line break ends a string, because JSON has none in
strings, and so does the beginning of an object, because its first quotation mark would end the string in the
wrong place: a stray quotation mark then spoils little."""
_OPENING = re.compile(rf"\{{(?={_IN_OBJECT})(?:{_INSIDE}\}})?+|\[(?={_IN_LIST})(?:{_INSIDE}\])?+")
"""A bracket behind which JSON follows: `{"name":`, `[1,`; all of the value if no other bracket is in it.
`{braces}` in prose and code are none."""
_NEXT = re.compile(rf"{_INSIDE}([{{}}\[\]])")

_ESCAPE = re.compile(rb"\\.")
_CONTROLS_TO_SPACES = bytes(max(byte, 32) for byte in range(256))
_ERROR = re.compile(r"(.*) at line 1 column (\d+)\Z", re.DOTALL)

Span = tuple[int, int]


class Opening(Enum):
    """What an open bracket may be the beginning of."""

    PROSE = 0
    """Nothing: what lies inside is looked at by itself."""
    JSON = 1
    """Another value than the answer."""
    ANSWER = 2
    """The answer."""


def spans(text: str, start: int, end: int, keys: Collection[str] | None) -> list[Span]:
    """The values in a part of a text, in the order of their ends; a broken one before it was mended, too.

    What lies inside a JSON value is none of them, and neither is what lies inside an answer that is broken or
    that the end of the text cuts off. Inside other broken JSON the search goes on.

    Args:
        keys: with one of these the answer begins, if it is an object; None: it may be any value.
    """
    scan = _Scan(text, start, end, keys)
    at = start
    while True:
        at = scan.between(at) if not scan.openings else scan.inside(at)
        if at < 0:
            return scan.finish()


class _Scan:
    """One pass over a text. At most `_DEPTH` brackets are open; the outermost are forgotten."""

    def __init__(self, text: str, start: int, end: int, keys: Collection[str] | None) -> None:
        self._text = text
        self._end = end
        self._keys = keys
        self._answers: deque[Span] = deque(maxlen=SPAN_LIMIT)
        self._others: deque[Span] = deque(maxlen=SPAN_LIMIT)
        self.openings: deque[tuple[int, Opening]] = deque()
        self._open = {"{": 0, "[": 0}
        self._left = _PARSED_ANYHOW + _PARSED * (end - start)

    def between(self, at: int) -> int:
        """Go on outside of all values, where quotation marks and other brackets mean nothing; -1: the end."""
        for found in _OPENING.finditer(self._text, at, self._end):
            start, end = span = found.span()
            if end - start == 1:
                self._push(start, self._kind(found))
                return end
            # Not `_keep`: a text may hold nothing but these, by the million.
            (self._answers if self._kind(found) is Opening.ANSWER else self._others).append(span)
        return -1

    def inside(self, at: int) -> int:
        """Go on to the next bracket; -1: the end."""
        found = _NEXT.match(self._text, at, self._end)
        if found is None:
            return -1
        at, end = found.span(1)
        if found[1] in "}]":
            self._close("{" if found[1] == "}" else "[", end)
            return end
        opening = _OPENING.match(self._text, at, self._end)
        if opening is None:
            self._push(at, Opening.PROSE)
            return end
        if opening.end() > end:
            self._keep(self._kind(opening), at, opening.end())
        else:
            self._push(at, self._kind(opening))
        return opening.end()

    def finish(self) -> list[Span]:
        """All that was found, with the value that the end of the text cuts off."""
        unclosed = [at for at, kind in self.openings if kind is Opening.ANSWER]
        cut = _cut_at(self._text, unclosed, self._end)
        if cut is None and not self._answers and not self._others:
            unclosed = [at for at, kind in self.openings if kind is Opening.JSON]
            cut = _cut_at(self._text, unclosed, self._end)
        if cut is not None:
            self._drop_after(cut)
            self._keep(Opening.ANSWER, cut, self._end)
        return sorted((*self._answers, *self._others), key=lambda span: (span[1], -span[0]))

    def _kind(self, opening: re.Match[str]) -> Opening:
        if self._keys is None:
            return Opening.ANSWER
        return Opening.ANSWER if (opening[1] or "")[1:-1] in self._keys else Opening.JSON

    def _push(self, at: int, kind: Opening) -> None:
        if len(self.openings) == _DEPTH:
            self._open[self._text[self.openings.popleft()[0]]] -= 1
        self._open[self._text[at]] += 1
        self.openings.append((at, kind))

    def _close(self, bracket: str, end: int) -> None:
        """Brackets of the other kind that were left open inside end too; without its own it means nothing."""
        if not self._open[bracket]:
            return
        at, kind = self.openings.pop()
        self._open[self._text[at]] -= 1
        while self._text[at] != bracket:
            at, kind = self.openings.pop()
            self._open[self._text[at]] -= 1
        if kind is Opening.ANSWER or (kind is Opening.JSON and self._is_json(at, end)):
            self._drop_after(at)
        elif self.openings and self.openings[-1][1] is Opening.JSON:
            self.openings[-1] = (self.openings[-1][0], Opening.PROSE)  # what holds no JSON is none
        if kind is not Opening.PROSE:
            self._keep(kind, at, end)

    def _is_json(self, start: int, end: int) -> bool:
        """Parsed only where it makes a difference, and not for ever: what is too large counts as JSON."""
        has_answer = self._answers and self._answers[-1][0] > start
        if not has_answer and not (self._others and self._others[-1][0] > start):
            return True
        self._left -= end - start
        is_large = end - start > _WINDOW or self._left < 0
        return is_large or _is_json(self._text[start:end])

    def _keep(self, kind: Opening, start: int, end: int) -> None:
        (self._answers if kind is Opening.ANSWER else self._others).append((start, end))

    def _drop_after(self, start: int) -> None:
        for kept in (self._answers, self._others):
            while kept and kept[-1][0] > start:
                kept.pop()


def _is_json(text: str) -> bool:
    try:
        from_json(text)
    except (ValueError, TypeError):  # half a character is a TypeError
        return False
    return True


def _cut_at(text: str, openings: list[int], end: int) -> int | None:
    """The outermost of some unclosed brackets inside which the text ends; behind the others comes prose."""
    is_prose_from = 0
    parses = 0
    for at in openings:
        # A value that another one holds is no better than that: it breaks at the same place.
        if at < is_prose_from:
            continue
        if (parses := parses + 1) > _CUTS:
            return None
        broken = _breaks_at(text[at : min(end, at + _WINDOW)])
        if broken is None:
            return at
        is_prose_from = at + broken
    return None


def _breaks_at(text: str) -> int | None:
    """Where something stops being JSON, bad escapes and line breaks in strings aside; None: nowhere."""
    # One byte for each character, and one line, so that a column is an index.
    mended = text.encode("ascii", "replace").translate(_CONTROLS_TO_SPACES)
    try:
        from_json(_ESCAPE.sub(b"xx", mended))
    except ValueError as error:
        # Not `allow_partial`: that forgives a missing comma too, and behind a string prose follows just so.
        found = _ERROR.match(str(error))
        if found is None or not found[1].startswith("EOF"):
            return max(0, int(found[2]) - 1) if found else 0
    return None
