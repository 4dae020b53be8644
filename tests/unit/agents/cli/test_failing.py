"""From what a program reports to the class of a failure."""

from __future__ import annotations

import pytest

from smithers.agents.cli import Ending, of_status, without_result
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentThrottled, AgentUnfit
from smithers.ports import Exit

NOW_MS = 1_767_268_800_000


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        (None, AgentThrottled), (400, AgentUnfit), (401, AgentAuth), (402, AgentQuota), (403, AgentAuth),
        (404, AgentUnfit), (408, AgentThrottled), (409, AgentError), (413, AgentUnfit), (418, AgentError),
        (422, AgentUnfit), (429, AgentThrottled), (500, AgentThrottled), (502, AgentThrottled),
        (503, AgentThrottled), (504, AgentThrottled), (529, AgentThrottled), (599, AgentThrottled),
        (0, AgentError), (200, AgentError), (301, AgentError), (-1, AgentError),
    ],
)  # fmt: skip
def test_each_status_has_its_class(status: int | None, becomes: type[AgentError]) -> None:
    error = of_status(status, "said", NOW_MS)
    assert type(error) is becomes
    assert error.details["status"] == status
    assert error.hint


def test_too_many_requests_are_a_limit_of_the_account_only_if_the_program_says_so() -> None:
    text = "try again in 2h"
    throttled, quota = of_status(429, text, NOW_MS), of_status(429, text, NOW_MS, is_quota=True)
    assert isinstance(throttled, AgentThrottled)
    assert throttled.retry_after_s == 7200
    assert isinstance(quota, AgentQuota)
    assert quota.resets_ms == NOW_MS + 7_200_000


def test_what_a_program_says_of_waiting_comes_before_what_its_text_says() -> None:
    error = of_status(429, "try again in 2h", NOW_MS, retry_after_s=5)
    assert isinstance(error, AgentThrottled)
    assert error.retry_after_s == 5


def test_a_text_is_shown_in_one_line_of_bounded_length() -> None:
    assert of_status(500, " a\n\n b\t c ", NOW_MS).message == "a b c"
    assert len(of_status(500, "x " * 100_000, NOW_MS).message) == 500
    assert of_status(500, " \n", NOW_MS).message == "status 500"


@pytest.mark.parametrize(
    ("ending", "said", "message"),
    [
        (Ending(Exit(0), ""), "", "acme gave no result and left with status 0"),
        (Ending(Exit(-9), ""), "", "acme gave no result and was ended by SIGKILL"),
        (Ending(Exit(-77), ""), "", "acme gave no result and was ended by signal 77"),
        (Ending(Exit(None), ""), "", "acme gave no result and left without a trace"),
        (Ending(Exit(-9), "", True), "", "acme gave no result and was ended by us"),
        (Ending(Exit(1), "a\n\nb\nc\nd\n"), "", "acme gave no result and left with status 1: b c d"),
        (Ending(Exit(1), "stderr"), "said", "acme gave no result and left with status 1: said"),
    ],
)
def test_a_program_without_a_result_is_told_with_how_it_left_and_its_last_words(
    ending: Ending, said: str, message: str
) -> None:
    error = without_result("acme", ending, said)
    assert type(error) is AgentError
    assert error.message == message
    assert error.details["status"] == ending.exit.status


def test_lines_that_were_lost_are_told_because_its_result_may_have_been_one() -> None:
    error = without_result("acme", Ending(Exit(0), "", dropped=2))
    assert error.message.endswith("; lines longer than 32 MiB: 2")


def test_its_last_words_are_cut() -> None:
    assert len(without_result("acme", Ending(Exit(1), "x" * 100_000)).message) < 600
