"""What the tests of programs that are agents share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.close()
