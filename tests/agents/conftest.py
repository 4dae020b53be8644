"""What tests of agent programs share: a model server, and a stage for each program that is installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agents.installed import ROOT, is_installed, launcher, program
from tests.agents.model_server import ModelServer
from tests.agents.stage import Stage, make_repository


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model server that answers with a text until it is given another script."""
    with ModelServer() as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder below the checkout: in the system's temporary one, Codex cannot run its helpers."""
    (ROOT / ".cache").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="stage-", dir=ROOT / ".cache"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def executable() -> Callable[[str], Path]:
    """The file of an installed program, by its name; skips the test where it is not installed."""

    def find(name: str) -> Path:
        if not is_installed(program(name)):
            pytest.skip(f"not installed: {name} (scripts/agents install {name})")
        return launcher(program(name))

    return find


@pytest.fixture
def stage(server: ModelServer, place: Path, executable: Callable[[str], Path]) -> Callable[[str], Stage]:
    """Everything that one program needs, with a repository and a home of its own."""

    def prepare(name: str) -> Stage:
        executable(name)
        return Stage(name, make_repository(place / "repo"), place / "home", server)

    return prepare
