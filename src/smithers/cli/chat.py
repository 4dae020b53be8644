"""`smithers chat`: what agents were asked and what they said."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.cli.table import cut
from smithers.clock import SystemClock
from smithers.errors import StoreNotFound
from smithers.observe import lookup, next_step
from smithers.observe.chat import ChatText, Choice, Piece, Tone, entry_document, latest_pass, of_run
from smithers.observe.node_view import NodeView, NodeViews, shown_name
from smithers.observe.silence import why_silent
from smithers.observe.snapshot import is_driven, shown_status

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.ports import TranscriptReader
    from smithers.records import RunRow
    from smithers.records.transcript import Conversation, EntryRow

_POLL_S: Final = 0.15
_LAST_ROUNDS: Final = 4
"""So often a follower looks again when the run has left: its last batch may still have to be written."""

_COLOURS: Final[dict[Tone, str | None]] = {
    "head": None, "error": "red", "warning": "yellow", "end": "green", "aside": "bright_black",
}  # fmt: skip
_UNSHOWN: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON may hold as it is, and a terminal or a reader of lines may obey."""


@click.command()
@run_argument
@click.argument("node", required=False)
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on until the run has left.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Only this attempt of NODE.")
@click.option("-n", "--tail", metavar="TAIL", type=click.IntRange(0), help="Only the last so many entries.")
@click.option("--full", "is_full", is_flag=True, help="Fold and cut nothing.")
@store_option
@json_option
def chat(
    run_id: str,
    node: str | None,
    is_following: bool,
    attempt: int | None,
    tail: int | None,
    is_full: bool,
    store: str | None,
    is_json: bool,
) -> None:
    """Show what the agents of RUN, or of NODE, were asked, what they said, and which tools they called.

    NODE is an id, or a pass as `inspect` shows it: review[1]. With --json each line is one JSON object.
    """
    if attempt is not None and node is None:
        raise click.UsageError("--attempt needs a NODE.")
    with open_run(store, run_id) as (project, snapshot), _open(store) as transcripts:
        screen = Screen(snapshot, is_json=is_json, is_full=is_full)
        talk = Talk(project, snapshot, transcripts, screen, _choice(snapshot, node, attempt, transcripts))
        talk.show(tail)
        if is_following:
            talk.follow()
        screen.close()
        if not screen.has_shown and tail != 0:
            talk.explain(node)


def _choice(snapshot: Snapshot, node: str | None, attempt: int | None, transcripts: Transcripts) -> Choice:
    if node is None:
        return Choice()
    found = lookup.node(NodeViews(snapshot), snapshot.run.name, node)
    if not isinstance(found, NodeView):
        return Choice(frozenset(task.node for task in found.tasks()), attempt=attempt)
    if node != found.key.node:
        return Choice(key=found.key, attempt=attempt)
    latest = latest_pass(node, transcripts.conversations(snapshot))
    return Choice(latest.nodes, attempt=attempt, first=latest.first)


