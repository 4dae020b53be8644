"""A store for one test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_store() -> Iterator[Path]:
    """The path of a database file that is made when it is first used, and goes away with its folder.

    with temporary_store() as store:
        result = flow.run_sync(store=store)
    """
    from smithers.engine.hosts import close_host

    with tempfile.TemporaryDirectory(prefix="smithers-") as folder:
        store = Path(folder) / "smithers.db"
        try:
            yield store
        finally:
            close_host(store)
