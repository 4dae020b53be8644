"""Named statements: all SQL lives in `sql/*.sql`, under headers `-- name: what_it_is_for`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Not `importlib.resources`: importing it costs 12 ms, a tenth of what a whole `ps` may take, and nobody runs
# this package from a zip file.
_FOLDER = Path(__file__).with_name("sql")

_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(noun: str) -> Mapping[str, str]:
    """The statements of one file, by name, without their comments and final semicolon.

    Args:
        noun: name of a file in `sql/`, without its ending: `frame`, `owner`.
    """
    text = (_FOLDER / f"{noun}.sql").read_text(encoding="utf-8")
    _, *parts = _HEADER.split(text)
    return {name: _bare(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def migration_files() -> list[Path]:
    """The numbered migrations, oldest first."""
    return sorted((_FOLDER / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))


def _bare(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().removesuffix(";")
