"""What the tests of commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.process import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; what was started in it ends with the test."""
    found = Project(tmp_path)
    yield found
    found.close()
