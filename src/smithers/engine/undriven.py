"""A run that nobody drives, taken over only to be ended: no workflow is needed for that."""

from __future__ import annotations

import json
from contextlib import closing

from smithers.ids import NodeKey
from smithers.process import ProcessSpawner, reap_run
from smithers.records import (
    AttemptEnd,
    AttemptState,
    EventRow,
    EventType,
    FrameWrite,
    RunChange,
    RunRow,
    RunState,
    StoredRun,
)
from smithers.store import Store

from .lease import LEASE_MS


def cancel_undriven(store: Store, row: RunRow, by: str) -> bool:
    """Write that a run is cancelled.

    Args:
        row: as it was looked at; it may have moved since.
        by: who asked for it.
    Returns:
        False: somebody has seen it through in the meantime; nothing was changed.
    Raises:
        RunOwned: somebody alive drives it after all.
        ProcessStuck: a process of its former owner cannot be ended; the run stays as it was.
    """
    leases = store.leases()
    try:
        owner = leases.register_owner(LEASE_MS)
        try:
            fence = leases.claim(row.id, owner.id)
            _end_processes(store, row)
            with closing(store.writer()) as writer:
                stored = writer.load(row.id)
                if stored.run.state.has_ended:
                    leases.release(row.id, fence)  # puts back when it ended
                    return False
                error = writer.commit([_last_frame(stored, fence, by, store.clock.now_ms())])[0]
                if error is not None:
                    raise error
                return True
        finally:
            leases.end_owner(owner.id)
    finally:
        leases.close()


def _end_processes(store: Store, row: RunRow) -> None:
    """No program of a run survives its cancel; it is told as cancelled only when they are gone."""
    with closing(store.ledger()) as ledger:
        reap_run(ProcessSpawner(), ledger, row.id, row.name)


def _last_frame(stored: StoredRun, fence: int, by: str, now_ms: int) -> FrameWrite:
    row = stored.run
    frame = FrameWrite(row.id, fence, row.frame + 1, row.frame, row.seq, 0, now_ms)

    def event(kind: EventType, key: NodeKey | None = None, attempt: int = 0, data: str | None = None) -> None:
        frame.used += 1
        frame.events.append(EventRow(row.seq + frame.used, kind, now_ms, key, attempt, data))

    event(EventType.CANCEL_REQUESTED, data=json.dumps({"kind": "cancel", "by": by}))
    for one in stored.attempts:
        if one.state is AttemptState.RUNNING:
            end = AttemptEnd(
                one.key, one.generation, one.attempt, AttemptState.CANCELLED, now_ms, None, False
            )
            frame.ended.append(end)
            event(EventType.NODE_CANCELLED, one.key, one.attempt)
    event(EventType.RUN_CANCELLED)
    frame.inbox_taken = [message.id for message in stored.inbox]
    frame.run_change = RunChange(RunState.CANCELLED, release=True)
    return frame
