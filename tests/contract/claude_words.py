"""What Claude Code writes, line by line, as its real program was seen to write it."""

from __future__ import annotations

import json
from typing import Any

SESSION = "f80f6b1e-5d6c-4a1f-9a43-0c2f9d1b7e55"
MODEL = "claude-sonnet-4-5"


def lines(*events: dict[str, Any]) -> str:
    """A stream of events."""
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in events)


def init(session: str = SESSION) -> dict[str, Any]:
    """The first word."""
    return {
        "type": "system", "subtype": "init", "cwd": "/work", "session_id": session, "tools": ["Bash"],
        "mcp_servers": [], "model": MODEL, "permissionMode": "acceptEdits", "claude_code_version": "2.1.328",
    }  # fmt: skip


def _message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    message = {
        "role": role,
        "content": content,
        **({"model": MODEL, "id": "msg_1"} if role == "assistant" else {}),
    }
    return {"type": role, "message": message, "parent_tool_use_id": None, "session_id": SESSION, **more}


def said(text: str) -> dict[str, Any]:
    """Words of the model."""
    return _message("assistant", [{"type": "text", "text": text}])


def thought(text: str) -> dict[str, Any]:
    """Words that it keeps to itself."""
    return _message("assistant", [{"type": "thinking", "thinking": text, "signature": "x"}])


def called(tool: str, **given: Any) -> dict[str, Any]:
    """A call of a tool."""
    return _message("assistant", [{"type": "tool_use", "id": "toolu_1", "name": tool, "input": given}])


def returned(text: str, **more: Any) -> dict[str, Any]:
    """What a tool has answered."""
    return _message("user", [{"type": "tool_result", "tool_use_id": "toolu_1", "content": text, **more}])


def own(text: str, error: str | None = None) -> dict[str, Any]:
    """Words of the program, in place of an answer."""
    found = _message("assistant", [{"type": "text", "text": text}])
    found["message"]["model"] = "<synthetic>"
    return found if error is None else {**found, "error": error}


def retry(error: str, status: int | None, attempt: int = 1, delay_ms: float = 542) -> dict[str, Any]:
    """It asks once more by itself."""
    return {
        "type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 3,
        "retry_delay_ms": delay_ms, "error_status": status, "error": error, "session_id": SESSION,
    }  # fmt: skip


def denied(tool: str) -> dict[str, Any]:
    """A tool that it may not use."""
    text = f"Claude requested permissions to use {tool}, but you haven't granted it yet."
    return {"type": "system", "subtype": "permission_denied", "tool_name": tool, "message": text}


def limit(status: str, **more: Any) -> dict[str, Any]:
    """Where the account stands."""
    return {"type": "rate_limit_event", "rate_limit_info": {"status": status, **more}, "session_id": SESSION}


def result(text: str | None = "done", **more: Any) -> dict[str, Any]:
    """The last word; its `type` does not stand first."""
    found: dict[str, Any] = {
        "duration_api_ms": 180, "stop_reason": "end_turn", "session_id": SESSION, "total_cost_usd": 0.00828,
        "usage": {
            "input_tokens": 2400, "cache_creation_input_tokens": 50, "cache_read_input_tokens": 200,
            "output_tokens": 68,
        },
        "modelUsage": {MODEL: {"inputTokens": 2400, "outputTokens": 68, "costUSD": 0.00828}},
        "permission_denials": [], "terminal_reason": "completed", "is_error": False, "num_turns": 2,
        "subtype": "success", "api_error_status": None, "result": text, "type": "result", "duration_ms": 427,
    }  # fmt: skip
    found.update(more)
    if text is None:
        del found["result"]
    return found


def refused(text: str, error: str | None, status: int | None) -> str:
    """The stream of a call whose request was refused."""
    ending = result(text, is_error=True, api_error_status=status, terminal_reason="api_error")
    return lines(init(), own(text, error), ending)
