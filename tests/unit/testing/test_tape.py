"""What scripted agents have said outlives the processes that heard it."""

from __future__ import annotations

import pytest

from smithers.ids import NodeKey
from smithers.testing.tape import Call, Tape

DRAFT, REVIEW = NodeKey("draft"), NodeKey("review")


def test_replies_are_counted_for_each_script_by_itself() -> None:
    tape = Tape()
    assert [tape.number(1, "", DRAFT, 1, 0), tape.number(1, "", REVIEW, 1, 0)] == [0, 1]
    assert tape.number(2, "", DRAFT, 1, 0) == 0
    assert tape.number(1, "draft", DRAFT, 1, 0) == 0


def test_a_call_that_was_cut_off_is_given_its_reply_again_and_no_other_one_is() -> None:
    calls = [Call(1, "", DRAFT, 1, 0), Call(1, "", REVIEW, 1, 1)]
    tape = Tape(calls, lambda key, attempt: (key, attempt) == (DRAFT, 1))
    assert tape.number(1, "", REVIEW, 2, 0) == 2  # its first attempt had failed by itself
    assert tape.number(1, "", DRAFT, 2, 0) == 0
    assert tape.number(1, "", DRAFT, 3, 0) == 3


def test_an_attempt_that_was_cut_off_twice_hears_the_same_both_times() -> None:
    noted: list[Call] = []
    tape = Tape([Call(1, "", DRAFT, 1, 0)], lambda key, attempt: True, noted.append)
    assert tape.number(1, "", DRAFT, 2, 0) == 0
    assert tape.number(1, "", DRAFT, 3, 0) == 0
    assert [call.attempt for call in noted] == [2, 3]


def test_corrections_within_an_attempt_come_again_in_their_order() -> None:
    calls = [Call(1, "", DRAFT, 1, 0), Call(1, "", DRAFT, 1, 1)]
    tape = Tape(calls, lambda key, attempt: True)
    assert [tape.number(1, "", DRAFT, 2, 0) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("taken", [0, 4])
def test_a_tape_begins_where_the_agent_stands(taken: int) -> None:
    assert Tape().number(1, "", DRAFT, 1, taken) == taken
