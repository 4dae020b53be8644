"""From what a program writes to lines, and from a line to JSON: bounded, whatever is written. Pure."""

from __future__ import annotations

import json
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
        self._parts: list[bytes] = []
        self._size = 0
        self.dropped = 0
        """Lines that were too long."""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that end in `chunk`, without their ends."""
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        for piece in rest:
            yield from self._take()
            self._keep(piece)

    def end(self) -> Iterator[str]:
        """What was written after the last end of a line."""
        if self._size:
            yield from self._take()

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit:
            self._parts.append(piece)
        else:
            self._parts.clear()

    def _take(self) -> Iterator[str]:
        size, parts = self._size, self._parts
        self._size, self._parts = 0, []
        if size > self._limit:
            self.dropped += 1
            return
        text = b"".join(parts).decode(errors="replace").rstrip("\r")
        if self._keeps_empty or text.strip():
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

    A terminal event must not be lost by what an agent has quoted: raw control characters and half surrogates
    are let through, the latter as replacement characters.
    """
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        # Ends deep nesting and endless numbers with a ValueError; the standard library's comes second.
        value = from_json(text)
    except ValueError:
        value = _lenient(text)
    return value if isinstance(value, dict) else None


def _lenient(text: str) -> Any:
    try:
        value = json.loads(text, strict=False)
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
