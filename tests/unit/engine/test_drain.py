"""A pause that drains: nothing begins, what runs ends by itself and counts, and what that ends has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from smithers import Context, Loop, Node, Parallel, Sequence, Task, Workflow
from smithers.engine.fleet import Step
from smithers.engine.handle import Handle, RunEnd
from smithers.engine.hosts import host_for
from smithers.engine.order import Order
from smithers.errors import MessagesWaiting
from smithers.records import EventType, FrameWrite, InboxKind, InboxRow, RunState
from tests.unit.engine.play import QUICK, Number, Play, quick, until


class Gate:
    """Lets tasks begin, and holds them until it is opened."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._open = threading.Event()

    def task(self, name: str, *, fails: bool = False, retries: int = 0) -> Task[Number]:
        def run() -> Number:
            self._play.call(name)
            assert self._open.wait(10)
            if fails:
                raise ValueError("broken")
            return Number(n=1)

        return Task(name, Number, run=run, retry_policy=quick(retries))

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(play: Play) -> Gate:
    return Gate(play)


def begin(play: Play, flow: Callable[[Context], object], *held: str) -> Handle:
    """Start run `r`, and wait until these tasks run."""
    handle = Workflow(flow).start(host_for(play.store), run_id="r")
    until(lambda: all(play.calls[name] for name in held))
    return handle


def ask(play: Play, kind: InboxKind = InboxKind.PAUSE, *, is_now: bool = False) -> None:
    """Send a message, and wait until the owner has told of it."""
    order = Order(kind, "somebody", is_now)
    before = len(play.events(order.asked))
    with closing(host_for(play.store).store.outsider()) as outsider, play.reader() as reader:
        outsider.post(reader.run("r").id, order.kind, order.by, order.data)
    until(lambda: len(play.events(order.asked)) > before)


def end(handle: Handle) -> RunEnd:
    return handle.ended.result(10)


def test_what_runs_is_kept_nothing_begins_and_whose_wish_it_was_is_told(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(gate.task("a"), gate.task("b"))

    handle = begin(play, flow, "a")
    ask(play)
    gate.open()
    found = end(handle)
    assert (found.state, found.asked_by) == (RunState.PAUSED, "somebody")
    assert play.states() == {"a": "finished"}
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 1, "b": 1}


