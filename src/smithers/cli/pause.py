"""`smithers pause`: stop a run so that it can go on later, whoever drives it."""

from __future__ import annotations

import click

from smithers.cli.halt import halt, order
from smithers.cli.options import json_option, order_options, run_argument, store_option
from smithers.records import InboxKind


@click.command()
@run_argument
@order_options
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
