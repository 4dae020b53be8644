"""The text of views: which columns an output has, what they are called, how SQLite reads them out of JSON."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeAlias

from smithers.records import JsonPath, OutputShape
from smithers.store.queries import statements

Column: TypeAlias = "tuple[JsonPath, str | None]"
"""Where in the JSON, and the column's name; None: not chosen yet."""

OWN_COLUMNS: Final = ("run", "node", "iteration", "seq")
"""What each view begins with."""

_TAKEN: Final = (*OWN_COLUMNS, "true", "false")
"""What no field's column is called; SQLite gives a column called `true` a name of its own making."""

_MOST_COLUMNS: Final = 1_000
"""SQLite takes 2,000, and people fewer; the whole value stands in `output_overview` anyway."""

_MOST_OBSERVED: Final = 100
"""Columns from keys that nobody declared: they may come from data, without end."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]+')
"""Keys that stand in JSON as they are, and so can be named in a path."""


# --- Columns ------------------------------------------------------------------------------------


def add_columns(
    columns: Sequence[Column], paths: Iterable[JsonPath], *, is_observed: bool = False
) -> list[Column]:
    """The columns and, behind them, those of new paths; each has a name that differs in more than case."""
    known = {path for path, _ in columns}
    room = max(0, _MOST_OBSERVED - len(columns)) if is_observed else None
    new = [
        path for path in dict.fromkeys(paths) if path not in known and not any("\0" in key for key in path)
    ]
    found: list[Column] = [*columns, *((path, None) for path in new[:room])]
    taken = {*_TAKEN, *(_fold(name) for _, name in found if name is not None)}
    # Natural names first: a field called `run_` keeps its name, whatever becomes of one called `run`.
    for is_last in (False, True):
        for at, (path, name) in enumerate(found):
            wanted = _column_name(path)
            if name is None and (is_last or _fold(wanted) not in taken):
                while _fold(wanted) in taken:
                    wanted += "_"
                taken.add(_fold(wanted))
                found[at] = (path, wanted)
    return found


def is_full(paths: Collection[JsonPath]) -> bool:
    """Whether keys that nobody declared get no column any more."""
    return len(paths) >= _MOST_OBSERVED


def shown_columns(columns: Sequence[Column]) -> tuple[list[Column], str | None]:
    """The columns that a view has room for, outer fields first, and what to say if that is not all."""
    if len(columns) <= _MOST_COLUMNS:
        return list(columns), None
    kept = {path for path, _ in sorted(columns, key=lambda column: len(column[0]))[:_MOST_COLUMNS]}
    note = f"{len(columns) - _MOST_COLUMNS} of {len(columns)} fields have no column; see output_overview"
    return [column for column in columns if column[0] in kept], note


def _column_name(path: JsonPath) -> str:
    return _CONTROL.sub("_", ".".join(path)) or ("_" if path else "root")


def _fold(name: str) -> str:
    """As SQLite compares names: only ASCII letters have no case."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


# --- Names --------------------------------------------------------------------------------------


def whole_name(workflow: str, output: str) -> str:
    """`ship-it__Review`: what the view of an output is called if nothing is in the way."""
    name = _CONTROL.sub("_", f"{workflow}__{output}")
    return f"_{name}" if _fold(name).startswith("sqlite_") else name


def short_name(output: str) -> str | None:
    """`Review`; None: it would look like a table of SQLite's or of ours."""
    name = _CONTROL.sub("_", output)
    return None if _fold(name).startswith(("sqlite_", "smithers_")) else name


# --- Texts --------------------------------------------------------------------------------------


def view_text(name: str, shape: OutputShape, columns: Sequence[Column]) -> str:
    """The statement that makes an output's view."""
    sql = statements("view_text")
    shown = "".join(
        sql["column"].format(value=_value(path), column=quoted(column or "")) for path, column in columns
    )
    return sql["view"].format(
        view=quoted(name), columns=shown, workflow=_literal(shape.workflow), output=_literal(shape.output)
    )


def short_view_text(name: str, whole: str) -> str:
    """The statement that makes a view under an output's own name."""
    return statements("view_text")["short_view"].format(view=quoted(name), whole=quoted(whole))


def drop_text(name: str) -> str:
    """The statement that removes a view."""
    return statements("view_text")["drop"].format(view=quoted(name))


def quoted(name: str) -> str:
    """A name as SQL wants it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _value(path: JsonPath) -> str:
    sql = statements("view_text")
    source, plain = "body", list[str]()
    for depth, key in enumerate(path, 1):
        if _PLAIN.fullmatch(key):
            plain.append(key)
            continue
        step = sql["odd_field"] if depth == len(path) else sql["odd_object"]
        source = step.format(source=source, path=_literal(_json_path(plain)), key=_literal(key))
        plain = []
    is_odd = bool(path) and not plain
    return source if is_odd else sql["field"].format(source=source, path=_literal(_json_path(plain)))


def _json_path(path: Sequence[str]) -> str:
    return "$" + "".join(f'."{key}"' for key in path)
