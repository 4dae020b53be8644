"""`smithers down`: pause every run of the project that somebody drives, or drove until it died."""

from __future__ import annotations

import json
from contextlib import closing

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.halt import Halted, carry_out, order, project_store
from smithers.cli.options import json_option, order_options, store_option, with_store
from smithers.cli.table import Column, Table
from smithers.engine.control import stands_open
from smithers.observe import moment
from smithers.observe.summary import owner_name
from smithers.records import InboxKind, RunFilter, RunState
from smithers.store import Store


@click.command()
@order_options
@json_option
@store_option
def down(is_now: bool, patience_ms: int, is_json: bool, store: str | None) -> int:
    """Pause all runs of the project: nothing new starts, what runs ends by itself and is kept.

    Runs whose process has died are paused here, and what such processes have left running is ended. All runs
    can be resumed.

    Exit code 1: runs were asked to pause, and tasks still run.
    """
    opened = project_store(store)
    halted: list[Halted] = []
    ended: list[int] = []
    if opened is not None:
        with closing(opened.reader()) as reader:
            found = reader.runs(RunFilter(states=[RunState.RUNNING, RunState.WAITING], tops=True))
        runs = [run for run in found if stands_open(run)]
        halted = carry_out(opened, runs, order(InboxKind.PAUSE, is_now=is_now), patience_ms) if runs else []
        ended = _end_orphans(opened)
    if is_json:
        document = {"status": "ok", "runs": [one.document() for one in halted], "processes": ended}
        print(json.dumps(document, ensure_ascii=False))
    elif not halted and not ended:
        print("Nothing to pause: no run is driven, and none was left behind by a process that died.")
    elif halted:
        _print_table(halted)
        if not all(one.is_done for one in halted):
            terminal.note(f"  wait:    {with_store('smithers down --wait 10m', store)}")
            terminal.note(f"  cut off: {with_store('smithers down --now', store)}")
    if ended and not is_json:
        print(f"Ended what dead owners had left running: process {', '.join(map(str, ended))}.")
    return 0 if all(one.is_done for one in halted) else ExitCode.FAILED


def _end_orphans(store: Store) -> list[int]:
    """End the programs that dead owners have left behind; returns their pids."""
    from smithers.process import ProcessSpawner, reap_dead, survivors

    found = [pid for one in survivors(store) for pid in one.pids]
    if found:
        with closing(store.ledger()) as ledger:
            reap_dead(ProcessSpawner(), ledger)
    return found


def _print_table(halted: list[Halted]) -> None:
    table = Table(
        [Column("RUN", is_text=True), Column("OWNER", is_text=True)], note_title="WHAT HAPPENED", note_room=76
    )
    for one in halted:
        owner = owner_name(one.owner) if one.owner is not None else moment.UNKNOWN
        table.add(one.run.name, owner, note=one.text)
    print("\n".join(table.lines(terminal.width())))
