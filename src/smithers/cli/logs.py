"""`smithers logs`: a run's events, one a line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_project
from smithers.cli.table import cut, one_line
from smithers.observe import lookup, next_step
from smithers.observe.log_line import event_document, event_text
from smithers.observe.snapshot import is_driven, shown_status
from smithers.observe.tree import Tree
from smithers.records import EventType

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import EventRow, RunRow

_PAGE = 1000
_POLL_S = 0.15

_COLOURS = {
    EventType.RUN_FAILED: "red",
    EventType.NODE_FAILED: "red",
    EventType.NODE_LOST: "red",
    EventType.RUN_WARNING: "yellow",
    EventType.NODE_RETRYING: "yellow",
    EventType.NODE_FINISHED: "green",
    EventType.RUN_FINISHED: "green",
    EventType.RUN_PARTIAL: "yellow",
}


@click.command()
@run_argument
@click.option(
    "-f", "--follow", "is_following", is_flag=True, help="Go on until the run ends or nobody drives it."
)
@click.option(
    "--after", metavar="SEQ", default=0, type=click.IntRange(0), help="Only events after this number."
)
@click.option("-n", "tail", metavar="TAIL", type=click.IntRange(0), help="Only the last so many.")
@store_option
@json_option
def logs(
    run_id: str, is_following: bool, after: int, tail: int | None, store: str | None, is_json: bool
) -> None:
    """Print the events of RUN: #seq, time since the start, event, node, attempt, and what else is known.

    With --json each line is one JSON object.
    """
    with open_project(store) as project:
        if project is None:
            raise lookup.no_runs(run_id)
        run = project.reader.run(lookup.run_name(project.reader, run_id))
        printer = _Printer(run, project.reader, is_json=is_json)
        if tail is not None:
            after = _before_last(project.reader, run, tail, after)
        after = printer.print_all(project.reader, run.id, after)
        if is_following:
            _follow(project, run, after, printer)


class _Printer:
    """Prints events, and remembers how."""

    def __init__(self, run: RunRow, reader: Reader, *, is_json: bool) -> None:
        self._run = run
        self._is_json = is_json
        # Whoever reads a pipe wants all of it.
        self._width = terminal.width() if terminal.is_terminal() else None
        tree = Tree([] if is_json else reader.mounts(run.id), [])
        self._looped = {place.node for place in tree.tasks() if place.loops}

    def print_all(self, reader: Reader, run: int, after: int) -> int:
        """Print every event after a `seq`, page by page; returns the last one's."""
        for event in _events(reader, run, after):
            if self._is_json:
                print(json.dumps(event_document(event, self._run.name), ensure_ascii=False))
            else:
                text = _plain(event_text(event, self._run.created_ms, self._looped))
                print(
                    terminal.style(cut(text, self._width) if self._width else text, _COLOURS.get(event.type))
                )
            after = event.seq
        return after


def _plain(text: str) -> str:
    """An event's line without control characters; two spaces still set its data off."""
    head, gap, data = text.partition("  ")
    return f"{one_line(head)}{gap}{one_line(data)}"


def _events(reader: Reader, run: int, after: int) -> Iterator[EventRow]:
    while page := reader.events(run, after, _PAGE):
        yield from page
        after = page[-1].seq


def _before_last(reader: Reader, run: RunRow, count: int, after: int) -> int:
    """The `seq` after which the last `count` events stand, but not before `after`."""
    if count == 0:
        return run.seq
    back = count
    while True:
        begin = max(after, run.seq - back)
        found = [event.seq for event in _events(reader, run.id, begin)]
        if len(found) >= count:
            return found[-count] - 1
        if begin == after:
            return after
        back *= 2  # not every number is an event's: look further back


def _follow(project: Project, run: RunRow, after: int, printer: _Printer) -> None:
    while True:
        # The run's row first: events that are committed between the two reads come with the next round, and
        # a run that had ended before the events were read has no more of them.
        run = project.reader.run(run.name)
        if run.seq > after:
            after = max(printer.print_all(project.reader, run.id, after), after)
            terminal.flush()
        if run.state.has_ended:
            terminal.note(f"{run.name} {_ending(run)}")
            return
        if not is_driven(run):
            command = project.command(next_step.resume(run.name))
            terminal.note(f"{run.name} is {shown_status(run)} and nobody drives it: {command}")
            return
        time.sleep(_POLL_S)


def _ending(run: RunRow) -> str:
    return run.state.word if run.state.word in ("finished", "failed") else f"is {run.state.word}"
