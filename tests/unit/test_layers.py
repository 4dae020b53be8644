"""The import ladder: who may import whom, and what the middle must not touch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGE = SRC / "smithers"

LEAVES = ["errors", "ids", "clock", "span", "records", "ports", "seams"]
# A room imports only rooms before it. A new room takes its place here and in pyproject.toml.
LADDER = [
    *LEAVES,
    "workers",
    "prompt",
    "plan",
    "nodes",
    "context",
    "dynamic",
    "patterns",
    "scheduler",
    "store",
]
LADDER += ["notify", "process", "agents", "engine", "authoring", "observe", "reply", "supervise", "testing"]
LADDER += ["cli", "__main__"]
# These see less than their rank allows.
ONLY = {"scheduler": {"errors", "ids", "records", "plan"}, "store": set(LEAVES), "observe": set(LEAVES)}
ONLY["notify"] = {*LEAVES, "store"}
# It has to stay small, and so must not meet the engine or what authors write.
ONLY["supervise"] = {*LEAVES, "store", "notify", "observe"}

PURE = ["plan", "context", "nodes", "scheduler"]
EFFECTS = {"asyncio", "sqlite3", "subprocess", "threading", "time"}

WITHOUT_PYDANTIC = [*LEAVES, "store", "notify", "process", "observe", "reply", "supervise", "cli"]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import, those for type checkers too.

    `from a import b` gives `a.b`: b may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def leaks(source: str, package: str, room: str) -> Iterator[str]:
    """What `source`, a module of `room`, imports although it must not."""
    allowed = ONLY.get(room, set(LADDER[: LADDER.index(room)])) | {room}
    for line, name in imports(source, package):
        root, _, rest = name.partition(".")
        if room in PURE and root in EFFECTS:
            yield f"{line}: {room} is pure and imports {root}"
        # The public package itself ranks above all rooms: `from smithers import Task` is for users.
        if root == "smithers" and (target := rest.split(".")[0]) not in allowed:
            yield f"{line}: {room} imports {target or 'the public package'}"


def modules() -> list[Path]:
    # The package's own __init__ re-exports from every room, so it has no rank.
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_room_has_a_rank() -> None:
    assert {room_of(path) for path in modules()} <= set(LADDER)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    package = ".".join(path.parent.relative_to(SRC).parts)
    assert list(leaks(path.read_text(), package, room_of(path))) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("ids", "from smithers.records import NodeState"),
        ("plan", "if TYPE_CHECKING:\n    from smithers.engine import Engine"),
        ("plan", "import time"),
        ("nodes", "def later():\n    from asyncio import sleep"),
        ("scheduler", "from smithers.store import Store"),
        ("scheduler", "from ..store import open_store"),
        ("store", "from smithers import plan"),
        ("observe", "import smithers.store.reader"),
        ("cli", "from smithers import Task"),
        ("cli", "import smithers"),
    ],
)
def test_a_leak_is_found(room: str, source: str) -> None:
    assert list(leaks(source, f"smithers.{room}", room)) != []


@pytest.mark.parametrize("room", WITHOUT_PYDANTIC)
def test_reading_never_pays_for_pydantic(room: str) -> None:
    if not (PACKAGE / room / "__init__.py").is_file() and not (PACKAGE / f"{room}.py").is_file():
        pytest.skip(f"there is no {room} yet")
    program = f"import sys, smithers.{room}; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
