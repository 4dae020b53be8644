"""A process that drives runs it is given the names of, all of them in one engine."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from smithers.cli import terminal
from smithers.cli.library import Library
from smithers.engine.control import Control
from smithers.engine.fleet import as_error
from smithers.engine.host import Host
from smithers.engine.order import Order
from smithers.engine.undriven import check_owed
from smithers.errors import (
    LastPartsOwed,
    LeaseLost,
    RunNotFound,
    RunOwned,
    SmithersError,
    StoreError,
    WorkflowLoadFailed,
)
from smithers.observe import moment
from smithers.records import InboxKind, OwnerHealth, RunState
from smithers.supervise.choice import count_loss

if TYPE_CHECKING:
    from smithers.authoring import Workflow
    from smithers.engine.handle import Handle
    from smithers.engine.host import Claim
    from smithers.records import RunRow

IDLE_S: Final = 5.0
"""Without a run to drive, and nothing more to read, the process leaves after this: 80 MB for nobody."""
LINGER_MS: Final = 10_000
"""How long a run stays that only waits for a time. To park it and to wake it costs some 20 ms of CPU and
a second of delay at most: less than to keep its tree and its script in memory for an hour, and more than the
first steps of a back-off are worth."""
LOOK_S: Final = 0.25
IMPORT_S: Final = 60.0
"""A file whose import takes longer is given up, and so is this process once its runs have left."""
_OPEN: Final = (RunState.RUNNING, RunState.WAITING, RunState.PAUSED)


class Hosting:
    """Reads `RUN [FENCE]`, one a line, and drives these runs until they leave.

    Args:
        store: the database file.
        source: descriptor that the names are read from; its end changes nothing.
    """

    def __init__(self, store: Path, source: int) -> None:
        # Not as `normal` as a run may have been started: what is stored of one must not be lost for another.
        self._host = Host(store)
        self._library = Library(self._host.project)
        os.set_blocking(source, False)
        self._source: int | None = source
        self._rest = b""
        self._wanted: dict[str, int | None] = {}
        """Runs to take over, and the fence that each had when it was chosen."""
        self._driven: dict[str, tuple[Handle, Claim]] = {}
        self._quiet_s = time.monotonic()
        """Since when there is nothing to do."""
        self._number: int | None = None
        """The signal that came."""

    def serve(self) -> int:
        """Drive runs until there are none, or a signal comes; returns the exit code."""
        self._catch_signals()
        # Before any import, which may take longer than a lease lasts: from now on it is renewed.
        assert self._host.engine is not None
        say(f"host {os.getpid()} drives runs of {self._host.store.path}")
        try:
            while self._number is None and not self._is_idle():
                self._read(0 if self._wanted else LOOK_S)
                for name, fence in list(self._wanted.items()):
                    if self._number is not None:
                        break
                    del self._wanted[name]
                    self._take(name, fence)
                    self._read(0)
                self._see_ended()
        finally:
            self._leave()
        return 0 if self._number is None else 128 + self._number

    def _is_idle(self) -> bool:
        if self._driven or self._wanted:
            self._quiet_s = time.monotonic()
        return time.monotonic() - self._quiet_s > IDLE_S

    # --- What is asked for ------------------------------------------------------------------------

    def _read(self, patience_s: float) -> None:
        """Read names that have come; wait for the first so long."""
        if self._source is None:
            time.sleep(patience_s)
            return
        if not select.select([self._source], [], [], patience_s)[0]:
            return
        try:
            data = os.read(self._source, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._source = None  # nobody gives us anything any more: what we have goes on
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            name, _, fence = line.decode(errors="replace").strip().partition(" ")
            if name and name not in self._driven:
                self._wanted[name] = int(fence) if fence.isdecimal() else None

    # --- Taking over ------------------------------------------------------------------------------

    def _take(self, name: str, fence: int | None) -> None:
        """Take a run over and drive it; who is faster has it."""
        try:
            claim = None if self._is_cancelled(name, fence) else self._claim(name, fence)
        except SmithersError as error:
            if not isinstance(error, (RunOwned, RunNotFound)):
                say(f"{name} is not taken over: [{error.code}] {error.message}")
            return
        if claim is None:
            return
        workflow = self._find(claim)
        if workflow is None:
            return
        try:
            # It gives the run back by itself.
            handle = workflow.resume(self._host, claim, linger_ms=LINGER_MS)
        except Exception as error:  # noqa: BLE001 - the author's or ours: it concerns this run only, and is noted
            self._note(claim, as_error(error))
            return
        self._driven[name] = (handle, claim)
        say(f"{name} is taken over")

    def _find(self, claim: Claim) -> Workflow[Any, Any] | None:
        """Import the workflow of a run; None: it cannot be had, and the run was given back."""
        verdict = threading.Lock()  # of the two threads one decides: who takes it first

        def give_up(error: SmithersError) -> None:
            self._host.release(claim)
            self._note(claim, error)

        def lose_patience() -> None:
            if verdict.acquire(blocking=False):
                text = f"the import of {claim.row.source} takes longer than {IMPORT_S:.0f} s"
                give_up(WorkflowLoadFailed(text))
                self._leave_stuck(is_over)

        is_over = threading.Event()
        timer = threading.Timer(IMPORT_S, lose_patience)
        timer.daemon = True
        timer.start()
        try:
            found = self._library.find(claim.row)
        except SmithersError as error:
            if verdict.acquire(blocking=False):
                give_up(error)
            return None
        finally:
            timer.cancel()
            is_over.set()
        return found if verdict.acquire(blocking=False) else None

    def _leave_stuck(self, is_over: threading.Event) -> None:
        """Leave as soon as the runs have left that go on meanwhile; unless the import comes to an end."""
        while not is_over.wait(1.0):
            if all(handle.ended.done() for handle, _ in self._driven.values()):
                self._leave()
                os._exit(1)

    def _is_cancelled(self, name: str, fence: int | None) -> bool:
        """Carry out a cancel that nobody has read, if no workflow is needed for it.

        A resume by hand sets it aside: somebody wants the run to go on. Nobody has said so here.
        """
        store = self._host.store
        with closing(store.reader()) as reader:
            row = reader.run(name)
            cancels = [one for one in reader.inbox(row.id) if one.kind is InboxKind.CANCEL]
        if not cancels or row.health is OwnerHealth.ALIVE or fence not in (None, row.fence):
            return False
        order = Order.of(cancels[-1])
        try:
            check_owed(store, row, order)
        except LastPartsOwed:
            return False  # an owner runs them first
        Control(store, order, tell=lambda _: None).apply([row])
        say(f"{name} is cancelled")
        return True

    def _claim(self, name: str, fence: int | None) -> Claim | None:
        """Take a run over as it was when it was chosen; None: it has moved since."""
        row = self._row(name)
        if row.name != name or row.state not in _OPEN or fence not in (None, row.fence):
            return None
        claim = self._host.claim(row)
        if claim.fence == row.fence + 1:
            return claim
        self._host.release(claim)  # somebody had it in between: it may wait for something else by now
        return None

    def _row(self, name: str) -> RunRow:
        with closing(self._host.store.reader()) as reader:
            return reader.run(name)

    def _note(self, claim: Claim, error: SmithersError) -> None:
        """A run that could not be resumed: whoever supervises leaves it alone, if that goes on."""
        place = f" ({error.place})" if error.place is not None else ""
        why = f"[{error.code}] {error.message}{place}"
        say(f"{claim.row.name} does not go on: {why}")
        if isinstance(error, StoreError):
            return  # not its own fault; and nothing could be written
        with suppress(SmithersError), closing(self._host.store.revivals()) as revivals:
            standing = revivals.standing(claim.row.id)
            if standing is not None:
                now_ms = self._host.clock.now_ms()
                found = count_loss(standing.revival, claim.fence, standing.settled, now_ms, why)
                revivals.note([(standing.run, found, standing.revival)])

    # --- Letting go -------------------------------------------------------------------------------

    def _see_ended(self) -> None:
        for name, (handle, claim) in list(self._driven.items()):
            if not handle.ended.done():
                continue
            del self._driven[name]
            error = handle.ended.exception()
            if error is None:
                say(f"{name} is {handle.ended.result().state.word}")
            elif isinstance(error, LeaseLost):
                say(f"{name} is let go: {error.message}")
            else:
                self._note(claim, as_error(error))

    def _leave(self) -> None:
        """End what runs; its runs stay resumable, and go on with whoever finds them."""
        if self._driven:
            say(f"leaving: {', '.join(self._driven)} can be resumed")
        self._host.close()
        say(f"host {os.getpid()} has left")

    def _catch_signals(self) -> None:
        from smithers.process import kill_everything  # now: a handler must not import

        def catch(number: int, _: FrameType | None) -> None:
            if self._number is not None:
                with suppress(Exception):
                    kill_everything()
                os._exit(128 + number)
            self._number = number

        handler: Callable[[int, FrameType | None], None] = catch
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handler)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it has no terminal of its own


def say(text: str) -> None:
    """A line of the host's log."""
    terminal.note(f"{moment.local(time.time_ns() // 1_000_000)} {text}")
