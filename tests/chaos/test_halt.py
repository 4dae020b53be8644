"""A pause or a cancel that comes at any moment of a run's life, from another connection."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from smithers import Context, Node, Sequence, Task, Workflow
from smithers.engine.control import Control, Outcome, Silence
from smithers.engine.hosts import close_hosts, host_for
from smithers.engine.order import Order
from smithers.records import InboxKind, RunRow, RunState
from smithers.store import Store

RUNS = 150


def flow_of(random: Random, ran: list[str]) -> Workflow[Any, Any]:
    def task(name: str) -> Task[str]:
        def run() -> str:
            time.sleep(random.random() * 0.06)
            ran.append(name)
            return name

        return Task(name, str, run=run)

    def flow(ctx: Context) -> Node:
        return Sequence(*(task(f"t{number}") for number in range(4)))

    return Workflow(flow)


def ask(store: Store, run: RunRow, random: Random) -> Outcome:
    kind = random.choice([InboxKind.PAUSE, InboxKind.CANCEL])

    def nobody(silence: Silence) -> None:
        raise AssertionError(f"{silence.run} has a living owner")

    order = Order(kind, "chaos", is_now=random.random() < 0.3)
    (found,) = Control(store, order, patience_ms=5_000, tell=nobody).apply([run])
    return found


def test_it_is_done_or_finds_the_run_ended_and_a_resume_loses_nothing(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    seed = pytestconfig.getoption("--first-seed")
    print(f"seed {seed}")
    random = Random(seed)
    path = tmp_path / ".smithers" / "smithers.db"
    store = host_for(path).store
    try:
        for number in range(RUNS):
            ran: list[str] = []
            flow = flow_of(random, ran)
            handle = flow.start(host_for(path), run_id=f"r{number}")
            time.sleep(random.random() * 0.15)
            with closing(store.reader()) as reader:
                found = ask(store, reader.run(f"r{number}"), random)
                end = handle.ended.result(10)
                after = reader.run(f"r{number}")
                waiting = reader.inbox(after.id)
            assert found.means.is_done
            assert found.run.state is after.state is end.state
            # What was not taken came after the end; a paused run leaves nothing unread.
            assert after.state.has_ended or not waiting
            if after.state in (RunState.PAUSED, RunState.CANCELLED):
                assert flow.run_sync(run_id=after.name, resume=True, store=path).status == "finished"
    finally:
        close_hosts()
