"""How hard `scripts/chaos` tries: `scripts/chaos --kills 1000 --seeds 50 --first-seed 7`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--kills", type=int, default=1000, help="SIGKILLs of the storm, all seeds together")
    group.addoption("--seeds", type=int, default=20, help="seeds that they are spread over")
    group.addoption("--first-seed", type=int, default=1, help="repeat a failure: its seed, and --seeds 1")
    group.addoption(
        "--quick", action="store_true", help="samples only: less than three minutes for all of it"
    )
    group.addoption("--zombies", type=int, default=50, help="owners woken after a takeover")
    group.addoption("--damages", type=int, default=200, help="files damaged at random")
    group.addoption("--races", type=int, default=34, help="races of 2, of 4 and of 8 resumers, each")


@pytest.fixture(name="quick")
def _quick(pytestconfig: pytest.Config) -> bool:
    """Whether a sample will do."""
    return bool(pytestconfig.getoption("--quick"))
