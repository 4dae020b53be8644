"""`smithers pause`: stop a run so that it can go on later, whoever drives it."""

from __future__ import annotations

import click

from smithers.cli.halt import halt, order
from smithers.cli.options import SpanType, json_option, run_argument, store_option
from smithers.records import InboxKind


@click.command()
@run_argument
@click.option("--now", "is_now", is_flag=True, help="Cut off the tasks that run; they begin again on resume.")
@click.option(
    "--wait",
    "patience_ms",
    type=SpanType(),
    metavar="SPAN",
    default="10s",
    help="How long to wait for running tasks; default: 10s.",
)
@json_option
@store_option
def pause(run_id: str, is_now: bool, patience_ms: int, is_json: bool, store: str | None) -> int:
    """Pause a run: nothing new starts, what runs ends by itself and is kept. A resume goes on at once.

    A live owner is asked; without one the run is paused here. A stopped one is waited for until its lease has
    ended, at most 15 s, and then the run is taken from it.

    Exit code 1: the run was asked to pause, and tasks still run.
    """
    asked = order(InboxKind.PAUSE, is_now=is_now)
    return halt(run_id, asked, store, is_json=is_json, patience_ms=patience_ms)
