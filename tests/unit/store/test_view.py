"""Outputs as views: what they are called, which columns they have, and what stops nobody."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from smithers.records import EventType, FailureClass, JsonPath, NodeState, OutputShape, RunState
from smithers.records.usage import CostSource
from smithers.store.connection import APPLICATION_ID
from smithers.store.migration import migrate, split
from smithers.store.queries import migration_files
from smithers.store.view import Views


class Shelf:
    """A database with one run a workflow, and outputs put into it as the engine does."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        migrate(self.connection, APPLICATION_ID)
        self.views = Views(self.connection)
        self.seq = 0

    def take(
        self, output: str, *fields: str | JsonPath, workflow: str = "flow", observed: bool = False
    ) -> Any:
        """Tell of an output's fields; what the user is to be told."""
        paths = tuple((field,) if isinstance(field, str) else field for field in fields)
        return self.views.take(OutputShape(workflow, output, paths, observed))

    def put(self, output: str, body: object, workflow: str = "flow", node: str = "task") -> None:
        put_output(self.connection, self.seq, workflow, output, json.dumps(body, ensure_ascii=False), node)
        self.seq += 1

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def columns(self, view: str) -> list[str]:
        cursor = self.connection.execute(f"SELECT * FROM {quoted(view)}")
        return [column[0] for column in cursor.description]

    def names(self) -> set[str]:
        """Views that come from outputs."""
        found = self.rows("SELECT name FROM sqlite_master WHERE type = 'view'")
        return {name for (name,) in found if not name.startswith("smithers_")} - OVERVIEWS

    @property
    def cookie(self) -> int:
        """Rises with every change of the schema."""
        return int(self.rows("PRAGMA schema_version")[0][0])


