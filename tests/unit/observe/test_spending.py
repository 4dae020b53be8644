"""What agents have cost: sums that know what is missing from them, in words and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smithers.ids import NodeKey
from smithers.observe.node_view import NodeViews
from smithers.observe.run_view import run_document
from smithers.observe.spending import count, money, spending_document, spent_text, tokens, tokens_in_full
from smithers.observe.summary import summarize
from smithers.records import UNSPENT, CallRow, ChildRow, RunState, Spending, Usage
from tests.unit.observe.rows import NOW, Shelf, Story

CLI = Usage(100_000, 20_000, 60_000, 5_000, 0.42, "cli", "opus")
LISTED = Usage(9_300, 700, 0, 0, 0.031, "prices", "gpt")
UNPRICED = Usage(4_000, 100)
SILENT = Usage()


def spent(*usages: Usage) -> Spending:
    calls = [
        CallRow(NodeKey("a"), 0, n, 0, "agent", "agent", usage=usage) for n, usage in enumerate(usages, 1)
    ]
    return Spending.of(calls)


@pytest.mark.parametrize(
    ("usages", "shown", "words"),
    [
        ([], ("", ""), None),
        ([CLI], ("$0.42", "120k"), "$0.42, 120k tokens"),
        ([CLI, CLI], ("$0.84", "240k"), "$0.84, 240k tokens"),
        ([LISTED], ("~$0.03", "10k"), "$0.03 by list prices, 10k tokens"),
        ([CLI, LISTED], ("~$0.45", "130k"), "$0.45 by list prices, 130k tokens"),
        ([CLI, UNPRICED], ("$0.42+", "124k"), "at least $0.42, 124k tokens"),
        ([LISTED, SILENT], ("~$0.03+", "10k+"), "at least $0.03 by list prices, at least 10k tokens"),
        ([UNPRICED], ("—", "4.1k"), "cost unknown, 4.1k tokens"),
        ([SILENT], ("—", "—"), "cost unknown, tokens unknown"),
        ([Usage(cost_usd=0.5, cost_source="cli")], ("$0.50", "—"), "$0.50, tokens unknown"),
        ([Usage(10, 1, cost_usd=0.0, cost_source="cli")], ("$0.00", "11"), "$0.00, 11 tokens"),
        ([Usage(10, 1, cost_usd=0.0004, cost_source="cli")], ("<$0.01", "11"), "<$0.01, 11 tokens"),
        ([Usage(10, 1, cost_usd=1234.5, cost_source="cli")], ("$1,234.50", "11"), "$1,234.50, 11 tokens"),
    ],
)
def test_money_and_tokens_say_what_is_unknown_at_least_or_of_a_price_list(
    usages: list[Usage], shown: tuple[str, str], words: str | None
) -> None:
    found = spent(*usages)
    assert (money(found), tokens(found)) == shown
    if words is not None:
        assert spent_text(found) == words


def test_in_full_it_says_what_was_read_cached_and_written() -> None:
    assert tokens_in_full(spent(CLI)) == "100k in (60k from a cache), 20k out"
    assert tokens_in_full(spent(UNPRICED)) == "4k in, 100 out"
    assert tokens_in_full(spent(SILENT)) == ""


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1k"), (9_999, "9.9k"), (10_000, "10k"), (999_999, "999k"),
     (1_250_000, "1.2M"), (42_000_000, "42M")],
)  # fmt: skip
def test_numbers_are_short_and_never_more_than_they_are(number: int, text: str) -> None:
    assert count(number) == text


def test_sums_do_not_depend_on_their_order_and_keep_cents() -> None:
    dime = Usage(1, 1, cost_usd=0.1, cost_source="cli")
    assert spent(*[dime] * 3).usd == 0.3
    assert spent(CLI, UNPRICED, LISTED) == spent(LISTED, CLI, UNPRICED)
    assert spent(CLI) + UNSPENT == spent(CLI)


def test_json_has_null_for_what_is_unknown_and_is_null_where_no_agent_told() -> None:
    assert spending_document(UNSPENT) is None
    assert spending_document(spent(CLI, UNPRICED)) == {
        "usd": 0.42,
        "source": "cli",
        "tokens": 124_100,
        "input_tokens": 104_000,
        "output_tokens": 20_100,
        "cache_read_tokens": 60_000,
        "cache_write_tokens": 5_000,
        "calls": 2,
        "counted": 2,
        "priced": 1,
    }
    silent = spending_document(spent(SILENT))
    assert silent is not None
    assert {name for name, value in silent.items() if value is None} == {
        "usd", "source", "tokens", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    }  # fmt: skip


# --- Tasks and runs -------------------------------------------------------------------------------


def told() -> Story:
    """A task that was tried twice, by two agents the second time, and executed again by somebody's wish."""
    story = Story()
    story.mount("draft")
    story.mount("count")
    for number, generation in ((1, 0), (2, 0), (1, 1)):
        story.attempt("draft", start=number, end=number + 1, number=number, generation=generation)
    story.call("draft", "claude-code", CLI)
    story.call("draft", "claude-code", SILENT, attempt=2, session="s-1")
    story.call("draft", "codex", LISTED, attempt=2, rank=1)
    story.call("draft", "claude-code", CLI, generation=1)
    return story


def test_a_task_has_cost_all_its_attempts_of_every_generation_and_each_attempt_its_own_calls() -> None:
    [view] = NodeViews(told().snapshot()).by_node["draft"]
    assert view.spent.usd == pytest.approx(0.871)
    assert [money(Spending.of(view.calls_of(row))) for row in view.attempts] == ["$0.42", "~$0.03+", "$0.42"]
    assert not NodeViews(told().snapshot()).by_node["count"][0].spent


def test_the_json_of_a_run_has_it_by_attempt_task_agent_and_in_all() -> None:
    found = run_document(told().snapshot(), [], [], NOW)
    assert found["cost"]["usd"] == pytest.approx(0.871)
    assert [(one["agent"], one["cost"]["usd"]) for one in found["agents"]] == [
        ("claude-code", 0.84),
        ("codex", 0.031),
    ]
    draft, idle = found["nodes"]
    assert (draft["cost"]["usd"], idle["cost"]) == (pytest.approx(0.871), None)
    second = draft["attempts"][1]
    assert second["cost"]["source"] == "prices"
    assert [(call["agent"], call["session"], call["cost"]["tokens"]) for call in second["calls"]] == [
        ("claude-code", "s-1", None),
        ("codex", None, 10_000),
    ]


def test_a_task_that_was_several_runs_has_cost_each_of_them_once() -> None:
    story = Story()
    story.mount("inner")
    # The second generation went on with the run of the first, the third with another.
    for generation, run in ((0, 7), (1, 7), (2, 8)):
        story.children.append(ChildRow(NodeKey("inner"), generation, run, f"r{run}", RunState.FINISHED))
    costs = {7: {"claude-code": spent(CLI)}, 8: {"codex": spent(LISTED), "pi": spent(UNPRICED)}}
    [view] = NodeViews(replace(story.snapshot(), spent=costs)).by_node["inner"]
    assert (money(view.spent), tokens(view.spent)) == ("~$0.45+", "134k")


def test_a_list_shows_what_it_was_told_of_a_runs_cost() -> None:
    story = told()
    line = summarize(Shelf([story]), story.run, NOW, spent(CLI, UNPRICED))
    assert line.document()["cost"]["usd"] == 0.42
    assert summarize(Shelf([story]), story.run, NOW).document()["cost"] is None
