"""Keeps this process' lease alive, on a thread and a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from smithers.clock import Clock
from smithers.errors import StoreError
from smithers.ports import Leases
from smithers.records import Owner

LEASE_MS = 15_000
RENEW_EVERY_MS = 5_000


class LeaseKeeper:
    """Renews an owner's lease every 5 s.

    A thread of its own, because nothing that blocks the engine or the author's code may cost the lease.

    Args:
        lost: called once, from the keeper's thread, when the lease is gone.
    """

    def __init__(self, leases: Leases, owner: Owner, clock: Clock, lost: Callable[[], None]) -> None:
        self._leases = leases
        self._owner = owner
        self._clock = clock
        self._lost = lost
        self._ends_ms = clock.monotonic_ms() + LEASE_MS
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Renew on a thread of its own until closed, or until there is nothing left to renew."""
        self._thread = threading.Thread(target=self._keep, name="smithers-lease", daemon=True)
        self._thread.start()

    def renew(self) -> bool:
        """Renew once; False: the lease is gone, which has been told."""
        try:
            if self._leases.renew_owner(self._owner.id, LEASE_MS):
                self._ends_ms = self._clock.monotonic_ms() + LEASE_MS
                return True
        except StoreError:
            # A full disk or a busy file: the lease stands until it ends, and each commit says by itself
            # what is wrong.
            if self._clock.monotonic_ms() <= self._ends_ms:
                return True
        self._lost()
        return False

    def _keep(self) -> None:
        try:
            while not self._closing.wait(RENEW_EVERY_MS / 1000) and self.renew():
                pass
        except BaseException:
            self._lost()  # without renewals the lease is as good as gone
            raise

    def close(self) -> None:
        """Stop renewing and forget the owner."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._leases.end_owner(self._owner.id)
