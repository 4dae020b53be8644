"""`smithers cancel`: end a run, whoever drives it."""

from __future__ import annotations

import getpass
import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smithers.cli.options import json_option, run_argument, store_option
from smithers.clock import SystemClock
from smithers.engine.lease import LEASE_MS
from smithers.errors import RunNotFound
from smithers.ids import NodeKey
from smithers.observe import lookup, next_step
from smithers.records import (
    AttemptEnd,
    AttemptState,
    EventRow,
    EventType,
    FrameWrite,
    InboxKind,
    OwnerHealth,
    RunChange,
    RunRow,
    RunState,
)
from smithers.store import Store, find_store, open_store

if TYPE_CHECKING:
    from smithers.records import AttemptRow

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
        return f"{row.name} is {row.state.word} already; nothing was changed"
    if row.health in (OwnerHealth.ALIVE, OwnerHealth.EXPIRED):
        with closing(store.outsider()) as outsider:
            outsider.post(row.id, InboxKind.CANCEL, _who())
        if row.health is OwnerHealth.ALIVE and _await_end(store, row):
            return f"{row.name} was cancelled by its owner, process {row.owner.pid if row.owner else '?'}"
        if row.health is OwnerHealth.ALIVE:
            return (
                f"{row.name} was asked to end; its owner has not answered yet (`{next_step.why(row.name)}`)"
            )
    return _end_here(store, row)


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


def _end_here(store: Store, row: RunRow) -> str:
    """Nobody drives it: take it over, write that it is cancelled, and leave."""
    leases = store.leases()
    try:
        owner = leases.register_owner(LEASE_MS)
        try:
            fence = leases.claim(row.id, owner.id)
            with closing(store.writer()) as writer:
                stored = writer.load(row.id)
                frame = _last_frame(stored.run, fence, stored.attempts, store.clock.now_ms())
                frame.inbox_taken = [message.id for message in stored.inbox]
                error = writer.commit([frame])[0]
                if error is not None:
                    raise error
        finally:
            leases.end_owner(owner.id)
    finally:
        leases.close()
    gone = " (its owner was dead)" if row.owner is not None else ""
    return f"{row.name} is cancelled{gone}"


def _last_frame(row: RunRow, fence: int, attempts: list[AttemptRow], now_ms: int) -> FrameWrite:
    frame = FrameWrite(row.id, fence, row.frame + 1, row.frame, row.seq, 0, now_ms)

    def event(kind: EventType, key: NodeKey | None = None, attempt: int = 0, data: str | None = None) -> None:
        frame.used += 1
        frame.events.append(EventRow(row.seq + frame.used, kind, now_ms, key, attempt, data))

    event(EventType.CANCEL_REQUESTED, data=json.dumps({"kind": "cancel", "by": _who()}))
    for one in attempts:
        if one.state is AttemptState.RUNNING:
            end = AttemptEnd(
                one.key, one.generation, one.attempt, AttemptState.CANCELLED, now_ms, None, False
            )
            frame.ended.append(end)
            event(EventType.NODE_CANCELLED, one.key, one.attempt)
    event(EventType.RUN_CANCELLED)
    frame.run_change = RunChange(RunState.CANCELLED, release=True)
    return frame


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
