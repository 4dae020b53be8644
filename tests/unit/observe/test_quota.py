"""Waiting for the limit of an account: whose, until when, and what everybody who looks is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smithers.ids import NodeKey
from smithers.observe import moment, quota
from smithers.observe.child import with_doings
from smithers.observe.node_facts import NodeFacts
from smithers.observe.node_view import NodeViews
from smithers.observe.quota import ChainAgent, Limit
from smithers.observe.run_view import run_document
from smithers.observe.summary import RunSummary, select, summarize
from smithers.observe.why import why_node, why_run
from smithers.records import AttemptState, ChildRow, OwnerHealth, RunState, Usage
from tests.unit.observe.rows import BEGAN, NOW, Shelf, Story

IN_12_MINUTES = 60 + 720
"""Seconds after a run's creation."""
UNTIL = moment.until(BEGAN + IN_12_MINUTES * 1000, NOW)
SINCE = moment.until(BEGAN, NOW)


def limited(*agents: str, state: RunState = RunState.RUNNING, **more: Any) -> Story:
    """One task, whose first agent's account is parked for twelve minutes more."""
    story = Story(state=state, **more)
    story.mount("draft", agents=list(agents or ("claude-code",)))
    story.limit("draft", IN_12_MINUTES)
    story.park("claude-code", IN_12_MINUTES)
    return story


def summary(story: Story) -> RunSummary:
    return summarize(Shelf([story]), story.run, NOW)


def wait(story: Story) -> quota.QuotaWait:
    snapshot = story.snapshot()
    return quota.waits_of(snapshot, NodeViews(snapshot), NOW)[NodeKey("draft")]


# --- The run --------------------------------------------------------------------------------------


def test_a_run_that_only_waits_for_a_limit_says_so_and_counts_down_while_its_owner_does() -> None:
    found = summary(limited())
    assert (found.status, found.detail) == ("waiting-quota", f"claude-code until {UNTIL}, in 12m")
    assert found.command is None
    document = found.document()
    assert (document["status"], document["shown"]) == ("running", "waiting-quota")
    assert document["quota"] == [
        {
            "account": "claude-code",
            "until": "2026-01-01T00:13:00.000Z",
            "since": "2026-01-01T00:00:00.000Z",
            "reason": "5-hour limit",
            "tasks": 1,
        }
    ]


def test_a_parked_run_says_the_same_and_how_to_go_on() -> None:
    found = summary(limited(state=RunState.WAITING, health=OwnerHealth.NONE))
    assert (found.status, found.detail) == ("waiting-quota", f"claude-code until {UNTIL}, in 12m")
    assert found.command == "smithers up --resume swift-otter-3f2"


def test_a_reset_that_nobody_woke_the_run_at_is_overdue() -> None:
    story = Story(state=RunState.WAITING, health=OwnerHealth.NONE)
    story.mount("draft", agents=["claude-code"])
    story.limit("draft", due=30)
    story.park("claude-code", until=30)
    assert summary(story).detail.endswith("overdue by 30s")


def test_tasks_of_one_account_are_one_limit_and_the_first_reset_comes_first() -> None:
    story = limited()
    for name in ("check", "publish"):
        story.mount(name, agents=["claude-code"])
        story.limit(name, IN_12_MINUTES)
    story.mount("late", agents=["codex"])
    story.limit("late", due=9_000)
    story.park("codex", until=9_000)
    found = summary(story)
    assert [(limit.account, limit.tasks) for limit in found.limits] == [("claude-code", 3), ("codex", 1)]
    assert found.detail == f"claude-code until {UNTIL}, in 12m, and 1 more"


@pytest.mark.parametrize("also", ["running", "retry"])
def test_a_run_that_does_something_else_too_is_not_called_parked(also: str) -> None:
    story = limited()
    story.mount("other")
    if also == "running":
        story.attempt("other")
    else:
        story.retry("other", due=5_000)
    found = summary(story)
    assert found.status == "running"
    assert [limit.account for limit in found.limits] == ["claude-code"]
    assert ("other" in found.detail) is (also == "running")


def test_what_waits_for_an_earlier_time_than_a_retry_is_said_by_its_account() -> None:
    story = limited()
    story.mount("other")
    story.retry("other", due=5_000)
    assert summary(story).detail == f"draft: claude-code until {UNTIL}, in 12m and 1 more"


@pytest.mark.parametrize(
    ("state", "health", "status"),
    [
        (RunState.RUNNING, OwnerHealth.DEAD, "orphaned"),
        (RunState.RUNNING, OwnerHealth.EXPIRED, "stalled"),
        (RunState.PAUSED, OwnerHealth.NONE, "paused"),
        (RunState.CANCELLED, OwnerHealth.NONE, "cancelled"),
    ],
)
def test_what_keeps_a_run_from_going_on_at_the_reset_is_said_first(
    state: RunState, health: OwnerHealth, status: str
) -> None:
    assert summary(limited(state=state, health=health)).status == status


