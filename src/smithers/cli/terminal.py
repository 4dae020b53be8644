"""What the terminal can show: its width, its colours, the glyphs of states."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

import click

DEFAULT_WIDTH = 80

STATE_COLOURS: Mapping[str, str] = {
    "running": "blue",
    "waiting": "cyan",
    "waiting-quota": "cyan",
    "paused": "yellow",
    "finished": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "bright_black",
    "skipped": "bright_black",
    "pending": "bright_black",
    "continued": "bright_black",
    "orphaned": "red",
    "stalled": "yellow",
    "interrupted": "red",
    "cached": "green",
}
"""Colour means state and nothing else; the word always stands beside it."""

GLYPHS: Mapping[str, str] = {
    "pending": "○",
    "running": "◐",
    "waiting": "◷",
    "finished": "✓",
    "failed": "✗",
    "skipped": "»",
    "cancelled": "■",
}


INTERRUPTED = "◌"
"""Stands before a task whose process has died."""

_GLYPH_STATES = {glyph: state for state, glyph in GLYPHS.items()} | {INTERRUPTED: "interrupted"}


def is_terminal() -> bool:
    """Whether stdout is one."""
    return sys.stdout.isatty()


def width() -> int:
    """Columns to fill: the terminal's, or 80 where there is none and `COLUMNS` does not say."""
    if "COLUMNS" in os.environ or is_terminal():
        import shutil  # late: 2 ms that a pipe need not wait for

        return shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
    return DEFAULT_WIDTH


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether to colour: on a terminal, unless `NO_COLOR` is set (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and (stream or sys.stdout).isatty()


def style(text: str, colour: str | None, *, stream: TextIO | None = None, bold: bool = False) -> str:
    """Coloured text, or the text itself where colours are off."""
    if not text or not (colour or bold) or not has_colour(stream):
        return text
    return click.style(text, fg=colour, bold=bold or None)


def state_style(word: str) -> str:
    """A state's word in its colour."""
    return style(word, STATE_COLOURS.get(word))


def paint_glyph(cell: str) -> str:
    """A cell whose first character is a state's glyph, that one in its colour."""
    return style(cell[:1], STATE_COLOURS.get(_GLYPH_STATES.get(cell[:1], ""))) + cell[1:]


def note(text: str) -> None:
    """A remark beside the output, on stderr; below what has been printed before."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def flush() -> None:
    """Hand printed lines over at once: whoever follows a pipe waits for them."""
    sys.stdout.flush()


def bell() -> None:
    """Call a person who has looked away; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()
