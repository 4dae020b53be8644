"""What people say to a run that waits, in worlds where nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from smithers import Approval, HumanTask, Parallel, Sequence, Task, Timer
from smithers.engine.order import Order
from smithers.engine.undriven import obey_undriven
from smithers.errors import AlreadyDecided
from smithers.records import FrameWrite, InboxKind, RunState, Vote, WaitKind
from smithers.store.writer import SqliteWriter
from tests.simulator.clocks import SECOND, World


class Even(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def _is_even(cls, n: int) -> int:
        if n % 2:
            raise ValueError(f"{n} is odd")
        return n


def answers(node: str, value: Any, by: str) -> Callable[[World], None]:
    def happens(world: World) -> None:
        wait = next(wait for wait in world.waits() if wait.ref.key.node == node)
        if wait.kind == WaitKind.APPROVAL:
            word, data = "approve", {"approved": value}
        else:
            word, data = "answer", {"value": value}
        data = {**data, "by": by, "at": "2025-06-15T15:06:40.000+00:00"}
        quorum = int(json.loads(wait.spec).get("quorum", 1))
        world.outsider.vote(Vote(wait.run, wait.ref, word, data, by, quorum=quorum))
        world.told()

    return happens


@pytest.mark.parametrize("linger_ms", [None, 0])
def test_who_gave_an_answer_that_does_not_fit_may_give_another(linger_ms: int | None) -> None:
    ask = HumanTask("ask", Even, prompt="Which?", timeout="1h")
    happens = [(5 * SECOND, answers("ask", {"n": 1}, "ann")), (9 * SECOND, answers("ask", {"n": 2}, "ann"))]
    world = World(1, ask, happens, [linger_ms])
    assert (world.run().firings, world.elapsed_ms < 20 * SECOND) == (0, True)


def test_who_has_approved_does_not_count_twice() -> None:
    def twice(world: World) -> None:
        answers("gate", True, "ann")(world)
        with pytest.raises(AlreadyDecided, match="ann has said that"):
            answers("gate", True, "ann")(world)

    gate = Approval("gate", quorum=2, expires_in="1m", on_deny="continue")
    world = World(1, gate, [(5 * SECOND, twice)], [None])
    assert world.run().firings == 1


@pytest.mark.parametrize("span_ms", [1, 5])
def test_a_span_that_is_over_before_the_first_frame_is_no_mistake(span_ms: int) -> None:
    def slow() -> bool:
        world.clock.advance(0.02)
        return False

    tree = Sequence(Timer("short", duration=span_ms / 1000, skip_if=slow), Timer("next", duration=1))
    world = World(1, tree, (), [0])
    assert world.run().firings == 2


def undriven(world: World, kind: InboxKind) -> None:
    """Somebody pauses or cancels the run while nobody drives it."""
    row = world.row()
    assert row is not None
    assert row.state is RunState.WAITING
    obey_undriven(world.store, row, Order(kind, "somebody"))  # type: ignore[arg-type] # in memory


def waiting_tree() -> Parallel:
    gate = Approval("gate", expires_in="1h", remind_every="1m")
    return Parallel(gate, Timer("timer", duration=600), Task("work", str, run=lambda: "done"))


def test_a_cancel_of_a_run_that_nobody_drives_leaves_no_open_wait_and_no_deadline() -> None:
    world = World(1, waiting_tree(), [(5 * SECOND, lambda world: undriven(world, InboxKind.CANCEL))], [0])
    assert world.run().firings == 0  # its end is looked at by the world: no wait, no wake-up
    row = world.last_row
    assert row is not None
    assert row.state is RunState.CANCELLED


def test_what_is_said_to_a_run_while_somebody_pauses_it_is_not_lost() -> None:
    def happens(world: World) -> None:
        answers("ask", {"n": 2}, "ann")(world)
        world.resume_at = None
        undriven(world, InboxKind.PAUSE)
        row = world.row()
        assert row is not None
        kept = [message.kind for message in world.reader.inbox(row.id)]
        assert kept == [InboxKind.DECIDED]
        world.resume_at = world.elapsed_ms + SECOND

    ask = HumanTask("ask", Even, prompt="Which?", timeout="1h")
    world = World(1, ask, [(5 * SECOND, happens)], [0])
    assert world.run().firings == 0


def test_who_decides_while_the_frame_of_its_expiry_is_on_its_way_has_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit, raced = SqliteWriter.commit, False

    def slow(self: SqliteWriter, frames: SequenceOf[FrameWrite]) -> list[Exception | None]:
        nonlocal raced
        if not raced and any(frame.wait_ends for frame in frames):
            raced = True
            answers("gate", True, "ann")(world)
        return commit(self, frames)

    monkeypatch.setattr(SqliteWriter, "commit", slow)
    gate = Approval("gate", expires_in="1m", on_expire="fail")
    world = World(1, gate, (), [None])
    found = world.run()
    # It has not fired: the frame was refused, and made again by what was decided.
    assert (found.firings, raced) == (0, True)
    assert world.last_row is not None
    assert world.last_row.state is RunState.FINISHED
