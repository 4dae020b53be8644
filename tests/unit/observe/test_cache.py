"""What an attempt found in the cache, in words."""

from __future__ import annotations

from typing import get_args

import pytest

from smithers.ids import NodeKey
from smithers.observe.cache import entry_document, lookup_document, lookup_text
from smithers.records import CacheRow, Lookup, LookupVerdict
from tests.unit.observe.rows import NOW, Story
from tests.unit.observe.test_why import about

KEY = "8ff2e9b69160deb47c040001fd796db0"
FOUND = Lookup("hit", KEY, (), "warm-pike-2c0", "draft", NOW - 180_000)


@pytest.mark.parametrize(
    ("lookup", "text"),
    [
        (FOUND, "hit: stored by run warm-pike-2c0 3m ago, key 8ff2e9b69160"),
        (
            FOUND._replace(node="draft[2]"),
            "hit: stored by draft[2] of run warm-pike-2c0 3m ago, key 8ff2e9b69160",
        ),
        (
            FOUND._replace(verdict="differs", differs=("prompt",)),
            "miss: prompt differs from what was stored by run warm-pike-2c0 3m ago",
        ),
        (
            FOUND._replace(verdict="differs", differs=("agent", "by", "prompt")),
            "miss: agent, by and prompt differ from what was stored by run warm-pike-2c0 3m ago",
        ),
        (
            FOUND._replace(verdict="expired"),
            "miss: expired; what was stored by run warm-pike-2c0 3m ago is older than the ttl",
        ),
        (
            FOUND._replace(verdict="unfit", detail="n: too large"),
            "miss: what was stored by run warm-pike-2c0 3m ago did not fit the model: n: too large",
        ),
        (Lookup("unreadable", KEY, detail="disk full"), "miss: it cannot be read: disk full"),
        (
            FOUND._replace(verdict="refused", detail="UNIQUE"),
            "miss: a table refused what was stored by run warm-pike-2c0 3m ago: UNIQUE",
        ),
        (Lookup("empty", KEY), "miss: nothing stored for this task"),
        (
            Lookup("empty", KEY, detail="not stored: its code reads a status"),
            "miss: nothing stored for this task; not stored: its code reads a status",
        ),
        (Lookup("rerun", KEY), "not looked at: it was asked to be executed again"),
        (
            Lookup("unknown", differs=("code",)),
            "not used: it cannot be said what its code is, so nothing would be found again",
        ),
    ],
)
def test_each_verdict_says_what_was_found_or_why_not(lookup: Lookup, text: str) -> None:
    assert lookup_text(lookup, NOW) == text


def test_every_verdict_has_words() -> None:
    for verdict in get_args(LookupVerdict):
        assert lookup_text(Lookup(verdict), NOW)


def test_as_json_what_is_not_known_is_null() -> None:
    assert lookup_document(None) is None
    assert lookup_document(Lookup("empty", KEY)) == {
        "hit": False, "verdict": "empty", "key": KEY, "differs": [], "run": None, "node": None,
        "stored_at": None, "detail": None,
    }  # fmt: skip
    found = lookup_document(FOUND)
    assert found is not None
    assert (found["hit"], found["stored_at"]) == (True, "2025-12-31T23:58:00.000Z")


def test_an_entry_as_json_names_whose_it_is() -> None:
    row = CacheRow("flow", True, bytes(16), {"by": "00"}, "r1", NodeKey("draft", "", 2), 0, NOW, {})
    assert entry_document(row) == {
        "workflow": "flow", "task": "draft", "scope": "run", "key": "0" * 32, "parts": {"by": "00"},
        "run": "r1", "node": "draft[2]", "stored_at": "2026-01-01T00:01:00.000Z",
    }  # fmt: skip


def test_why_tells_of_the_newest_attempt_and_names_nobody_for_a_hit() -> None:
    story = Story()
    story.mount("draft")
    story.attempt("draft", start=48, agent="claude-code")
    assert about(story, "draft").document()["cache"] is None
    story.attempts.clear()
    story.finish("draft")
    story.attempts[-1] = story.attempts[-1]._replace(lookup=FOUND)
    answer = about(story, "draft")
    assert answer.summary.startswith("draft finished from the cache ")
    assert answer.attempts[0].startswith("attempt 1 finished from the cache after ")
    assert answer.document()["cache"]["text"] == answer.cache == lookup_text(FOUND, NOW)
