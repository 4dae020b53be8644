"""Nodes as people look at them: names, states, order, progress."""

from __future__ import annotations

from smithers.ids import NodeKey
from smithers.observe.node_view import NodeViews, headline
from smithers.records import AttemptState, NodeState, Verdict
from tests.unit.observe.rows import NOW, Story


def states(story: Story) -> dict[str, str]:
    return {view.shown: view.state.word for view in NodeViews(story.snapshot()).all()}


def test_nodes_stand_in_document_order_whatever_order_their_rows_come_in() -> None:
    story = Story()
    story.mount("root", kind="sequence")
    for name in ("b", "a", "c"):
        story.mount(name, "root")
    story.mounts.reverse()
    assert list(states(story)) == ["b", "a", "c"]


def test_a_node_without_rows_is_pending_one_with_an_open_attempt_runs_one_in_back_off_waits() -> None:
    story = Story()
    for name in ("done", "runs", "waits", "later"):
        story.mount(name)
    story.finish("done")
    story.attempt("runs")
    story.retry("waits", due=90)
    assert states(story) == {"done": "finished", "runs": "running", "waits": "waiting", "later": "pending"}


def test_a_newer_generation_hides_how_the_older_one_ended() -> None:
    story = Story()
    story.mount("a")
    story.fail("a", "boom")
    story.attempt("a", generation=1)
    view = NodeViews(story.snapshot()).by_node["a"][0]
    assert (view.state, view.generation, view.tries, view.error) == (NodeState.RUNNING, 1, 1, None)
    assert len(view.attempts) == 2


def test_each_pass_of_a_task_is_a_row_of_its_own_and_the_pass_that_has_begun_is_pending() -> None:
    story = Story()
    story.mount("loop:draft", kind="loop")
    story.mount("draft", "loop:draft")
    story.mount("review", "loop:draft")
    for pass_ in (0, 1):
        story.finish(NodeKey("draft", "", pass_))
    story.finish(NodeKey("review", "", 0))
    story.judge("loop:draft", 0)
    assert states(story) == {
        "draft[0]": "finished",
        "draft[1]": "finished",
        "review[0]": "finished",
        "review[1]": "pending",
    }


def test_passes_sort_by_number_and_not_by_letter() -> None:
    story = Story()
    story.mount("outer", kind="loop")
    story.mount("inner", "outer", kind="loop")
    story.mount("a", "inner")
    for outer in (10, 2):
        story.finish(NodeKey("a", f"outer={outer}", 0))
    names = [view.key.scope for view in NodeViews(story.snapshot()).by_node["a"]]
    assert names == ["outer=0", "outer=2", "outer=10"]


def test_the_current_key_counts_the_passes_of_every_loop_around() -> None:
    story = Story()
    story.mount("one", kind="loop")
    story.mount("two", "one", kind="loop")
    story.mount("three", "two", kind="loop")
    story.mount("a", "three")
    story.judge("one", 0)
    story.judge(NodeKey("two", "", 1), 0)
    story.judge(NodeKey("two", "", 1), 1)
    story.judge(NodeKey("three", "one=1", 2), 0)
    story.judge(NodeKey("three", "one=1", 2), 1, Verdict.UNTIL)
    tree = NodeViews(story.snapshot()).tree
    assert tree.key_now(tree.by_id["a"]) == NodeKey("a", "one=1,two=2", 1)
    assert tree.key_now(tree.by_id["three"]) == NodeKey("three", "one=1", 2)


def test_progress_counts_each_mounted_task_once_in_its_current_pass() -> None:
    story = Story()
    story.mount("loop:a", kind="loop")
    story.mount("a", "loop:a")
    story.mount("b")
    story.finish(NodeKey("a", "", 0))
    assert NodeViews(story.snapshot()).progress() == (1, 2)
    story.judge("loop:a", 0)
    assert NodeViews(story.snapshot()).progress() == (0, 2)


def test_an_unhandled_failure_is_not_settled_a_tolerated_one_is() -> None:
    story = Story()
    story.mount("a")
    story.mount("b")
    story.fail("a", "boom")
    story.fail("b", "boom", reason="continued")
    assert NodeViews(story.snapshot()).progress() == (1, 2)


def test_what_has_left_the_tree_is_kept_and_stands_last() -> None:
    story = Story()
    story.finish("aardvark")
    story.mount("b")
    views = NodeViews(story.snapshot()).all()
    assert [(view.shown, view.place is None) for view in views] == [("b", False), ("aardvark", True)]


def test_the_time_of_a_cut_off_attempt_is_unknown() -> None:
    story = Story()
    story.mount("a")
    story.attempt("a", start=10)
    view = NodeViews(story.snapshot()).by_node["a"][0]
    assert view.took_ms(NOW, is_driven=True) == 50_000
    assert view.took_ms(NOW, is_driven=False) is None


def test_the_time_of_a_retried_task_runs_from_its_first_start_to_its_last_end() -> None:
    story = Story()
    story.mount("a")
    story.attempt("a", AttemptState.FAILED, 1, 2, number=1)
    story.attempt("a", AttemptState.FINISHED, 5, 9, number=2)
    story.settle("a")
    assert NodeViews(story.snapshot()).by_node["a"][0].took_ms(NOW, is_driven=True) == 8_000


def test_a_headline_is_the_code_and_the_first_line() -> None:
    assert headline({"code": "X", "message": "one\ntwo"}) == "[X] one"
    assert headline({"message": ""}) == ""
    assert headline(None) == ""
