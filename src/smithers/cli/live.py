"""The live tree: what `up` shows on a terminal while a run goes on.

The whole tree where it fits; else what runs, what failed, the last that finished and the next to come, and
lines that count the rest.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.console import Group as Stack
from rich.live import Live
from rich.text import Text

from smithers.cli import terminal
from smithers.cli.progress import Bucket, Group, Leaf, Progress, Spot, Standing, clock
from smithers.cli.table import cut, one_line
from smithers.observe import moment
from smithers.observe.tree import LOOP
from smithers.records import FrameWrite, Verdict

if TYPE_CHECKING:
    from smithers.clock import Clock

REDRAW_S: Final = 0.1
FINAL_LINES: Final = 24
"""Of the tree that stays on the screen, at most."""
_FEW: Final = 3
"""Finished and pending siblings that are named where not all fit."""
_BELOW: Final = 5
"""Lines that follow the last tree: how the run ended, and what to type next."""
_GLYPHS: Final = {LOOP: "↻"}
_GROUP_GLYPH: Final = "┬"
_SMALLEST: Final = 12
"""A name is not cut below this."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
"""Control characters but tab, and escape, of which colours are made."""
_NOTE: Final = 8
"""A note with less room than this is left out."""


class Line(NamedTuple):
    """One line of the tree."""

    depth: int
    glyph: str
    name: str
    """Alone: a remark that spans the columns."""
    state: str = ""
    time: str = ""
    note: str = ""
    colour: str | None = None


