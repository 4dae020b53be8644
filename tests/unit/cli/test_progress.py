"""What a run does now, as its frames tell it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from smithers import Branch, Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, workflow
from smithers.cli.progress import Progress, clock, first_line
from smithers.cli.spot import Bucket, Group, Leaf, Standing
from smithers.engine.host import Host
from smithers.ids import NodeKey
from smithers.observe.node_view import NodeViews
from smithers.observe.snapshot import take
from smithers.records import (
    AttemptStart,
    EventType,
    FrameWrite,
    Mount,
    NewRun,
    NodeEnd,
    NodeState,
    Wakeup,
)
from smithers.store import Store
from tests.unit.cli.frames import (
    CANCELLED,
    FAILED,
    FINISHED,
    RETRYING,
    SKIPPED,
    STARTED,
    TASK,
    Teller,
    loop,
    parallel,
    tasks,
    tolerate,
)


@pytest.fixture
def teller() -> Teller:
    return Teller(Progress())


def test_tasks_are_counted_where_they_stand_and_in_everything_around_them(teller: Teller) -> None:
    teller.mount({"all": parallel({**tasks("a", "b"), "inner": parallel(tasks("c"))})})
    teller.tell((STARTED, "a"), (STARTED, "c"))
    teller.tell((FINISHED, "c"))
    assert teller.progress.summary() == "1/3 settled · 1 running"
    assert teller.group("all").counts[Standing.RUNNING] == 1
    assert teller.group("all", "inner").settled == 1
    assert teller.group("all", "inner").bucket is Bucket.DONE
    assert teller.group("all").bucket is Bucket.ACTIVE


def test_a_retry_is_counted_until_the_next_attempt_and_is_due_when_its_wakeup_says(teller: Teller) -> None:
    teller.mount(tasks("a"))
    teller.tell((STARTED, "a"))
    teller.tell(
        (RETRYING, "a", 1, {"message": "refused\nin two lines", "delay_ms": 10}),
        wakeups=[Wakeup(NodeKey("a"), "retry", 9_000)],
    )
    leaf = teller.leaf("a")
    assert teller.progress.summary() == "0/1 settled · 1 retrying"
    assert (leaf.due_ms, leaf.message) == (9_000, "refused")
    teller.tell((STARTED, "a", 2))
    assert teller.progress.summary() == "0/1 settled · 1 running"
    assert (leaf.due_ms, leaf.message, leaf.attempt, leaf.first_ms) == (None, None, 2, 1_000)


def test_what_waits_because_its_own_run_does_counts_down_like_a_retry(teller: Teller) -> None:
    teller.mount(tasks("a"))
    teller.tell((STARTED, "a"))
    teller.tell(
        (EventType.NODE_BLOCKED, "a", 1, {"waits_for": "run r.a"}),
        wakeups=[Wakeup(NodeKey("a"), "child", 9_000)],
    )
    assert (teller.leaf("a").standing, teller.leaf("a").due_ms) == (Standing.WAITING, 9_000)
    assert teller.progress.next_due_ms() == 9_000


def test_a_run_that_goes_on_as_a_new_one_is_shown_from_its_beginning(teller: Teller) -> None:
    teller.mount(tasks("a", "b"))
    teller.tell((STARTED, "a"))
    teller.tell((FINISHED, "a"), settled=[NodeEnd(NodeKey("a"), 0, NodeState.FINISHED, 1)])
    then = FrameWrite(2, 1, 1, 0, 0, 1, 1_000)
    then.creates = NewRun("r-2", "flow", "flow.py:flow", "{}", {}, 1_000, 1, carried="1")
    teller.tell(then=then)
    teller.run = 2
    teller.mount(tasks("a"))
    assert teller.progress.summary() == "0/1 settled"
    assert teller.progress.warnings == ["goes on as r-2"]


def test_a_failure_is_settled_only_when_it_was_tolerated(teller: Teller) -> None:
    teller.mount(tasks("a", "b"))
    teller.tell((STARTED, "a"), (STARTED, "b"))
    unhandled = NodeEnd(NodeKey("b"), 0, NodeState.FAILED, 1)
    teller.tell((FAILED, "a", 1, {"message": "x"}), (FAILED, "b", 1), settled=[tolerate("a"), unhandled])
    assert teller.progress.summary() == "1/2 settled · 2 failed"


def test_an_attempt_that_is_cancelled_with_its_run_is_open_and_says_why(teller: Teller) -> None:
    teller.mount(tasks("a", "b"))
    teller.tell((STARTED, "a"), (STARTED, "b"))
    teller.tell(
        (CANCELLED, "a"), (CANCELLED, "b"), settled=[NodeEnd(NodeKey("b"), 0, NodeState.CANCELLED, 1)]
    )
    assert (teller.leaf("a").standing, teller.leaf("a").message) == (Standing.PENDING, "interrupted")
    assert teller.leaf("b").standing is Standing.CANCELLED
    assert teller.progress.running == {}


def test_a_pass_begins_with_all_its_tasks_pending_and_their_names_say_which(teller: Teller) -> None:
    teller.mount({"again": loop(tasks("a", "b"))})
    teller.tell((STARTED, "a"))
    teller.tell((FINISHED, "a"), (SKIPPED, "b", 0, {"reason": "skip_if"}))
    assert teller.leaf("again", "a").shown == "a[0]"
    teller.tell(
        (EventType.PASS_ENDED, "again", 0, {"pass": 0, "verdict": "next"}),
        (STARTED, NodeKey("a", "", 1)),
    )
    group = teller.group("again")
    assert (group.pass_, group.counts[Standing.RUNNING], group.counts[Standing.PENDING]) == (1, 1, 1)
    assert teller.leaf("again", "a").shown == "a[1]"
    assert teller.leaf("again", "b").message is None


def test_an_inner_loop_begins_anew_with_each_outer_pass(teller: Teller) -> None:
    teller.mount({"outer": loop({"inner": loop(tasks("a"))})})
    inner = NodeKey("inner")
    teller.tell((EventType.PASS_ENDED, inner, 0, {"pass": 0, "verdict": "next"}))
    teller.tell((STARTED, NodeKey("a", "outer=0", 1)), (FINISHED, NodeKey("a", "outer=0", 1)))
    teller.tell((EventType.LOOP_DONE, inner, 0, {"pass": 1, "verdict": "until"}))
    assert teller.leaf("outer", "inner", "a").standing is Standing.FINISHED
    teller.tell((EventType.PASS_ENDED, "outer", 0, {"pass": 0, "verdict": "next"}))
    assert teller.group("outer", "inner").pass_ == 0
    assert teller.group("outer", "inner").verdict is None
    assert teller.leaf("outer", "inner", "a").shown == "a[0]@outer=1"
    assert teller.progress.summary() == "0/1 settled"


def test_a_task_that_leaves_the_tree_while_it_runs_is_still_known_to_run(teller: Teller) -> None:
    teller.mount(tasks("a", "b"))
    teller.tell((STARTED, "a"))
    teller.tell(unmounted=["a"])
    assert [leaf.node for leaf in teller.progress.gone()] == ["a"]
    assert teller.progress.summary() == "0/1 settled · 1 running"
    teller.tell((FINISHED, "a"))
    assert teller.progress.summary() == "0/1 settled"


def test_a_task_that_returns_to_the_tree_is_what_it_was(teller: Teller) -> None:
    teller.mount(tasks("a"))
    teller.tell((STARTED, "a"), (FINISHED, "a"))
    teller.tell(unmounted=["a"])
    assert teller.progress.summary() == "0/0 settled"
    teller.tell(mounted=[Mount("a", None, 0, TASK)])
    assert teller.progress.summary() == "1/1 settled"


def test_a_container_that_moves_takes_its_tasks_with_it(teller: Teller) -> None:
    teller.mount({"left": parallel({"moving": parallel(tasks("a", "b"))}), "right": parallel({})})
    teller.tell((STARTED, "a"), (FINISHED, "a"))
    moved = Mount("moving", "right", 0, '{"kind":"parallel"}')
    teller.tell(unmounted=["moving"], mounted=[moved])
    assert teller.group("left").total == 0
    assert (teller.group("right").settled, teller.group("right").total) == (1, 2)
    assert teller.group("right").size == 4
    assert teller.progress.summary() == "1/2 settled"


def test_children_stand_in_the_order_of_their_positions(teller: Teller) -> None:
    teller.mount(tasks("b", "d"))
    teller.tell(
        unmounted=["b", "d"],
        mounted=[
            Mount(node, None, position, TASK) for node, position in {"d": 3, "b": 1, "c": 2, "a": 0}.items()
        ],
    )
    assert list(teller.progress.root.children) == ["a", "b", "c", "d"]
    assert [spot.node for spot in teller.progress.root.buckets[Bucket.PENDING]] == ["a", "b", "c", "d"]


def test_the_agent_that_works_is_known(teller: Teller) -> None:
    teller.mount(tasks("a"))
    start = AttemptStart(NodeKey("a"), 0, 1, 0, 0, "codex")
    teller.tell((STARTED, "a"), started=[start])
    assert teller.leaf("a").agent == "codex"


def test_warnings_wait_for_a_display(teller: Teller) -> None:
    teller.mount(tasks("a"))
    teller.tell((EventType.RUN_WARNING, "a", 0, {"message": "waits for b, which is not mounted"}))
    assert teller.progress.warnings == ["a: waits for b, which is not mounted"]


@pytest.mark.parametrize(
    ("ms", "text"), [(-5, "00:00"), (999, "00:00"), (42_000, "00:42"), (3_600_000, "1:00:00")]
)
def test_a_counter_counts_in_minutes_and_hours(ms: int, text: str) -> None:
    assert clock(ms) == text


def test_a_message_is_told_by_its_first_line() -> None:
    assert first_line("\n one\ntwo") == "one"
    assert first_line(None) is None
    assert first_line("  ") is None


# --- Against what the store says ------------------------------------------------------------------


class Text(BaseModel):
    text: str = ""


def eventful(tmp_path: Path) -> Any:
    """A workflow in which much happens: loops, retries, skips, failures, bodies, a tree that changes."""
    tries: dict[str, int] = {}

    def flaky() -> Text:
        tries["n"] = tries.get("n", 0) + 1
        if tries["n"] % 3:
            raise ConnectionError("refused")
        return Text()

    def fail() -> Text:
        raise ValueError("no")

    policy = RetryPolicy(retries=5, initial_delay=0.01)

    def body(_: object) -> Node:
        return Task("draft", Text, run=flaky, retry_policy=policy)

    @workflow
    def story(ctx: Context) -> Node:
        has_planned = ctx.output_maybe(Text, "plan") is not None
        return Sequence(
            Task("plan", Text, value=Text()),
            Parallel(
                *(Task(f"file:{i}", Text, run=Text) for i in range(5 if has_planned else 2)),
                Task("tolerated", Text, run=fail, retries=0, continue_on_fail=True),
                Task("skipped", Text, value=Text(), skip_if=True),
                Task("extra", Text, value=Text()) if has_planned else None,
                max_concurrency=2,
                id="files",
            ),
            Loop(
                Task("outline", Text, value=Text()),
                Loop(
                    lambda i: Task("draft", Text, run=flaky, retry_policy=policy), id="in", max_iterations=2
                ),
                max_iterations=3,
                id="out",
            ),
            Branch(lambda: True, Task("then", Text, value=Text()), Task("else", Text, value=Text())),
            Task("send", Text, run=fail, retries=1, retry_policy=policy),
            Task("never", Text, value=Text()),
        )

    return story


def shape(group: Group) -> Any:
    """All that a screen can show of a tree but times."""
    found = []
    for name, spot in group.children.items():
        if isinstance(spot, Leaf):
            found.append((name, spot.shown, spot.standing.name, spot.position))
        else:
            facts = (spot.pass_, spot.verdict, spot.counts, spot.size, spot.bucket.name)
            found.append((name, facts, shape(spot)))
    return found


def tasks_of(group: Group) -> Iterator[Leaf]:
    for spot in group.children.values():
        if isinstance(spot, Leaf):
            yield spot
        else:
            yield from tasks_of(spot)


def test_followed_frames_agree_with_the_stored_rows_from_whatever_frame_on(tmp_path: Path) -> None:
    frames: list[FrameWrite] = []
    host = Host(tmp_path / "smithers.db")
    try:
        handle = eventful(tmp_path).start(host, watch=frames.append)
        end = handle.ended.result(30)
    finally:
        host.close()
    assert end.state.word == "failed"
    whole = Progress()
    for frame in frames:
        whole.follow(frame)
    store: Store = host.store
    with closing(store.reader()) as reader:
        snapshot = take(reader, end.run_id)
        views = NodeViews(snapshot)
    by_state = [views.now(place) for place in views.tree.tasks()]
    assert len(by_state) == whole.root.total == 14
    assert views.progress() == (whole.root.settled, whole.root.total)
    leaves = {leaf.node: leaf for leaf in tasks_of(whole.root)}
    for view in by_state:
        leaf = leaves[view.key.node]
        assert (leaf.shown, leaf.standing.word) == (view.shown, view.state.word)
    for begin in range(1, len(frames)):
        late = Progress(store, snapshot.run.id)
        for frame in frames[begin:]:
            late.follow(frame)
        assert shape(late.root) == shape(whole.root), f"from frame {begin + 1} on"
        assert late.summary() == whole.summary()
