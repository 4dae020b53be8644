"""What dead owners have left behind: found by the ledger and by its marks, and ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from smithers.errors import ProcessStuck
from smithers.ports import Ledger, Spawner, Trace
from smithers.records import OwnerHealth, ProcessRow
from smithers.store import Store, store_id, this_process

from . import tree

_log = logging.getLogger("smithers")


class Survivor(NamedTuple):
    """A row of the ledger with something of its tree still there, although its owner is gone."""

    row: ProcessRow
    pids: list[int]

    @property
    def run(self) -> str:
        """The run's id, which its mark begins with."""
        return self.row.mark.split(":")[1]


def reap_run(spawner: Spawner, ledger: Ledger, run: int, run_id: str) -> None:
    """End all that former owners of a run have started for it. The run must have been claimed.

    Raises:
        ProcessStuck: something could not be ended; nothing must be started beside it.
    """
    rows = [row for row, _ in ledger.open_rows(run)]
    left = _reap(spawner, ledger, rows)
    if left:
        raise ProcessStuck(
            f"{run_id}: processes of its former owner cannot be ended: {', '.join(map(str, left))}",
            run=run_id,
            pids=left,
        )


def reap_dead(spawner: Spawner, ledger: Ledger) -> None:
    """End all that owners have started that are gone themselves, whatever runs it was for."""
    gone = (OwnerHealth.NONE, OwnerHealth.DEAD)
    left = _reap(spawner, ledger, [row for row, health in ledger.open_rows() if health in gone])
    if left:
        _log.warning("processes of a former owner cannot be ended: %s", ", ".join(map(str, left)))


def survivors(store: Store) -> list[Survivor]:
    """What dead owners of a store have left behind and is still there. Changes nothing."""
    with closing(store.reader()) as reader:
        rows = [
            row for row, health in reader.open_processes() if health in (OwnerHealth.NONE, OwnerHealth.DEAD)
        ]
    found = []
    for row in _within_reach(rows, store_id(store.path)):
        pids = [seen.pid for seen in tree.members([_trace(row)])]
        if pids:
            found.append(Survivor(row, pids))
    return found


def _reap(spawner: Spawner, ledger: Ledger, rows: list[ProcessRow]) -> list[int]:
    """End these trees; returns the pids of what could not be ended."""
    if not rows:
        return []
    boot = this_process().boot
    near = _within_reach(rows, ledger.store_id)
    # At once: nobody is there to hear what they would say on leaving.
    left = spawner.end([_trace(row) for row in near], 0)
    stuck = set(_having(spawner, near)) if left else set()
    for row in rows:
        if row.boot != boot or (row in near and row.id not in stuck):
            ledger.close_row(row.id, None)
    return left


def _having(spawner: Spawner, rows: Iterable[ProcessRow]) -> Iterable[int]:
    return (row.id for row in rows if spawner.survivors([_trace(row)]))


def _within_reach(rows: list[ProcessRow], store: str) -> list[ProcessRow]:
    """Rows written where pids mean the same, and to this very file, not to one that it was copied from."""
    here = this_process()
    return [
        row
        for row in rows
        if (row.boot, row.namespace) == (here.boot, here.namespace) and row.mark.startswith(f"{store}:")
    ]


def _trace(row: ProcessRow) -> Trace:
    return Trace(row.pid, row.ticks, row.mark)
