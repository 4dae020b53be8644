"""Views and users' own tables in the transactions of frames: what SQLite makes of them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smithers.clock import SystemClock
from smithers.errors import LeaseLost, RowsRefused, StoreFull
from smithers.ids import NodeKey
from smithers.records import FrameWrite, OutputShape, UserColumn, UserRow
from smithers.store import open_store
from tests.contract.store_contract import Crash, Drive, Fault, World
from tests.contract.test_sqlite_store import failing, raised

ROOT = Path(__file__).parents[2]
SHAPE = OutputShape("flow", "Draft", (("text",),))
AUDIT = """
    CREATE TABLE audit (
        run_id TEXT NOT NULL, node_id TEXT NOT NULL, status TEXT CONSTRAINT known CHECK (status <> 'odd'),
        details TEXT NOT NULL DEFAULT '', PRIMARY KEY (run_id, node_id)
    )
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(lambda clock: open_store(tmp_path / "smithers.db", clock=clock, durability="normal"))
    yield found
    found.close()


@pytest.fixture
def plain(world: World) -> Iterator[sqlite3.Connection]:
    """Somebody who has no idea of us."""
    with closing(sqlite3.connect(world.store.path, isolation_level=None)) as found:
        yield found


def finished(drive: Drive, node: str, body: str, table: str | None = None, **more: Any) -> FrameWrite:
    """The frame that finishes a running task, with a shape or a row of a user's table."""
    rows = drive.finish(node, body, **more)
    if table is None:
        return drive.next(**rows, shapes=[SHAPE])
    return drive.next(**rows, user_rows=[UserRow(table, NodeKey(node), 0, body)])


# --- Views --------------------------------------------------------------------------------------


def test_the_view_is_there_with_the_first_output_and_not_before(
    world: World, plain: sqlite3.Connection
) -> None:
    drive = world.create()
    drive.commit(started=[drive.start("plan")])
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        plain.execute("SELECT * FROM Draft")
    assert world.writer.commit([finished(drive, "plan", '{"text":"a"}')]) == [None]
    assert plain.execute("SELECT * FROM Draft").fetchall() == [("r1", "plan", 0, 4, "a")]


def test_views_show_the_newest_generation_and_nothing_of_one_that_runs_again(
    world: World, plain: sqlite3.Connection
) -> None:
    drive = world.create()
    drive.run_task("plan", '{"text":"old"}')
    drive.run_task("draft", '{"text":"kept"}')
    drive.commit(shapes=[SHAPE])
    drive.commit(started=[drive.start("plan", generation=1)])
    assert plain.execute("SELECT node, text FROM Draft").fetchall() == [("draft", "kept")]
    assert plain.execute("SELECT node, status FROM task_overview ORDER BY node").fetchall() == [
        ("draft", "finished"),
        ("plan", "running"),
    ]
    drive.commit(**drive.finish("plan", '{"text":"new"}', generation=1))
    assert plain.execute("SELECT node, text FROM Draft ORDER BY seq").fetchall() == [
        ("draft", "kept"),
        ("plan", "new"),
    ]
    assert plain.execute("SELECT finished, failed, running FROM run_overview").fetchall() == [(2, 0, 0)]


def test_an_output_that_lives_in_a_file_shows_null_and_where_it_is(
    world: World, plain: sqlite3.Connection
) -> None:
    drive = world.create()
    body = '{"text":"' + "x" * (2 << 20) + '"}'
    drive.commit(started=[drive.start("plan")])
    assert world.writer.commit([finished(drive, "plan", body)]) == [None]
    assert plain.execute("SELECT node, text FROM Draft").fetchall() == [("plan", None)]
    ((json, file),) = plain.execute("SELECT json, file FROM output_overview").fetchall()
    assert json is None
    assert (world.store.path.parent / file).read_text() == body


def test_what_the_store_has_to_say_of_a_view_comes_back_with_the_frame(
    world: World, plain: sqlite3.Connection
) -> None:
    plain.execute('CREATE TABLE "flow__Draft" (mine)')
    drive = world.create()
    frame = drive.next(shapes=[SHAPE])
    assert world.writer.commit([frame]) == [None]
    assert frame.notes == ["the view of Draft is called flow__Draft_2: there is another flow__Draft"]
    drive.done(frame)
    again = drive.next(shapes=[SHAPE])
    assert world.writer.commit([again]) == [None]
    assert again.notes == []


