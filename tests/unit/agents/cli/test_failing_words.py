"""From what a program says of a failed request to its class."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers.agents.cli import of_message
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentRefusal, AgentThrottled, AgentUnfit
from tests.unit.agents.folded import NOW_MS


@pytest.mark.parametrize(
    ("message", "kind", "status"),
    [
        ('401: {"message": "no"}', AgentAuth, 401),
        ("Error code: 403 - {'error': 'no'}", AgentAuth, 403),
        ("got status: 429 slow down", AgentThrottled, 429),
        ("APIError: 503 unavailable", AgentThrottled, 503),
        ("404 the model does not exist", AgentUnfit, 404),
        ("429 insufficient_quota", AgentQuota, 429),
        ("403 your credit balance is too low", AgentQuota, 403),
        ("500 insufficient_quota", AgentThrottled, 500),
        ("You exceeded your current token quota", AgentQuota, None),
        ("maximum context length is 200000 tokens", AgentUnfit, None),
        ("finish_reason: content_filter", AgentRefusal, None),
        ("read ECONNRESET: socket hang up", AgentThrottled, None),
        ("line 401 of the program", AgentError, None),
        ("", AgentError, None),
    ],
)
def test_a_message_has_its_class(message: str, kind: type[AgentError], status: int | None) -> None:
    error = of_message(message, NOW_MS)
    assert type(error) is kind
    assert error.details.get("status") == status


def test_a_used_up_limit_says_when_it_resets() -> None:
    error = of_message(
        f'429: {{"type":"usage_limit_reached","resets_at":{(NOW_MS + 7_200_000) // 1000}}}', NOW_MS
    )
    assert isinstance(error, AgentQuota)
    assert error.resets_ms == NOW_MS + 7_200_000


@given(st.text() | st.from_regex(r"(error code: )?[45]\d\d[^a]{0,9}exceeded (\w+ ){0,9}", fullmatch=True))
def test_any_text_has_a_class(text: str) -> None:
    assert isinstance(of_message(text, NOW_MS), AgentError)
