"""Why a run does not progress, and why a node stands where it stands."""

from __future__ import annotations

import pytest

from smithers.ids import NodeKey
from smithers.observe import lookup
from smithers.observe.explanation import Explanation
from smithers.observe.node_view import NodeView, NodeViews
from smithers.observe.why import why_node, why_place, why_run
from smithers.records import AttemptState, FailureClass, NodeState, OutputRef, OwnerHealth, RunState, Verdict
from tests.unit.observe.rows import NOW, Story

RESUME = "smithers up --resume swift-otter-3f2"


def about(story: Story, name: str) -> Explanation:
    snapshot = story.snapshot()
    found = lookup.node(NodeViews(snapshot), story.name, name)
    if isinstance(found, NodeView):
        return why_node(snapshot, found, NOW)
    return why_place(snapshot, found, NOW)


def test_a_running_run_names_its_running_tasks_with_attempt_agent_time_and_last_report() -> None:
    story = Story()
    story.mount("draft")
    story.attempt("draft", start=48, number=2, agent="claude-code", heartbeat={"done": 3})
    answer = why_run(story.snapshot(), NOW)
    assert answer.summary == "swift-otter-3f2 is working: draft. It is driven by process 4711 on myhost."
    [blocker] = answer.blockers
    assert blocker.text == "draft runs with claude-code: attempt 2, for 12s; it last reported {'done': 3}"
    assert answer.document()["blockers"][0]["since"] == "2026-01-01T00:00:48.000Z"


def test_a_back_off_says_when_it_is_over_and_what_the_last_attempt_died_of() -> None:
    story = Story(state=RunState.WAITING)
    story.mount("draft")
    story.retry("draft", due=72)
    answer = why_run(story.snapshot(), NOW)
    assert "waits to try draft again, in 12s" in answer.summary
    assert answer.blockers[0].kind == "retry-backoff"
    assert "its first attempt failed with [AGENT_THROTTLED] overloaded" in answer.blockers[0].text


def test_a_parked_run_without_a_process_says_that_nothing_wakes_it() -> None:
    story = Story(state=RunState.WAITING, health=OwnerHealth.NONE)
    story.mount("draft")
    story.retry("draft", due=72)
    answer = why_run(story.snapshot(), NOW)
    assert [blocker.kind for blocker in answer.blockers] == ["retry-backoff", "no-owner"]
    assert answer.commands == [RESUME]


def test_a_dead_owner_is_said_with_what_it_cut_off_and_how_to_go_on() -> None:
    story = Story(health=OwnerHealth.DEAD)
    story.mount("draft")
    story.attempt("draft")
    answer = why_run(story.snapshot(), NOW)
    assert "its owner, process 4711 on myhost, has died" in answer.summary
    assert [blocker.kind for blocker in answer.blockers] == ["owner-dead", "interrupted"]
    assert answer.commands == [RESUME]


def test_a_silent_owner_is_not_called_dead() -> None:
    answer = why_run(Story(health=OwnerHealth.EXPIRED).snapshot(), NOW)
    assert answer.blockers[0].kind == "owner-silent"


def test_a_failed_run_puts_the_cause_first_with_its_place_and_hint() -> None:
    story = Story(state=RunState.FAILED, health=OwnerHealth.NONE, ended=30)
    story.mount("draft")
    story.mount("other")
    story.fail("other", "never mind", frame=1, reason="continued")
    story.fail("draft", "boom", frame=4)
    answer = why_run(story.snapshot(), NOW)
    assert answer.summary == "swift-otter-3f2 failed 30s ago because draft did; it was tried once."
    assert [blocker.kind for blocker in answer.blockers] == ["failed", "tolerated"]
    assert answer.blockers[0].error is not None
    assert (answer.blockers[0].error["place"], answer.blockers[0].error["hint"]) == (
        "flow.py:7",
        "look at it",
    )
    assert answer.commands[0] == RESUME


def test_a_finished_run_waits_for_nothing() -> None:
    story = Story(
        state=RunState.FINISHED, health=OwnerHealth.NONE, ended=5, output=OutputRef(NodeKey("a"), 0)
    )
    answer = why_run(story.snapshot(), NOW)
    assert answer.summary == "swift-otter-3f2 finished 55s ago; there is nothing to wait for."
    assert (answer.blockers, answer.commands) == ([], ["smithers output swift-otter-3f2"])


def test_a_partial_run_says_what_was_tolerated_and_who_was_skipped_for_it() -> None:
    story = Story(state=RunState.PARTIAL, health=OwnerHealth.NONE, ended=5)
    for name in ("a", "b", "c"):
        story.mount(name)
    story.fail("a", "boom", reason="continued")
    story.settle("b", NodeState.SKIPPED, reason="upstream failed: a")
    story.settle("c", NodeState.SKIPPED, reason="skip_if")
    answer = why_run(story.snapshot(), NOW)
    assert [(blocker.kind, blocker.view and blocker.view.shown) for blocker in answer.blockers] == [
        ("tolerated", "a"),
        ("skipped", "b"),
    ]


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED])
def test_a_paused_or_cancelled_run_says_how_to_go_on(state: RunState) -> None:
    answer = why_run(Story(state=state, health=OwnerHealth.NONE).snapshot(), NOW)
    assert [blocker.kind for blocker in answer.blockers] == [state.word]
    assert answer.commands == [RESUME]


