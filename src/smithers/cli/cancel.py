"""`smithers cancel`: end a run, whoever drives it."""

from __future__ import annotations

import click

from smithers.cli.halt import halt, order
from smithers.cli.options import json_option, run_argument, store_option
from smithers.engine.control import PATIENCE_MS
from smithers.records import InboxKind


@click.command()
@run_argument
@json_option
@store_option
def cancel(run_id: str, is_json: bool, store: str | None) -> int:
    """End a run: what runs is cancelled, what is finished stays.

    A live owner is asked; without one the run is ended here. A stopped one is waited for until its lease has
    ended, at most 15 s, and then the run is taken from it. Cancelling twice is no error, and a cancelled run
    can be resumed.

    Exit code 1: the run was asked to end, and its owner has not answered yet.
    """
    return halt(run_id, order(InboxKind.CANCEL), store, is_json=is_json, patience_ms=PATIENCE_MS)
