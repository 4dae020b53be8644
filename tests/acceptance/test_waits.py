"""Runs that wait, from outside: loops that are told to stop, pauses, cancels, and files that ask wrongly."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.acceptance.process import Project, wait_until
from tests.acceptance.waiting import HEAD, await_rest, await_state, database, park, row, rows

STOPPED = {
    "tree": """
@workflow
def flow(ctx):
    stop = Signal("stop")
    def works():
        note("work")
        time.sleep(0.02)
        return Text()
    more = Task("work", Text, run=works)
    return Parallel(
        stop, Loop(more, id="l", until=lambda: ctx.output_maybe(stop) is not None, max_iterations=None)
    )
""",
    "sequence": """
@workflow
def flow(ctx):
    stop = Signal("stop", async_=True)
    def works():
        note("work")
        time.sleep(0.02)
        return Text()
    more = Task("work", Text, run=works)
    return Sequence(
        stop,
        Loop(more, id="l", until=lambda: ctx.output_maybe(stop) is not None, max_iterations=None),
        does("last"),
    )
""",
    "script": """
@workflow
async def flow(ctx):
    stop = Signal("stop")
    async def works():
        async for _ in ctx.loop("l", max_iterations=None):
            if ctx.output_maybe(stop) is not None:
                break
            def work():
                note("work")
                time.sleep(0.02)
                return Text()
            await ctx.run(Task("work", Text, run=work))
    await asyncio.gather(works(), ctx.run(stop))
""",
}


@pytest.mark.parametrize("form", STOPPED)
def test_a_loop_without_a_limit_works_until_a_signal_tells_it_to_stop(project: Project, form: str) -> None:
    project.write(HEAD + STOPPED[form])
    owner = project.start("up", "flow.py:flow", "-r", "r1")
    wait_until(lambda: project.executed().count("work") >= 3, "some passes")
    done = project.run("signal", "r1", "stop")
    assert (done.returncode, done.stdout) == (0, "stop was sent to stop of r1\n"), done.stderr
    assert f"r1 goes on in process {owner.pid}" in done.stderr or "ended" in done.stderr
    _, err = owner.communicate(timeout=30)
    assert owner.returncode == 0, err
    assert await_rest(project) == "finished"
    assert (form == "sequence") is ("last" in project.executed())


def test_it_stops_although_it_was_killed_and_told_so_meanwhile(project: Project) -> None:
    project.write(HEAD + STOPPED["tree"])
    owner = project.start("up", "flow.py:flow", "-r", "r1")
    wait_until(lambda: project.executed().count("work") >= 3, "some passes")
    owner.kill()
    owner.wait()
    assert project.run("signal", "r1", "stop").returncode == 0
    assert await_rest(project) == "finished"


MIXED = """
@workflow(output=Text)
def inner(ctx):
    return Sequence(Approval("gate"), does("second"))

@workflow
def flow(ctx):
    return Sequence(
        Parallel(
            Approval("own", expires_in="3h"),
            HumanTask("ask", str, prompt="?"),
            WaitForEvent("ping"),
            Timer("nap", duration="3h"),
            Subflow("part", inner, input={}),
        ),
        does("last"),
    )
