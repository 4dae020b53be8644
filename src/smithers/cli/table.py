"""Tables that fit the terminal: never wrapped, cut with an ellipsis where they must be."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

GAP = 2
_SMALLEST = 8
"""A text column is not cut below this."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    title: str
    is_right: bool = False
    """Numbers are aligned to the right."""
    is_text: bool = False
    """May be cut when the table is too wide."""
    paint: Callable[[str], str] | None = None
    """Colours a cell once its width is settled."""


class Row(NamedTuple):
    """One row, ready to be laid out."""

    cells: list[str]
    note: str
    below: list[str]


@dataclass(slots=True)
class Table:
    """Rows under titles, and an optional note a row."""

    columns: Sequence[Column]
    note_title: str = ""
    """Title of the last column, which holds the notes while there is room for them."""
    note_room: int = 30
    """Columns that a longer note needs to stand in the row; with less it goes under it."""
    rows: list[Row] = field(default_factory=list)

    def add(self, *cells: str, note: str = "", below: Sequence[str] = ()) -> None:
        """Append one row.

        Args:
            cells: one text a column.
            note: what stands last in the row, or under it where the terminal is narrow.
            below: lines under the row, indented as they are.
        """
        under = [text[: len(text) - len(text.lstrip(" "))] + one_line(text) for text in below]
        self.rows.append(Row([_printable(cell) for cell in cells], one_line(note), under))

    def lines(self, width: int) -> list[str]:
        """The table as lines of at most `width` columns, title first."""
        sizes = self._sizes(width)
        used = sum(sizes) + GAP * len(sizes)
        has_notes = any(row.note for row in self.rows)
        longest = max((columns_of(row.note) for row in self.rows), default=0)
        is_beside = has_notes and width - used >= min(longest, self.note_room)
        titles = [
            self._cell(column.title, size, column, paint=False)
            for column, size in zip(self.columns, sizes, strict=True)
        ]
        if is_beside and self.note_title:
            titles.append(cut(self.note_title, width - used))
        lines = [(" " * GAP).join(titles).rstrip()]
        for cells, note, below in self.rows:
            shown = [
                self._cell(cell, size, column)
                for cell, size, column in zip(cells, sizes, self.columns, strict=True)
            ]
            if note and is_beside:
                shown.append(cut(note, width - used))
            lines.append((" " * GAP).join(shown).rstrip())
            if note and not is_beside:
                lines.append(f"    {cut(note, width - 4)}")
            lines.extend(cut(text, width) for text in below)
        return lines

    def _sizes(self, width: int) -> list[int]:
        sizes = [
            max([columns_of(column.title), *(columns_of(row.cells[i]) for row in self.rows)])
            for i, column in enumerate(self.columns)
        ]
        while sum(sizes) + GAP * (len(sizes) - 1) > width:
            texts = [i for i, column in enumerate(self.columns) if column.is_text and sizes[i] > _SMALLEST]
            if not texts:
                break
            sizes[max(texts, key=lambda i: sizes[i])] -= 1
        return sizes

    @staticmethod
    def _cell(text: str, size: int, column: Column, *, paint: bool = True) -> str:
        shown = cut(text, size)
        space = " " * (size - columns_of(shown))
        if paint and column.paint is not None:
            shown = column.paint(shown)
        return space + shown if column.is_right else shown + space


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns, its end replaced by `…` where it is longer."""
    if columns_of(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += columns_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def columns_of(text: str) -> int:
    """How many columns a text takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def one_line(text: str) -> str:
    """The text with line breaks, tabs and control characters as single spaces."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    # Names and messages come from anywhere: an escape sequence in one must not reach the terminal.
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)
