"""Runs and nodes by what a person typed."""

from __future__ import annotations

import pytest

from smithers.errors import NodeNotFound, RunAmbiguous, RunNotFound
from smithers.ids import NodeKey
from smithers.observe import lookup
from smithers.observe.node_view import NodeView, NodeViews
from tests.unit.observe.rows import Shelf, Story

SHELF = Shelf(
    [Story(name, id=i, created=i) for i, name in enumerate(["calm", "calm-owl-1", "calm-owl-2", "red-fox-3"])]
)


def test_an_exact_name_beats_a_prefix_and_a_unique_prefix_is_enough() -> None:
    assert lookup.run_name(SHELF, "calm") == "calm"
    assert lookup.run_name(SHELF, "red") == "red-fox-3"


def test_last_is_the_newest_run() -> None:
    assert lookup.run_name(SHELF, "@last") == "red-fox-3"


def test_an_ambiguous_prefix_lists_the_runs_it_begins() -> None:
    with pytest.raises(RunAmbiguous, match=r"'calm-' begins 2 runs: calm-owl-2, calm-owl-1"):
        lookup.run_name(SHELF, "calm-")


def test_an_unknown_run_names_the_nearest_or_else_the_newest() -> None:
    with pytest.raises(RunNotFound, match=r"no run 'red-fix-3'; did you mean red-fox-3\?"):
        lookup.run_name(SHELF, "red-fix-3")
    with pytest.raises(RunNotFound, match=r"no run 'zzz'; the newest are red-fox-3, calm-owl-2"):
        lookup.run_name(SHELF, "zzz")


@pytest.mark.parametrize("text", ["@last", "r1"])
def test_a_project_without_runs_says_how_to_start_one(text: str) -> None:
    with pytest.raises(RunNotFound, match="has no runs yet") as caught:
        lookup.run_name(Shelf([]), text)
    assert caught.value.hint == "start one with `smithers up FILE`"


def looped() -> NodeViews:
    story = Story()
    story.mount("loop:draft", kind="loop")
    story.mount("draft", "loop:draft")
    for pass_ in range(3):
        story.finish(NodeKey("draft", "", pass_))
    story.judge("loop:draft", 0)
    story.judge("loop:draft", 1)
    return NodeViews(story.snapshot())


def key_of(text: str, iteration: int | None = None) -> NodeKey:
    found = lookup.node(looped(), "r1", text, iteration=iteration)
    assert isinstance(found, NodeView)
    return found.key


def test_a_node_is_meant_in_its_latest_pass_unless_a_pass_is_named() -> None:
    assert key_of("draft") == NodeKey("draft", "", 2)
    assert key_of("draft[0]") == NodeKey("draft", "", 0)
    assert key_of("draft", iteration=1) == NodeKey("draft", "", 1)


def test_a_container_is_found_by_its_id() -> None:
    found = lookup.node(looped(), "r1", "loop:draft")
    assert not isinstance(found, NodeView)
    assert found.kind == "loop"


def test_an_unknown_pass_lists_those_there_are() -> None:
    with pytest.raises(NodeNotFound, match=r"draft has no such pass in r1; there are draft\[0\], draft\[1\]"):
        key_of("draft", iteration=9)


def test_an_unknown_node_names_the_nearest() -> None:
    with pytest.raises(NodeNotFound, match=r"no node 'drat' in r1; did you mean draft"):
        key_of("drat")