"""


def open_waits(project: Project) -> int:
    with database(project) as connection:
        (count,) = connection.execute("SELECT count(*) FROM smithers_waits WHERE state = 1").fetchone()
    return int(count)


def test_a_cancel_ends_a_parked_run_and_those_within_it_at_once_and_twice_is_once(project: Project) -> None:
    park(project, MIXED)
    assert len(project.document("inbox", "--all")["waits"]) == 5
    done = project.run("cancel", "r1")
    assert done.returncode == 0, done.stderr
    assert {run.state.word for run in project.runs()} == {"cancelled"}
    assert open_waits(project) == 0
    assert project.document("inbox", "--all")["waits"] == []
    before = rows(project)
    again = project.run("cancel", "r1")
    assert again.returncode == 0, again.stderr
    assert rows(project) == before
    for words in (["approve", "r1", "own"], ["signal", "r1", "ping"], ["answer", "r1", "--value", '"x"']):
        assert project.run(*words).returncode == 4
    assert project.executed() == []


@pytest.mark.parametrize("driven", [True, False])
def test_a_pause_keeps_what_waits_and_a_resume_goes_on_by_what_was_said(
    project: Project, driven: bool
) -> None:
    if driven:
        project.write(HEAD + MIXED)
        owner = project.start("up", "flow.py:flow", "-r", "r1", "--wait")
        wait_until(lambda: project.store.exists() and len(project.runs()) == 2, "both to be there")
        wait_until(lambda: len(project.document("inbox", "--all")["waits"]) == 5, "all to be open")
    else:
        park(project, MIXED)
    for _ in range(2):
        done = project.run("pause", "r1")
        assert done.returncode == 0, done.stderr
        assert {run.state.word for run in project.runs()} == {"paused"}
    if driven:
        assert owner.wait(timeout=20) == 3
    assert open_waits(project) == 5
    for words in (
        ["approve", "r1", "own"],
        ["answer", "r1", "--value", '"x"'],
        ["signal", "r1", "ping"],
        ["timer", "skip", "r1"],
        ["approve", "r1", "gate"],
    ):
        done = project.run(*words)
        assert done.returncode == 0, done.stderr
        assert "is paused: it goes on when it is resumed" in done.stderr
    assert {run.state.word for run in project.runs()} == {"paused"}
    assert project.run("up", "--resume", "r1").returncode == 0
    assert Counter(project.executed()) == {"second": 1, "last": 1}


def test_a_cancelled_run_that_is_resumed_asks_again(project: Project) -> None:
    park(project, MIXED)
    project.run("cancel", "r1")
    assert project.run("up", "--resume", "r1").returncode == 3
    assert len(project.document("inbox", "--all")["waits"]) == 5


def test_an_answer_is_only_stored_where_nothing_is_to_be_started(project: Project) -> None:
    park(project, '@workflow\ndef flow(ctx):\n    return Sequence(Approval("gate"), does("last"))\n')
    done = project.run("approve", "r1", "--no-resume")
    assert (done.returncode, project.executed()) == (0, [])
    assert "smithers up --resume r1" in done.stderr
    assert project.run("approve", "r1", "gate").returncode == 4
    assert project.run("up", "--resume", "r1").returncode == 0
    assert project.executed() == ["last"]


def test_a_denial_fails_the_run_and_says_who_and_why(project: Project) -> None:
    park(project, '@workflow\ndef flow(ctx):\n    return Sequence(Approval("gate"), does("last"))\n')
    assert project.run("deny", "r1", "--by", "ann", "--note", "not this week").returncode == 0
    assert await_rest(project) == "failed"
    text = " ".join(project.run("why", "r1").stdout.split())
    assert "tried" not in text
    assert "denied by ann: not this week" in text
    assert "[APPROVAL_DENIED]" in text or "APPROVAL_DENIED" in text


def test_an_answer_to_a_run_within_a_run_continues_the_one_around_it(project: Project) -> None:
    park(
        project,
        MIXED.split("@workflow\ndef flow", maxsplit=1)[0]
        + '@workflow\ndef flow(ctx):\n    return Sequence(Subflow("part", inner, input={}), does("last"))\n',
    )
    done = project.run("approve", "r1.part")
    assert done.returncode == 0, done.stderr
    assert "r1 goes on" in done.stderr
    wait_until(lambda: row(project).owner is None and row(project).state.word == "finished", "the end")
    assert project.executed() == ["second", "last"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ('Timer("nap", until="2001-01-01T00:00:00Z")', "which has passed"),
        ('Timer("nap", duration="-1h")', "duration"),
        ('Timer("nap", duration=0)', "duration"),
        ('Timer("nap", until="10000-01-01T00:00:00Z")', "is not a time"),
        ('Timer("nap", until=datetime(2030, 1, 1))', "in which zone"),
        ('Timer("nap", duration=timedelta(days=10**7))', "thousand years"),
        ('Approval("gate", on_deny="explode")', "on_deny"),
    ],
)
def test_a_file_that_asks_wrongly_is_refused_with_its_line_and_no_run_begins(
    project: Project, node: str, said: str
) -> None:
    project.write(HEAD + f"\n@workflow\ndef flow(ctx):\n    return {node}\n")
    done = project.run("up", "flow.py:flow", "-r", "r1")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert re.match(r"\[INVALID_NODE\] ", done.stderr), done.stderr
    assert said in done.stderr
    assert f"flow.py:{project.line('return ' + node)}" in done.stderr
    assert project.runs() == []


def test_a_run_whose_deadline_comes_while_nobody_drives_it_goes_on_by_it_when_it_is_resumed(
    project: Project,
) -> None:
    park(
        project,
        '@workflow\ndef flow(ctx):\n    return Approval("gate", expires_in="3d", on_deny="continue")\n',
    )
    with database(project) as connection:
        connection.execute("UPDATE smithers_waits SET due_ms = due_ms - 4 * 86400000")
        connection.execute("UPDATE smithers_wakeups SET due_ms = due_ms - 4 * 86400000")
    assert project.run("up", "--resume", "r1").returncode == 0
    await_state(project, "finished")
    assert '"approved":false' in project.run("output", "r1", "gate").stdout
    assert "smithers:expired" in project.run("output", "r1", "gate").stdout
    assert project.run("approve", "r1", "gate").returncode == 4


def test_a_decision_after_the_deadline_that_nobody_has_enforced_counts(project: Project) -> None:
    """Whoever wakes first: by the one statement that decides a wait, a person is as good as a clock."""
    park(project, '@workflow\ndef flow(ctx):\n    return Approval("gate", expires_in="3d")\n')
    with database(project) as connection:
        connection.execute("UPDATE smithers_waits SET due_ms = due_ms - 4 * 86400000")
    assert project.run("approve", "r1").returncode == 0
    assert await_rest(project) == "finished"
