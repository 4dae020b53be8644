"""`smithers cancel`: end a run, whoever drives it."""

from __future__ import annotations

import getpass
import json
import os
import time
from contextlib import closing
from pathlib import Path

import click

from smithers.cli.options import json_option, run_argument, store_option
from smithers.clock import SystemClock
from smithers.engine.undriven import cancel_undriven
from smithers.errors import RunNotFound
from smithers.observe import lookup, next_step
from smithers.records import InboxKind, OwnerHealth, RunRow, RunState
from smithers.store import Store, find_store, open_store

ANSWER_S = 10.0
"""How long a live owner may take to end the run before we say that it was asked."""


@click.command()
@run_argument
@json_option
@store_option
def cancel(run_id: str, is_json: bool, store: str | None) -> int:
    """End a run: what runs is cancelled, what is finished stays.

    A live owner is asked; without one the run is ended here. Cancelling twice is no error, and a cancelled
    run can be resumed.
    """
    path = find_store(Path.cwd(), store)
    if path is None:
        raise RunNotFound("there are no runs yet", hint=f"start one with `{next_step.START}`")
    opened = open_store(path, clock=SystemClock(), create=False)
    with closing(opened.reader()) as reader:
        row = reader.run(lookup.run_name(reader, run_id))
    said = _cancel(opened, row)
    if is_json:
        print(json.dumps({"status": _state(opened, row).word, "run": row.name, "message": said}))
    else:
        print(said)
    return 0


def _cancel(store: Store, row: RunRow) -> str:
    if row.state.has_ended:
        return _has_ended(row)
    if row.health in (OwnerHealth.ALIVE, OwnerHealth.EXPIRED):
        with closing(store.outsider()) as outsider:
            outsider.post(row.id, InboxKind.CANCEL, _who())
        if row.health is OwnerHealth.ALIVE and _await_end(store, row):
            return f"{row.name} was cancelled by its owner, process {row.owner.pid if row.owner else '?'}"
        if row.health is OwnerHealth.ALIVE:
            return (
                f"{row.name} was asked to end; its owner has not answered yet (`{next_step.why(row.name)}`)"
            )
    if not cancel_undriven(store, row, _who()):
        with closing(store.reader()) as reader:
            return _has_ended(reader.run(row.name))
    gone = " (its owner was dead)" if row.owner is not None else ""
    return f"{row.name} is cancelled{gone}"


def _has_ended(row: RunRow) -> str:
    return f"{row.name} is {row.state.word} already; nothing was changed"


def _await_end(store: Store, row: RunRow) -> bool:
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        if _state(store, row).has_ended:
            return True
        time.sleep(0.05)
    return False


def _state(store: Store, row: RunRow) -> RunState:
    with closing(store.reader()) as reader:
        return reader.run(row.name).state


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