def test_a_run_that_has_ended_waits_for_nothing() -> None:
    assert summary(limited(state=RunState.FAILED, health=OwnerHealth.NONE)).limits == ()


def test_a_list_is_filtered_by_it_and_by_what_is_stored() -> None:
    parked, counting = limited(state=RunState.WAITING, health=OwnerHealth.NONE), limited()
    parked.name, parked.id = "parked", 2
    retrying, working = Story(name="retrying", id=3), Story(name="working", id=4)
    retrying.mount("a")
    retrying.retry("a", due=99)
    shelf = Shelf([counting, parked, retrying, working])
    found = {
        word: [run.name for run in select(shelf, statuses=[word])[0]] for word in ("waiting-quota", "waiting")
    }
    assert found == {"waiting-quota": ["parked", "swift-otter-3f2"], "waiting": ["parked"]}


# --- The account ----------------------------------------------------------------------------------


def test_the_account_of_a_task_that_has_not_begun_is_that_of_its_reset() -> None:
    story = limited("writer")
    story.park("another", until=IN_12_MINUTES + 1)
    assert wait(story).limit == Limit("claude-code", BEGAN + IN_12_MINUTES * 1000, BEGAN, "5-hour limit")


def test_of_two_accounts_with_one_reset_the_one_that_is_known_to_be_its_agents_counts() -> None:
    story = limited("writer", "other")
    story.park("a-team", until=IN_12_MINUTES)
    assert wait(story).limit.account == "a-team"
    story.call("draft", "writer", Usage(1, 1), account="claude-code")
    assert wait(story).limit.account == "claude-code"


def test_a_reset_that_was_moved_is_told_as_it_is_waited_for() -> None:
    story = Story()
    story.mount("draft", agents=["claude-code"])
    story.limit("draft", IN_12_MINUTES, account="claude-code")
    story.park("claude-code", until=IN_12_MINUTES + 60)
    assert wait(story).limit.until_ms == BEGAN + (IN_12_MINUTES + 60) * 1000
    story.accounts.clear()
    story.park("claude-code", until=IN_12_MINUTES - 60)
    assert wait(story).limit.until_ms == BEGAN + IN_12_MINUTES * 1000


def test_an_account_of_which_nothing_is_stored_any_more_is_named_by_what_the_attempt_said() -> None:
    story = Story()
    story.mount("draft", agents=["claude-code"])
    story.limit("draft", IN_12_MINUTES, account="work")
    assert wait(story).limit == Limit("work", BEGAN + IN_12_MINUTES * 1000)
    story.attempts.clear()
    assert summary(story).detail == f"an agent until {UNTIL}, in 12m"


def test_of_a_retry_and_a_reset_of_one_task_the_later_one_is_waited_for() -> None:
    story = limited()
    story.retry("draft", due=30)
    story.wakeups.sort(key=lambda wakeup: wakeup.due_ms)
    assert summary(story).status == "waiting-quota"


# --- The chain ------------------------------------------------------------------------------------


def test_each_agent_of_the_chain_says_how_it_stands() -> None:
    story = limited("claude-code", "codex", "gemini", "pi", "amp")
    story.call("draft", "codex", Usage(), account="team")
    story.park("team", until=3_600)
    story.call("draft", "gemini", Usage(), account="mine")
    story.park("amp", until=30)
    codex_ms, amp_ms = BEGAN + 3_600_000, BEGAN + 30_000
    found = wait(story)
    assert found.agents == (
        ChainAgent("claude-code", "parked", "claude-code", BEGAN + IN_12_MINUTES * 1000),
        ChainAgent("codex", "parked", "team", codex_ms),
        ChainAgent("gemini", "out", "mine"),
        ChainAgent("pi", "unknown"),
        ChainAgent("amp", "free", "amp", amp_ms),
    )
    assert quota.agents_text(found, NOW) == (
        f"claude-code is parked until {UNTIL}; codex is parked with team until "
        f"{moment.until(codex_ms, NOW)}; gemini is out (not signed in, not installed, or unfit); "
        "pi is parked too, or out; amp is asked again then"
    )


def test_the_account_of_a_single_agent_is_learnt_from_the_limit_it_met() -> None:
    story = limited("writer", "codex")
    story.mount("alone", agents=["writer"])
    story.limit("alone", IN_12_MINUTES, account="claude-code")
    assert wait(story).agents[0] == ChainAgent(
        "writer", "parked", "claude-code", BEGAN + IN_12_MINUTES * 1000
    )


