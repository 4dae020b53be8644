"""The four seams: every effect of the engine passes one of them.

Whoever replaces the four has replaced the world; that is what `smithers.testing.simulator` does.

    Store      all facts: runs, frames, leases, messages, the ledger of processes
    Clock      all time: wall time for people and deadlines, monotonic time for leases and limits
    Spawner    all processes: started behind a go-pipe, found again, ended as trees
    Random     all chance: jitter, and the names of runs

The real ones are `smithers.store.Store`, `SystemClock`, `smithers.process.ProcessSpawner` and
`random.Random`.
"""

from random import Random

from smithers.clock import Clock, SystemClock
from smithers.ports import Leases, Ledger, Outsider, Reader, Spawner, Store, Writer

__all__ = [
    "Clock",
    "Leases",
    "Ledger",
    "Outsider",
    "Random",
    "Reader",
    "Spawner",
    "Store",
    "SystemClock",
    "Writer",
]