class Layout:
    """Chooses the lines worth showing.

    Looks at as many children as there are lines, however many a container has.
    """

    def __init__(self, progress: Progress, now_ms: int, *, is_over: bool = False) -> None:
        """Args: is_over: nothing goes on any more; times stand still."""
        self._progress = progress
        self._now_ms = now_ms
        self._is_over = is_over

    def lines(self, room: int) -> list[Line]:
        """At most `room` lines, in document order; running tasks that have left the tree come last."""
        gone = list(islice(self._progress.gone(), max(room // 4, 1)))
        lines, _ = self._children(self._progress.root, max(room - len(gone), 1), 0)
        return lines + [self._leaf(leaf, 0, is_gone=True) for leaf in gone]

    def _spot(self, spot: Spot, room: int, depth: int) -> tuple[list[Line], list[int]]:
        """A node's lines, and the tasks by standing that they account for."""
        if isinstance(spot, Leaf):
            counts = [0] * len(Standing)
            counts[spot.standing] = 1
            return [self._leaf(spot, depth)], counts
        if spot.is_hidden:
            return self._children(spot, room, depth)
        inside = self._children(spot, room - 1, depth + 1)[0] if room > 1 else []
        return [_header(spot, depth, is_folded=not inside), *inside], spot.counts

    def _children(self, group: Group, room: int, depth: int) -> tuple[list[Line], list[int]]:
        size = group.size - (not group.is_hidden)
        if size <= room:
            granted = {child: child.size for child in group.children.values()}
            folds = 0
        elif len(group.children) == 1:
            granted, folds = dict.fromkeys(group.children.values(), room), 0
        else:
            is_whole = len(group.children) <= room // 2
            folds = 0 if is_whole or room < 3 else 1 if room < 5 else 2
            granted = _grant(group, room - folds)
        lines: list[Line] = []
        covered = [0] * len(Standing)
        for child, lent in sorted(granted.items(), key=lambda item: item[0].position):
            inside, counts = self._spot(child, lent, depth)
            lines += inside
            covered = [one + other for one, other in zip(covered, counts, strict=True)]
        if not folds:
            return lines, covered
        hidden = [one - other for one, other in zip(group.counts, covered, strict=True)]
        return _folded(lines, hidden, depth, folds), group.counts

    def _leaf(self, leaf: Leaf, depth: int, *, is_gone: bool = False) -> Line:
        word = leaf.standing.word
        name = one_line(leaf.label) + (" (left the tree)" if is_gone else "")
        took = self._took(leaf)
        return Line(
            depth, terminal.GLYPHS[word], name, word,
            "" if took is None else moment.span(took),
            one_line(self._note(leaf)), terminal.STATE_COLOURS.get(word),
        )  # fmt: skip

    def _took(self, leaf: Leaf) -> int | None:
        if leaf.standing is Standing.RUNNING:
            # To the tenth of a second: thousandths would only flicker.
            return (self._now_ms - (leaf.started_ms or self._now_ms)) // 100 * 100
        if leaf.bucket in (Bucket.DONE, Bucket.FAILED) and leaf.ended_ms is not None:
            return leaf.ended_ms - (leaf.first_ms if leaf.first_ms is not None else leaf.ended_ms)
        return None

    def _note(self, leaf: Leaf) -> str:
        message = leaf.message or ""
        match leaf.standing:
            case Standing.RUNNING:
                again = f"attempt {leaf.attempt}" if leaf.attempt > 1 else ""
                return ", ".join(part for part in (leaf.agent, again) if part)
            case Standing.WAITING:
                due = moment.due(leaf.due_ms, self._now_ms) if leaf.due_ms is not None else "later"
                when = "when resumed" if self._is_over else due
                return f"attempt {leaf.attempt + 1} {when}" + (f": {message}" if message else "")
            case Standing.TOLERATED:
                return f"tolerated: {message}" if message else "tolerated"
            case _:
                return message


def _grant(group: Group, room: int) -> dict[Spot, int]:
    """Which children get how many of `room` lines."""
    buckets = group.buckets
    chosen: dict[Spot, None] = {}
    few = (
        buckets[Bucket.ACTIVE],
        buckets[Bucket.FAILED],
        islice(reversed(buckets[Bucket.DONE]), _FEW),
        islice(buckets[Bucket.PENDING], _FEW),
    )
    _choose(chosen, few, room)
    if len(group.children) <= room // 2:
        # All of them in a line each, and half of the room is left for what is in them.
        _choose(chosen, (group.children.values(),), room)
    granted = dict.fromkeys(chosen, 1)
    left = room - len(granted)
    for bucket in (Bucket.ACTIVE, Bucket.FAILED, Bucket.PENDING, Bucket.DONE):
        big = [spot for spot in granted if spot.bucket is bucket and spot.size > 1]
        if bucket in (Bucket.PENDING, Bucket.DONE):
            # Worth its lines only as a whole.
            big = [spot for spot in big if spot.size - 1 <= left // len(big)]
        big.sort(key=lambda spot: spot.size)  # what a small one leaves goes to the next
        for index, spot in enumerate(big):
            lent = min(spot.size - 1, left // (len(big) - index))
            granted[spot] += lent
            left -= lent
    return granted


def _choose(chosen: dict[Spot, None], sources: Iterable[Iterable[Spot]], room: int) -> None:
    for source in sources:
        for spot in source:
            if len(chosen) >= room:
                return
            if spot.size:
                chosen[spot] = None


def _header(group: Group, depth: int, *, is_folded: bool) -> Line:
    state = f"{group.settled}/{group.total}"
    if group.kind == LOOP:
        limit = group.spec.get("max_iterations")
        match group.verdict:
            case Verdict.UNTIL:
                state = f"done in {group.pass_ + 1}"
            case Verdict.MAX_REACHED:
                state = f"limit of {group.pass_ + 1}"
            case _:
                state = f"pass {group.pass_ + 1}" + (f" of {limit}" if isinstance(limit, int) else "")
    note = ""
    if is_folded:
        shown = (Standing.RUNNING, Standing.WAITING, Standing.FAILED, Standing.TOLERATED)
        note = ", ".join(_counted(group.counts, shown))
    return Line(depth, _GLYPHS.get(group.kind, _GROUP_GLYPH), one_line(group.node), state, "", note)


def _folded(lines: list[Line], hidden: list[int], depth: int, folds: int) -> list[Line]:
    """The lines, with those that count what they leave out."""
    before = list(
        _counted(
            hidden,
            (
                Standing.FINISHED,
                Standing.FAILED,
                Standing.TOLERATED,
                Standing.SKIPPED,
                Standing.CANCELLED,
            ),
        )
    )
    after = list(_counted(hidden, (Standing.RUNNING, Standing.WAITING, Standing.PENDING)))
    if folds == 1:
        before, after = before + after, []
    top = [Line(depth, "", f"… {', '.join(before)}")] if before else []
    bottom = [Line(depth, "", f"… {', '.join(after)}")] if after else []
    return [*top, *lines, *bottom]


def _counted(counts: list[int], standings: Iterable[Standing]) -> Iterator[str]:
    """`940 finished`, one text a word."""
    words: dict[str, int] = {}
    for standing in standings:
        words[standing.word] = words.get(standing.word, 0) + counts[standing]
    return (f"{count} {word}" for word, count in words.items() if count)


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


class LiveDisplay:
    """A tree that is drawn anew at most ten times a second, below whatever is printed meanwhile.

    Whatever goes wrong with the terminal ends the display and never the run.
    """

    def __init__(self, run: str, progress: Progress, clock: Clock) -> None:
        self._run = run
        self._progress = progress
        self._clock = clock
        self._printed = _Printed()
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
        last = Text(cut(f"{progress.summary()} · {elapsed}", width), style="bold")
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


class _Printed:
    """Takes what this process and its children print to the terminal, so that it can be drawn above the tree.

    By file descriptor: `print`, `logging` and a program that a task starts all come the same way. What comes
    after the display has closed goes straight to the terminal.
    """

    def __init__(self) -> None:
        self.terminal = os.fdopen(os.dup(2), "w", encoding=_encoding(), errors="replace")
        self._taken: SimpleQueue[bytes] = SimpleQueue()
        self._rest = b""
        self._is_through = False
        """What comes goes straight to the terminal."""
        self._saved = {fd: os.dup(fd) for fd in (1, 2) if os.isatty(fd)}
        self._out, into = os.pipe()
        _flush()
        for fd in self._saved:
            os.dup2(into, fd)
        os.close(into)
        self._thread = threading.Thread(target=self._read, name="smithers-printed", daemon=True)
        self._thread.start()

    def take(self) -> str:
        """What was printed since the last time, to the last line's end; without control characters."""
        parts = [self._rest]
        with suppress(Empty):
            while True:
                parts.append(self._taken.get_nowait())
        whole = b"".join(parts)
        done, end, self._rest = whole.rpartition(b"\n")
        if self._is_through:
            done, self._rest = whole, b""
        text = done.decode(self.terminal.encoding, errors="replace").replace("\r\n", "\n")
        # Of a line that was written over, the last state; the rest of what moves a cursor would move ours.
        lines = (_CONTROL.sub("", line.rpartition("\r")[2]) for line in text.split("\n"))
        return "\n".join(lines) if done else "\n" if end else ""

    def stop(self) -> None:
        """Give the terminal back to whoever prints."""
        if self._is_through:
            return
        _flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
        # Ends at once, unless a child that goes on still holds the other end.
        self._thread.join(0.2)
        self._is_through = True

    def close(self) -> None:
        """Let go of the terminal."""
        if not self._thread.is_alive():
            with suppress(OSError):
                self.terminal.close()
        for saved in self._saved.values():
            os.close(saved)

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._out, 1 << 16):
                if self._is_through:
                    os.write(self.terminal.fileno(), data)
                else:
                    self._taken.put(data)
        os.close(self._out)


def _encoding() -> str:
    return getattr(sys.stderr, "encoding", None) or "utf-8"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
