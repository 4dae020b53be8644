"""Which runs tell of their end, and what."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from smithers import Budget, Context, ContinueAsNew, Node, Parallel, Subflow, Task, workflow
from smithers.engine.definition import Definition
from smithers.engine.draft import Draft
from smithers.engine.hosts import close_hosts
from smithers.engine.memory import Memory
from smithers.engine.message import New
from smithers.errors import NotifyInvalid
from smithers.ids import NodeKey
from smithers.records import NoticeKind, NoticeRow, NoticeWrite, RunState
from smithers.testing.simulator.fault import Kind, StoreFault
from tests.unit.engine.play import Number, Play, Word
from tests.unit.engine.test_budgets import Spender
from tests.unit.engine.test_fleet import TERMS, Stage, value, word


def configure(play: Play, on: str | None = None) -> None:
    more = f"\non = {on}" if on else ""
    play.store.with_name("config.toml").write_text(f'[notify]\ncommand = "cat >> told; echo >> told"{more}')


def told(play: Play) -> list[dict[str, Any]]:
    """What the command was given, once all of it is delivered."""
    close_hosts()
    file = play.store.with_name("told")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def rows(play: Play) -> list[NoticeRow]:
    with play.reader() as reader:
        return reader.notices(None, 10)


def fail() -> Number:
    raise ValueError("no")


def test_a_run_that_finishes_is_told_of_once(play: Play) -> None:
    configure(play)
    play.run(lambda ctx: Task("one", Number, value={"n": 1}))
    (found,) = told(play)
    assert (found["kind"], found["run"], found["status"]) == ("finished", "r", "finished")
    assert (found["title"], found["commands"]) == ("r finished", ["smithers output r"])
    assert "error" not in found
    play.resume(lambda ctx: Task("one", Number, value={"n": 1}))  # is finished already
    assert len(told(play)) == 1


def test_a_run_that_fails_is_told_of_with_its_error_and_again_when_it_fails_again(play: Play) -> None:
    configure(play)

    def flow(ctx: Context) -> Node:
        return Task("one", Number, run=fail, no_retry=True)

    play.run(flow)
    (found,) = told(play)
    assert (found["kind"], found["summary"]) == ("failed", "[TASK_FAILED] one failed: no")
    assert found["error"] == {"code": "TASK_FAILED", "message": "one failed: no"}
    assert found["commands"] == ["smithers why r", "smithers up --resume r"]
    play.resume(flow)
    assert [one["kind"] for one in told(play)] == ["failed", "failed"]


def test_a_run_that_is_partial_is_told_of(play: Play) -> None:
    configure(play)

    def flow(ctx: Context) -> Node:
        return Parallel(Task("one", Number, run=fail, no_retry=True, continue_on_fail=True))

    assert play.run(flow).status == "partial"
    assert [one["kind"] for one in told(play)] == ["partial"]


def test_a_run_that_is_paused_by_a_budget_is_told_of(play: Play) -> None:
    configure(play)

    def flow(ctx: Context) -> Node:
        tasks = [Task(f"t{n}", Word, agent=Spender(), prompt="Go.") for n in range(2)]
        return Budget(*tasks, usd=1, on_exceeded="ask")

    assert play.run(flow).status == "paused"
    (found,) = told(play)
    assert (found["kind"], found["status"]) == ("budget", "paused")
    assert found["title"] == "r is paused: a budget is used up"
    assert found["error"]["code"] == "BUDGET_EXCEEDED"


def test_only_what_is_wanted_is_written(play: Play) -> None:
    configure(play, '["failed"]')
    play.run(lambda ctx: Task("one", Number, value={"n": 1}))
    assert rows(play) == []


def test_runs_of_nodes_are_told_of_by_the_run_that_they_belong_to(play: Play) -> None:
    configure(play)

    @workflow
    def child(ctx: Context) -> Node:
        return Task("one", Number, run=fail, no_retry=True)

    play.run(lambda ctx: Subflow("sub", child, Number))
    assert [(one["run"], one["kind"]) for one in told(play)] == [("r", "failed")]


def test_a_run_that_goes_on_as_another_tells_of_the_last_one(play: Play) -> None:
    configure(play)

    def flow(ctx: Context) -> Node:
        return ContinueAsNew({"n": 1}) if ctx.state() is None else Task("one", Number, value={"n": 1})

    play.run(flow)
    assert [(one["run"], one["kind"]) for one in told(play)] == [("r-2", "finished")]


def test_without_a_configuration_there_is_neither_a_row_nor_a_thread(play: Play) -> None:
    names = []

    def look() -> Number:
        names.extend(thread.name for thread in threading.enumerate())
        return Number(n=1)

    play.run(lambda ctx: Task("one", Number, run=look))
    assert "smithers-engine" in names
    assert "smithers-courier" not in names
    assert rows(play) == []


def test_a_configuration_that_cannot_be_meant_is_refused_before_there_is_a_run(play: Play) -> None:
    play.store.with_name("config.toml").write_text("[notify]\ncommand = 3")
    with pytest.raises(NotifyInvalid):
        play.run(lambda ctx: Task("one", Number, value={"n": 1}))
    play.store.with_name("config.toml").unlink()
    assert play.run(lambda ctx: Task("one", Number, value={"n": 1})).status == "finished"


def test_a_notice_of_a_wait_says_which_and_leaves_out_what_is_not_there() -> None:
    memory = Memory("r", "{}", None)
    key = NodeKey("ship", "", 2)
    memory.generations[key] = 4
    draft = Draft(memory, 1, 1, 0, frozenset({NoticeKind.APPROVAL}))
    draft.notice(
        NoticeKind.APPROVAL,
        key,
        number=1,
        title="Ship\n  it?",
        summary="s" * 5000,
        options=("a", "b"),
        decisions=("approve", "deny"),
        due_ms=5,
        error={"code": "E", "message": "m" * 1000, "hint": "h"},
    )
    draft.notice(NoticeKind.QUESTION, key, title="Why?")
    (found,) = draft.write.notices
    assert found == NoticeWrite(NoticeKind.APPROVAL, found.data, key, 4, 1)
    data = json.loads(found.data)
    assert len(data.pop("error")["message"]) == 300
    assert len(data.pop("summary")) == 4000
    assert data == {"title": "Ship it?", "options": ["a", "b"], "decisions": ["approve", "deny"], "due_ms": 5}


@pytest.mark.parametrize("tree", [value("a"), Task("a", str, run=word)])
@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.IOERR])
def test_a_commit_in_doubt_tells_of_the_end_once_and_wakes_who_delivers(kind: Kind, tree: Node) -> None:
    logger = logging.getLogger("smithers")
    logger.disabled = True
    terms = replace(TERMS, notices=frozenset({NoticeKind.FINISHED}))
    doubts = 0
    try:
        for operation in range(60):
            with closing(Stage()) as stage:
                handle = stage.process.engine.handle()
                woken: list[int] = []
                effects = stage.process.engine._effects
                object.__setattr__(effects, "deliver", partial(woken.append, 1))
                definition = Definition("flow", lambda ctx: tree, None, None, None)
                stage.process.engine.post(New(definition, "r", "{}", {}, terms, handle))
                stage.sites._faults = (StoreFault(kind, stage.sites.count + operation),)
                stage.go()
                with closing(stage.store.connect()) as look:
                    notices = look.execute("SELECT kind FROM smithers_notices").fetchall()
                    states = look.execute("SELECT state FROM smithers_runs").fetchall()
                has_ended = states == [(RunState.FINISHED,)]
                assert notices == ([("finished",)] if has_ended else []), (operation, stage.sites.met)
                assert bool(woken) or not has_ended
                doubts += bool(stage.sites.met and "COMMIT" in stage.sites.met[0])
    finally:
        logger.disabled = False
    assert doubts
