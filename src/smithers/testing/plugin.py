"""The pytest plugin. Loaded in every pytest run of whoever has us installed: it imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def smithers_store() -> Iterator[Path]:
    """The path of a database file for this test alone: `flow.run_sync(store=smithers_store)`."""
    from smithers.testing.store import temporary_store

    with temporary_store() as store:
        yield store
