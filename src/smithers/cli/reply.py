"""What the commands share that say something to a run that waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smithers.cli import terminal
from smithers.cli.going_on import go_on
from smithers.cli.halt import project_store, who
from smithers.errors import AnswerUnfit, UsageRefused
from smithers.observe import lookup

if TYPE_CHECKING:
    from smithers.observe.waits import WaitView
    from smithers.ports import Outsider, Reader
    from smithers.records import RunRow, Vote
    from smithers.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])


def by_option(command: Command) -> Command:
    """`--by WHO`."""
    return click.option("--by", metavar="WHO", help="In whose name; default: the name you are logged in by.")(
        command
    )


def resume_option(command: Command) -> Command:
    """`--no-resume`."""
    return click.option(
        "--no-resume", is_flag=True, help="Only store it: start nothing if nobody drives the run."
    )(command)


@dataclass(frozen=True, slots=True)
class Desk:
    """A store that something is said in."""

    store: Store
    reader: Reader
    outsider: Outsider
    run: RunRow
    named: str | None

    def now_ms(self) -> int:
        return self.store.clock.now_ms()


@contextmanager
def open_desk(run: str, named: str | None) -> Iterator[Desk]:
    """Open the project's store for an answer to a run.

    Raises:
        RunNotFound, RunAmbiguous: with the names that were perhaps meant.
    """
    store = project_store(named)
    if store is None:
        raise lookup.no_runs(run)
    with closing(store.reader()) as reader, closing(store.outsider()) as outsider:
        row = reader.newest(reader.run(lookup.run_name(reader, run)).id)
        yield Desk(store, reader, outsider, row, named)


def cast(desk: Desk, view: WaitView, vote: Vote, said: str, *, resumes: bool, is_json: bool) -> int:
    """Store a vote, let the run go on, and say what happened."""
    voted = desk.outsider.vote(vote)
    document = {
        "run": view.run,
        "node": view.node,
        "did": vote.word,
        "by": vote.by,
        "decided": voted.is_decided,
    }
    if not voted.is_decided:
        text = f"{said}; {voted.votes} of {voted.quorum} have said so"
        counted = {**document, "votes": voted.votes, "quorum": voted.quorum}
        return tell(desk, text, counted, is_json=is_json)
    return after(desk, said, document, desk.reader.run_at(view.row.run), resumes=resumes, is_json=is_json)


def after(
    desk: Desk, said: str, document: dict[str, Any], run: RunRow, *, resumes: bool, is_json: bool
) -> int:
    """Let a run go on by what was said, and say so."""
    going = go_on(desk.store, run, resumes=resumes)
    document["goes_on"] = going.document()
    return tell(desk, said, document, going.text(desk.named), is_json=is_json)


def tell(
    desk: Desk, said: str, document: Mapping[str, Any], more: str | None = None, *, is_json: bool
) -> int:
    """Say what was done, as a line or as JSON."""
    if is_json:
        row = desk.reader.run_at(desk.run.id)
        print(json.dumps({"status": row.state.word, **document}, ensure_ascii=False))
    else:
        print(said)
        if more:
            terminal.note(f"  {more}")
    return 0


def read_json(text: str, option: str) -> Any:
    """JSON of an option: as it stands, `@file`, or `-` for standard input.

    Raises:
        AnswerUnfit: it is none.
        UsageRefused: the file cannot be read.
    """
    from smithers.reply.send import check_size

    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageRefused(f"{option} {text}: {error}") from None
    check_size(text)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise AnswerUnfit(
            f"{option} is not JSON: {error}", hint="plain text is JSON in quotes: '\"yes\"'"
        ) from None


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def name_of(by: str | None) -> str:
    """In whose name something is said.

    Raises:
        UsageRefused: the name is no name.
    """
    if by is None:
        return who()
    if not by.strip() or len(by) > 200 or not by.isprintable() or by.startswith("smithers:"):
        raise UsageRefused(f"--by {by!r} is not a name")
    return by
