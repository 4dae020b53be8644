"""An engine whose writer fails at one chosen statement, and which has to live with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smithers.engine.host import Host
from smithers.store import Store
from smithers.store.writer import SqliteWriter
from tests.chaos.strike import Fault, connection_that_fails


class FaultyStore(Store):
    """A store whose writer fails."""

    def __init__(self, sound: Store, fault: Fault) -> None:
        super().__init__(sound.path, durability=sound.durability, clock=sound.clock)
        self._fault = fault

    def writer(self, factory: type[sqlite3.Connection] | None = None) -> SqliteWriter:
        return super().writer(connection_that_fails(self._fault))


@contextmanager
def host_with(path: Path, fault: Fault) -> Iterator[Host]:
    """An owner of runs whose engine writes through a connection that fails; left at the end in any case."""
    host = Host(path)
    host.store = FaultyStore(host.store, fault)
    try:
        yield host
    finally:
        fault.heal()
        host.close()
