"""Delivers what an engine's frames have to tell, on a thread of its own and out of the way of runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smithers.clock import Clock
from smithers.errors import SmithersError
from smithers.notify.setting import Settings
from smithers.records import NoticeKind
from smithers.store.notice import Backlog, SqliteNotices

if TYPE_CHECKING:
    from smithers.notify.delivery import Delivery, StillStands

_log = logging.getLogger("smithers")

LONGEST_SLEEP_S: Final = 60.0
"""How often it looks for what another process has left."""
FAULT_SLEEP_S: Final = 5.0
"""How long it leaves an outbox alone that cannot be used."""
PATIENCE_S: Final = 5.0
"""How long a process that leaves waits for notices that are due."""
_BREAK_OFF_S: Final = 0.5
"""How long after that a way has to be broken off."""


class Courier:
    """From any thread. Nothing here ever raises into a run, or makes it wait.

    Args:
        open: opens the outbox; called on the courier's own thread.
        store: the database file.
    """

    def __init__(
        self,
        settings: Settings,
        open: Callable[[], SqliteNotices],
        store: Path,
        clock: Clock,
        *,
        still_stands: StillStands | None = None,
    ) -> None:
        self._settings = settings
        self._open = open
        self._store = store
        self._clock = clock
        self._still_stands = still_stands
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._until: float | None = None
        """Monotonic seconds: it has been asked to leave, and has until then."""
        self._left: Backlog | None = None
        """What was left when it had looked last."""

    @property
    def kinds(self) -> frozenset[NoticeKind]:
        """What is to be told."""
        return self._settings.on

    def start(self) -> None:
        """Begin with what earlier processes have left; once is enough."""
        with self._lock:
            if self._thread is None and self._until is None:
                thread = threading.Thread(target=self._serve, name="smithers-courier", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no room for one: the next notice tries again
                    _log.debug("notices cannot be delivered now: %s", error)
                    return
                self._thread = thread

    def wake(self) -> None:
        """There is something to deliver, and it is stored."""
        self.start()
        self._woken.set()

    def close(self, patience_s: float = PATIENCE_S) -> Backlog | None:
        """Deliver what is due, and what falls due meanwhile; then leave.

        Args:
            patience_s: what is under way by then is broken off, and due again.
        Returns:
            What is left to deliver, as far as is known; None: nothing.
        """
        self._until = time.monotonic() + patience_s
        self._woken.set()
        with self._lock:
            thread = self._thread
        if thread is None:
            return None
        thread.join(patience_s)
        self._stop.set()
        thread.join(_BREAK_OFF_S)
        left = self._left
        if thread.is_alive():  # nobody knows how that ends
            return Backlog(max(1, left.left if left is not None else 1), 0, None, "it takes too long")
        return left if left is not None and left.left else None

    # --- On its own thread ----------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(self._open()) as outbox:
                    self._go_on(outbox)
                return
            except SmithersError as error:
                _log.debug("notices cannot be delivered now: %s", error)
                if self._until is not None:
                    return
                self._woken.wait(FAULT_SLEEP_S)
                self._woken.clear()

    def _go_on(self, outbox: SqliteNotices) -> None:
        from smithers.notify.delivery import Delivery

        delivery: Delivery = Delivery(
            self._settings, outbox, self._store, self._clock, still_stands=self._still_stands
        )
        while True:
            # Before the look: what is stored from here on sets it again.
            self._woken.clear()
            is_leaving = self._until is not None
            delivery.deliver_due(self._stop)
            self._left = outbox.backlog(self._clock.now_ms())
            sleep_s = self._sleep_s(self._left)
            if self._stop.is_set() or (is_leaving and sleep_s is None):
                return
            self._woken.wait(LONGEST_SLEEP_S if sleep_s is None else min(sleep_s, LONGEST_SLEEP_S))

    def _sleep_s(self, left: Backlog) -> float | None:
        """How long until there is something to do; None: as long as you like, or too long to wait for."""
        if left.next_ms is None:
            return None
        found = max(0.0, (left.next_ms - self._clock.now_ms()) / 1000)
        if self._until is not None and time.monotonic() + found >= self._until:
            return None
        return found
