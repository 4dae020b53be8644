"""Events as lines."""

from __future__ import annotations

from smithers.ids import NodeKey
from smithers.observe.log_line import event_document, event_text
from smithers.records import EventRow, EventType
from tests.unit.observe.rows import BEGAN


def text(data: str | None) -> str:
    key = NodeKey("draft", "", 1)
    return event_text(EventRow(12, EventType.NODE_FAILED, BEGAN + 3_250, key, 2, data), BEGAN)


def test_a_line_says_number_time_event_node_and_attempt() -> None:
    assert text(None) == "#12 +00:03.250 node-failed draft[1] attempt 2"


def test_a_runs_own_event_has_no_node() -> None:
    event = EventRow(1, EventType.RUN_STARTED, BEGAN)
    assert event_text(event, BEGAN) == "#1 +00:00.000 run-started"


def test_the_first_pass_is_named_where_a_loop_stands_around() -> None:
    event = EventRow(1, EventType.NODE_STARTED, BEGAN, NodeKey("draft"), 1)
    assert "draft attempt" in event_text(event, BEGAN)
    assert "draft[0] attempt" in event_text(event, BEGAN, {"draft"})


def test_an_error_is_shown_by_its_headline_and_other_facts_by_name() -> None:
    data = (
        '{"error": {"code": "TASK_TIMEOUT", "message": "slow\\nmore"}, "due_ms": 1767225605000, '
        '"took_ms": 1500, "why": "a b", "no": null}'
    )
    assert text(data).endswith('  [TASK_TIMEOUT] slow due=+00:05.000 took=1.5s why="a b"')


def test_a_message_stands_for_itself_with_or_without_a_code() -> None:
    data = '{"code": "AGENT_THROTTLED", "message": "overloaded", "delay_ms": 2000}'
    assert text(data).endswith("  [AGENT_THROTTLED] overloaded delay=2s")
    assert text('{"message": "waits for plan"}').endswith("attempt 2  waits for plan")


def test_the_json_line_keeps_all_facts() -> None:
    event = EventRow(12, EventType.NODE_FAILED, BEGAN, NodeKey("a", "outer=2", 1), 2, '{"x": 1}')
    assert event_document(event, "r1") == {
        "run": "r1",
        "seq": 12,
        "at": "2026-01-01T00:00:00.000Z",
        "event": "node-failed",
        "node": "a",
        "scope": "outer=2",
        "iteration": 1,
        "attempt": 2,
        "data": {"x": 1},
    }
