"""`smithers cancel`: end a run, whoever drives it."""

from __future__ import annotations

import click

from smithers.cli.halt import halt, order
from smithers.cli.options import json_option, run_argument, store_option
from smithers.engine.control import PATIENCE_MS
from smithers.records import InboxKind


@click.command()
@run_argument
@click.option("--now", "is_now", is_flag=True, help="Run no `finally_` and no compensation first.")
@json_option
@store_option
def cancel(run_id: str, is_now: bool, is_json: bool, store: str | None) -> int:
    """End a run: what runs is cancelled, what is finished stays.

    Try blocks that have begun run their `finally_` first, sagas undo what they did; with --now they do not,
    and go on where they stood when the run is resumed.

    A live owner is asked; without one the run is ended here, or, if it owes such last parts, by an owner that
    is started in the background. A stopped one is waited for until its lease has
    ended, at most 15 s, and then the run is taken from it. Cancelling twice is no error, and a cancelled run
    can be resumed.

    Exit code 1: the run was asked to end, and has not ended yet: its last parts run, or cannot be run, or
    its owner has not answered.
    """
    return halt(
        run_id, order(InboxKind.CANCEL, is_now=is_now), store, is_json=is_json, patience_ms=PATIENCE_MS
    )