@pytest.mark.parametrize("moment", ["SAVEPOINT view", "CREATE VIEW", "INSERT INTO smithers_views", "COMMIT"])
def test_a_process_that_dies_while_it_makes_a_view_leaves_none_and_the_next_one_makes_it(
    world: World, plain: sqlite3.Connection, moment: str
) -> None:
    def die(sql: str, values: object) -> None:
        if sql.startswith(moment):
            raise Crash

    drive = world.create()
    drive.commit(started=[drive.start("plan")])
    writer = world.store.writer(failing(Fault(die)))
    writer._connection.is_armed = True  # type: ignore[attr-defined]
    with pytest.raises(Crash):
        writer.commit([finished(drive, "plan", '{"text":"a"}')])
    writer._connection.close()
    assert plain.execute("SELECT count(*) FROM smithers_views").fetchone() == (0,)
    assert world.writer.commit([finished(drive, "plan", '{"text":"a"}')]) == [None]
    assert plain.execute("SELECT text FROM Draft").fetchall() == [("a",)]


def test_a_full_disk_while_a_view_is_made_is_the_frames_error_and_not_a_missing_view(
    world: World, plain: sqlite3.Connection
) -> None:
    class Once:
        left = 1

        def __call__(self, sql: str, values: object) -> None:
            if sql.startswith("CREATE VIEW") and self.left:
                self.left = 0
                raise raised("SQLITE_FULL", "database or disk is full")

    drive = world.create()
    drive.commit(started=[drive.start("plan")])
    writer = world.store.writer(failing(Fault(Once())))
    writer._connection.is_armed = True  # type: ignore[attr-defined]
    (error,) = writer.commit([finished(drive, "plan", '{"text":"a"}')])
    assert isinstance(error, StoreFull)
    assert writer.commit([finished(drive, "plan", '{"text":"a"}')]) == [None]
    assert plain.execute("SELECT text FROM Draft").fetchall() == [("a",)]
    writer.close()


def test_a_frame_that_is_refused_takes_its_view_with_it(world: World, plain: sqlite3.Connection) -> None:
    one, two = world.create("r1"), world.create("r2")
    one.commit(started=[one.start("plan")])
    two.fence = 7
    frames = [two.next(shapes=[OutputShape("flow", "Other", ())]), finished(one, "plan", '{"text":"a"}')]
    lost, stored = world.writer.commit(frames)
    assert isinstance(lost, LeaseLost)
    assert stored is None
    assert plain.execute("SELECT output FROM smithers_views").fetchall() == [("Draft",)]


@pytest.mark.parametrize("others", [0, 2])
def test_a_view_that_was_rolled_back_with_its_frame_is_made_by_the_next_one(
    world: World, plain: sqlite3.Connection, others: int
) -> None:
    drives = [world.create(f"r{n}") for n in range(others + 1)]
    *rest, last = drives
    bad = last.next(shapes=[SHAPE], user_rows=[UserRow("nowhere", NodeKey("plan"), 0, "{}")])
    *kept, refused = world.writer.commit([*(drive.next() for drive in rest), bad])
    assert kept == [None] * others
    assert isinstance(refused, RowsRefused)
    assert plain.execute("SELECT count(*) FROM smithers_views").fetchone() == (0,)
    assert world.writer.commit([last.next(shapes=[SHAPE])]) == [None]
    assert plain.execute("SELECT * FROM Draft").fetchall() == []


def test_two_writers_that_know_different_fields_of_a_model_end_with_all_of_them(
    world: World, plain: sqlite3.Connection
) -> None:
    drive, other = world.create(), world.another_writer()
    for writer, field in ((world.writer, "a"), (other, "b"), (world.writer, "a"), (other, "c")):
        frame = drive.next(shapes=[OutputShape("flow", "Draft", ((field,),))])
        assert writer.commit([frame]) == [None]
        drive.done(frame)
    found = [column[0] for column in plain.execute("SELECT * FROM Draft").description]
    assert found[4:] == ["a", "b", "c"]


