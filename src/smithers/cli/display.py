"""What `up` shows on stderr while a run goes on: a live tree on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from smithers.cli import terminal
from smithers.cli.progress import Progress, clock, data_of, first_line, reload_text, request_text
from smithers.cli.spot import container_glyph
from smithers.cli.table import cut, one_line
from smithers.observe.quota import until_text
from smithers.observe.tree import LOOP
from smithers.records import EventRow, EventType, FrameWrite, Verdict

if TYPE_CHECKING:
    from smithers.clock import Clock
    from smithers.engine.host import Host
    from smithers.ids import NodeKey
    from smithers.records import RunRow

SILENCE_MS: Final = 10_000
"""After this long without a line, one says what still runs."""
_NAMED: Final = 3
_MESSAGE: Final = 160
"""Characters of an error's message that a line shows."""


class Display(Protocol):
    """Shows a run while it goes on. Called from the main thread only."""

    def frame(self, frame: FrameWrite) -> None:
        """What one commit stored."""
        ...

    def tick(self) -> None:
        """Some time has passed: at least every tenth of a second."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found."""
        ...


def display_for(run: str, resumed: RunRow | None, host: Host) -> Display:
    """The display for stderr as it is.

    Args:
        run: the run's name.
        resumed: the run's row as it was before, on a resume.
    """
    progress = Progress(host.store, resumed.id if resumed is not None else 0)
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown"):
        from smithers.cli.live import LiveDisplay

        return LiveDisplay(run, progress, host.clock)
    return PlainDisplay(progress, host.clock)


_MARKS: Final = {
    EventType.NODE_STARTED: "running",
    EventType.NODE_FINISHED: "finished",
    EventType.NODE_FAILED: "failed",
    EventType.NODE_RETRYING: "waiting",
    EventType.NODE_SKIPPED: "skipped",
    EventType.NODE_CANCELLED: "cancelled",
    EventType.NODE_LOST: "cancelled",
    EventType.NODE_BLOCKED: "waiting",
    EventType.CHILD_STARTED: "running",
}
_WARNING: Final = "!"
_BULLET: Final = "·"
"""Stands before what the workflow itself says."""
_SAID: Final = (
    EventType.RUN_WARNING,
    EventType.RUN_RELOADED,
    EventType.PAUSE_REQUESTED,
    EventType.CANCEL_REQUESTED,
)


