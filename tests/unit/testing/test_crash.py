"""Deaths at every operation of the store: what is sound passes, what is planted is found, with its place."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import (
    Context,
    Loop,
    Node,
    Parallel,
    RetryPolicy,
    Saga,
    SagaStep,
    Sequence,
    Task,
    TryCatchFinally,
    Workflow,
    current,
    workflow,
)
from smithers.engine.draft import Draft as FrameDraft
from smithers.engine.job import Done, Job
from smithers.engine.memory import Memory
from smithers.engine.settling import Settling
from smithers.errors import DuplicateId
from smithers.records import StoredRun
from smithers.store.writer import SqliteWriter
from smithers.testing import PromiseBroken, ScriptedAgent, WorkflowRunner
from smithers.testing.crash.doom import Site
from smithers.testing.crash.journal import Line
from smithers.testing.crash.trial import sites_of, spread


class Draft(BaseModel):
    summary: str


class Review(BaseModel):
    approved: bool


def step(name: str) -> Task[str]:
    return Task(name, str, run=lambda: name)


@workflow
def publishing(ctx: Context) -> Node:
    return Sequence(step("write"), step("publish"), step("announce"))


def failing(name: str, times: int | None = None) -> Task[str]:
    def run() -> str:
        if times is None or current().attempt <= times:
            raise ValueError(f"{name} cannot")
        return name

    policy = RetryPolicy(retries=0) if times is None else RetryPolicy(initial_delay=30.0)
    return Task(name, str, run=run, retry_policy=policy)


@workflow
def with_everything(ctx: Context) -> Node:
    """Retries, a loop, a tolerated failure, a catch, a saga that is undone."""
    return Sequence(
        Parallel(failing("late", times=1), step("side")),
        Loop(step("again"), max_iterations=2),
        TryCatchFinally(failing("bad"), catch=step("caught"), finally_=step("last")),
        Saga(SagaStep(step("book"), step("cancel")), SagaStep(failing("pay"))),
    )


# --- What is sound ------------------------------------------------------------------------------------


def sampler(run_workflow: WorkflowRunner, sample: int) -> WorkflowRunner:
    """Tries so many sites of each call."""
    return WorkflowRunner(run_workflow.store, crash_everywhere=True, crash_sample=sample)


def test_a_workflow_that_keeps_its_promises_dies_everywhere_and_ends_as_undisturbed(
    run_workflow: WorkflowRunner,
) -> None:
    runner = sampler(run_workflow, 30)
    assert runner(with_everything).status == "partial"
    (report,) = runner.crashes
    assert report.operations > 50
    assert (report.sites, report.deaths >= 27, report.left_out > 20) == (30, True, True)
    assert report.cut_off > 0
    assert report.violations == []
    assert re.fullmatch(
        r"with-everything: \d+ operations, 30 sites of \d+, \d+ deaths, \d+ attempts cut off, 0 violations",
        str(report),
    )


def test_what_an_agent_has_said_is_not_said_again_when_its_process_dies(run_workflow: WorkflowRunner) -> None:
    @workflow(output=Draft)
    def flow(ctx: Context) -> Node:
        verdict = ctx.latest(Review, "review")
        draft = Task("draft", Draft, agent=coder, prompt="Do it.", retry_policy=RetryPolicy())
        review = Task("review", Review, agent=reviewer, deps=draft, prompt=lambda d: d.summary)
        return Loop(draft, review, until=verdict is not None and verdict.approved)

    coder = ScriptedAgent({"summary": "one"}, {"not": "a summary"}, {"summary": "two"})
    reviewer = ScriptedAgent({"approved": False}, {"approved": True})
    assert sampler(run_workflow, 25)(flow).output == Draft(summary="two")
    # The deaths were those of copies: the test sees its own run only.
    assert (coder.calls("draft"), reviewer.calls("review")) == (3, 2)


def test_a_script_of_awaits_dies_everywhere_too(run_workflow: WorkflowRunner) -> None:
    @workflow
    async def flow(ctx: Context) -> str:
        plan = await ctx.run(step("plan"))
        async for _ in ctx.loop("refine", max_iterations=2):
            plan += await ctx.run(failing("draft", times=1))
        return plan + "".join(await ctx.gather(step("one"), step("two")))

    runner = sampler(run_workflow, 20)
    assert runner(flow).output == "plandraftdraftonetwo"
    assert runner.crashes[0].deaths > 16


def test_a_resume_dies_everywhere_too(run_workflow: WorkflowRunner, tmp_path: Path) -> None:
    def flow(is_broken: bool) -> Workflow[Any, Any]:
        def publish() -> str:
            if is_broken:
                raise ValueError("not today")
            return "out"

        def tree(ctx: Context) -> Node:
            return Sequence(step("write"), Task("publish", str, run=publish, retries=0), step("announce"))

        return Workflow(tree, name="publishing")

    runner = sampler(run_workflow, 8)
    first = runner(flow(is_broken=True))
    again = runner.resume(flow(is_broken=False))
    assert (first.status, again.status) == ("failed", "finished")
    assert again.executed == ["publish", "announce"]
    over = runner.resume(flow(is_broken=False), rerun=["publish"])
    assert over.executed == ["publish"]
    assert [report.violations for report in runner.crashes] == [[], [], []]


def test_what_differs_between_undisturbed_runs_is_not_compared_and_named(
    run_workflow: WorkflowRunner,
) -> None:
    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(Task("who", str, run=lambda: str(os.getpid())), step("after"))

    runner = sampler(run_workflow, 4)
    runner(flow)
    (report,) = runner.crashes
    assert report.unsteady == ["the output of `who`"]
    assert str(report).endswith("not compared, for two undisturbed runs differ in it: the output of `who`")


def test_folders_of_the_test_are_put_back_before_each_trial_and_after_the_last(
    run_workflow: WorkflowRunner, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text("before\n")

    def note() -> str:
        with ledger.open("a") as file:
            file.write("noted\n")
        return ledger.read_text() if ledger.read_text().count("noted") < 3 else "from another trial"

    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(step("first"), Task("note", str, run=note))

    runner = WorkflowRunner(run_workflow.store, crash_everywhere=True, crash_sample=2, folders=[tmp_path])
    assert runner(flow).output == "before\nnoted\n"
    assert (runner.crashes[0].sites, runner.crashes[0].left_out > 10) == (2, True)
    assert ledger.read_text() == "before\nnoted\n"


# --- What is planted ----------------------------------------------------------------------------------


def broken(runner: WorkflowRunner, flow: Workflow[Any, Any], **how: Any) -> str:
    with pytest.raises(PromiseBroken) as raised:
        runner(flow, crash_everywhere=True, **how)
    return str(raised.value)


def test_an_effect_that_nothing_protects_is_found_where_it_happens_twice(
    run_workflow: WorkflowRunner, tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox"

    def publish() -> str:
        with outbox.open("a") as file:
            file.write("sent\n")
        return "ok"

    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(step("write"), Task("publish", str, run=publish), step("announce"))

    runner = sampler(run_workflow, 20)
    said = broken(runner, flow, files=tmp_path)
    assert re.search(
        r"died before operation \d+ \([a-z_ ]+ after frame 2: write finished, publish started\)"
        r" → the file outbox is 'sent\\nsent\\n', not 'sent\\n' \(`publish` executed twice\)",
        said,
    )
    violations = runner.crashes[0].violations
    assert said.endswith(f"(`publish` executed twice), and at {len(violations) - 1} more sites")


def test_a_settlement_that_loses_what_finished_is_found_with_its_frame(
    run_workflow: WorkflowRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Settling._finish

    def forgetful(self: Settling, draft: FrameDraft, job: Job, done: Done) -> None:
        finish(self, draft, job, done)
        if job.key.node == "publish":
            # Its attempt ends and its output is stored; that it has finished is not.
            draft.write.settled = [end for end in draft.write.settled if end.key != job.key]

    restore = Memory.restore

    def blind(self: Memory, stored: StoredRun, in_flight: Any) -> Any:
        stored.outputs = [row for row in stored.outputs if row.key.node != "publish"]
        return restore(self, stored, in_flight)

    monkeypatch.setattr(Settling, "_finish", forgetful)
    monkeypatch.setattr(Memory, "restore", blind)
    said = broken(run_workflow, publishing)
    assert "`publish` has a finished attempt, and has not finished" in said


def test_a_commit_that_is_acknowledged_and_not_stored_is_found(
    run_workflow: WorkflowRunner, monkeypatch: pytest.MonkeyPatch
) -> None:

    def hasty(self: SqliteWriter) -> None:
        """Says that it is stored when it is about to be: the next one takes it along."""

    commit, alone = SqliteWriter._commit, SqliteWriter._commit_alone

    def joined(self: SqliteWriter, frame: Any) -> Exception | None:
        is_last = frame.run_change is not None and frame.run_change.release
        monkeypatch.setattr(SqliteWriter, "_commit", commit if is_last else hasty)
        return alone(self, frame)

    monkeypatch.setattr(SqliteWriter, "_commit_alone", joined)
    monkeypatch.setattr(
        "smithers.store.writer.begin",
        lambda connection: connection.in_transaction or connection.execute("BEGIN IMMEDIATE"),
    )
    said = broken(run_workflow, publishing)
    assert "attempt 1 of `write` executed twice" in said


def test_runs_that_do_not_end_alike_undisturbed_cannot_be_compared(run_workflow: WorkflowRunner) -> None:
    @workflow
    def flow(ctx: Context) -> Node:
        return Task(f"by-{os.getpid()}", str, value="x")

    assert "do not end alike" in broken(run_workflow, flow)


def test_what_is_refused_is_refused_as_ever(run_workflow: WorkflowRunner) -> None:
    @workflow
    def flow(ctx: Context) -> Node:
        return Sequence(step("a"), step("a"))

    with pytest.raises(DuplicateId):
        run_workflow(flow, crash_everywhere=True)


# --- Which sites --------------------------------------------------------------------------------------


def test_sites_are_before_each_operation_and_after_each_commit() -> None:
    assert sites_of(Line("count", operation=3, data=(2,))) == [
        Site(1, "before"),
        Site(2, "before"),
        Site(2, "after"),
        Site(3, "before"),
    ]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [(None, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4, 5]), (3, [1, 3, 5]), (2, [1, 5]), (1, [5])],
)
def test_a_sample_is_evenly_spread(sample: int | None, expected: list[int]) -> None:
    sites = [Site(number, "before") for number in range(1, 6)]
    assert [site.operation for site in spread(sites, sample)] == expected
