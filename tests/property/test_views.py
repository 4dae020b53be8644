"""Whatever a model is like: its view exists, and shows what the stored JSON says."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from smithers.engine.shape import columns_of
from smithers.records import OutputShape
from smithers.store.connection import APPLICATION_ID
from smithers.store.migration import migrate
from smithers.store.view import Views
from tests.unit.store.test_view import put_output

# Surrogates are no text, and pydantic keeps leading underscores for itself. SQLite ends a text at a NUL.
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.sampled_from(
    ["run", "Node", "SEQ", "seq_", "order", "select", "True", "a.b", 'say "hi"', "it's", "é", "É", "a\\"]
)
names = (words | st.text(letters, max_size=6)).filter(lambda name: not name.startswith("_"))
texts = st.text(letters, max_size=6)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
scalars: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, integers),
    (str, texts),
    (bool, st.booleans()),
    (float, floats),
    (str | None, st.none() | texts),
    (list[int], st.lists(integers, max_size=3)),
    (dict[str, str], st.dictionaries(texts, texts, max_size=2)),
    (Any, json_values),
]


@st.composite
def models(draw: st.DrawFn, depth: int = 2) -> tuple[type[BaseModel], dict[str, Any]]:
    """A model and a value that fits it."""
    fields: dict[str, Any] = {}
    value: dict[str, Any] = {}
    for name in draw(st.lists(names, max_size=5, unique=True)):
        if depth and draw(st.integers(0, 3)) == 0:
            kind, value[name] = draw(models(depth - 1))
        else:
            kind, values = draw(st.sampled_from(scalars))
            value[name] = draw(values)
        fields[name] = (kind, ...)
    return create_model(draw(st.sampled_from(["A", "B"])), **fields), value


def at(value: Any, path: list[str]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def check(connection: sqlite3.Connection, view: str, seq: int, body: str) -> None:
    """The row of an output says what its JSON says, in every column."""
    columns = json.loads(connection.execute("SELECT columns FROM smithers_views").fetchone()[0])
    cursor = connection.execute(f'SELECT * FROM "{view}" WHERE seq = ?', (seq,))
    shown = [column[0] for column in cursor.description]
    ((*_, run, node, iteration, at_seq), *rest) = [tuple(reversed(row)) for row in cursor]
    assert not rest
    row = connection.execute(f'SELECT * FROM "{view}" WHERE seq = ?', (seq,)).fetchone()
    assert (at_seq, iteration, node, run) == ("flow", "task", seq, seq)
    assert shown[:4] == ["run", "node", "iteration", "seq"]
    assert shown[4:] == [name for _, name in columns]
    assert len({name.lower() for name in shown if name.isascii()}) == sum(name.isascii() for name in shown)
    stored = json.loads(body)
    for (path, _), found in zip(columns, row[4:], strict=True):
        wanted = at(stored, path)
        if isinstance(wanted, dict | list):
            assert json.loads(found) == wanted
        else:
            assert found == wanted
            assert isinstance(wanted, bool) or type(found) is type(wanted)


@pytest.mark.filterwarnings("ignore:Field name:UserWarning")
@given(st.lists(models(), min_size=1, max_size=3))
def test_the_view_of_any_model_shows_what_its_json_says(
    versions: list[tuple[type[BaseModel], dict[str, Any]]],
) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, APPLICATION_ID)
        bodies = []
        for seq, (model, value) in enumerate(versions):
            paths = columns_of(model)
            assert paths is not None
            # Another process each time, as when the file was edited in between.
            assert Views(connection).take(OutputShape("flow", "Out", paths)) is None
            bodies.append(model.model_validate(value).model_dump_json())
            put_output(connection, seq, "flow", "Out", bodies[-1])
        for seq, body in enumerate(bodies):
            check(connection, "flow__Out", seq, body)
            check(connection, "Out", seq, body)


@given(st.lists(st.dictionaries(texts, json_values, max_size=4), min_size=1, max_size=4))
def test_the_view_of_any_json_has_the_keys_that_were_seen(values: list[dict[str, Any]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, APPLICATION_ID)
        views = Views(connection)
        for seq, value in enumerate(values):
            paths = tuple((key,) for key in value)
            assert views.take(OutputShape("flow", "free", paths, is_observed=True)) is None
            put_output(connection, seq, "flow", "free", json.dumps(value, ensure_ascii=False))
        for seq, value in enumerate(values):
            check(connection, "flow__free", seq, json.dumps(value))


@given(texts, texts, st.lists(st.tuples(texts, texts), max_size=4))
def test_views_of_any_names_are_kept_apart(workflow: str, output: str, others: list[tuple[str, str]]) -> None:
    pairs = list(dict.fromkeys([(workflow, output), (workflow, output.upper()), *others]))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, APPLICATION_ID)
        views = Views(connection)
        for one, other in pairs:
            views.take(OutputShape(one, other, (("field",),)))
        found = connection.execute("SELECT workflow, output, name FROM smithers_views").fetchall()
        assert {row[:2] for row in found} == set(pairs)
        names = [name for *_, name in found if name.isascii()]
        assert len({name.lower() for name in names}) == len(names)
        for seq, (one, other, name) in enumerate(found):
            put_output(connection, seq, one, other, json.dumps({"field": [one, other]}))
            quoted = '"' + name.replace('"', '""') + '"'
            ((*_, field),) = connection.execute(f"SELECT * FROM {quoted}")
            assert json.loads(field) == [one, other]
