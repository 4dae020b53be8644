"""The JSON that leaves."""

from __future__ import annotations

import json

import pytest

from smithers.ids import NodeKey
from smithers.notify.letter import LINK_LIFE_MS, letter_of, trial_letter
from smithers.notify.link import Link, verify
from smithers.records import NoticeKind
from tests.unit.notify.stage import AT_MS, notice

KEY = b"k" * 32


def no_key() -> bytes:
    raise AssertionError("no link, no key")


def test_a_run_that_has_ended() -> None:
    row = notice(
        summary="[E] no",
        status="failed",
        error={"code": "E", "message": "no"},
        commands=["smithers why r1"],
    )
    letter = letter_of(row, "https://box.test", no_key)
    assert json.loads(letter.body) == {
        "version": 1,
        "id": "ab" * 16,
        "kind": "failed",
        "at": "2025-06-15T15:06:40.000Z",
        "run": "r1",
        "workflow": "flow",
        "title": "r1 failed",
        "summary": "[E] no",
        "status": "failed",
        "error": {"code": "E", "message": "no"},
        "commands": ["smithers why r1"],
    }
    assert (letter.uid, letter.kind, letter.run) == ("ab" * 16, NoticeKind.FAILED, "r1")
    assert (letter.title, letter.summary) == ("r1 failed", "[E] no")


def test_a_wait_with_links() -> None:
    row = notice(
        NoticeKind.APPROVAL,
        NodeKey("ship", "outer=2", 1),
        options=["a", "b"],
        decisions=["approve", "deny"],
        due_ms=AT_MS + 1000,
    )
    found = json.loads(letter_of(row, "https://box.test", lambda: KEY).body)
    assert (found["node"], found["scope"], found["iteration"]) == ("ship", "outer=2", 1)
    assert (found["options"], found["due_at"]) == (["a", "b"], "2025-06-15T15:06:41.000Z")
    assert list(found["links"]) == ["approve", "deny"]
    head, _, token = found["links"]["deny"].rpartition("/")
    assert head == "https://box.test/links"
    link = verify(KEY, token, AT_MS)
    nonce = link.nonce
    assert link == Link("r1", "ship", "outer=2", 1, 2, 3, "deny", None, AT_MS + 1000, nonce)
    assert nonce != verify(KEY, found["links"]["approve"].rpartition("/")[2], AT_MS).nonce


def test_every_try_says_the_same() -> None:
    row = notice(NoticeKind.APPROVAL, NodeKey("ship"), decisions=["approve"])
    first = letter_of(row, "https://box.test", lambda: KEY)
    again = row._replace(tries=3, error="no", next_ms=5)
    assert letter_of(again, "https://box.test", lambda: KEY) == first
    token = json.loads(first.body)["links"]["approve"].rpartition("/")[2]
    assert verify(KEY, token, AT_MS).expires_ms == AT_MS + LINK_LIFE_MS


@pytest.mark.parametrize("url", [None, "https://box.test"])
def test_absent_keys_are_left_out(url: str | None) -> None:
    row = notice(NoticeKind.QUESTION, NodeKey("ask"))
    found = json.loads(letter_of(row, url, no_key).body)
    assert list(found) == ["version", "id", "kind", "at", "run", "workflow", "node", "iteration", "title"]


def test_a_text_that_utf_8_cannot_hold_stops_nothing() -> None:
    letter = letter_of(notice(summary="\udc80"), None, no_key)
    assert json.loads(letter.body)["summary"] == "?"


def test_a_trial_says_that_it_is_one() -> None:
    letter = trial_letter("u", AT_MS, "box")
    found = json.loads(letter.body)
    assert (found["kind"], found["id"], found["title"]) == ("test", "u", "smithers: a test")
    assert letter.kind is NoticeKind.TEST