def test_an_agent_with_a_folder_of_its_own_goes_by_the_account_that_begins_with_its_name() -> None:
    story = limited("codex")
    story.accounts.clear()
    story.park("codex:/home/ann/.codex-2", until=IN_12_MINUTES)
    assert wait(story).agents[0].account == "codex:/home/ann/.codex-2"


# --- Why ------------------------------------------------------------------------------------------


def test_why_says_whose_limit_since_when_until_when_why_who_else_there_is_and_what_helps() -> None:
    answer = why_run(limited("claude-code", "codex").snapshot(), NOW)
    assert answer.summary == (
        f"swift-otter-3f2 only waits for a limit to be reset: claude-code until {UNTIL}, in 12m."
        " It is driven by process 4711 on myhost."
    )
    [blocker] = answer.blockers
    assert (blocker.kind, blocker.hint) == ("quota", "wait for the reset, or give the task another agent")
    assert blocker.text == (
        f"draft waits for claude-code until {UNTIL}, in 12m: its limit is used up since {SINCE} "
        f"(5-hour limit); claude-code is parked until {UNTIL}; codex is parked too, or out"
    )
    document = answer.document()["blockers"][0]
    assert (document["since"], document["due_at"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:13:00.000Z")
    assert [(one["agent"], one["state"]) for one in document["quota"]["agents"]] == [
        ("claude-code", "parked"),
        ("codex", "unknown"),
    ]


def test_why_a_parked_run_nobody_drives_says_what_a_resume_does() -> None:
    answer = why_run(limited(state=RunState.WAITING, health=OwnerHealth.NONE).snapshot(), NOW)
    assert [blocker.kind for blocker in answer.blockers] == ["quota", "no-owner"]
    assert answer.blockers[1].text.endswith("a resume before the reset waits on")
    assert answer.commands == ["smithers up --resume swift-otter-3f2"]


def test_why_of_a_run_that_also_tries_something_again_names_what_comes_first() -> None:
    story = limited()
    story.mount("other")
    story.retry("other", due=5_000)
    answer = why_run(story.snapshot(), NOW)
    assert answer.summary.startswith("swift-otter-3f2 waits to ask an agent for draft, in 12m.")
    assert [blocker.kind for blocker in answer.blockers] == ["quota", "retry-backoff"]


def test_a_node_that_waits_for_a_limit_says_so_as_the_run_does() -> None:
    story = limited("claude-code", "codex")
    snapshot = story.snapshot()
    views = NodeViews(snapshot)
    [view] = views.by_node["draft"]
    answer = why_node(snapshot, view, NOW)
    assert answer.summary.startswith(
        f"draft waits for claude-code until {UNTIL}, in 12m: its limit is used up"
    )
    assert [blocker.kind for blocker in answer.blockers] == ["quota"]
    facts = NodeFacts(snapshot, views, view, None, NOW).document()
    assert (facts["state"], facts["quota"]["account"]) == ("waiting", "claude-code")
    assert facts["due_at"] == facts["quota"]["until"]
    run = run_document(snapshot, [], [], NOW)
    assert (run["shown"], run["nodes"][0]["quota"]) == ("waiting-quota", facts["quota"])


# --- Runs within runs -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_driven", [True, False])
def test_a_run_whose_own_run_only_waits_for_a_limit_waits_for_it_too(is_driven: bool) -> None:
    health = OwnerHealth.ALIVE if is_driven else OwnerHealth.NONE
    inner = limited(state=RunState.WAITING, health=OwnerHealth.NONE)
    inner.name, inner.id = "outer.draft", 2
    outer = Story(name="outer", state=RunState.WAITING, health=health)
    outer.mount("inner")
    outer.children.append(ChildRow(NodeKey("inner"), 0, 2, "outer.draft", RunState.WAITING))
    if is_driven:
        outer.attempt("inner")
        inner.state, inner.health = RunState.RUNNING, OwnerHealth.ALIVE
    else:
        outer.attempt("inner", AttemptState.CANCELLED, 0, 1)
        outer.wakeups.append(inner.wakeups[0]._replace(key=NodeKey("inner"), kind="child"))
    shelf = Shelf([outer, inner])
    found = summarize(shelf, outer.run, NOW)
    assert (found.status, found.detail) == ("waiting-quota", f"claude-code until {UNTIL}, in 12m")
    assert [run.name for run in select(shelf, statuses=["waiting-quota"])[0]] == ["outer.draft", "outer"]
    snapshot = with_doings(shelf, replace(outer.snapshot(), spent={}), NOW)
    views = NodeViews(snapshot)
    assert quota.status_of(snapshot, views) == "waiting-quota"
    limit = quota.limit_of(snapshot, views.by_node["inner"][0], {})
    assert limit is not None
    assert limit.account == "claude-code"
    assert why_run(snapshot, NOW).summary.startswith("outer only waits for a limit to be reset")
