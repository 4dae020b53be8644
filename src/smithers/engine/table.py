"""Users' own tables, looked at before any task writes to one, so that a mistake is told at once."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from smithers.errors import TableUnfit
from smithers.nodes import Task
from smithers.prompt import stored_schema
from smithers.records import UserTable
from smithers.scheduler.vertex import AnyVertex, Leaf

from .shape import columns_of

FindTable: TypeAlias = Callable[[str], UserTable]
"""What the run's database has under a name."""


class Tables:
    """The tables that one run's tasks write to; each is looked at once.

    Args:
        find: None: there is no database yet, and nothing is checked.
    """

    def __init__(self, find: FindTable | None) -> None:
        self._find = find
        self._fit: set[tuple[Any, ...]] = set()

    def check(self, vertices: Iterable[AnyVertex]) -> None:
        """Look at the table of each task that has one.

        Raises:
            TableUnfit: it is not there, or cannot take the task's rows.
        """
        if self._find is None:
            return
        for leaf in vertices:
            if not isinstance(leaf, Leaf) or leaf.plan.payload.table is None:
                continue
            task: Task[Any] = leaf.plan.payload
            loops = min(len(leaf.loops()), 2)
            wanted = (task.model_name, task.model, loops)
            if wanted not in self._fit:
                _check(task, loops, self._find(task.model_name))
                self._fit.add(wanted)


def _check(task: Task[Any], loops: int, found: UserTable) -> None:
    name = task.model_name
    keys = ("run_id", "node_id", "iteration", "scope")[: 2 + loops]
    paths = columns_of(task.model)
    fields = None if paths is None else [path[0] for path in paths if len(path) == 1]
    problem = next(_problems(found, keys, fields), None)
    if problem is None:
        return
    statement = create_statement(task, keys, fields)
    command = f"sqlite3 {shlex.quote(found.database)} {shlex.quote(statement)}"
    what = {
        "": f"the table is yours to make; this would do: {command}",
        "view": f"drop the view, or give the table another name; one that would do: {statement}",
    }
    raise TableUnfit(
        f"Task {task.id} writes to the table {name}, {problem}",
        hint=what.get(found.kind, f"the table is yours to migrate; one that would do: {statement}"),
        place=task.place,
        table=name,
        database=found.database,
        create=statement,
    )


def _problems(found: UserTable, keys: tuple[str, ...], fields: list[str] | None) -> Iterator[str]:
    """What keeps a table from taking a task's rows, each as the end of a sentence.

    Args:
        keys: columns that tell rows apart.
        fields: columns that the output fills; None: whichever its JSON has.
    """
    if found.kind != "table":
        yield f"which is a {found.kind}" if found.kind else "which does not exist"
        return
    columns = {column.name.lower(): column for column in found.columns}
    for name in keys:
        if name not in columns:
            yield f"which has no column {name}{_WHY.get(name, '')}"
    for name in fields or ():
        if name.lower() in keys:
            yield f"whose column {name} is filled with the task's own {name}, not with the field of that name"
        elif name.lower() not in columns:
            yield f"which has no column {name} for the field of that name"
        elif columns[name.lower()].is_generated:
            yield f"whose column {name} is generated, and cannot be written"
    if fields is not None:
        filled = {*keys, "iteration", "scope", *map(str.lower, fields)}
        for column in found.columns:
            if column.is_required and column.name.lower() not in filled:
                yield f"whose column {column.name} is NOT NULL without a default, and no field fills it"


_WHY: Mapping[str, str] = {
    "iteration": ", which tells the passes of the loop around the task apart",
    "scope": ", which tells the passes of the outer loops apart",
}


# --- What would do ------------------------------------------------------------------------------

_TYPES: Mapping[str, str] = {"integer": "INTEGER", "boolean": "INTEGER", "number": "REAL"}


def create_statement(task: Task[Any], keys: tuple[str, ...], fields: list[str] | None) -> str:
    """A table that a task can write to."""
    columns = [f"{key} {'INTEGER' if key == 'iteration' else 'TEXT'} NOT NULL" for key in keys]
    shown: Mapping[str, Any] = {}
    if fields and task.model is not None and task.model is not str:
        shown = stored_schema(task.model).get("properties", {})
    columns += [
        f"{_quoted(field)} {_TYPES.get(shown.get(field, {}).get('type', ''), 'TEXT')}"
        for field in fields or ()
        if field.lower() not in keys
    ]
    if fields is None:
        columns.append("…")
    return f"CREATE TABLE {_quoted(task.model_name)} ({', '.join(columns)}, PRIMARY KEY ({', '.join(keys)}))"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
