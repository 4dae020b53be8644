"""What outputs look like to somebody who asks in SQL: columns of views, rows of a user's own tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from smithers.ids import NodeKey

JsonPath: TypeAlias = tuple[str, ...]
"""Keys from the outside in; `()` is the whole value."""


class OutputShape(NamedTuple):
    """The columns that one output of a workflow has, as far as its writer knows."""

    workflow: str
    output: str
    """Name of the model, or of the named output, as its rows carry it."""
    paths: tuple[JsonPath, ...]
    is_observed: bool = False
    """The paths are keys that a value happened to have; nobody has declared them."""
    has_table: bool = False
    """It is named after a table of the user's: that name is not ours, even while the table is away."""


class UserRow(NamedTuple):
    """An output that also goes into a table of the user's."""

    table: str
    key: NodeKey
    loops: int
    """How many loops stand around the task: whether iteration and scope tell its rows apart."""
    body: str
    """The output's JSON text, an object."""


class UserColumn(NamedTuple):
    """One column of a user's table."""

    name: str
    is_required: bool
    """A row cannot do without a value of ours: NOT NULL, and nothing else fills it."""
    is_generated: bool
    """The database computes it; nobody can write it."""


@dataclass(frozen=True, slots=True)
class UserTable:
    """What stands under a name in the database."""

    kind: str
    """`table`, `view` or `index`; empty: nothing."""
    columns: tuple[UserColumn, ...]
    database: str
    """Path of the file."""
