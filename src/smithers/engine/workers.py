"""Daemon threads of ours for functions that block.

Not `concurrent.futures`: its threads are joined at exit, so one hanging function would keep the process
alive.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue


class Workers:
    """Runs functions on threads, reusing idle ones. A function that hangs keeps its thread, no other."""

    def __init__(self, name: str = "smithers-work") -> None:
        self._name = name
        self._idle: deque[SimpleQueue[Callable[[], None]]] = deque()
        self._count = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread of its own for as long as it takes. It must not raise."""
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            self._count += 1
            thread = threading.Thread(
                target=self._serve, args=(inbox,), name=f"{self._name}-{self._count}", daemon=True
            )
            thread.start()
        inbox.put(work)

    def _serve(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            inbox.get()()
            self._idle.append(inbox)
