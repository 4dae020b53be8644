"""Notices that processes have left undelivered: sent beside the watch over runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from smithers.errors import SmithersError
from smithers.notify.delivery import deliver_due

EVERY_S: Final = 5.0
"""Between two looks at the outbox."""


class Post:
    """Delivers what is due, on a thread: a hook that hangs must not hold up a run.

    Args:
        store: the database file.
        tell: is told what is wrong, from that thread.
    """

    def __init__(self, store: Path, tell: Callable[[SmithersError], None]) -> None:
        self._store = store
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._next_s = 0.0
        self._stop = threading.Event()

    def look(self) -> None:
        """Deliver what is due, unless that goes on already, or was done a moment ago."""
        now_s = time.monotonic()
        if now_s < self._next_s or (self._thread is not None and self._thread.is_alive()):
            return
        self._next_s = now_s + EVERY_S
        self._thread = threading.Thread(target=self._deliver, name="smithers-post", daemon=True)
        self._thread.start()

    def _deliver(self) -> None:
        try:
            deliver_due(self._store, stop=self._stop)
        except SmithersError as error:
            self._tell(error)

    def close(self) -> None:
        """Begin nothing more."""
        self._stop.set()