def test_a_run_whose_last_task_ended_has_finished_and_is_not_paused(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return Loop(gate.task("a"), until=lambda: True)

    handle = begin(play, flow, "a")
    ask(play)
    gate.open()
    assert (end(handle).state, end(handle).asked_by) == (RunState.FINISHED, None)


def test_a_loop_is_judged_and_its_next_pass_does_not_begin(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return Loop(gate.task("a"), until=False, max_iterations=2)

    handle = begin(play, flow, "a")
    ask(play)
    gate.open()
    assert end(handle).state is RunState.PAUSED
    assert play.events(EventType.PASS_ENDED) == ["loop:a"]
    assert play.calls == {"a": 1}
    assert play.resume(flow).status == "finished"
    assert play.calls == {"a": 2}


def test_a_task_that_fails_for_good_meanwhile_fails_the_run(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(gate.task("a", fails=True), gate.task("b"))

    handle = begin(play, flow, "a")
    ask(play)
    gate.open()
    assert end(handle).state is RunState.FAILED
    assert play.calls == {"a": 1}


def test_a_failure_that_is_tried_again_leaves_its_next_try_to_the_resume(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return gate.task("a", fails=True, retries=1)

    handle = begin(play, flow, "a")
    ask(play)
    gate.open()
    assert end(handle).state is RunState.PAUSED
    assert len(play.attempts("a")) == 1
    assert play.resume(flow).status == "failed"
    assert len(play.attempts("a")) == 2


def test_a_group_that_cancels_on_failure_still_does(play: Play, gate: Gate) -> None:
    async def for_ever() -> Number:
        import asyncio

        play.call("long")
        await asyncio.sleep(60)
        return Number(n=1)

    def flow(ctx: Context) -> Node:
        return Parallel(gate.task("a", fails=True), Task("long", Number, run=for_ever), on_failure="cancel")

    handle = begin(play, flow, "a", "long")
    ask(play)
    gate.open()
    assert end(handle).state is RunState.FAILED
    assert play.states()["long"] == "cancelled"


def test_a_second_pause_may_cut_off_what_the_first_one_let_run(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return gate.task("a")

    handle = begin(play, flow, "a")
    ask(play)
    ask(play, is_now=True)
    assert end(handle).state is RunState.PAUSED
    assert play.states() == {}
    gate.open()
    assert play.resume(flow).status == "finished"


def test_a_cancel_overtakes_it(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return gate.task("a")

    handle = begin(play, flow, "a")
    ask(play)
    ask(play, InboxKind.CANCEL)
    assert end(handle).state is RunState.CANCELLED
    gate.open()


def test_a_message_counts_as_taken_when_it_has_been_obeyed(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(gate.task("a"), gate.task("b"))

    def open_messages() -> int:
        with closing(host_for(play.store).store.writer()) as writer, play.reader() as reader:
            return len(writer.load(reader.run("r").id).inbox)

    handle = begin(play, flow, "a")
    ask(play)
    assert open_messages() == 1  # an owner that died now would leave it to the next
    gate.open()
    end(handle)
    assert open_messages() == 0


def test_a_run_rebuilt_from_its_rows_goes_on_draining(play: Play, gate: Gate) -> None:
    def flow(ctx: Context) -> Node:
        return Sequence(gate.task("a"), gate.task("b"))

    handle = begin(play, flow, "a")
    ask(play)
    engine = host_for(play.store).engine
    rebuilt = threading.Event()

    def rebuild(frame: FrameWrite) -> None:
        if not rebuilt.is_set():
            rebuilt.set()
            step = Step(engine.fleet._driven[handle.run], frame, [])
            engine.fleet._rebuild(step, MessagesWaiting("once more, from the rows"))

    handle.watchers.append(rebuild)
    gate.open()
    assert end(handle).state is RunState.PAUSED
    assert rebuilt.is_set()
    assert play.calls == {"a": 1}


def test_a_pause_of_a_run_that_has_ended_does_not_stop_its_resume(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def run() -> Number:
            if play.call("a") == 1:
                raise ValueError("broken")
            return Number(n=1)

        return Task("a", Number, run=run, no_retry=True)

    assert play.run(flow).status == "failed"
    with closing(host_for(play.store).store.outsider()) as outsider, play.reader() as reader:
        outsider.post(reader.run("r").id, InboxKind.PAUSE, "somebody")
    assert play.resume(flow).status == "finished"


def test_a_python_program_waits_for_ever_unless_it_says_how_long(play: Play) -> None:
    def flow(ctx: Context) -> Node:
        def run() -> Number:
            if play.call("a") < 3:
                raise ValueError("not yet")
            return Number(n=1)

        return Task("a", Number, run=run, retry_policy=QUICK)

    handle = Workflow(flow).start(host_for(play.store), run_id="r", linger_ms=0)
    found = end(handle)
    assert (found.state, [wait.key.node for wait in found.waits]) == (RunState.WAITING, ["a"])
    assert play.calls == {"a": 1}
    assert play.resume(flow).status == "finished"


@pytest.mark.parametrize("data", [None, "", "{}", "[]", "no json", '{"now": "yes"}', '{"now": false}'])
def test_a_message_that_cannot_be_read_asks_for_the_gentler_thing(data: str | None) -> None:
    assert not Order.of(InboxRow(1, InboxKind.PAUSE, data, 0, "somebody")).is_now


def test_an_order_comes_back_from_its_message_as_it_was_given() -> None:
    for order in (Order(InboxKind.PAUSE, "a", is_now=True), Order(InboxKind.PAUSE, "b")):
        assert Order.of(InboxRow(1, order.kind, order.data, 0, order.by)) == order