class PlainDisplay:
    """Plain lines, for pipes and logs: one an event worth a line, and one in a long silence."""

    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock
        self._started_ms: dict[NodeKey, int] = {}
        self._said_ms = clock.now_ms()
        self._second = (-1, "")
        self._is_open = True

    def frame(self, frame: FrameWrite) -> None:
        self._progress.follow(frame)
        self._progress.warnings.clear()  # each has an event of its own
        lines = [line for line in map(self._line, frame.events) if line]
        if frame.then is not None and frame.then.creates is not None:
            lines.append(f"{self._time(frame.at_ms)} → goes on as {frame.then.creates.name}")
        self._say(lines)

    def tick(self) -> None:
        now_ms = self._clock.now_ms()
        progress = self._progress
        if now_ms - self._said_ms < SILENCE_MS or not (progress.running or progress.retrying):
            return
        parts = [progress.summary()]
        if progress.running:
            parts.append(f"still running: {self._running(now_ms)}")
        if next_ := progress.next_text(now_ms):
            parts.append(one_line(next_))
        self._say([f"{self._time(now_ms)} … {' · '.join(parts)}"])

    def close(self) -> None:
        self._is_open = False

    def _say(self, lines: list[str]) -> None:
        if not lines or not self._is_open:
            return
        self._said_ms = self._clock.now_ms()
        try:
            sys.stderr.write("\n".join(lines) + "\n")
            sys.stderr.flush()
        except OSError:
            # Whoever read our progress has left; the run goes on all the same.
            self._is_open = False

    def _running(self, now_ms: int) -> str:
        """The longest first: `plan 00:40, build 00:12 and 4 more`."""
        leaves = [leaf for _, leaf in zip(range(_NAMED), self._progress.running.values(), strict=False)]
        names = [f"{leaf.shown} {clock(now_ms - (leaf.started_ms or now_ms))}" for leaf in leaves]
        more = len(self._progress.running) - len(names)
        return ", ".join(names) + (f" and {more} more" if more > 0 else "")

    def _time(self, at_ms: int) -> str:
        second = at_ms // 1000
        if second != self._second[0]:
            self._second = (second, time.strftime("%H:%M:%S", time.localtime(second)))
        return self._second[1]

    def _line(self, event: EventRow) -> str | None:
        mark, colour = _mark(event.type)
        if not mark:
            return None
        name = self._progress.name(event.key) if event.key is not None else ""
        words = (
            self._time(event.at_ms),
            terminal.style(mark, colour, stream=sys.stderr),
            name,
            self._rest(event),
        )
        return " ".join(word for word in words if word)

    def _rest(self, event: EventRow) -> str:
        """What a line says after the task's name."""
        data = data_of(event)
        limit = self._progress.limit_of(event.key) if event.key is not None else None
        if limit is not None and event.type in (EventType.NODE_BLOCKED, EventType.NODE_RETRYING):
            until = one_line(until_text(limit, event.at_ms))
            reason = f": {_short(limit.reason)}" if limit.reason else ""
            return f"waits for {until}{reason}"
        match event.type:
            case EventType.NODE_STARTED:
                if event.key is not None:
                    self._started_ms[event.key] = event.at_ms
                return f"attempt {event.attempt}" if event.attempt > 1 else ""
            case EventType.NODE_FINISHED:
                took = self._took(event)
                return "from the cache" if data.get("cached") else took
            case EventType.NODE_FAILED:
                return f"failed: {_short(data.get('message'))}"
            case EventType.NODE_RETRYING:
                delay = data.get("delay_ms")
                seconds = f"{delay / 1000:.1f}" if isinstance(delay, int) else "?"
                return f"attempt {event.attempt} failed, next in {seconds} s: {_short(data.get('message'))}"
            case EventType.NODE_SKIPPED:
                return f"skipped: {_short(data.get('reason'))}"
            case EventType.NODE_LOST:
                return f"attempt {event.attempt} was cut off"
            case EventType.NODE_BLOCKED:
                return f"waits for {data.get('waits_for')}"
            case EventType.CHILD_STARTED:
                return f"is run {data.get('run')}"
            case EventType.RUN_WARNING | EventType.RUN_LOG:
                return _short(data.get("message"))
            case EventType.RUN_RELOADED:
                return reload_text(data)
            case EventType.PAUSE_REQUESTED | EventType.CANCEL_REQUESTED:
                return request_text(data)
            case EventType.PASS_ENDED | EventType.LOOP_DONE:
                return self._pass_text(event)
            case _:
                return event.type.word.partition("-")[2]

    def _pass_text(self, event: EventRow) -> str:
        data = data_of(event)
        ended = int(data.get("pass", 0)) + 1
        limit = self._progress.limit(event.key) if event.key is not None else None
        of = f" of {limit}" if limit is not None else ""
        match Verdict[str(data.get("verdict", "next")).upper()]:
            case Verdict.NEXT:
                return f"pass {ended}{of} ended"
            case Verdict.UNTIL:
                return f"done after pass {ended}{of}"
            case Verdict.MAX_REACHED:
                return f"reached its limit of {ended} passes"

    def _took(self, event: EventRow) -> str:
        began = self._started_ms.pop(event.key, None) if event.key is not None else None
        return f"{(event.at_ms - began) / 1000:.1f} s" if began is not None else ""


def _mark(kind: EventType) -> tuple[str, str | None]:
    """The glyph that a line begins with, and its colour; empty: this event is worth no line."""
    if kind in (EventType.PASS_ENDED, EventType.LOOP_DONE):
        return container_glyph(LOOP), None
    if kind is EventType.RUN_LOG:
        return _BULLET, None
    if kind in _SAID:
        return _WARNING, "yellow"
    word = _MARKS.get(kind)
    return (terminal.GLYPHS[word], terminal.STATE_COLOURS.get(word)) if word else ("", None)


def _short(text: object) -> str:
    return cut(one_line(first_line(text) or ""), _MESSAGE)
