"""The cache of a store, as attempts look into it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from smithers.errors import StoreError

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import CachePlace, CacheRow


class CacheReader:
    """The cache of a store, read on a connection of its own. From any thread; it blocks.

    Args:
        open_reader: called when something is first looked up.
        now_ms: wall clock.
    """

    def __init__(self, open_reader: Callable[[], Reader], now_ms: Callable[[], int]) -> None:
        self._open_reader = open_reader
        self.now_ms = now_ms
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._is_closed = False

    def find(self, place: CachePlace, mark: bytes) -> tuple[CacheRow | None, list[CacheRow]]:
        """The entry under a key; without one, the newest entries of the same task.

        Raises:
            StoreError: the file, or what the entry names, cannot be read.
        """
        with self._lock:
            if self._is_closed:
                raise StoreError("the store was closed")
            reader = self._reader = self._reader or self._open_reader()
            row = reader.cached(place, mark)
            return row, ([] if row is not None else reader.near_cached(place))

    def close(self) -> None:
        """Close the connection; whoever looks afterwards finds nothing."""
        with self._lock:
            self._is_closed = True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