def test_readers_and_writers_of_other_processes_go_on_while_views_are_made(tmp_path: Path) -> None:
    path = tmp_path / "smithers.db"
    program = textwrap.dedent(
        """
        import sqlite3, sys
        from pathlib import Path
        from smithers.clock import SystemClock
        from smithers.records import InboxKind, RunFilter
        from smithers.store import open_store

        store = open_store(Path(sys.argv[1]), clock=SystemClock(), durability="normal")
        reader, outsider = store.reader(), store.outsider()
        plain = sqlite3.connect(sys.argv[1])
        print("ready", flush=True)
        seen = 0
        while seen < 60:
            assert len(reader.runs(RunFilter())) == 1
            reader.outputs(1)
            outsider.post(1, InboxKind.PAUSE, "me")
            plain.execute("SELECT * FROM Model0").fetchall()
            plain.execute("SELECT * FROM run_overview").fetchall()
            (seen,) = plain.execute("SELECT count(*) FROM smithers_views").fetchone()
        """
    )
    world = World(lambda clock: open_store(path, clock=SystemClock(), durability="normal"))
    drive = world.create()
    drive.commit(shapes=[OutputShape("flow", "Model0", ())])
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    for number in range(1, 60):
        # A view that changes under its reader, and one more.
        shapes = [
            OutputShape("flow", "Model0", ((f"field{number}",),)),
            OutputShape("flow", f"Model{number}", (("x",),)),
        ]
        drive.commit(shapes=shapes)
    child.communicate(timeout=30)
    assert child.returncode == 0
    world.close()


# --- Users' own tables --------------------------------------------------------------------------


def test_a_row_is_written_with_its_output_and_values_as_columns_hold_them(
    world: World, plain: sqlite3.Connection
) -> None:
    plain.execute("CREATE TABLE audit (run_id, node_id, flag, [nothing], tags, [inner], n, [Order])")
    drive = world.create()
    drive.commit(started=[drive.start("plan")])
    body = '{"flag":true,"nothing":null,"tags":["é"],"inner":{"a":1},"n":1.5,"order":"x"}'
    assert world.writer.commit([finished(drive, "plan", body, "AUDIT")]) == [None]
    assert plain.execute("SELECT * FROM audit").fetchall() == [
        ("r1", "plan", 1, None, '["é"]', '{"a":1}', 1.5, "x")
    ]
    assert [row.body for row in world.reader.outputs(drive.run)] == [body]


def test_a_task_that_runs_again_replaces_its_row_and_no_other(
    world: World, plain: sqlite3.Connection
) -> None:
    plain.execute(AUDIT)
    drive = world.create()
    for node, generation, status in (("plan", 0, "old"), ("draft", 0, "kept"), ("plan", 1, "new")):
        drive.commit(started=[drive.start(node, generation=generation)])
        frame = finished(drive, node, f'{{"status":"{status}"}}', "audit", generation=generation)
        assert world.writer.commit([frame]) == [None]
        drive.done(frame)
    assert plain.execute("SELECT node_id, status FROM audit ORDER BY 1").fetchall() == [
        ("draft", "kept"),
        ("plan", "new"),
    ]


def test_passes_have_rows_of_their_own(world: World, plain: sqlite3.Connection) -> None:
    plain.execute("CREATE TABLE log (run_id, node_id, iteration, scope, x)")
    drive = world.create()
    keys = [NodeKey("plan", "outer=0", 0), NodeKey("plan", "outer=1", 0), NodeKey("plan", "outer=1", 1)]
    drive.commit(user_rows=[UserRow("log", key, 2, '{"x":1}') for key in keys])
    drive.commit(user_rows=[UserRow("log", keys[1], 2, '{"x":2}')])
    drive.commit(user_rows=[UserRow("log", NodeKey("draft"), 0, '{"x":3}')])
    assert plain.execute("SELECT * FROM log ORDER BY node_id, scope, iteration").fetchall() == [
        ("r1", "draft", 0, "", 3),
        ("r1", "plan", 0, "outer=0", 1),
        ("r1", "plan", 0, "outer=1", 2),
        ("r1", "plan", 1, "outer=1", 1),
    ]


