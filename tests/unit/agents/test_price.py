"""What tokens cost by the price lists."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from smithers.agents.price import priced
from smithers.records import NOTHING, Usage

USED = Usage(input_tokens=2_400, output_tokens=68, cache_read_tokens=200)
AUTUMN_MS = 1_795_000_000_000
"""Prices change; those of this day in the pinned package do not."""


def cost(usage: Usage, model: str | None, provider: str | None = None) -> float | None:
    found = priced(usage, model, provider, now_ms=AUTUMN_MS)
    assert (found.cost_usd is None) == (found.cost_source == "")
    return found.cost_usd


def test_a_known_model_gets_a_cost_and_the_cost_says_where_it_is_from() -> None:
    found = priced(USED, "gpt-5.5", "openai", now_ms=AUTUMN_MS)
    # 2,200 at $5, 200 from the cache at $0.50 and 68 at $30, each for a million.
    assert found.cost_usd == pytest.approx(0.01314)
    assert found == replace(USED, cost_usd=found.cost_usd, cost_source="prices")


def test_what_came_from_a_cache_is_cheaper_and_counted_once() -> None:
    fresh = cost(replace(USED, cache_read_tokens=0), "gpt-5.5", "openai")
    all_cached = cost(replace(USED, cache_read_tokens=2_400), "gpt-5.5", "openai")
    assert fresh == pytest.approx((2_400 * 5 + 68 * 30) / 1e6)
    assert all_cached == pytest.approx((2_400 * 0.5 + 68 * 30) / 1e6)


def test_what_went_into_a_cache_is_dearer() -> None:
    plain = cost(Usage(1_000, 0), "claude-sonnet-4-5", "anthropic")
    written = cost(Usage(1_000, 0, cache_write_tokens=1_000), "claude-sonnet-4-5", "anthropic")
    assert (plain, written) == (pytest.approx(0.003), pytest.approx(0.00375))


def test_many_requests_together_are_not_priced_as_one_long_one() -> None:
    """A request of more than 200,000 tokens costs this model twice as much; a run of short ones does not."""
    short = cost(Usage(100_000, 1_000), "gemini-2.5-pro", "google")
    long = cost(Usage(1_000_000, 10_000), "gemini-2.5-pro", "google")
    assert short is not None
    assert long == pytest.approx(10 * short)


def test_a_figure_of_the_program_itself_is_left_alone() -> None:
    told = replace(USED, cost_usd=0.5, cost_source="cli")
    free = replace(USED, cost_usd=0.0, cost_source="cli")
    assert priced(told, "gpt-5.5", "openai") is told
    assert priced(free, "gpt-5.5", "openai") is free


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("fake-model", None),
        ("fake-model", "openai"),
        ("gpt-5.5", "my-gateway"),
        ("my-gateway/gpt-5.5", None),
        ("ollama/llama3", None),
        ("/", None),
        ("", None),
        (None, "openai"),
    ],
)
def test_what_nobody_has_a_price_for_stays_without_one(model: str | None, provider: str | None) -> None:
    assert priced(USED, model, provider) is USED


def test_nothing_costs_nothing_and_is_not_looked_up() -> None:
    assert priced(NOTHING, "gpt-5.5", "openai") is NOTHING


def test_the_model_is_found_by_its_name_its_prefix_or_what_the_usage_says() -> None:
    wanted = cost(USED, "claude-sonnet-4-5", "anthropic")
    assert wanted is not None
    assert cost(USED, "claude-sonnet-4-5") == wanted
    assert cost(USED, "anthropic/claude-sonnet-4-5") == wanted
    assert cost(replace(USED, model="claude-sonnet-4-5"), None, "anthropic") == wanted


@pytest.mark.parametrize("usage", [Usage(10, 5, 20, 30), Usage(10, 5, 10**12), Usage(10, 0, 0, 11)])
def test_counters_that_do_not_add_up_are_priced_all_the_same(usage: Usage) -> None:
    found = cost(usage, "claude-sonnet-4-5", "anthropic")
    assert found is not None
    assert 0 < found < 1


def test_no_price_is_fetched_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a price was asked for over the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert cost(USED, "gpt-5.5", "openai") is not None
    assert cost(USED, "fake-model", "openai") is None


def test_price_lists_are_not_loaded_before_a_price_is_asked_for() -> None:
    program = "import sys, smithers.agents.price; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