def test_a_run_that_is_paused_for_its_budget_says_so_and_how_to_raise_it() -> None:
    error = {
        "code": "BUDGET_EXCEEDED",
        "message": "used up: budget a (usd: 3.00 of 3.00)",
        "hint": "raise it",
    }
    story = Story(state=RunState.PAUSED, health=OwnerHealth.NONE, error=error)
    answer = why_run(story.snapshot(), NOW)
    assert "a budget is used up" in answer.summary
    assert [blocker.kind for blocker in answer.blockers] == ["budget", "paused"]
    assert "usd: 3.00 of 3.00" in answer.blockers[0].text
    assert answer.commands == [RESUME]


def test_a_run_where_nothing_runs_says_which_edges_are_unmet() -> None:
    story = Story()
    story.mount("all", kind="parallel")
    story.mount("a", "all", edges="!missing")
    answer = why_run(story.snapshot(), NOW)
    assert answer.summary.startswith("swift-otter-3f2 runs nothing right now; still to do: a.")
    assert answer.blockers[0].text == "it depends on missing, which is not in the tree"


def test_a_pending_task_names_the_dependency_it_waits_for() -> None:
    story = Story()
    story.mount("all", kind="parallel")
    story.mount("a", "all")
    story.mount("b", "all", edges="a")
    story.attempt("a")
    assert about(story, "b").summary == "b waits: it depends on a (running)."


def test_a_pending_task_names_what_comes_before_it_in_its_sequence() -> None:
    story = Story()
    story.mount("root", kind="sequence")
    story.mount("both", "root", kind="parallel")
    story.mount("a", "both")
    story.mount("b", "both")
    story.mount("then", "root", kind="sequence")
    story.mount("c", "then")
    story.mount("d", "then")
    story.finish("a")
    story.attempt("b")
    assert about(story, "d").summary == "d waits: it comes after both (b)."


def test_a_task_after_a_loop_waits_for_the_loop_even_between_two_passes() -> None:
    story = Story()
    story.mount("root", kind="sequence")
    story.mount("loop:a", "root", kind="loop")
    story.mount("a", "loop:a")
    story.mount("b", "root")
    story.finish("a")
    assert about(story, "b").summary == "b waits: it comes after loop:a."
    story.judge("loop:a", 0, Verdict.UNTIL)
    assert "nothing stands before it" in about(story, "b").summary


def test_branches_side_by_side_do_not_wait_for_each_other() -> None:
    story = Story()
    story.mount("all", kind="parallel")
    story.mount("a", "all")
    story.mount("b", "all")
    story.attempt("a")
    assert "nothing stands before it but a free slot." in about(story, "b").summary


def test_a_task_of_an_agent_may_wait_for_a_place_as_well() -> None:
    story = Story()
    story.mount("all", kind="parallel")
    story.mount("a", "all", agents=["claude-code"])
    answer = about(story, "a")
    assert "or a place for its agent" in answer.summary
    assert "smithers agents pool" in answer.commands


def test_each_attempt_of_a_node_is_a_line() -> None:
    story = Story()
    story.mount("a")
    error = {"code": "TASK_TIMEOUT", "message": "took too long"}
    story.attempt("a", AttemptState.FAILED, 0, 5, failure=FailureClass.TIMEOUT, error=error, agent="codex")
    story.attempt("a", AttemptState.FINISHED, 6, 8, number=2)
    story.settle("a", frame=4)
    answer = about(story, "a")
    assert answer.summary == "a finished 52s ago after 2 attempts, in frame 4."
    assert answer.attempts == [
        "attempt 1 with codex failed after 5s (timeout): [TASK_TIMEOUT] took too long",
        "attempt 2 finished after 2s",
    ]


def test_a_skipped_node_says_why() -> None:
    story = Story()
    story.mount("a")
    story.settle("a", NodeState.SKIPPED, reason="upstream failed: plan")
    assert about(story, "a").summary == "a was skipped: upstream failed: plan."


def test_a_node_that_a_failed_run_never_reached_says_so() -> None:
    story = Story(state=RunState.FAILED, health=OwnerHealth.NONE)
    story.mount("a")
    assert about(story, "a").summary == "a did not start: swift-otter-3f2 failed before its turn."


def test_a_loop_says_its_pass_and_how_it_ended() -> None:
    story = Story()
    story.mount("loop:a", kind="loop")
    story.mount("a", "loop:a")
    story.judge("loop:a", 0)
    assert about(story, "loop:a").summary == "loop:a is in pass 2: 0 of 1 tasks have settled."
    story.judge("loop:a", 1, Verdict.MAX_REACHED)
    assert about(story, "loop:a").summary == "loop:a is done: it reached its limit of 2 passes."