class Transcripts:
    """The file of transcripts, once it is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: TranscriptReader | None = None

    @property
    def reader(self) -> TranscriptReader | None:
        """None: nothing has been recorded in this project yet."""
        if self._reader is None:
            from smithers.store.transcript import SqliteTranscriptReader

            try:
                self._reader = SqliteTranscriptReader(self.path, SystemClock())
            except StoreNotFound:
                return None
        return self._reader

    def conversations(self, snapshot: Snapshot) -> list[Conversation]:
        """Those of a run."""
        reader = self.reader
        return [] if reader is None else of_run(snapshot.run, reader.conversations(snapshot.run.id))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


@contextmanager
def _open(named: str | None) -> Iterator[Transcripts]:
    from smithers.store import find_store
    from smithers.store.transcript import transcripts_path

    store = find_store(Path.cwd(), named)
    assert store is not None  # the run was found in it
    with closing(Transcripts(transcripts_path(store))) as found:
        yield found


class Screen:
    """Prints entries."""

    def __init__(self, snapshot: Snapshot, *, is_json: bool, is_full: bool) -> None:
        self._run = snapshot.run.name
        self._is_json = is_json
        # Whoever reads a pipe wants all of it.
        self._width = terminal.width() if terminal.is_terminal() and not is_full else None
        looped = {place.node for place in NodeViews(snapshot).tree.tasks() if place.loops}
        self._text = ChatText(
            snapshot.run,
            lambda key: shown_name(key, is_in_loop=key.node in looped),
            is_full=is_full,
        )
        self.has_shown = False

    def show(self, entry: EntryRow, of: Conversation) -> None:
        self.has_shown = True
        if self._is_json:
            line = json.dumps(entry_document(entry, of, self._run), ensure_ascii=False)
            print(_UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", line))
            return
        self._print(self._text.pieces(entry, of))

    def say(self, text: str) -> None:
        """A line instead of entries; no line of JSON."""
        if self._is_json:
            terminal.note(text)
        else:
            print(text)

    def close(self) -> None:
        """End what was left open."""
        if not self._is_json:
            self._print(self._text.cost())

    def _print(self, pieces: Iterable[Piece]) -> None:
        for text, tone, is_open in pieces:
            shown = cut(text, self._width) if self._width is not None and not is_open else text
            colour = _COLOURS[tone] if tone is not None else None
            print(terminal.style(shown, colour, bold=tone == "head"), end="" if is_open else "\n")


class Talk:
    """What is shown of a run's conversations, and how far that has come."""

    def __init__(
        self, project: Project, snapshot: Snapshot, transcripts: Transcripts, screen: Screen, choice: Choice
    ) -> None:
        self._project = project
        self._snapshot = snapshot
        self._transcripts = transcripts
        self._screen = screen
        self._choice = choice
        self._known: dict[int, Conversation] = {}
        self._after = 0
        """The last entry that was looked at."""

    def show(self, tail: int | None) -> None:
        """Print what is there, one conversation after the other."""
        reader = self._transcripts.reader
        if reader is None:
            return
        reader.has_changed()
        self._after = reader.newest()
        chosen = self._learn()
        begin = 0 if tail is None else reader.before_last([one.id for one in chosen], tail)
        for one in chosen:
            after = begin
            while page := reader.entries(one.id, after):
                for entry in page:
                    if entry.id <= self._after:
                        self._screen.show(entry, one)
                after = page[-1].id
            if one is not chosen[-1]:  # that one may go on
                self._screen.close()

    def _learn(self) -> list[Conversation]:
        """The conversations that are asked for; those that have begun meanwhile, too."""
        found = self._transcripts.conversations(self._snapshot)
        self._known = {one.id: one for one in found if self._choice.fits(one)}
        return list(self._known.values())

    def follow(self) -> None:
        """Print what comes, until the run has left and all of it is written."""
        rounds = 0 if _has_long_left(self._snapshot.run, self._project.now_ms) else _LAST_ROUNDS
        terminal.flush()
        while True:
            # The run's row first: what was written before it left is there, but for the last batch.
            run = self._project.reader.run(self._snapshot.run.name)
            self._show_new()
            if run.state.has_ended or not is_driven(run):
                if rounds == 0:
                    break
                rounds -= 1
            time.sleep(_POLL_S)
        self._screen.close()
        if run.state.has_ended:
            terminal.note(f"{run.name} is {run.state.word}")
        else:
            command = self._project.command(next_step.resume_of(run))
            terminal.note(f"{run.name} is {shown_status(run)} and nobody drives it: {command}")

    def _show_new(self) -> None:
        reader = self._transcripts.reader
        if reader is None or not reader.has_changed():
            return
        read = partial(reader.newer, self._snapshot.run.id)
        while page := read(self._after):
            if any(entry.conversation not in self._known for entry in page):
                self._learn()
            for entry in page:
                of = self._known.get(entry.conversation)
                if of is not None:
                    self._screen.show(entry, of)
            self._after = page[-1].id
        terminal.flush()

    def explain(self, node: str | None) -> None:
        """Say in a line why there is nothing to show."""
        snapshot = self._project.take(self._snapshot.run.name)
        is_there = self._transcripts.reader is not None
        self._screen.say(why_silent(snapshot, node, self._transcripts.path.name if is_there else None))


def _has_long_left(run: RunRow, now_ms: int) -> bool:
    return run.ended_ms is not None and now_ms - run.ended_ms > 1000 * _POLL_S * _LAST_ROUNDS
