"""A run that nobody drives, taken over only to be paused or cancelled: no workflow is needed for that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smithers.errors import LastPartsOwed, MessagesWaiting
from smithers.ids import NodeKey
from smithers.process import ProcessSpawner, reap_run
from smithers.records import (
    AttemptEnd,
    AttemptRow,
    AttemptState,
    EventRow,
    EventType,
    FailureClass,
    FrameWrite,
    InboxKind,
    OwnerHealth,
    RunChange,
    RunRow,
    RunState,
    StoredRun,
    WaitEnd,
    WaitState,
)

from .draft import dump
from .lease import LEASE_MS
from .mail import unwinds
from .order import Order
from .owed import Debts, debts_in, owing

if TYPE_CHECKING:
    from smithers.store import Store
    from smithers.store.lease import SqliteLeases


def obey_undriven(store: Store, row: RunRow, order: Order, *, is_asked: bool = True) -> bool:
    """Write that a run is paused, or cancelled.

    Args:
        row: as it was looked at; it may have moved since.
        is_asked: of this very run; False: of the run that it belongs to.
    Returns:
        False: somebody has seen to it in the meantime; nothing was changed.
    Raises:
        RunOwned: somebody alive drives it after all.
        LastPartsOwed: it is to be cancelled, and blocks have begun that owe last parts; these take an owner
            who has the workflow. Nothing was changed.
        ProcessStuck: a process of its former owner cannot be ended; the run stays as it was.
        MessagesWaiting: somebody has written to it, or decided a wait of it, meanwhile; nothing was changed.
    """
    with _owning(store) as (leases, owner):
        fence = leases.claim(row.id, owner)
        _end_processes(store, row)
        with closing(store.writer()) as writer:
            while True:
                stored = writer.load(row.id)
                if stored.run.state.has_ended or stored.run.state is order.state:
                    leases.release(row.id, fence)  # puts back when it ended
                    return False
                try:
                    owed = _check(stored, order)
                except LastPartsOwed:
                    leases.release(row.id, fence)
                    raise
                # The clock may have been set back since.
                now_ms = max(store.clock.now_ms(), stored.last_ms)
                last = LastFrame(stored, fence, order, now_ms, keeps_cancel=bool(owed))
                is_lost = row.health in (OwnerHealth.DEAD, OwnerHealth.NONE)
                error = writer.commit([last.written(is_lost=is_lost, is_asked=is_asked)])[0]
                if error is None:
                    return True
                if not isinstance(error, MessagesWaiting):
                    raise error
                # Somebody has answered, or sent something, since it was looked at.


def check_owed(store: Store, row: RunRow, order: Order) -> None:
    """Look whether a run could be given this order without its workflow.

    Raises:
        LastPartsOwed: as `obey_undriven`.
    """
    with closing(store.writer()) as writer:
        _check(writer.load(row.id), order)


def _check(stored: StoredRun, order: Order) -> Debts:
    """What the open blocks of a run owe, if they may go on owing it."""
    owed = debts_in(stored)
    if owed and order.kind is InboxKind.CANCEL and not order.is_now:
        raise owing(stored.run.name, owed)
    return owed


@contextmanager
def _owning(store: Store) -> Iterator[tuple[SqliteLeases, int]]:
    """This process on record as an owner, for as long as one frame takes."""
    leases = store.leases()
    try:
        owner = leases.register_owner(LEASE_MS)
        try:
            yield leases, owner.id
        finally:
            leases.end_owner(owner.id)
    finally:
        leases.close()


def _end_processes(store: Store, row: RunRow) -> None:
    """No program of a run survives its end; it is told as ended only when they are gone."""
    with closing(store.ledger()) as ledger:
        reap_run(ProcessSpawner(), ledger, row.id, row.name)


@dataclass(slots=True)
class LastFrame:
    """The frame that obeys, and gives the run up again."""

    stored: StoredRun
    fence: int
    order: Order
    now_ms: int
    keeps_cancel: bool = False
    """A cancel that was asked for before has last parts to run: a pause only puts it off."""

    def written(self, *, is_lost: bool, is_asked: bool) -> FrameWrite:
        """Args: is_lost: what is stored as running died with its owner, and was not cut off by this."""
        row = self.stored.run
        frame = FrameWrite(row.id, self.fence, row.frame + 1, row.frame, row.seq, 0, self.now_ms)
        if is_asked:
            self._tell(frame, self.order.asked, data=dump(self.order.told()))
        for attempt in self.stored.attempts:
            if attempt.state is AttemptState.RUNNING:
                self._end(frame, attempt, is_lost=is_lost)
        if self.order.state.has_ended:
            self._withdraw_waits(frame)
        self._tell(frame, self.order.done)
        for message in self.stored.inbox:
            # What was said to its waits is told by whoever resumes it.
            stands = not message.kind.is_order or (self.keeps_cancel and unwinds(message))
            stands = stands and self.order.kind is InboxKind.PAUSE
            (frame.inbox_kept if stands else frame.inbox_taken).append(message.id)
        frame.run_change = RunChange(self.order.state, release=True)
        return frame

    def _end(self, frame: FrameWrite, row: AttemptRow, *, is_lost: bool) -> None:
        if is_lost and self.order.state is RunState.PAUSED:
            # As a resume would have written it: a task that keeps killing its process is found out.
            error = dump({"code": "LOST", "message": "the process died while this attempt ran"})
            end = AttemptEnd(
                row.key, row.generation, row.attempt, AttemptState.LOST, self.now_ms,
                FailureClass.LOST, False, error,
            )  # fmt: skip
            kind = EventType.NODE_LOST
        else:
            end = AttemptEnd(
                row.key, row.generation, row.attempt, AttemptState.CANCELLED, self.now_ms, None, False
            )
            kind = EventType.NODE_CANCELLED
        frame.ended.append(end)
        self._tell(frame, kind, row.key, row.attempt)

    def _withdraw_waits(self, frame: FrameWrite) -> None:
        """It waits for nobody any more, and nobody has to come for its deadlines."""
        for wait in self.stored.waits:
            if wait.is_open:
                frame.wait_ends.append(WaitEnd(wait.ref, WaitState.WITHDRAWN, None))
                self._tell(frame, EventType.WAIT_WITHDRAWN, wait.key)
        frame.woken += (one for one in self.stored.wakeups if one.kind in ("wait", "reminder"))

    def _tell(
        self,
        frame: FrameWrite,
        kind: EventType,
        key: NodeKey | None = None,
        attempt: int = 0,
        data: str | None = None,
    ) -> None:
        frame.used += 1
        frame.events.append(EventRow(frame.seq + frame.used, kind, self.now_ms, key, attempt, data))
