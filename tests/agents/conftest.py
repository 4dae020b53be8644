"""What tests of agent programs share: a model server, and a stage for each program that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agents.installed import is_installed, launcher, program
from tests.agents.model_server import ModelServer
from tests.agents.stage import Stage, home_outside_tmp, make_repository


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model server that answers with a text until it is given another script."""
    with ModelServer() as running:
        yield running


@pytest.fixture
def private_home() -> Iterator[Path]:
    """A folder for configuration and sessions, below the checkout's `.cache`; gone after the test."""
    with home_outside_tmp() as home:
        yield home


@pytest.fixture
def executable() -> Callable[[str], Path]:
    """The file of an installed program, by its name; skips the test where it is not installed."""

    def find(name: str) -> Path:
        if not is_installed(program(name)):
            pytest.skip(f"not installed: {name} (scripts/agents install {name})")
        return launcher(program(name))

    return find


@pytest.fixture
def stage(
    server: ModelServer, tmp_path: Path, private_home: Path, executable: Callable[[str], Path]
) -> Callable[[str], Stage]:
    """Everything that one program needs, with a repository and a home of its own."""

    def prepare(name: str) -> Stage:
        executable(name)
        return Stage(name, make_repository(tmp_path / "repo"), private_home, server)

    return prepare
