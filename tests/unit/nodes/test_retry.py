"""An explicit retry policy is checked where it is written."""

from __future__ import annotations

from typing import Any

import pytest

from smithers import RetryPolicy, Task
from smithers.errors import InvalidNode


def test_a_policy_has_no_limit_and_grows_exponentially_from_a_second_unless_it_says_otherwise() -> None:
    policy = RetryPolicy()
    assert (policy.retries, policy.backoff, policy.initial_delay, policy.max_delay) == (
        None,
        "exponential",
        1.0,
        "5m",
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"retries": -1}, "retries=-1"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"retries": True}, "retries=True"),
        ({"backoff": "quadratic"}, "backoff='quadratic'"),
        ({"initial_delay": 0}, "initial_delay=0"),
        ({"initial_delay": "soon"}, "initial_delay='soon'"),
        ({"max_delay": -1}, "max_delay=-1"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_and_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidNode) as refused:
        RetryPolicy(**options)
    assert named in str(refused.value)


@pytest.mark.parametrize("retries", [-1, 2.0, "3", True])
def test_a_task_refuses_retries_that_are_no_count(retries: Any) -> None:
    with pytest.raises(InvalidNode) as refused:
        Task("a", str, value="", retries=retries)
    assert f"retries={retries!r}" in str(refused.value)
