"""The live tree: what `up` shows on a terminal while a run goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from rich.console import Console, RenderableType
from rich.console import Group as Stack
from rich.live import Live
from rich.text import Text

from smithers.records import FrameWrite

from . import terminal
from .layout import Layout
from .painter import Painter
from .printed import Printed
from .progress import Progress, clock
from .table import cut, one_line

if TYPE_CHECKING:
    from smithers.clock import Clock

REDRAW_S: Final = 0.1
FINAL_LINES: Final = 24
"""Of the tree that stays on the screen, at most."""
_BELOW: Final = 5
"""Lines that follow the last tree: how the run ended, and what to type next."""


class LiveDisplay:
    """A tree that is drawn anew at most ten times a second, below whatever is printed meanwhile.

    Whatever goes wrong with the terminal ends the display and never the run.
    """

    def __init__(self, run: str, progress: Progress, clock: Clock) -> None:
        self._run = run
        self._progress = progress
        self._clock = clock
        self._printed = Printed()
        self._painter = Painter()
        self._drawn_s = 0.0
        self._is_open = True
        self._console = _Console(
            file=self._printed.terminal, force_terminal=True, highlight=False, markup=False, emoji=False
        )
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        with suppress(OSError):
            self._live.start()

    def frame(self, frame: FrameWrite) -> None:
        self._progress.follow(frame)

    def tick(self) -> None:
        if self._is_open and time.monotonic() - self._drawn_s >= REDRAW_S:
            self._draw(is_over=False)

    def close(self) -> None:
        """Draw the tree as it ended, and leave the cursor under it."""
        if not self._is_open:
            return
        self._printed.stop()
        self._draw(is_over=True)
        self._is_open = False
        with suppress(OSError):
            self._live.stop()
        self._printed.close()

    def _draw(self, *, is_over: bool) -> None:
        self._drawn_s = time.monotonic()
        try:
            width, height = _size(self._printed.terminal.fileno())
            self._console.width, self._console.height = width, height
            for text in self._said():
                self._console.print(text, soft_wrap=True)
            self._live.update(self._view(width, height, is_over=is_over), refresh=True)
        except OSError:
            self._is_open = False  # the terminal is gone; the run goes on
            self._printed.stop()

    def _said(self) -> Iterator[Text]:
        """What was printed since the last time."""
        warnings, self._progress.warnings = self._progress.warnings, []
        yield from (Text(f"! {one_line(warning)}", style="yellow") for warning in warnings)
        printed = self._printed.take()
        if printed:
            yield Text.from_ansi(printed)

    def _view(self, width: int, height: int, *, is_over: bool) -> RenderableType:
        progress, now_ms = self._progress, self._clock.now_ms()
        room = max(height - 2, 2)
        if is_over:
            room = max(min(room - _BELOW, FINAL_LINES), 2)
        lines = Layout(progress, now_ms, is_over=is_over).lines(room)
        elapsed = clock(now_ms - (progress.began_ms or now_ms))
        next_ = "" if is_over else one_line(progress.next_text(now_ms))
        parts = [progress.summary(), next_, elapsed]
        last = Text(cut(" · ".join(part for part in parts if part), width), style="bold")
        return Stack(*self._painter.paint(lines, width), last)


class _Console(Console):
    """Never hides the cursor: nothing could bring it back after a SIGKILL or a second Ctrl+C."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


def _size(fd: int) -> tuple[int, int]:
    """Columns and lines of a terminal; 80 and 24 where it does not know."""
    try:
        size = os.get_terminal_size(fd)
    except OSError:
        return terminal.DEFAULT_WIDTH, 24
    return size.columns or terminal.DEFAULT_WIDTH, size.lines or 24
