"""Rows of users' own tables, written together with what they tell about."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from smithers.errors import RowsRefused
from smithers.records import UserColumn, UserRow, UserTable
from smithers.store.queries import statements
from smithers.store.refusal import is_store_fault
from smithers.store.view_text import quoted

Value: TypeAlias = int | float | str | None


def describe_table(connection: sqlite3.Connection, name: str, path: Path) -> UserTable:
    """What the database has under this name."""
    sql = statements("table")
    found = connection.execute(sql["object"], (name,)).fetchone()
    if found is None:
        return UserTable("", (), str(path))
    columns = tuple(
        UserColumn(column, bool(is_required), bool(is_generated))
        for column, is_required, is_generated in connection.execute(sql["columns"], (name,))
    )
    return UserTable(found[0], columns, str(path))


def write_user_rows(connection: sqlite3.Connection, run: str, rows: Sequence[UserRow]) -> None:
    """Write rows into users' tables: a task's earlier row, from before it ran again, is replaced.

    Raises:
        RowsRefused: what the tables say against which of them; the caller rolls back.
        sqlite3.Error: the store itself is at fault.
    """
    refused: dict[tuple[str, str, int], str] = {}
    for row in rows:
        try:
            problem = _write(connection, run, row)
        except (sqlite3.Error, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and is_store_fault(error):
                raise
            problem = str(error)
        if problem is not None:
            refused[row.key] = f"the table {row.table} did not take it: {problem}"
        if not connection.in_transaction:
            break  # a trigger or a constraint of the table has rolled back all of it
    if refused:
        raise RowsRefused("; ".join(refused.values()), refused)


def _write(connection: sqlite3.Connection, run: str, row: UserRow) -> str | None:
    """Write one row; what is wrong with it, if the table itself cannot say."""
    sql = statements("table")
    columns = {column.lower() for column, *_ in connection.execute(sql["columns"], (row.table,)).fetchall()}
    if not columns:
        return "there is no such table any more"
    values = json.loads(row.body)
    if not isinstance(values, dict):
        return "it is not an object, so there is nothing to fill columns with"
    keys = _keys(run, row, columns, values)
    clash = sorted(name for name in values if name.lower() in keys)
    if clash:
        return f"{clash[0]} is a column that is filled with the {clash[0]} of the task"
    unknown = sorted(name for name in values if name.lower() not in columns)
    if unknown:
        return f"it has no column {', '.join(unknown)}"
    return _store(connection, row.table, keys, {name: as_sql(value) for name, value in values.items()})


def _keys(run: str, row: UserRow, columns: set[str], values: Mapping[str, Any]) -> dict[str, Value]:
    """The columns that tell a task's row from all others."""
    node, scope, iteration = row.key
    keys: dict[str, Value] = {"run_id": run, "node_id": node}
    fields = {name.lower() for name in values}
    # Where no loop asks for it, the column is the user's own if a field fills it.
    free = columns - fields
    if row.loops >= 1 or "iteration" in free:
        keys["iteration"] = iteration
    if row.loops >= 2 or "scope" in free:
        keys["scope"] = scope
    return keys


def _store(
    connection: sqlite3.Connection, table: str, keys: Mapping[str, Value], values: Mapping[str, Value]
) -> str | None:
    sql, execute = statements("table"), connection.execute
    wanted = " AND ".join(f"{quoted(name)} = ?" for name in keys)
    execute(sql["delete"].format(table=quoted(table), keys=wanted), tuple(keys.values()))
    row = {**keys, **values}
    insert = sql["insert"].format(
        table=quoted(table), columns=", ".join(map(quoted, row)), marks=", ".join("?" for _ in row)
    )
    # A table made with ON CONFLICT IGNORE says nothing.
    return None if execute(insert, tuple(row.values())).rowcount else "it ignored the row"


def as_sql(value: Any) -> Value:
    """A JSON value as a column holds it: booleans as 0 and 1, arrays and objects as JSON text."""
    match value:
        case bool():
            return int(value)
        case None | int() | float() | str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