OVERVIEWS = {"run_overview", "task_overview", "output_overview", "call_overview", "wait_overview"}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def put_output(
    connection: sqlite3.Connection, seq: int, workflow: str, output: str, body: str, node: str = "task"
) -> None:
    """One row of a run that is named like its workflow, in the layout of the first schema."""
    execute = connection.execute
    for word in (output, node):
        execute("INSERT OR IGNORE INTO smithers_names (text) VALUES (?)", (word,))
    if not execute("SELECT 1 FROM smithers_runs WHERE name = ?", (workflow,)).fetchone():
        execute(
            "INSERT INTO smithers_runs (name, workflow, state, fence, seq, frame, created_ms, started_ms) "
            "VALUES (?, ?, 4, 1, 1, 1, 0, 0)",
            (workflow, workflow),
        )
        execute(
            "INSERT INTO smithers_frames SELECT id, 1, 0, 1, 0, 1 FROM smithers_runs WHERE name = ?",
            (workflow,),
        )
    execute(
        "INSERT INTO smithers_outputs SELECT r.id, n.id, 0, ?, 0, ?, 1, m.id, ?, NULL "
        "FROM smithers_runs r, smithers_names n, smithers_names m "
        "WHERE r.name = ? AND n.text = ? AND m.text = ?",
        (seq, seq, body, workflow, node, output),
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf(tmp_path / "smithers.db")
    yield found
    found.connection.close()


# --- Columns ------------------------------------------------------------------------------------


def test_a_view_begins_with_run_node_iteration_and_seq_and_has_a_column_a_field(shelf: Shelf) -> None:
    shelf.take("Review", "approved", "score")
    shelf.put("Review", {"approved": True, "score": 1.5})
    assert shelf.columns("flow__Review") == ["run", "node", "iteration", "seq", "approved", "score"]
    assert shelf.rows('SELECT * FROM "flow__Review"') == [("flow", "task", 0, 0, 1, 1.5)]


def test_arrays_are_json_text_and_nested_fields_have_columns_of_their_own(shelf: Shelf) -> None:
    shelf.take("Review", "tags", "author", ("author", "name"))
    shelf.put("Review", {"tags": [1, "a"], "author": {"name": "Ann"}})
    assert shelf.rows('SELECT tags, author, "author.name" FROM Review') == [
        ('[1,"a"]', '{"name":"Ann"}', "Ann")
    ]


@pytest.mark.parametrize(
    "field",
    [
        "order",
        "select",
        "group",
        'say "hi"',
        "it's",
        "a.b",
        "a[0]",
        "größe",
        "名",
        "back\\slash",
        "$",
        "",
        "{x}",
        "a\nb",
    ],
)
def test_any_text_may_be_a_field(shelf: Shelf, field: str) -> None:
    assert shelf.take("Odd", field) is None
    shelf.put("Odd", {field: "found", "other": {field: 1}})
    *_, column = shelf.columns("Odd")
    assert shelf.rows(f"SELECT {quoted(column)} FROM Odd") == [("found",)]


def test_fields_named_like_our_columns_get_another_name_and_ours_stay(shelf: Shelf) -> None:
    shelf.take("Job", "run", "NODE", "seq_", "seq", "iteration")
    shelf.put("Job", {"run": "x", "NODE": 1, "seq_": 2, "seq": 3, "iteration": 4})
    assert shelf.columns("Job")[4:] == ["run_", "NODE_", "seq_", "seq__", "iteration_"]
    assert shelf.rows("SELECT run, run_, NODE_, seq_, seq__, iteration_ FROM Job") == [
        ("flow", "x", 1, 2, 3, 4)
    ]


def test_fields_that_differ_in_case_only_are_both_shown(shelf: Shelf) -> None:
    shelf.take("Pair", "name", "Name", "NAME", "Ä", "ä")
    shelf.put("Pair", {"name": 1, "Name": 2, "NAME": 3, "Ä": 4, "ä": 5})
    assert shelf.columns("Pair")[4:] == ["name", "Name_", "NAME__", "Ä", "ä"]
    assert shelf.rows("SELECT * FROM Pair")[0][4:] == (1, 2, 3, 4, 5)


def test_a_field_with_a_dot_and_a_nested_one_do_not_meet(shelf: Shelf) -> None:
    shelf.take("Two", "a", ("a", "b"), "a.b")
    shelf.put("Two", {"a": {"b": "inner"}, "a.b": "outer"})
    assert shelf.rows('SELECT "a.b", "a.b_" FROM Two') == [("inner", "outer")]


def test_a_changed_model_adds_columns_and_old_rows_show_null(shelf: Shelf) -> None:
    shelf.take("Review", "title", "gone")
    shelf.put("Review", {"title": "old", "gone": 1})
    shelf.take("Review", "title", "author", ("author", "name"))
    shelf.put("Review", {"title": ["a", "list"], "author": {"name": "Ann"}})
    assert shelf.columns("Review")[4:] == ["title", "gone", "author", "author.name"]
    assert [row[4:] for row in shelf.rows("SELECT * FROM Review ORDER BY seq")] == [
        ("old", 1, None, None),
        ('["a","list"]', None, '{"name":"Ann"}', "Ann"),
    ]


def test_a_name_once_given_to_a_column_stays_when_a_field_of_that_name_comes(shelf: Shelf) -> None:
    shelf.take("Job", "run")
    shelf.take("Job", "run", "run_")
    shelf.put("Job", {"run": 1, "run_": 2})
    assert shelf.rows("SELECT run_, run__ FROM Job") == [(1, 2)]


def test_a_nested_field_of_what_is_no_object_is_null(shelf: Shelf) -> None:
    shelf.take("Review", "author", ("author", "name"), ("author", 'n"x'))
    for author in ("Ann", 5, [1], None, {"name": "Ann"}):
        shelf.put("Review", {"author": author})
    assert [row[0] for row in shelf.rows('SELECT "author.name" FROM Review ORDER BY seq')] == [None] * 4 + [
        "Ann"
    ]


def test_a_value_that_is_no_object_is_one_column(shelf: Shelf) -> None:
    shelf.take("Numbers", ())
    shelf.put("Numbers", [1, 2])
    assert shelf.rows("SELECT root FROM Numbers") == [("[1,2]",)]


def test_a_model_without_fields_has_a_view_all_the_same(shelf: Shelf) -> None:
    shelf.take("Done")
    shelf.put("Done", {})
    assert shelf.rows("SELECT * FROM Done") == [("flow", "task", 0, 0)]


def test_of_too_many_fields_the_outer_ones_are_shown_and_the_rest_is_named(shelf: Shelf) -> None:
    inner = [("f0", f"deep{n}") for n in range(3_000)]
    note = shelf.take("Wide", *inner, *(f"f{n}" for n in range(900)))
    assert note == "2900 of 3900 fields have no column; see output_overview"
    shown = shelf.columns("Wide")[4:]
    assert len(shown) == 1_000
    assert set(shown) > {f"f{n}" for n in range(900)}
    assert shelf.rows("SELECT note FROM smithers_views") == [(note,)]
    assert shelf.take("Wide", "f0") is None


def test_keys_that_come_from_data_stop_being_columns(shelf: Shelf) -> None:
    for number in range(300):
        shelf.take("free", f"file{number}", observed=True)
    assert len(shelf.columns("free")) == 4 + 100
    cookie = shelf.cookie
    shelf.take("free", "another", observed=True)
    assert shelf.cookie == cookie


# --- Names --------------------------------------------------------------------------------------


def test_the_short_name_goes_when_a_second_workflow_has_such_an_output(shelf: Shelf) -> None:
    shelf.take("Review", "x")
    assert shelf.names() == {"flow__Review", "Review"}
    shelf.take("Review", "x", workflow="other")
    assert shelf.names() == {"flow__Review", "other__Review"}
    shelf.take("Review", "x", "y")
    assert shelf.names() == {"flow__Review", "other__Review"}


def test_each_view_shows_the_rows_of_its_own_workflow(shelf: Shelf) -> None:
    for workflow in ("one", "two"):
        shelf.take("Review", "x", workflow=workflow)
        shelf.put("Review", {"x": workflow}, workflow)
    assert shelf.rows('SELECT x FROM "two__Review"') == [("two",)]


@pytest.mark.parametrize(
    "workflow", ["ship-it", "a.b", 'say "hi"', "it's", "größe", "sqlite_x", "a\nb", "select"]
)
def test_any_text_may_be_the_name_of_a_workflow(shelf: Shelf, workflow: str) -> None:
    assert shelf.take("Review", "x", workflow=workflow) is None
    shelf.put("Review", {"x": 1}, workflow)
    assert shelf.rows("SELECT run, x FROM Review") == [(workflow, 1)]


def test_names_that_sqlite_takes_for_one_are_kept_apart(shelf: Shelf) -> None:
    shelf.take("Review", "x")
    note = shelf.take("review", "y")
    assert note == "the view of review is called flow__review_2: there is another flow__review"
    assert shelf.names() == {"flow__Review", "flow__review_2"}
    shelf.put("review", {"y": 1})
    assert shelf.rows('SELECT y FROM "flow__review_2"') == [(1,)]


def test_two_pairs_that_make_one_name_are_kept_apart(shelf: Shelf) -> None:
    shelf.take("b__c", "x", workflow="a")
    shelf.take("c", "y", workflow="a__b")
    assert shelf.columns("a__b__c")[4:] == ["x"]
    assert shelf.columns("a__b__c_2")[4:] == ["y"]


@pytest.mark.parametrize(
    "kind", ["TABLE {} (mine)", "VIEW {} AS SELECT 1 AS mine", "INDEX {} ON other (mine)"]
)
def test_what_is_the_users_own_is_never_touched(shelf: Shelf, kind: str) -> None:
    shelf.rows("CREATE TABLE other (mine)")
    shelf.rows("CREATE " + kind.format('"FLOW__review"'))
    shelf.rows("CREATE " + kind.format('"Review"'))
    before = shelf.rows("SELECT sql FROM sqlite_master WHERE name IN ('FLOW__review', 'Review')")
    note = shelf.take("Review", "x")
    assert note == "the view of Review is called flow__Review_2: there is another flow__Review"
    shelf.put("Review", {"x": 1})
    assert shelf.rows('SELECT x FROM "flow__Review_2"') == [(1,)]
    assert shelf.rows("SELECT sql FROM sqlite_master WHERE name IN ('FLOW__review', 'Review')") == before
    # A second workflow takes the short names of ours away, and no other.
    shelf.take("Review", "x", workflow="other")
    assert shelf.rows("SELECT sql FROM sqlite_master WHERE name IN ('FLOW__review', 'Review')") == before


def test_a_view_that_the_user_has_put_in_place_of_ours_stays_and_ours_moves(shelf: Shelf) -> None:
    shelf.take("Review", "x")
    shelf.rows('DROP VIEW "flow__Review"')
    shelf.rows('CREATE VIEW "flow__Review" AS SELECT 1 AS mine')
    assert shelf.take("Review", "x", "y") is not None
    assert shelf.columns("flow__Review") == ["mine"]
    assert shelf.columns("flow__Review_2")[4:] == ["x", "y"]
    assert shelf.columns("Review")[4:] == ["x", "y"]


def test_a_view_that_was_dropped_is_made_again_by_the_next_process(shelf: Shelf) -> None:
    shelf.take("Review", "x")
    shelf.rows('DROP VIEW "flow__Review"')
    Views(shelf.connection).take(OutputShape("flow", "Review", (("x",),)))
    assert shelf.columns("flow__Review")[4:] == ["x"]


@pytest.mark.parametrize("output", ["smithers_runs", "sqlite_master", "run_overview", "Smithers_new"])
def test_an_output_named_like_ours_has_no_short_name(shelf: Shelf, output: str) -> None:
    before = shelf.rows(f"SELECT sql FROM sqlite_master WHERE name = '{output}'")
    assert shelf.take(output, "x") is None
    assert shelf.names() == {f"flow__{output}"}
    assert shelf.rows(f"SELECT sql FROM sqlite_master WHERE name = '{output}'") == before


# --- Cost and failure ---------------------------------------------------------------------------


def test_what_is_known_changes_nothing_and_asks_nothing(shelf: Shelf) -> None:
    shelf.take("Review", "x", "y")
    asked: list[str] = []
    shelf.connection.set_trace_callback(asked.append)
    shelf.take("Review", "x")
    shelf.take("Review", "x", "y")
    assert asked == []


def test_a_new_process_that_has_nothing_to_add_changes_no_schema(shelf: Shelf) -> None:
    shelf.take("Review", "x", "y")
    shelf.take("Wide", *(f"f{n}" for n in range(1_200)))
    cookie = shelf.cookie
    for shape in (("Review", (("y",),)), ("Wide", (("f3",),))):
        assert Views(shelf.connection).take(OutputShape("flow", *shape)) is None
    assert shelf.cookie == cookie


def test_what_was_rolled_back_is_made_again(shelf: Shelf) -> None:
    shelf.rows("BEGIN")
    shelf.take("Review", "x")
    shelf.rows("ROLLBACK")
    shelf.views.forget()
    shelf.rows("BEGIN")
    shelf.take("Review", "x")
    shelf.rows("COMMIT")
    shelf.views.keep()
    assert shelf.names() == {"flow__Review", "Review"}


def test_a_view_that_cannot_be_made_is_a_note_and_the_transaction_goes_on(shelf: Shelf) -> None:
    shelf.rows("BEGIN")
    shelf.rows("CREATE TABLE kept (x)")
    note = shelf.take("Review", "x", workflow="nul\0")
    assert note is not None
    assert note.startswith("there is no view of Review of nul\0: ")
    shelf.rows("COMMIT")
    assert shelf.names() == set()
    assert shelf.rows("SELECT name, note FROM smithers_views") == [(None, note)]
    assert shelf.rows("SELECT * FROM kept") == []


def test_a_fault_of_the_store_is_no_note(tmp_path: Path) -> None:
    class Full(sqlite3.Connection):
        def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
            if sql.startswith('CREATE VIEW "flow'):
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorname = "SQLITE_FULL"
                raise error
            return super().execute(sql, values)

    connection = sqlite3.connect(tmp_path / "smithers.db", isolation_level=None, factory=Full)
    migrate(connection, APPLICATION_ID)
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        Views(connection).take(OutputShape("flow", "Review", (("x",),)))
    connection.close()


# --- Stores from before -------------------------------------------------------------------------


def old_store(path: Path) -> sqlite3.Connection:
    """A store of the first schema."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in split(migration_files()[0].read_text()):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    return connection


def test_an_old_store_gets_views_with_the_keys_that_its_outputs_have(tmp_path: Path) -> None:
    connection = old_store(tmp_path / "smithers.db")
    bodies = ['{"b":1,"run":2}', '{"b":3,"a":{"x":4}}', "[1]", '{"say \\"hi\\"":5}', ""]
    for seq, body in enumerate(bodies):
        put_output(connection, seq, "flow", "Mixed", body)
    put_output(connection, 9, "flow", "Empty", "{}")
    put_output(connection, 10, "other", "Empty", '{"y":1}')
    migrate(connection, APPLICATION_ID)
    cursor = connection.execute("SELECT * FROM Mixed ORDER BY seq")
    names = [column[0] for column in cursor.description]
    assert sorted(names[4:]) == ["a", "b", "root", "run_", 'say "hi"']
    found = [dict(zip(names, row, strict=True)) for row in cursor]
    assert [row["b"] for row in found] == [1, 3, None, None, None]
    assert [row["a"] for row in found] == [None, '{"x":4}', None, None, None]
    assert [row['say "hi"'] for row in found] == [None, None, None, 5, None]
    assert connection.execute('SELECT * FROM "flow__Empty"').fetchall() == [("flow", "task", 9, 9)]
    assert connection.execute('SELECT y FROM "other__Empty"').fetchall() == [(1,)]
    connection.close()


def test_new_outputs_of_an_old_store_add_what_their_model_declares(tmp_path: Path) -> None:
    connection = old_store(tmp_path / "smithers.db")
    put_output(connection, 0, "flow", "Review", '{"old":1}')
    migrate(connection, APPLICATION_ID)
    Views(connection).take(OutputShape("flow", "Review", (("new",),)))
    cursor = connection.execute("SELECT * FROM Review")
    assert [column[0] for column in cursor.description][4:] == ["old", "new"]
    connection.close()


def test_a_migration_keeps_its_hands_off_what_the_user_calls_like_an_overview(tmp_path: Path) -> None:
    connection = old_store(tmp_path / "smithers.db")
    connection.execute("CREATE TABLE run_overview (mine)")
    connection.execute("CREATE TABLE base (mine)")
    connection.execute("CREATE INDEX task_overview ON base (mine)")
    migrate(connection, APPLICATION_ID)
    assert connection.execute("SELECT mine FROM run_overview").fetchall() == []
    assert connection.execute("SELECT * FROM output_overview").fetchall() == []
    connection.close()


# --- Overviews ----------------------------------------------------------------------------------


def test_every_word_of_an_overview_is_that_of_its_enum() -> None:
    from smithers.store.queries import statements

    runs, tasks = statements("overview")["run_overview"], statements("overview")["smithers_current_tasks"]
    sources = dict(enumerate(get_args(CostSource)))
    assert sources.pop(0) == ""
    for text, words in (
        (statements("overview")["call_overview"], sources),
        (statements("spending")["spent"], sources),
        (runs, {state.value: state.word for state in RunState}),
        (tasks, {state.value: state.word for state in NodeState if state is not NodeState.PENDING}),
        (tasks, {failure.value: failure.word for failure in FailureClass}),
    ):
        for value, word in words.items():
            assert f"WHEN {value} THEN '{word}'" in text
    assert len(RunState) == runs.count(" THEN '")
    assert EventType.RUN_WARNING.word == "run-warning"
