"""From what a program writes to lines, and from a line to JSON: bounded, whatever is written. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json

LINE_LIMIT_BYTES: Final = 32 << 20
"""Longest line that is kept; agents put whole files into one, and none of them writes a book."""


class Lines:
    """Bytes as they come, lines as they end.

    A line that is longer than `limit` is left out, its bytes are not kept meanwhile, and `dropped` counts it.

    Args:
        keeps_empty: empty lines are lines, too.
    """

    def __init__(self, limit: int = LINE_LIMIT_BYTES, *, keeps_empty: bool = False) -> None:
        self._limit = limit
        self._keeps_empty = keeps_empty
        # Not a list of pieces: a program that writes byte by byte would make one of millions.
        self._kept = bytearray()
        self._size = 0
        self.dropped = 0
        """Lines that were too long."""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that end in `chunk`, without their ends."""
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        if rest:
            yield from self._take()
            *whole, last = rest
            for piece in whole:
                yield from self._line(piece)
            self._keep(last)

    def end(self) -> Iterator[str]:
        """What was written after the last end of a line."""
        if self._size:
            yield from self._take()

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit:
            self._kept += piece
        elif self._kept:
            self._kept = bytearray()

    def _take(self) -> Iterator[str]:
        size, kept = self._size, self._kept
        self._size, self._kept = 0, bytearray()
        yield from self._line(kept, size)

    def _line(self, line: bytes | bytearray, size: int | None = None) -> Iterator[str]:
        if (len(line) if size is None else size) > self._limit:
            self.dropped += 1
            return
        text = line.decode(errors="replace").rstrip("\r")
        if self._keeps_empty or (text and not text.isspace()):
            yield text


class Tail:
    """The end of what a program wrote; the beginning makes room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> None:
        self._bytes += chunk[-self._limit :]
        if len(self._bytes) > 2 * self._limit:
            del self._bytes[: -self._limit]

    def __str__(self) -> str:
        return bytes(self._bytes[-self._limit :]).decode(errors="replace")


def event_in(line: str) -> dict[str, Any] | None:
    """The JSON object that a line is; None: it is none.

    A terminal event must not be lost by what an agent has quoted, or by what a terminal would have swallowed:
    raw control characters, half surrogates (as `?`), numbers too long for a number (as null), and marks and
    escape sequences around the object are let through. Nothing in it is nested deeper than 200 times.
    """
    text = line.strip()
    if not text.startswith("{"):
        before = _SWALLOWED.match(text, 0, _SWALLOWED_LIMIT)
        if before is None or not text.startswith("{", before.end()):
            return None
        text = text[before.end() :]
    try:
        # Ends deep nesting and endless numbers with a ValueError; the standard library's comes second.
        value = from_json(text)
    except ValueError:
        value = _lenient(text)
    return value if isinstance(value, dict) else None


def _lenient(text: str) -> Any:
    try:
        value, end = _DECODER.raw_decode(text)
        rest = text[end : end + _SWALLOWED_LIMIT]
        if rest and (len(rest) == _SWALLOWED_LIMIT or _SWALLOWED.fullmatch(rest) is None):
            return None
        return from_json(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS else None


_DIGITS: Final = 4000
"""Python itself reads and writes none that are longer than 4,300."""
_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_whole_number)
_SWALLOWED_LIMIT: Final = 1000
_SWALLOWED: Final = re.compile(
    r"(?:\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x20\x7f\ufeff])+"
)
"""Escape sequences of a terminal, control characters, and the mark of a byte order."""
