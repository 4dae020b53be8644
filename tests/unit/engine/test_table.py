"""Named outputs, and tables of the user's as the place of an output."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from smithers import Context, Loop, Node, Parallel, Sequence, SqlTable, Task, Workflow, workflow
from smithers.agents import CallableAgent
from smithers.errors import InvalidNode, TableUnfit
from smithers.records import EventType
from smithers.store import open_store
from tests.unit.engine.play import Number, Play, Word, quick

AUDIT = """
    CREATE TABLE audit (
        run_id TEXT NOT NULL, node_id TEXT NOT NULL, status TEXT CONSTRAINT known CHECK (status <> 'odd'),
        details TEXT, PRIMARY KEY (run_id, node_id)
    )
"""


class Audit(BaseModel):
    status: str
    details: list[str] = []


audit = SqlTable("audit", Audit)


def database(play: Play, *statements: str) -> None:
    """Make the store, and what the user makes in it."""
    from smithers.clock import SystemClock

    open_store(play.store, clock=SystemClock())
    with closing(sqlite3.connect(play.store, isolation_level=None)) as plain:
        for statement in statements:
            plain.execute(statement)


def select(play: Play, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(play.store)) as plain:
        return plain.execute(sql).fetchall()


# --- Named outputs ------------------------------------------------------------------------------


def test_a_name_is_read_as_the_model_it_is_registered_for(play: Play) -> None:
    @workflow(outputs={"results": Number})
    def flow(ctx: Context) -> Node:
        step = Task("step", "results", value={"n": 1})

        def look(found: Any) -> dict[str, int]:
            play.see([found, ctx.output(step), ctx.output(("results", "step"))])
            play.see([*ctx.outputs("results"), *ctx.outputs(Number), ctx.latest("results", "step")])
            return {"n": 1}

        return Sequence(step, Task("look", Number, deps=step, run=look))

    assert flow.run_sync(store=play.store).status == "finished"
    assert play.seen == [[Number(n=1)] * 3] * 2


def test_a_name_registered_nowhere_is_read_as_a_json_object(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        found = ctx.output_maybe(("free", "step"))
        if found is not None:
            play.see((found.a, found["a"], ctx.outputs("free")[0].a))
        return Sequence(Task("step", "free", value={"a": 1}), Task("last", Number, value={"n": 1}))

    play.run(flow)
    assert play.seen[-1] == (1, 1, 1)


def test_an_output_that_does_not_fit_its_registered_model_fails(play: Play) -> None:
    @workflow(outputs={"results": Number})
    def flow(ctx: Context) -> Node:
        return Task("step", "results", run=lambda: {"n": "many"})

    result = flow.run_sync(store=play.store)
    assert result.status == "failed"
    assert "does not fit results: n: " in (result.error or {})["message"]


def test_an_agent_is_asked_for_the_registered_model_or_for_what_the_task_says(play: Play) -> None:
    class Asked(BaseModel):
        n: int
        why: str

    def answer(prompt: str) -> dict[str, Any]:
        play.see(prompt)
        return {"n": 1, "why": "because"}

    agent = CallableAgent(answer)

    @workflow(outputs={"results": Number})
    def flow(ctx: Context) -> Node:
        from smithers import Prompt

        return Sequence(
            Task("own", "results", agent=agent, prompt=Prompt.text("{{ schema }}")),
            Task("other", "results", agent=agent, prompt=Prompt.text("{{ schema }}"), output_schema=Asked),
            Task("read", Number, run=lambda: play.see(ctx.outputs("results")) or {"n": 0}),
        )

    assert flow.run_sync(store=play.store).status == "finished"
    own, other, outputs = play.seen
    assert '"why"' not in own
    assert '"n"' in own
    assert '"why"' in other
    assert outputs == [Number(n=1), Number(n=1)]


def test_a_run_s_own_output_may_be_stored_under_a_name(play: Play) -> None:
    @workflow(output=Number, outputs={"first": Number, "second": Number})
    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("a", "second", value={"n": 1}),
            Task("b", "first", value={"n": 2}),
            Task("c", Word, value={"text": ""}),
        )

    assert flow.run_sync(store=play.store).output == Number(n=2)


def test_text_may_be_registered_under_a_name(play: Play) -> None:
    @workflow(outputs={"note": str})
    def flow(ctx: Context) -> Node:
        note = Task("note", "note", value="said")
        return Sequence(note, Task("read", Number, deps=note, run=lambda said: play.see(said) or {"n": 1}))

    assert flow.run_sync(store=play.store).status == "finished"
    assert play.seen == ["said"]


@pytest.mark.parametrize("outputs", [{"a": list}, {"a": 3}, {"": Number}, {3: Number}])
def test_only_models_are_registered(outputs: Any) -> None:
    with pytest.raises(InvalidNode, match="outputs="):
        workflow(outputs=outputs)(lambda ctx: None)


# --- Tables: before anything runs ---------------------------------------------------------------


def refused(play: Play, *statements: str, node: Node | None = None) -> TableUnfit:
    database(play, *statements)
    first = Task("first", Number, run=lambda: {"n": play.call("first")})
    row = node or Task("audit", audit, run=lambda: {"status": "ok"})
    with pytest.raises(TableUnfit) as found:
        play.run(lambda ctx: Sequence(first, row))
    assert play.calls["first"] == 0
    assert select(play, "SELECT count(*) FROM smithers_runs") == [(0,)]
    assert found.value.place is not None
    assert found.value.place.file == __file__
    return found.value


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("CREATE TABLE other (x)", "which does not exist"),
        ("CREATE VIEW audit AS SELECT 1", "which is a view"),
        ("CREATE TABLE audit (node_id, status, details)", "which has no column run_id"),
        ("CREATE TABLE audit (run_id, status, details)", "which has no column node_id"),
        (
            "CREATE TABLE audit (run_id, node_id, status)",
            "which has no column details for the field of that name",
        ),
        ("CREATE TABLE audit (run_id, node_id, status, details AS (1))", "whose column details is generated"),
        (
            "CREATE TABLE audit (run_id, node_id, status, details, who TEXT NOT NULL)",
            "whose column who is NOT NULL without a default, and no field fills it",
        ),
    ],
)
def test_a_table_that_cannot_take_the_rows_is_refused_before_anything_runs(
    play: Play, statement: str, complaint: str
) -> None:
    error = refused(play, statement)
    assert error.message.startswith("Task audit writes to the table audit, ")
    assert complaint in error.message
    assert 'CREATE TABLE "audit" (run_id TEXT NOT NULL, node_id TEXT NOT NULL, "status" TEXT' in error.hint


def test_in_a_loop_the_passes_must_be_told_apart(play: Play) -> None:
    loop = Loop(Task("audit", audit, run=lambda: {"status": "ok"}), max_iterations=2)
    error = refused(play, AUDIT, node=loop)
    assert "which has no column iteration, which tells the passes" in error.message


def test_in_two_loops_the_outer_passes_must_be_told_apart_too(play: Play) -> None:
    inner = Loop(Task("audit", audit, run=lambda: {"status": "ok"}), max_iterations=2)
    error = refused(play, AUDIT.replace("details", "iteration, details"), node=Loop(inner, max_iterations=2))
    assert "which has no column scope" in error.message


def test_the_statement_that_would_do_does(play: Play) -> None:
    class Row(BaseModel):
        order: int
        flag: bool
        Text: str = 'say "hi"'
        nested: Audit | None = None

    def flow(ctx: Context) -> Node:
        row = Task("row", SqlTable("my rows", Row), run=lambda: {"order": 1, "flag": True})
        return Loop(Loop(row, max_iterations=2), max_iterations=2)

    database(play)
    with pytest.raises(TableUnfit) as found:
        play.run(flow)
    database(play, found.value.details["create"])
    assert play.run(flow).status == "finished"
    rows = select(play, 'SELECT * FROM "my rows" ORDER BY scope, iteration')
    assert rows[0] == ("r", "row", 0, "loop:loop:row=0", 1, 1, 'say "hi"', None)
    assert [row[2:4] for row in rows] == [(n % 2, f"loop:loop:row={n // 2}") for n in range(4)]


@pytest.mark.parametrize("name", ["smithers_runs", "SMITHERS_x", "sqlite_sequence", "", "a\0b", 3])
def test_tables_that_are_not_the_users_are_refused_where_they_are_named(name: Any) -> None:
    with pytest.raises(InvalidNode) as found:
        SqlTable(name)
    assert found.value.place is not None
    assert found.value.place.file == __file__


@pytest.mark.parametrize("schema", [dict, str, RootModel[list[int]], Audit(status="")])
def test_a_row_s_schema_is_a_model_with_fields(schema: Any) -> None:
    with pytest.raises(InvalidNode):
        SqlTable("audit", schema)


def test_looking_at_the_tree_needs_no_table() -> None:
    Workflow(lambda ctx: Task("audit", audit, value={"status": "ok"})).graph()


# --- Tables: rows -------------------------------------------------------------------------------


def test_the_row_and_the_output_are_both_there_and_the_output_is_read_as_its_model(play: Play) -> None:
    database(play, AUDIT)

    def flow(ctx: Context) -> Node:
        row = Task("row", audit, run=lambda: {"status": "ok", "details": ["a"]})

        def look(found: Audit) -> dict[str, int]:
            play.see([found, *ctx.outputs(audit)])
            return {"n": 1}

        return Sequence(row, Task("read", Number, deps=row, run=look))

    assert play.run(flow).status == "finished"
    assert play.seen == [[Audit(status="ok", details=["a"])] * 2]
    assert select(play, "SELECT * FROM audit") == [("r", "row", "ok", '["a"]')]
    assert play.resume(flow).status == "finished"
    assert select(play, "SELECT count(*) FROM audit") == [(1,)]


def test_a_run_s_own_output_may_be_a_row(play: Play) -> None:
    database(play, AUDIT)

    @workflow(output=Audit)
    def flow(ctx: Context) -> Node:
        return Sequence(Task("row", audit, value={"status": "ok"}), Task("n", Number, value={"n": 1}))

    assert flow.run_sync(store=play.store).output == Audit(status="ok")


def test_without_a_model_a_row_is_whatever_the_task_returns_or_its_schema_says(play: Play) -> None:
    database(play, AUDIT)

    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("free", SqlTable("audit"), run=lambda: {"status": "a"}),
            Task("typed", SqlTable("audit"), run=lambda: {"status": "b"}, output_schema=Audit),
        )

    assert play.run(flow).status == "finished"
    assert select(play, "SELECT node_id, status, details FROM audit ORDER BY node_id") == [
        ("free", "a", None),
        ("typed", "b", "[]"),
    ]


def test_a_violated_constraint_fails_its_task_as_bad_output_and_nothing_else(play: Play) -> None:
    database(play, AUDIT)

    def flow(ctx: Context) -> Node:
        tasks = [
            Task(f"t{n}", audit, run=lambda n=n: {"status": "odd" if n % 2 else "ok"}, continue_on_fail=True)
            for n in range(12)
        ]
        return Parallel(*tasks)

    result = play.run(flow)
    assert result.status == "partial"
    words = {f"t{n}": "failed" if n % 2 else "finished" for n in range(12)}
    assert play.states() == words
    assert select(play, "SELECT count(*) FROM audit") == [(6,)]
    (failed,) = play.attempts("t1")
    assert failed.failure is not None
    assert failed.failure.word == "bad_output"
    assert failed.error is not None
    assert failed.error["code"] == "ROW_REFUSED"
    assert "the table audit did not take it: CHECK constraint failed: known" in failed.error["message"]
    assert select(play, "SELECT DISTINCT failure, error_code FROM task_overview WHERE status = 'failed'") == [
        ("bad_output", "ROW_REFUSED")
    ]


def test_a_value_that_the_table_refuses_is_a_mistake_in_the_file_when_nothing_has_run(play: Play) -> None:
    database(play, AUDIT)
    with pytest.raises(TableUnfit, match="CHECK constraint failed: known") as found:
        play.run(lambda ctx: Task("row", audit, value={"status": "odd"}))
    assert found.value.place is not None
    assert select(play, "SELECT count(*) FROM smithers_runs") == [(0,)]


def test_a_value_that_the_table_refuses_later_fails_its_task(play: Play) -> None:
    database(play, AUDIT)

    def flow(ctx: Context) -> Node:
        return Sequence(
            Task("first", Number, run=lambda: {"n": 1}), Task("row", audit, value={"status": "odd"})
        )

    result = play.run(flow)
    assert result.status == "failed"
    assert play.states() == {"first": "finished", "row": "failed"}


def test_an_explicit_retry_is_obeyed_when_a_table_refuses(play: Play) -> None:
    database(play, AUDIT)

    def work() -> dict[str, str]:
        return {"status": "odd" if play.call("row") < 3 else "ok"}

    assert play.run(lambda ctx: Task("row", audit, run=work, retry_policy=quick(3))).status == "finished"
    assert [row.state.word for row in play.attempts("row")] == ["failed", "failed", "finished"]
    assert select(play, "SELECT status FROM audit") == [("ok",)]


def test_a_table_that_goes_while_the_run_goes_on_fails_its_task(play: Play) -> None:
    database(play, AUDIT)

    def drop() -> dict[str, int]:
        database(play, "DROP TABLE audit")
        return {"n": 1}

    def flow(ctx: Context) -> Node:
        return Sequence(Task("drop", Number, run=drop), Task("row", audit, run=lambda: {"status": "ok"}))

    result = play.run(flow)
    assert result.status == "failed"
    assert "writes to the table audit, which does not exist" in (result.error or {})["message"]
    (failed,) = play.attempts("row")
    assert failed.error is not None
    assert "there is no such table any more" in failed.error["message"]
    assert select(play, "SELECT * FROM sqlite_master WHERE name = 'audit'") == []
    assert select(play, "SELECT count(*) FROM smithers_outputs") == [(1,)]
    database(play, AUDIT)
    assert play.resume(flow).status == "finished"


def test_a_table_first_named_in_a_later_frame_fails_the_run_with_its_reason(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        first = Task("first", Number, run=lambda: {"n": 1})
        return Sequence(
            first, Task("row", audit, run=lambda: {"status": "ok"}) if ctx.output_maybe(first) else None
        )

    result = play.run(flow)
    assert (result.status, (result.error or {})["code"]) == ("failed", "TABLE_UNFIT")
    database(play, AUDIT)
    assert play.resume(flow).status == "finished"
    assert select(play, "SELECT status FROM audit") == [("ok",)]


def test_a_table_in_the_body_of_a_function_is_looked_at_before_its_task_begins(play: Play) -> None:
    loop = Loop(lambda i: Task("row", audit, run=lambda: play.call("row")), max_iterations=1)
    with pytest.raises(TableUnfit):
        play.run(lambda ctx: loop)
    assert play.calls["row"] == 0


def test_a_table_in_a_body_that_is_made_later_is_looked_at_before_its_task_begins(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        loop = Loop(lambda i: Task("row", audit, run=lambda: play.call("row")), max_iterations=1)
        return Sequence(Task("first", Number, run=lambda: {"n": 1}), loop)

    result = play.run(flow)
    assert (result.status, (result.error or {})["code"]) == ("failed", "TABLE_UNFIT")
    assert play.calls["row"] == 0
    assert play.states() == {"first": "finished"}


def test_values_that_are_refused_one_after_the_other_do_not_wear_the_run_out(play: Play) -> None:
    database(play, AUDIT)

    def flow(ctx: Context) -> Node:
        rows = [Task(f"row{n}", audit, value={"status": "odd"}, continue_on_fail=True) for n in range(6)]
        first = Task("first", Number, run=lambda: {"n": 1})
        # Each one is mounted once the one before it has failed.
        later = [row for before, row in pairwise(rows) if ctx.status(before) == "failed"]
        return Sequence(first, rows[0], *later)

    assert play.run(flow).status == "partial"
    assert play.states() == {"first": "finished", **{f"row{n}": "failed" for n in range(6)}}


def test_what_a_table_refused_is_read_by_nobody(play: Play) -> None:
    database(play, AUDIT)

    def flow(ctx: Context) -> Node:
        row = Task("row", audit, run=lambda: {"status": "odd"}, continue_on_fail=True)

        def look() -> dict[str, int]:
            play.see(ctx.output_maybe(row))
            return {"n": 1}

        return Sequence(row, Task("look", Number, run=look, depends_on=row))

    play.run(flow)
    assert play.seen == [None]


# --- Notes --------------------------------------------------------------------------------------


def test_a_view_under_another_name_is_told_as_a_warning_of_the_run(play: Play) -> None:
    database(play, 'CREATE TABLE "r__Number" (mine)')

    def r(ctx: Context) -> Node:
        return Sequence(Task("a", Number, run=lambda: {"n": 1}), Task("b", Number, run=lambda: {"n": 2}))

    assert play.run(r).status == "finished"
    with play.reader() as reader:
        events = reader.events(reader.run("r").id)
    (warning,) = [event for event in events if event.type is EventType.RUN_WARNING]
    assert (
        warning.data == '{"message":"the view of Number is called r__Number_2: there is another r__Number"}'
    )


def test_a_warning_that_was_to_stand_in_a_frame_that_came_to_nothing_is_told_by_the_next(play: Play) -> None:
    database(play, 'CREATE TABLE "r__Number" (mine)', AUDIT)

    def r(ctx: Context) -> Node:
        return Sequence(
            Task("a", Number, run=lambda: {"n": 1}), Task("b", audit, run=lambda: {"status": "odd"})
        )

    assert play.run(r).status == "failed"
    with play.reader() as reader:
        events = reader.events(reader.run("r").id)
    assert [event.type for event in events].count(EventType.RUN_WARNING) == 1
