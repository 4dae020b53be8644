"""What an agent's program writes while it works for some minutes, of the size that real ones write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

EVENTS: Final = 300
_SESSION: Final = "00000000-0000-4000-8000-000000000001"
_MODEL: Final = "claude-sonnet-4-5"
_LINE: Final = '    return sum(price * count for price, count in basket.items())  # "net", ünïcödé\n'
_USAGE: Final = {
    "input_tokens": 1100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 100,
    "output_tokens": 34,
}  # fmt: skip


def claude_stream(answer: str) -> str:
    """300 events of Claude Code, some 400 KB, that end with `{"text": answer}`."""
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in _events(answer))


def _events(answer: str) -> Iterator[dict[str, Any]]:
    yield {
        "type": "system", "subtype": "init", "cwd": "/repo", "session_id": _SESSION, "model": _MODEL,
        "tools": [f"Tool{number}" for number in range(40)], "slash_commands": ["command"] * 60,
    }  # fmt: skip
    for number in range((EVENTS - 2) // 2):
        call = f"toolu_{number:04}"
        match number % 3:
            case 0:
                given: dict[str, Any] = {"file_path": f"/repo/src/module_{number}.py", "content": _LINE * 20}
                content = [{"type": "tool_use", "id": call, "name": "Write", "input": given}]
            case 1:
                content = [
                    {"type": "tool_use", "id": call, "name": "Bash", "input": {"command": "pytest -q"}}
                ]
            case _:
                content = [{"type": "text", "text": "The tests fail because the basket is empty. " * 8}]
        yield _message("assistant", {"id": call, "model": _MODEL, "content": content, "usage": _USAGE})
        result = {"tool_use_id": call, "type": "tool_result", "content": _LINE * 25, "is_error": False}
        yield _message("user", {"content": [result]})
    yield {
        "type": "result", "subtype": "success", "is_error": False, "num_turns": EVENTS // 2,
        "result": json.dumps({"text": answer}), "structured_output": {"text": answer},
        "session_id": _SESSION, "total_cost_usd": 0.5, "usage": _USAGE, "modelUsage": {_MODEL: {}},
    }  # fmt: skip


def _message(role: str, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": role,
        "message": {"type": "message", "role": role, **message},
        "parent_tool_use_id": None,
        "session_id": _SESSION,
        "uuid": "00000000-0000-4000-8000-000000000002",
        "timestamp": "2026-01-01T00:00:00.000Z",
    }
