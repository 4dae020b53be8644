"""Events on stdout, one a line: what `logs` and `events` share."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smithers.cli import terminal
from smithers.cli.table import cut, one_line
from smithers.observe import next_step
from smithers.observe.log_line import event_document, event_text
from smithers.observe.snapshot import is_driven
from smithers.observe.summary import summarize
from smithers.observe.tree import Tree
from smithers.records import EventType

if TYPE_CHECKING:
    from smithers.cli.project import Project
    from smithers.observe.event_query import EventQuery
    from smithers.ports import Reader
    from smithers.records import EventRow, RunRow

_POLL_S = 0.15

_COLOURS = {
    EventType.RUN_FAILED: "red",
    EventType.NODE_FAILED: "red",
    EventType.NODE_LOST: "red",
    EventType.RUN_WARNING: "yellow",
    EventType.RUN_RELOADED: "yellow",
    EventType.RUN_WAITING: "cyan",
    EventType.RUN_PAUSED: "yellow",
    EventType.NODE_RETRYING: "yellow",
    EventType.NODE_FINISHED: "green",
    EventType.RUN_FINISHED: "green",
    EventType.RUN_PARTIAL: "yellow",
    EventType.RUN_CONTINUED: "green",
}


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where events are shown."""

    after: int = 0
    """Only higher numbers."""
    tail: int | None = None
    """Only the last so many."""
    limit: int | None = None
    """No more than so many."""
    is_following: bool = False
    """Go on until the run ends or nobody drives it."""


class EventLines:
    """Prints a run's events, and remembers how far it has come."""

    def __init__(self, project: Project, run: RunRow, query: EventQuery, *, is_json: bool) -> None:
        self._project = project
        self._reader: Reader = project.reader
        self._run = run
        self._query = query
        self._is_json = is_json
        # Whoever reads a pipe wants all of it.
        self._width = terminal.width() if terminal.is_terminal() else None
        tree = Tree([] if is_json else self._reader.mounts(run.id), [])
        self._looped = {place.node for place in tree.tasks() if place.loops}
        self._after = 0
        """The last number that was looked at."""
        self._left: int | None = None

    def show(self, span: Span, more: str) -> None:
        """Print what is asked for.

        Args:
            more: the command that shows the next page, but for the number it begins after.
        """
        self._after, self._left = span.after, span.limit
        if span.tail is not None:
            self._after = self._query.before_last(self._reader, self._run, span.tail, span.after)
        is_all = self._print_page()
        if span.is_following and is_all:
            self._follow()
        elif is_all and self._run.kin.newest is not None:
            terminal.note(f"{self._run.name} {_ending(self._run)}")
        elif not is_all:
            terminal.note(f"more: {self._project.command(f'{more} --after {self._after}')}")

    def _print_page(self) -> bool:
        """Print all that has come, or as much as is wanted; returns whether that was all."""
        for event in self._query.pages(self._reader, self._run.id, self._after):
            if self._query.fits(event):
                if self._left == 0:
                    return False
                self._print(event)
                if self._left is not None:
                    self._left -= 1
            self._after = event.seq
        return True

    def _print(self, event: EventRow) -> None:
        if self._is_json:
            print(json.dumps(event_document(event, self._run.name), ensure_ascii=False))
            return
        text = _plain(event_text(event, self._run.created_ms, self._looped))
        print(terminal.style(cut(text, self._width) if self._width else text, _COLOURS.get(event.type)))

    def _follow(self) -> None:
        seen = 0
        while True:
            # The run's row first: events that are committed between the two reads come with the next round,
            # and a run that had ended before the events were read has no more of them.
            run = self._reader.run(self._run.name)
            if run.seq > seen:
                self._print_page()
                seen = run.seq
                terminal.flush()
            if self._left == 0:
                return
            if run.state.has_ended:
                terminal.note(f"{run.name} {_ending(run)}")
                return
            if not is_driven(run):
                command = self._project.command(next_step.resume_of(run))
                status = summarize(self._reader, run, self._project.now_ms).status
                terminal.note(f"{run.name} is {status} and nobody drives it: {command}")
                return
            time.sleep(_POLL_S)


def _plain(text: str) -> str:
    """An event's line without control characters; two spaces still set its data off."""
    head, gap, data = text.partition("  ")
    return f"{one_line(head)}{gap}{one_line(data)}"


def _ending(run: RunRow) -> str:
    if run.kin.newest is not None:
        return f"went on as {run.kin.next}; watch the newest: `{next_step.follow(run.kin.newest)}`"
    return run.state.word if run.state.word in ("finished", "failed") else f"is {run.state.word}"
