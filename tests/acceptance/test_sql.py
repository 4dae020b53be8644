"""What somebody sees who opens the database with nothing but SQLite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from textwrap import dedent
from typing import Any

from smithers.store.connection import APPLICATION_ID
from smithers.store.migration import split
from smithers.store.queries import migration_files
from tests.acceptance.process import STEPS, Project, wait_until
from tests.unit.store.test_view import put_output

AUDITED = """
class Audit(BaseModel):
    status: str
    details: list[str] = []

def work(n):
    note(f"t{n}")
    if n == 5:
        wait_for("go")
    return Audit(status="ok", details=[str(n)])

@workflow
def flow(ctx):
    audit = SqlTable("audit", Audit)
    return Parallel(*[Task(f"t{n}", audit, run=lambda n=n: work(n)) for n in range(12)], max_concurrency=2)
"""
TABLE = """
    CREATE TABLE audit (
        run_id TEXT NOT NULL, node_id TEXT NOT NULL, details TEXT,
        status TEXT NOT NULL CONSTRAINT calm CHECK (status <> 'bad'), PRIMARY KEY (run_id, node_id)
    )
"""


def ask(project: Project, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(project.store)) as plain:
        rows = plain.execute(sql, values).fetchall()
        plain.commit()
    return rows


def write(project: Project, text: str) -> None:
    project.write("from smithers import SqlTable\n" + dedent(text))


def test_a_run_can_be_looked_at_while_it_goes_on_and_after_it_was_killed(project: Project) -> None:
    process = project.reach_build()
    overview = "SELECT node, status, attempts FROM task_overview ORDER BY node"
    assert ask(project, overview) == [("build", "running", 1), ("plan", "finished", 1)]
    assert ask(project, "SELECT run, node, text FROM Text") == [("r1", "plan", "the plan")]
    assert ask(project, "SELECT status, finished, running, owner_pid FROM run_overview") == [
        ("running", 1, 1, process.pid)
    ]
    process.kill()
    process.wait()
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert ask(project, overview) == [("build", "finished", 2), ("plan", "finished", 1)]
    assert ask(project, "SELECT node, text FROM Text ORDER BY seq") == [
        ("plan", "the plan"),
        ("build", "built"),
    ]
    assert ask(project, "SELECT status, output FROM run_overview") == [("finished", '{"text":"built"}')]


def test_what_an_overview_says_is_what_inspect_says(project: Project) -> None:
    write(project, """
        def fail():
            raise ValueError("no")

        @workflow
        def flow(ctx):
            return Sequence(
                Loop(Loop(Task("deep", Text, value={"text": "x"}), max_iterations=2), max_iterations=2),
                Task("bad", Text, run=fail, retries=1, continue_on_fail=True),
                Task("skipped", Text, value={}, skip_if=True),
                Task("needs", Text, run=lambda: {}, depends_on="bad"),
            )
    """)  # fmt: skip
    assert project.run("up", "flow.py", "-r", "r1").returncode == 5
    document = project.document("inspect", "r1")
    told = {
        (node["node"], node["scope"], node["iteration"]): (
            node["state"],
            len(node["attempts"]),
            node["reason"],
        )
        for node in document["nodes"]
    }
    asked = ask(project, "SELECT node, scope, iteration, status, attempts, reason FROM task_overview")
    assert {row[:3]: row[3:] for row in asked} == told
    assert ask(project, "SELECT failure, error FROM task_overview WHERE node = 'bad'") == [("crash", "no")]
    ((created, ended, took, status),) = ask(
        project, "SELECT created_at, ended_at, took_ms, status FROM run_overview"
    )
    assert (created, ended) == (document["created_at"], document["ended_at"])
    assert took >= 0
    assert status == document["status"]


def test_a_table_that_is_not_there_is_refused_and_the_statement_that_would_do_stands_in_the_hint(
    project: Project,
) -> None:
    write(project, AUDITED)
    done = project.run("up", "flow.py", "-r", "r1", "--json")
    assert done.returncode == 4
    line = project.line("max_concurrency=2")
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "TABLE_UNFIT"
    assert error["message"] == "Task t0 writes to the table audit, which does not exist"
    assert error["place"] == f"{project.folder / 'flow.py'}:{line}"
    assert project.runs() == []
    assert project.executed() == []
    ask(project, error["details"]["create"])
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1").returncode == 0


def test_rows_and_outputs_agree_after_a_kill_and_a_resume(project: Project) -> None:
    write(project, AUDITED)
    assert project.run("up", "flow.py", "-r", "r1").returncode == 4
    ask(project, TABLE)
    process = project.start("up", "flow.py", "-r", "r1")
    rows = "SELECT node_id, status, details FROM audit ORDER BY node_id"
    outputs = "SELECT node, status, details FROM flow__audit ORDER BY node"
    wait_until(lambda: len(ask(project, rows)) >= 8, "eight rows")
    process.kill()
    process.wait()
    before = ask(project, rows)
    assert before == ask(project, outputs)
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    after = ask(project, rows)
    assert after == ask(project, outputs)
    assert len(after) == 12
    assert set(before) <= set(after)
    executed = project.executed()
    assert all(executed.count(node) == 1 for node, *_ in before)


def test_a_constraint_that_is_violated_fails_its_task_by_name(project: Project) -> None:
    write(project, AUDITED.replace('status="ok"', 'status="bad" if n == 3 else "ok"'))
    assert project.run("up", "flow.py", "-r", "r1").returncode == 4
    ask(project, TABLE)
    project.touch("go")
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 1
    assert "CHECK constraint failed: calm" in done.stderr
    assert "CHECK constraint failed: calm" in " ".join(project.run("why", "r1", "t3").stdout.split())
    assert ask(project, "SELECT failure FROM task_overview WHERE node = 't3'") == [("bad_output",)]
    assert ask(project, "SELECT count(*) FROM audit WHERE node_id = 't3'") == [(0,)]
    # The table is the user's: once it takes the row, a resume goes on.
    ask(project, "DROP TABLE audit")
    ask(project, TABLE.replace("<> 'bad'", "<> ''"))
    assert project.run("up", "flow.py", "-r", "r1", "--resume").returncode == 0
    assert ask(project, "SELECT status FROM audit WHERE node_id = 't3'") == [("bad",)]


def test_a_view_whose_name_is_taken_is_told_and_stops_nobody(project: Project) -> None:
    write(project, STEPS)
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r0", "--rehearse").returncode == 0
    ask(project, 'DROP VIEW "flow__Text"')
    ask(project, 'CREATE TABLE "flow__Text" (mine)')
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 0
    warning = "the view of Text is called flow__Text_2: there is another flow__Text"
    assert warning in project.run("logs", "r1").stdout
    assert ask(project, 'SELECT count(*) FROM "flow__Text_2"') == [(4,)]
    assert ask(project, 'SELECT * FROM "flow__Text"') == []


def test_an_edited_model_keeps_its_old_rows_and_its_view_has_both_kinds_of_fields(project: Project) -> None:
    flow = """
        class Note(BaseModel):
            {field}: str = "x"

        @workflow
        def flow(ctx):
            return Task("note", Note, value={{}})
    """
    for run, field in (("r1", "title"), ("r2", "headline")):
        project.write(flow.format(field=field))
        assert project.run("up", "flow.py", "-r", run).returncode == 0
    assert ask(project, "SELECT run, title, headline FROM Note ORDER BY run") == [
        ("r1", "x", None),
        ("r2", None, "x"),
    ]


def test_a_store_from_before_is_read_as_it_is_and_gets_its_views_with_the_next_run(project: Project) -> None:
    (project.folder / ".smithers").mkdir(mode=0o700)
    with closing(sqlite3.connect(project.store, isolation_level=None)) as plain:
        for statement in split(migration_files()[0].read_text()):
            plain.execute(statement)
        plain.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        plain.execute("PRAGMA user_version = 1")
        put_output(plain, 1, "flow", "Text", '{"text":"old","more":1}')
        plain.execute("INSERT INTO smithers_inputs SELECT id, 'flow.py:flow', '{}', '{}' FROM smithers_runs")
    assert project.run("ps", "-a").returncode == 0
    assert ask(project, "PRAGMA user_version") == [(1,)]
    project.write(STEPS)
    project.touch("go")
    assert project.run("up", "flow.py", "-r", "r2").returncode == 0
    assert ask(project, "SELECT run, text, more FROM Text ORDER BY run, seq") == [
        ("flow", "old", 1),
        ("r2", "the plan", None),
        ("r2", "built", None),
    ]
