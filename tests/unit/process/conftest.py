"""What the tests of processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smithers.process import ProcessSpawner


@pytest.fixture
def spawner() -> Iterator[ProcessSpawner]:
    found = ProcessSpawner()
    yield found
    found.close()
