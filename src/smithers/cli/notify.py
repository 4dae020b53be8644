"""`smithers notify`: try the ways by which people are told, and see what they were told."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.leaving import orderly_leaving
from smithers.cli.options import json_option, store_option
from smithers.cli.project import open_project
from smithers.cli.table import Column, Table
from smithers.clock import SystemClock
from smithers.errors import NotifyInvalid
from smithers.observe import lookup, moment
from smithers.observe.notice import notice_document, title_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smithers.notify.setting import Settings
    from smithers.records import NoticeRow
    from smithers.store.notice import Backlog

_COLOURS = {"sent": "green", "waiting": "cyan", "given-up": "red", "void": "bright_black"}


class _Notify(click.Group):
    """Lists notices when it is asked for nothing else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Notify, subcommand_metavar="[list|test|send] [ARGS]...")
def notify() -> None:
    """Show what people were told of runs, try how they are told, or deliver what is left.

    Without a further word it lists the notices.
    """


@notify.command("list")
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("-n", "limit", metavar="LIMIT", default=50, type=click.IntRange(1), help="Newest to list.")
@store_option
@json_option
def list_(run_id: str | None, limit: int, store: str | None, is_json: bool) -> None:
    """List notices, newest first: sent, waiting to be sent, given up, or void as somebody was quicker."""
    with open_project(store) as project:
        rows: Sequence[NoticeRow]
        if project is None:
            if run_id is not None:
                raise lookup.no_runs(run_id)
            rows, now_ms = [], 0
        else:
            name = None if run_id is None else lookup.run_name(project.reader, run_id)
            number = None if name is None else project.reader.run(name).id
            rows, now_ms = project.reader.notices(number, limit), project.now_ms
    if is_json:
        print(json.dumps({"status": "ok", "notices": list(map(notice_document, rows))}, ensure_ascii=False))
    elif rows:
        print("\n".join(_table(rows, now_ms).lines(terminal.width())))
    else:
        print("There are no notices. They are written where [notify] is configured: docs/notify.md.")


@notify.command()
@store_option
@json_option
def test(store: str | None, is_json: bool) -> int:
    """Send a test by each way that is configured, and say what has become of it.

    Exit code 1: one of them has failed. What the command prints is shown.
    """
    from random import SystemRandom

    from smithers.notify.delivery import try_way
    from smithers.notify.letter import trial_letter
    from smithers.notify.way import ways_of

    path = _store_path(store)
    settings = _settings(path)
    letter = trial_letter(
        f"{SystemRandom().getrandbits(128):032x}", SystemClock().now_ms(), settings.folder.name
    )
    with orderly_leaving():
        found = [(way.name, try_way(way, letter, Event())) for way in ways_of(settings, is_shown=True)]
    is_well = all(why is None for _, why in found)
    if is_json:
        print(json.dumps(_test_document(settings, found), ensure_ascii=False))
    else:
        for name, why in found:
            glyph, colour = ("✓", "green") if why is None else ("✗", "red")
            print(f"{terminal.style(glyph, colour)} {name}: {why or 'delivered'}")
        print(f"configured in {settings.file}")
    return ExitCode.FINISHED if is_well else ExitCode.FAILED


def _test_document(settings: Settings, found: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    return {
        "status": "ok" if all(why is None for _, why in found) else "failed",
        "file": str(settings.file),
        "ways": [{"way": name, "delivered": why is None, "error": why} for name, why in found],
    }


@notify.command()
@store_option
@json_option
def send(store: str | None, is_json: bool) -> int:
    """Deliver all that is left now, whoever has left it, without waiting for its next try.

    Exit code 1: something is left.
    """
    from smithers.notify.delivery import deliver_due
    from smithers.store.notice import Backlog

    path = _store_path(store)
    _settings(path)
    with orderly_leaving():
        left = deliver_due(path, at_once=True) if path.exists() else None
    left = left or Backlog(0, 0, None, None)
    if is_json:
        status = "failed" if left.left else "ok"
        print(json.dumps({"status": status, "left": left.left, "claimed": left.claimed}))
    else:
        print("\n".join(_left_lines(left)) or "nothing is left to deliver")
    return ExitCode.FAILED if left.left else ExitCode.FINISHED


def _left_lines(left: Backlog) -> Iterator[str]:
    if left.left:
        yield f"{left.left} left" + (f": {left.error}" if left.error else "")
    if left.claimed and left.next_ms is not None:
        when = moment.due(left.next_ms, SystemClock().now_ms())
        yield f"{left.claimed} in the hands of another process; if that has died, due again {when}"


def _store_path(named: str | None) -> Path:
    """The project's store, or where its first run would make it."""
    from smithers.store.location import find_store, planned_store

    return find_store(Path.cwd(), named) or planned_store(None, Path.cwd())


def _settings(path: Path) -> Settings:
    from smithers.notify.setting import FILE, load_settings

    found = load_settings(path)
    if found is None:
        raise NotifyInvalid(
            "no way is configured by which anybody could be told",
            hint=f'write into {path.with_name(FILE)}: [notify] and, below it, command = "…" or webhook = "…"',
        )
    return found


def _table(rows: Sequence[NoticeRow], now_ms: int) -> Table:
    def paint(cell: str) -> str:
        return terminal.style(cell, _COLOURS.get(cell.strip()))

    table = Table(
        [
            Column("RUN", is_text=True),
            Column("WHAT", is_text=True),
            Column("WHEN", is_right=True),
            Column("STATE", paint=paint),
            Column("TRIES", is_right=True),
            Column("NEXT"),
        ]
    )
    for row in rows:
        table.add(
            row.run_name,
            title_of(row),
            moment.ago(row.at_ms, now_ms),
            row.state,
            str(row.tries + (row.sent_ms is not None)),
            "" if row.next_ms is None else moment.due(max(row.next_ms, now_ms), now_ms),
            note=row.error or "",
        )
    return table
