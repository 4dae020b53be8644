"""One run in one line."""

from __future__ import annotations

import pytest

from smithers.ids import NodeKey
from smithers.observe.summary import RunSummary, select, summarize, took_ms
from smithers.records import OwnerHealth, RunState
from tests.unit.observe.rows import NOW, Shelf, Story


def summary(story: Story) -> RunSummary:
    return summarize(Shelf([story]), story.run, NOW)


def test_a_running_run_says_what_runs_and_for_how_long() -> None:
    story = Story()
    story.mount("plan")
    story.mount("loop:draft", kind="loop")
    story.mount("draft", "loop:draft")
    story.finish("plan")
    story.attempt(NodeKey("draft", "", 0), start=48)
    found = summary(story)
    assert (found.status, found.settled, found.mounted) == ("running", 1, 2)
    assert (found.detail, found.command) == ("draft[0] 12s", None)


def test_many_running_tasks_are_counted_not_listed() -> None:
    story = Story()
    for i in range(5):
        story.mount(f"t{i}")
        story.attempt(f"t{i}", start=55)
    assert summary(story).detail == "t0 5s, t1 5s, t2 5s and 2 more"


def test_a_run_in_back_off_counts_down_to_the_next_attempt() -> None:
    story = Story(state=RunState.WAITING)
    story.mount("plan")
    story.mount("draft")
    story.retry("plan", due=100)
    story.retry("draft", due=72)
    assert summary(story).detail == "retries draft in 12s and 1 more"


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.WAITING])
def test_a_run_whose_process_died_is_orphaned_and_says_how_to_resume(state: RunState) -> None:
    found = summary(Story(state=state, health=OwnerHealth.DEAD))
    assert found.status == "orphaned"
    assert found.detail == "process 4711 has died"
    assert found.command == "smithers up --resume swift-otter-3f2"
    assert found.document()["status"] == state.word


def test_a_run_whose_process_is_silent_is_stalled() -> None:
    found = summary(Story(health=OwnerHealth.EXPIRED))
    assert found.status == "stalled"
    assert found.detail == "process 4711 on myhost is silent, its lease ended 45s ago"


def test_a_parked_run_nobody_drives_is_waiting_and_says_how_to_go_on() -> None:
    found = summary(Story(state=RunState.WAITING, health=OwnerHealth.NONE))
    assert (found.status, found.command) == ("waiting", "smithers up --resume swift-otter-3f2")


def test_a_failed_run_names_the_first_node_that_failed_unhandled() -> None:
    story = Story(state=RunState.FAILED, health=OwnerHealth.NONE, ended=30)
    for name in ("tolerated", "second", "first"):
        story.mount(name)
    story.fail("tolerated", "never mind", frame=1, reason="continued")
    story.fail("second", "later", frame=5)
    story.fail("first", "connection refused\n  at line 3", frame=4)
    story.fail("gone", "not in the tree", frame=2)
    assert summary(story).detail == "first: [TASK_FAILED] connection refused"


def test_the_runs_own_error_says_which_node_it_was() -> None:
    story = Story(state=RunState.FAILED, health=OwnerHealth.NONE, error={"details": {"node": "second"}})
    for name in ("first", "second"):
        story.mount(name)
        story.fail(name, f"{name} broke")
    assert summary(story).detail == "second: [TASK_FAILED] second broke"


def test_a_run_that_failed_without_a_failed_task_shows_its_own_error() -> None:
    error = {"code": "DEPENDENCY_DEADLOCK", "message": "a waits for b"}
    found = summary(Story(state=RunState.FAILED, health=OwnerHealth.NONE, error=error))
    assert found.detail == "[DEPENDENCY_DEADLOCK] a waits for b"


def test_a_failure_that_was_caught_is_not_blamed_for_another_error_of_the_run() -> None:
    error = {"code": "LOOP_MAX_REACHED", "message": "loop:a made 5 passes"}
    story = Story(state=RunState.FAILED, health=OwnerHealth.NONE, error=error)
    story.mount("try", kind="block")
    story.mount("a", "try")
    story.fail("a", "boom")
    assert summary(story).detail == "[LOOP_MAX_REACHED] loop:a made 5 passes"


def test_how_long_a_run_took_is_unknown_when_nobody_can_say_when_it_stopped() -> None:
    assert took_ms(Story(health=OwnerHealth.DEAD).run, NOW) is None
    assert took_ms(Story().run, NOW) == 60_000
    assert took_ms(Story(state=RunState.FAILED, ended=30).run, NOW) == 30_000


def shelf() -> Shelf:
    """Thirty runs, the oldest still running, the next one orphaned, the rest finished."""
    stories = [
        Story(f"r{i}", RunState.FINISHED, OwnerHealth.NONE, id=i, created=i, ended=i + 1) for i in range(30)
    ]
    stories[0] = Story("r0", id=0, created=0)
    stories[1] = Story("r1", id=1, created=1, health=OwnerHealth.DEAD)
    return Shelf(stories)


def test_a_list_has_the_newest_twenty_and_every_unfinished_run() -> None:
    runs, is_cut = select(shelf())
    assert [run.name for run in runs] == [f"r{i}" for i in range(29, 9, -1)] + ["r1", "r0"]
    assert is_cut


def test_a_list_of_all_leaves_nothing_out() -> None:
    runs, is_cut = select(shelf(), is_all=True)
    assert (len(runs), is_cut) == (30, False)


def test_a_list_that_shows_everything_does_not_say_that_there_is_more() -> None:
    assert not select(shelf(), limit=28)[1]
    assert select(shelf(), limit=27)[1]


def test_a_list_is_filtered_by_the_stored_or_the_shown_word() -> None:
    assert [run.name for run in select(shelf(), statuses=["orphaned"])[0]] == ["r1"]
    assert [run.name for run in select(shelf(), statuses=["running"])[0]] == ["r1", "r0"]
    assert len(select(shelf(), statuses=["finished"], limit=5)[0]) == 5


def test_a_list_shows_as_many_unfinished_runs_as_fit_a_screen_and_those_at_work_first() -> None:
    at_work = [Story(name=f"old-{n}", id=n) for n in (1, 2)]
    paused = [
        Story(name=f"paused-{n}", id=n, state=RunState.PAUSED, health=OwnerHealth.NONE) for n in range(3, 200)
    ]
    shelf = Shelf([*at_work, *paused])
    found, is_cut = select(shelf, limit=5)
    assert (len(found), is_cut) == (50, True)
    assert [run.name for run in found[-2:]] == ["old-2", "old-1"]
    assert select(shelf, is_all=True)[1] is False
    # Who asks for those left behind gets every one of them.
    for story in paused:
        story.state = RunState.RUNNING
    found, is_cut = select(shelf, statuses=["orphaned"])
    assert (len(found), is_cut) == (197, False)
