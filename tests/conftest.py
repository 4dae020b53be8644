"""What every test shares: how hypothesis searches, and which tests are chaos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline and no complaint about slowness: two cores are shared with programs that other tests start.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# At a desk each run looks in new places and remembers what it found. In CI the same commit gives the same
# answer; searching further is the job of `thorough`, by night: pytest --hypothesis-profile thorough.
settings.register_profile("desk", _PATIENT)
settings.register_profile("ci", _PATIENT, derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", _PATIENT, max_examples=5_000, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

# Whoever works on this may have notices configured: of the runs of tests nobody is told.
os.environ["XDG_CONFIG_HOME"] = "/nonexistent"

_CHAOS = Path(__file__).parent / "chaos"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of tests/chaos, so that no file there can forget to."""
    for item in items:
        if item.path.is_relative_to(_CHAOS):
            item.add_marker("chaos")