@pytest.mark.parametrize(
    ("table", "body", "complaint"),
    [
        (AUDIT, '{"status":"odd"}', "CHECK constraint failed: known"),
        (AUDIT, '{"details":null}', "NOT NULL constraint failed: audit.details"),
        (AUDIT, '{"other":1}', "it has no column other"),
        (AUDIT, '{"run_id":"r9"}', "run_id is a column that is filled with the run_id of the task"),
        (AUDIT, '{"status":123456789012345678901234567890}', "too large"),
        (AUDIT, "[1]", "it is not an object"),
        ("CREATE TABLE elsewhere (x)", "{}", "there is no such table any more"),
        (
            "CREATE TABLE audit (run_id, node_id, x UNIQUE ON CONFLICT IGNORE)",
            '{"x":0}',
            "it ignored the row",
        ),
        ("CREATE TABLE audit (run_id, node_id, x UNIQUE ON CONFLICT ROLLBACK)", '{"x":0}', "audit.x"),
        ("CREATE TABLE audit (run_id, node_id, x UNIQUE ON CONFLICT FAIL)", '{"x":0}', "audit.x"),
    ],
)
def test_what_a_table_refuses_names_the_reason_and_costs_no_other_frame_of_the_group(
    world: World, plain: sqlite3.Connection, table: str, body: str, complaint: str
) -> None:
    plain.execute(table)
    if "audit" in table and "x UNIQUE" in table:
        plain.execute("INSERT INTO audit VALUES ('', '', 0)")
    before = plain.execute("SELECT count(*) FROM sqlite_master").fetchone()
    drives = [world.create(name) for name in ("r1", "r2", "r3")]
    for drive in drives:
        drive.commit(started=[drive.start("plan")])
    first, second, third = drives
    frames = [
        first.next(**first.finish("plan", "{}")),
        finished(second, "plan", body, "audit"),
        third.next(**third.finish("plan", "{}")),
    ]
    kept, refused, also_kept = world.writer.commit(frames)
    assert (kept, also_kept) == (None, None)
    assert isinstance(refused, RowsRefused)
    assert complaint in refused.refused[NodeKey("plan")]
    assert [len(world.reader.outputs(drive.run)) for drive in drives] == [1, 0, 1]
    assert plain.execute("SELECT count(*) FROM sqlite_master").fetchone() == before


def test_all_rows_that_are_refused_are_named_at_once(world: World, plain: sqlite3.Connection) -> None:
    plain.execute(AUDIT)
    drive = world.create()
    rows = [UserRow("audit", NodeKey(node), 0, f'{{"status":"{word}"}}')
            for node, word in (("a", "odd"), ("b", "fine"), ("c", "odd"))]  # fmt: skip
    (error,) = world.writer.commit([drive.next(user_rows=rows)])
    assert isinstance(error, RowsRefused)
    assert set(error.refused) == {NodeKey("a"), NodeKey("c")}
    assert plain.execute("SELECT * FROM audit").fetchall() == []


def test_nothing_is_written_behind_a_table_that_rolls_everything_back(
    world: World, plain: sqlite3.Connection
) -> None:
    plain.execute("CREATE TABLE audit (run_id, node_id, x UNIQUE ON CONFLICT ROLLBACK)")
    plain.execute("INSERT INTO audit VALUES ('', '', 0)")
    drive = world.create()
    rows = [UserRow("audit", NodeKey(node), 0, f'{{"x":{x}}}') for node, x in (("a", 1), ("b", 0), ("c", 2))]
    (error,) = world.writer.commit([drive.next(user_rows=rows)])
    assert isinstance(error, RowsRefused)
    assert plain.execute("SELECT x FROM audit").fetchall() == [(0,)]
    assert world.writer.commit([drive.next()]) == [None]


def test_a_former_owner_writes_no_row(world: World, plain: sqlite3.Connection) -> None:
    plain.execute(AUDIT)
    drive = world.create()
    stale = replace(drive, fence=drive.fence - 1)
    (error,) = world.writer.commit([stale.next(user_rows=[UserRow("audit", NodeKey("plan"), 0, "{}")])])
    assert isinstance(error, LeaseLost)
    assert plain.execute("SELECT * FROM audit").fetchall() == []


def test_a_full_disk_is_the_stores_fault_and_not_the_tables(world: World, plain: sqlite3.Connection) -> None:
    def fill(sql: str, values: object) -> None:
        if sql.startswith('INSERT INTO "audit"'):
            raise raised("SQLITE_FULL", "database or disk is full")

    plain.execute(AUDIT)
    drive = world.create()
    writer = world.store.writer(failing(Fault(fill)))
    writer._connection.is_armed = True  # type: ignore[attr-defined]
    (error,) = writer.commit([drive.next(user_rows=[UserRow("audit", NodeKey("plan"), 0, "{}")])])
    assert isinstance(error, StoreFull)
    writer.close()


def test_a_table_is_described_with_what_a_row_needs(world: World, plain: sqlite3.Connection) -> None:
    plain.execute(
        "CREATE TABLE Audit (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, n NOT NULL DEFAULT 1, "
        "twice GENERATED ALWAYS AS (n * 2), free)"
    )
    found = world.reader.table("audit")
    assert (found.kind, found.database) == ("table", str(world.store.path))
    assert found.columns == (
        UserColumn("id", False, False),
        UserColumn("run_id", True, False),
        UserColumn("n", False, False),
        UserColumn("twice", False, True),
        UserColumn("free", False, False),
    )
    assert world.reader.table("run_overview").kind == "view"
    assert world.reader.table("nothing").kind == ""
