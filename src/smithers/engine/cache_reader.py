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

    def entries(self, place: CachePlace, mark: bytes | None = None) -> list[CacheRow]:
        """The newest entries of a task, the newest first; those under one key, if it is given.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._lock:
            return self._opened().cached(place, mark)

    def value(self, place: CachePlace, row: CacheRow) -> str | None:
        """The JSON text that an entry stands for; None: the entry is gone, or its value is.

        Raises:
            StoreError: the file, or that of the value, cannot be read.
        """
        with self._lock:
            return self._opened().cached_value(place, row)

    def _opened(self) -> Reader:
        if self._is_closed:
            raise StoreError("the store was closed")
        if self._reader is None:
            self._reader = self._open_reader()
        return self._reader

    def close(self) -> None:
        """Close the connection; whoever looks afterwards finds nothing."""
        with self._lock:
            self._is_closed = True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
