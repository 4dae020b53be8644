"""Outputs as tables: one view for each output of each workflow, kept in step with its model.

A view is made, or made anew, in the transaction that stores the first output which needs it. A view is a
convenience: whatever is wrong with one becomes a note, and stops nobody.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, TypeVar

from smithers.records import JsonPath, OutputShape
from smithers.store.queries import statements
from smithers.store.refusal import is_store_fault
from smithers.store.view_text import (
    Column,
    add_columns,
    drop_text,
    is_full,
    short_name,
    short_view_text,
    shown_columns,
    view_text,
    whole_name,
)

T = TypeVar("T")

_MARK: Final = "/* smithers */"
"""In the text of each view of ours, and of no user's."""

_NAMES_TRIED: Final = 99


class Views:
    """The views of one database, as one connection knows them.

    What was done in a transaction that fails was never done: whoever ends one calls `keep` or `forget`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str], frozenset[JsonPath]] = {}
        """The columns of each workflow's outputs, which only grow."""
        self._unsure: list[tuple[str, str]] = []

    def take(self, shape: OutputShape) -> str | None:
        """See to it that the shape's view exists and has all its columns, within the open transaction.

        Returns:
            What to tell the user, the first time it is so; mostly None.
        Raises:
            sqlite3.Error: the store itself is at fault.
        """
        about = (shape.workflow, shape.output)
        known = self._known.get(about)
        if known is not None and (known.issuperset(shape.paths) or (shape.is_observed and is_full(known))):
            return None
        columns, note = update_view(self._connection, shape)
        self._known[about] = frozenset([*(path for path, _ in columns), *shape.paths])
        self._unsure.append(about)
        return note

    def mark(self) -> int:
        """A point to `forget` back to: taken where a savepoint is."""
        return len(self._unsure)

    def keep(self) -> None:
        """The transaction was committed."""
        self._unsure.clear()

    def forget(self, mark: int = 0) -> None:
        """The transaction, or what came after the savepoint at `mark`, was rolled back."""
        for about in self._unsure[mark:]:
            self._known.pop(about, None)
        del self._unsure[mark:]


def make_views(connection: sqlite3.Connection) -> None:
    """Bring all views up to date, within the open transaction: after a migration."""
    for name, text in statements("overview").items():
        _guarded(connection, partial(_replace, connection, name, text))
    for workflow, output in connection.execute(statements("view")["all"]).fetchall():
        update_view(connection, OutputShape(workflow, output, ()))


class _Stored(NamedTuple):
    """What `smithers_views` says of one view."""

    columns: list[Column]
    name: str | None = None
    note: str | None = None


def update_view(connection: sqlite3.Connection, shape: OutputShape) -> tuple[list[Column], str | None]:
    """Add the shape's columns to its output's view, and make that view if need be.

    Returns:
        All its columns, and what to tell the user, as `Views.take`.
    """
    before = _find(connection, shape)
    columns = add_columns(before.columns, shape.paths, is_observed=shape.is_observed)
    shown, note = shown_columns(columns)
    name, problem = _guarded(connection, partial(_make, connection, shape, shown, before.name))
    if name is None:
        note = f"there is no view of {shape.output} of {shape.workflow}: {problem}"
    elif name != whole_name(shape.workflow, shape.output):
        wanted = whole_name(shape.workflow, shape.output)
        note = f"the view of {shape.output} is called {name}: there is another {wanted}"
    after = _Stored(columns, name, note)
    if after != before:
        stored = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
        values = (shape.workflow, shape.output, stored, name, note)
        connection.execute(statements("view")["save"], values)
    if not shape.has_table:
        _guarded(connection, partial(_make_short, connection, shape.output, name))
    return columns, note if note != before.note else None


def _find(connection: sqlite3.Connection, shape: OutputShape) -> _Stored:
    row = connection.execute(statements("view")["find"], (shape.workflow, shape.output)).fetchone()
    if row is None:
        return _Stored([])
    return _Stored([(tuple(path), name) for path, name in json.loads(row[0])], row[1], row[2])


def _make(connection: sqlite3.Connection, shape: OutputShape, columns: list[Column], name: str | None) -> str:
    """Make the view, or make it anew, under the name it has or the first that is free; returns that name."""
    if name is None or not _is_ours(connection, name):
        name = _free_name(connection, whole_name(shape.workflow, shape.output), name)
    _replace(connection, name, view_text(name, shape, columns))
    return name


def _free_name(connection: sqlite3.Connection, wanted: str, had: str | None) -> str:
    """`wanted`, or with a number behind it: the first that nothing else is called."""
    for number in range(1, _NAMES_TRIED):
        name = wanted if number == 1 else f"{wanted}_{number}"
        held = connection.execute(statements("view")["holder"], (name,)).fetchone()
        if (held is None or name == had) and _is_ours(connection, name, or_free=True):
            return name
    raise sqlite3.OperationalError(f"there are too many names like {wanted}")


def _make_short(connection: sqlite3.Connection, output: str, whole: str | None) -> None:
    """The view under the output's own name, for as long as one workflow alone has such an output."""
    name = short_name(output)
    if name is None:
        return
    sql = statements("view")
    (count,) = connection.execute(sql["count"], (output,)).fetchone()
    held = name.lower() in statements("overview") or connection.execute(sql["holder"], (name,)).fetchone()
    if held or not _is_ours(connection, name, or_free=True):
        return
    if count == 1 and whole is not None:
        _replace(connection, name, short_view_text(name, whole))
    elif _is_ours(connection, name):
        connection.execute(drop_text(name))


def _replace(connection: sqlite3.Connection, name: str, text: str) -> None:
    """Make a view whose place is free, or holds one of ours, unless that is the same."""
    found = connection.execute(statements("view")["object"], (name,)).fetchone()
    if found is not None:
        if found[1] == text or not _is_marked(found):
            return
        connection.execute(drop_text(name))
    connection.execute(text)


def _is_ours(connection: sqlite3.Connection, name: str, *, or_free: bool = False) -> bool:
    found = connection.execute(statements("view")["object"], (name,)).fetchone()
    return or_free if found is None else _is_marked(found)


def _is_marked(found: tuple[str, str | None]) -> bool:
    kind, text = found
    return kind == "view" and text is not None and _MARK in text


def _guarded(connection: sqlite3.Connection, change: Callable[[], T]) -> tuple[T | None, str | None]:
    """Carry out a change of views, all of it or nothing: its result, or why there is none.

    Raises:
        sqlite3.Error: the store itself is at fault, or has ended the transaction.
    """
    connection.execute("SAVEPOINT view")
    try:
        found, problem = change(), None
    except (sqlite3.Error, ValueError) as error:
        if not connection.in_transaction or (isinstance(error, sqlite3.Error) and is_store_fault(error)):
            raise
        connection.execute("ROLLBACK TO view")
        found, problem = None, str(error)
    connection.execute("RELEASE view")
    return found, problem
