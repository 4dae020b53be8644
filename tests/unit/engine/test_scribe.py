"""What is written of one conversation: its limits, and texts that come in several batches."""

from __future__ import annotations

import json
from itertools import count

import pytest

from smithers.engine.moments import Limits, Moment, Payload, Plain, Speaker, Speech
from smithers.engine.scribe import Draft, Scribe, write_down
from smithers.ids import NodeKey
from smithers.ports import NoticeEvent, SessionEvent, ToolCallEvent, ToolResultEvent, UsageEvent
from smithers.records import Usage
from smithers.records.redaction import MARK, WINDOW, Redactor
from smithers.records.transcript import Conversation, EntryKind, NewEntry

KEY = "sk-ant-api03-" + "a1B2" * 20


class Desk:
    """One scribe, given batches of payloads."""

    def __init__(self, limits: Limits | None = None, *secrets: str) -> None:
        self.limits = limits or Limits()
        self.speaker = Speaker(Conversation(7, NodeKey("a"), 0, 1, "x", 0))
        self.scribe = Scribe(Redactor(secrets), self.speaker.conversation, self.limits)
        self.entries: list[NewEntry] = []
        self._serials = count(1)

    def batch(self, *payloads: Payload | str) -> list[NewEntry]:
        """Entries of these; a text is a speech."""
        drafts: list[Draft] = []
        for one in payloads:
            payload = Speech([one], is_reasoning=False) if isinstance(one, str) else one
            self.scribe.hear(Moment(self.speaker, next(self._serials), 0, 0, payload), drafts)
        self.scribe.pause(drafts)
        return self._written(drafts)

    def end(self) -> list[NewEntry]:
        drafts: list[Draft] = []
        self.scribe.release(drafts)
        return self._written(drafts)

    def _written(self, drafts: list[Draft]) -> list[NewEntry]:
        found = [entry for _, entries in write_down(drafts, self.limits) for entry in entries]
        self.entries += found
        return found


def texts(entries: list[NewEntry]) -> list[str]:
    return [entry.text for entry in entries]


def test_a_secret_that_comes_in_two_batches_is_replaced() -> None:
    desk = Desk(None, "hunter2-hunter2")
    assert texts(desk.batch("it is hunter2")) == ["it is "]
    assert texts(desk.batch("-hunter2 and ")) == [f"{MARK} and "]
    assert texts(desk.batch(f"then {KEY[:9]}")) == ["then "]
    assert texts(desk.batch(KEY[9:])) == []
    assert texts(desk.batch(NoticeEvent("x"))) == [MARK, "x"]


def test_what_waited_is_written_before_anything_else_and_at_the_end() -> None:
    desk = Desk()
    assert texts(desk.batch("plan s")) == ["plan "]
    assert texts(desk.batch(Speech(["hm"], is_reasoning=True))) == ["s", "hm"]
    assert texts(desk.batch("and s")) == ["and "]
    assert texts(desk.end()) == ["s"]
    assert texts(desk.end()) == []
    assert [entry.serial for entry in desk.entries] == [1, 1, 2, 3, 3]


def test_a_text_within_a_batch_is_whole_where_something_else_follows_it() -> None:
    desk = Desk()
    assert texts(desk.batch("plan s", NoticeEvent("x"))) == ["plan s", "x"]


@pytest.mark.parametrize("letter", ["x", "ä", "\ud800"])
def test_of_a_long_text_the_beginning_and_the_end_are_kept(letter: str) -> None:
    desk = Desk(Limits(text_bytes=1000))
    (entry,) = desk.batch(ToolResultEvent("c", f"begin{letter * 200_000}end"))
    head, note, tail = entry.text.split("\n")
    assert head.startswith("begin")
    assert tail.endswith("end")
    kept = len(head) + len(tail)
    assert note == f"… {200_008 - kept:,} characters left out …"
    assert len((head + tail).encode()) <= 1000
    assert kept > 450


def test_no_piece_of_a_secret_is_left_beside_a_cut() -> None:
    limits = Limits(text_bytes=200)
    for shift in range(0, 3 * len(KEY), 7):
        desk = Desk(limits)
        side = 100 + WINDOW
        at = side - shift
        text = "." * at + KEY + "." * (5 * WINDOW) + KEY + "." * (side - shift)
        (entry,) = desk.batch(ToolResultEvent("c", text))
        assert not any(KEY[n : n + 8] in entry.text for n in range(len(KEY) - 8))


def test_no_piece_of_a_secret_moves_up_to_a_cut_when_others_shrink() -> None:
    value = "".join(f"<{number}>" for number in range(1_000))
    desk = Desk(Limits(text_bytes=400), value)
    (entry,) = desk.batch(ToolResultEvent("c", f"{value} " * 50))
    assert "left out" in entry.text
    assert not any(f"<{number}>" in entry.text for number in range(1_000))


def test_the_input_of_a_tool_stays_json_when_a_secret_in_it_is_replaced() -> None:
    desk = Desk(None, 'pa"ss\nword')
    (entry,) = desk.batch(ToolCallEvent("c", "Bash", {"command": f"echo\n{KEY}", "with": 'pa"ss\nword'}))
    assert json.loads(entry.text) == {"command": f"echo\n{MARK}", "with": MARK}
    assert json.loads(entry.data) == {"id": "c", "name": "Bash"}


def test_beyond_the_limit_of_an_attempt_only_how_it_stands_is_kept() -> None:
    desk = Desk(Limits(attempt_bytes=100))
    assert texts(desk.batch(ToolResultEvent("c", "x" * 200))) == ["x" * 200]
    (full,) = desk.batch(NoticeEvent("out"), "out", ToolCallEvent("d", "T", {}))
    assert (full.kind, json.loads(full.data)) == (EntryKind.LEFT_OUT, {"why": "limit"})
    usage, session, left, reply = desk.batch(
        UsageEvent(Usage(1)), SessionEvent("s"), Plain(EntryKind.REPLY, "the answer", {})
    )
    assert (usage.kind, session.text) == (EntryKind.USAGE, "s")
    assert json.loads(left.data) == {"why": "limit", "events": 3, "characters": len("outout{}")}
    assert (reply.kind, reply.text) == (EntryKind.REPLY, "")
    error, *rest = desk.batch(Plain(EntryKind.ERROR, "it failed", {"code": "X"}))
    assert (error.text, rest) == ("it failed", [])


def test_what_could_not_be_stored_is_told_with_the_next_entry_once() -> None:
    desk = Desk()
    desk.scribe.lose(desk.batch("12345", NoticeEvent("678")))
    left, notice, other = desk.batch(NoticeEvent("a"), NoticeEvent("b"))
    assert json.loads(left.data) == {"why": "store", "events": 2, "characters": 8}
    assert (notice.text, other.text) == ("a", "b")
