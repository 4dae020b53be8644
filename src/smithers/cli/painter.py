"""The lines of a tree as text of a width."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len
from rich.text import Text

from .layout import Line
from .table import cut

_SMALLEST: Final = 12
"""A name is not cut below this."""
_NOTE: Final = 8
"""A note with less room than this is left out."""


class Painter:
    """Lines as text of a width. Columns only grow: a tree that breathes cannot be read."""

    def __init__(self) -> None:
        self._name = 0
        self._state = 0
        self._time = 0

    def paint(self, lines: list[Line], width: int) -> list[Text]:
        """Each line in at most `width` columns."""
        columns = [line for line in lines if line.glyph]
        self._name = max([self._name, *(2 + 2 * line.depth + cell_len(line.name) for line in columns)])
        self._state = max([self._state, *(cell_len(line.state) for line in columns)])
        self._time = max([self._time, *(cell_len(line.time) for line in columns)])
        beside = self._state + self._time + 4
        name = min(self._name, max(width - beside - _NOTE, width // 2, _SMALLEST))
        return [self._line(line, name, width) for line in lines]

    def _line(self, line: Line, name: int, width: int) -> Text:
        indent = "  " * line.depth
        if not line.glyph:
            return Text(cut(f"  {indent}{line.name}", width), style="bright_black")
        text = Text()
        text.append(line.glyph, style=line.colour or "")
        text.append(_fill(f" {indent}{line.name}", name - 1))
        text.append("  ")
        text.append(_fill(line.state, self._state), style=line.colour or "")
        text.append(f"  {line.time:>{self._time}}")
        room = width - text.cell_len - 2
        if line.note and room >= _NOTE:
            text.append(f"  {cut(line.note, room)}", style="" if line.state == "failed" else "bright_black")
        text.rstrip()
        text.truncate(width)
        return text


def _fill(text: str, width: int) -> str:
    shown = cut(text, width)
    return shown + " " * (width - cell_len(shown))
