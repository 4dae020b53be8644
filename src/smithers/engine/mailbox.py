"""A queue whose `get` keeps its timeout."""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Empty
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """What `queue.SimpleQueue` is, for one reader and any number of writers.

    That one of CPython (3.11 at least) may wait for ever: if its thread is not run for as long as the timeout
    between two looks at the clock, as on a busy machine, or after a SIGSTOP, what is left of the timeout is
    negative, and a negative timeout means none. `SimpleQueue().get(timeout=1e-6)` shows it. A lock's own
    timeout is free of that.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell = threading.Lock()
        """Released: something may have come since the reader last looked."""
        self._bell.acquire()

    def put(self, item: T) -> None:
        """Append; never waits."""
        self._items.append(item)
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it rings already

    def get_nowait(self) -> T:
        """Take the first.

        Raises:
            Empty: there is none.
        """
        try:
            return self._items.popleft()
        except IndexError:
            raise Empty from None

    def get(self, timeout: float | None = None) -> T:
        """Take the first, waiting for it if need be.

        Args:
            timeout: seconds; None: for ever.
        Raises:
            Empty: none came in time.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._items:
                return self._items.popleft()
            left = -1 if until is None else max(0.0, until - time.monotonic())
            # A bell may be an old one: whoever rang it was served by an earlier look.
            if not self._bell.acquire(timeout=left):
                return self.get_nowait()

    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._items
