"""Durable facts: one SQLite file, all SQL in `sql/`, a protocol a noun (see `smithers.ports`).

`location` finds the file and `open_store` opens it. The engine writes through `Store.writer()` and holds
`Store.leases()`, everybody reads through `Store.reader()`, and who does not own a run leaves messages through
`Store.outsider()`. What was started for attempts stands in `Store.ledger()`.
"""

from smithers.store.connection import Durability as Durability
from smithers.store.identity import Identity as Identity
from smithers.store.identity import health as health
from smithers.store.identity import is_stopped as is_stopped
from smithers.store.identity import this_process as this_process
from smithers.store.location import find_store as find_store
from smithers.store.location import place_store as place_store
from smithers.store.location import project_root as project_root
from smithers.store.process import store_id as store_id
from smithers.store.sqlite import Store as Store
from smithers.store.sqlite import open_store as open_store

__all__ = [
    "Durability",
    "Identity",
    "Store",
    "find_store",
    "health",
    "is_stopped",
    "open_store",
    "place_store",
    "project_root",
    "store_id",
    "this_process",
]
