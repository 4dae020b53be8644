"""A run that waits, answered from outside while its process dies at every operation of the store in turn."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import BaseModel

from smithers import (
    Approval,
    Context,
    HumanTask,
    Loop,
    Node,
    Parallel,
    Sequence,
    Task,
    Timer,
    WaitForEvent,
    Workflow,
)
from smithers.clock import SystemClock
from smithers.errors import AlreadyDecided
from smithers.observe.waits import open_below
from smithers.records import WaitKind
from smithers.reply.fit import answer, decision
from smithers.reply.send import send_signal
from smithers.store import open_store
from smithers.testing import WorkflowRunner

PATIENCE_S = 20.0
SAMPLE = int(os.environ.get("SMITHERS_CRASH_SITES", "30"))
"""Moments of death, evenly spread; 0: all that there are, which takes minutes."""


class Word(BaseModel):
    text: str


def reply(store: Path, node: str) -> str:
    """What a person does at another terminal: look until it is asked, and answer."""
    opened = open_store(store, clock=SystemClock(), create=False)
    until = time.monotonic() + PATIENCE_S
    with closing(opened.reader()) as reader, closing(opened.outsider()) as outsider:
        while time.monotonic() < until:
            run = reader.run("r1")
            rows = [row for row in reader.waits(run.id) if row.key.node == node]
            if rows and all(not row.is_open for row in rows):
                return "answered before"  # by an attempt that died
            views = [view for view in open_below(reader, run) if view.row.key.node == node]
            for view in views:
                try:
                    if view.row.kind is WaitKind.APPROVAL:
                        outsider.vote(decision(view, is_approved=True, by="ann", now_ms=0))
                    elif view.row.kind is WaitKind.HUMAN:
                        outsider.vote(answer(view, "so", by="ann", now_ms=0))
                    else:
                        send_signal(reader, outsider, run, node, {"text": "come"}, None, by="ann")
                except AlreadyDecided:
                    pass
                return "answered"
            time.sleep(0.005)
    raise TimeoutError(f"{node} does not wait")


def everything(store: Path) -> Workflow[Word, Word]:
    """A gate, a question, a signal and times, side by side and in a loop, and somebody who answers each."""

    def person(node: str) -> Task[str]:
        def run() -> str:
            reply(store, node)
            return node

        return Task(f"person:{node}", str, run=run)

    def behind(wait: Node, name: str) -> Sequence:
        return Sequence(wait, Task(f"after:{name}", Word, run=lambda: Word(text=name)))

    def tree(ctx: Context) -> Node:
        gate = Approval("gate", expires_in="300d", remind_every="100d")
        ask = HumanTask("ask", str, prompt="What?")
        signal = WaitForEvent("signal", Word)
        early = WaitForEvent("early", timeout=30, on_timeout="skip")
        times = Loop(behind(Timer("timer", duration=20), "timer"), max_iterations=2)
        waits = [behind(gate, "gate"), behind(ask, "ask"), behind(signal, "signal"), early, times]
        people = [person(node) for node in ("gate", "ask", "signal")]
        return Sequence(Parallel(*waits, *people), Task("last", Word, run=lambda: Word(text="over")))

    return Workflow(tree, name="everything", output=Word)


@pytest.mark.slow
def test_what_was_answered_counts_wherever_the_process_of_the_run_dies(run_workflow: WorkflowRunner) -> None:
    runner = WorkflowRunner(run_workflow.store, crash_everywhere=True, crash_sample=SAMPLE or None)
    found = runner(everything(run_workflow.store))
    (report,) = runner.crashes
    print(f"\n{report}; not compared: {report.unsteady}")
    assert (found.status, report.violations) == ("finished", [])
    assert report.sites == (SAMPLE or report.sites)
    assert report.deaths > 0.8 * report.sites
