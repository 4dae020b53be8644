"""What `up` shows while a run goes on: plain lines on stderr, one an event worth a line."""

from __future__ import annotations

import json
import sys
import time
from typing import Protocol

from smithers.cli import terminal
from smithers.ids import NodeKey
from smithers.records import EventRow, EventType, FrameWrite


class Display(Protocol):
    """Shows a run while it goes on. Called from the main thread only."""

    def frame(self, frame: FrameWrite) -> None:
        """What one commit stored."""
        ...

    def tick(self) -> None:
        """Some time has passed."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found."""
        ...


_MARKS = {
    EventType.NODE_STARTED: "running",
    EventType.NODE_FINISHED: "finished",
    EventType.NODE_FAILED: "failed",
    EventType.NODE_RETRYING: "waiting",
    EventType.NODE_SKIPPED: "skipped",
    EventType.NODE_CANCELLED: "cancelled",
    EventType.NODE_LOST: "cancelled",
    EventType.NODE_BLOCKED: "waiting",
    EventType.RUN_WARNING: "waiting",
}


class PlainDisplay:
    """Plain lines, for pipes and logs."""

    def __init__(self) -> None:
        self._started_ms: dict[NodeKey, int] = {}

    def frame(self, frame: FrameWrite) -> None:
        for event in frame.events:
            if event.type in _MARKS:
                line = self._line(event)
                if line:
                    print(line, file=sys.stderr)
        sys.stderr.flush()

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _line(self, event: EventRow) -> str | None:
        clock = time.strftime("%H:%M:%S", time.localtime(event.at_ms / 1000))
        word = _MARKS[event.type]
        glyph = terminal.style(terminal.GLYPHS[word], terminal.STATE_COLOURS.get(word), stream=sys.stderr)
        data = json.loads(event.data) if event.data else {}
        return f"{clock} {glyph} {event.key or ''}{self._rest(event, data)}"

    def _rest(self, event: EventRow, data: dict[str, object]) -> str:
        match event.type:
            case EventType.NODE_STARTED:
                if event.key is not None:
                    self._started_ms[event.key] = event.at_ms
                return f" attempt {event.attempt}" if event.attempt > 1 else ""
            case EventType.NODE_FINISHED:
                return f" {self._took(event)}"
            case EventType.NODE_FAILED:
                return f" failed: {_first_line(data.get('message'))}"
            case EventType.NODE_RETRYING:
                delay = data.get("delay_ms")
                seconds = f"{delay / 1000:.1f}" if isinstance(delay, int) else "?"
                return f" attempt {event.attempt} failed, next in {seconds} s: {_first_line(data.get('message'))}"
            case EventType.NODE_SKIPPED:
                return f" skipped: {data.get('reason')}"
            case EventType.NODE_LOST:
                return f" attempt {event.attempt} was cut off"
            case EventType.NODE_BLOCKED:
                return f" waits for {data.get('waits_for')}"
            case EventType.RUN_WARNING:
                return f" {data.get('message')}"
            case _:
                return f" {event.type.word.partition('-')[2]}"

    def _took(self, event: EventRow) -> str:
        began = self._started_ms.pop(event.key, None) if event.key is not None else None
        return f"{(event.at_ms - began) / 1000:.1f} s" if began is not None else ""


def _first_line(text: object) -> str:
    line = str(text).splitlines()[0] if text else ""
    return line if len(line) <= 160 else line[:159] + "…"
