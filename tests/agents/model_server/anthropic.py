"""Anthropic Messages: `POST /v1/messages`."""

from __future__ import annotations

import json
from typing import Any

from tests.agents.model_server.asked import Asked, Message, Tool
from tests.agents.model_server.reply import Refuse
from tests.agents.model_server.wire import (
    CACHED_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Refusal,
    Said,
    sse,
    text_of,
)

_TYPES = {
    "authentication": "authentication_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "invalid": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "usage_limit": "rate_limit_error",
    "quota": "rate_limit_error",
    "server": "api_error",
    "overloaded": "overloaded_error",
}
_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}
_USAGE = {
    "input_tokens": INPUT_TOKENS - CACHED_TOKENS,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": CACHED_TOKENS,
}


class Anthropic:
    """As Claude Code speaks it, and other programs with an Anthropic provider."""

    name = "anthropic"

    def asked(self, path: str, body: dict[str, Any]) -> Asked:
        tools = tuple(Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or [])
        schema = (
            (body.get("output_config") or {}).get("format", body.get("output_format") or {}).get("schema")
        )
        names: dict[str, str] = {}
        messages = [Message("system", text_of(body["system"]))] if body.get("system") else []
        for message in body.get("messages", []):
            messages += _messages(message, names)
        return Asked(body.get("model", ""), tuple(messages), tools, schema, bool(body.get("stream")))

    def events(self, asked: Asked, said: Said) -> list[bytes]:
        whole = self.whole(asked, said)
        start = {**whole, "content": [], "stop_reason": None, "usage": {**_USAGE, "output_tokens": 1}}
        frames: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
        for index, block in enumerate(whole["content"]):
            frames += _block(index, block, said)
        stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        frames += [
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": OUTPUT_TOKENS}},
            {"type": "message_stop"},
        ]
        return [sse(frame, frame["type"]) for frame in frames]

    def whole(self, asked: Asked, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.text else []
        if said.call:
            call = {
                "id": f"toolu_{len(asked.messages):04}",
                "name": said.call.tool,
                "input": said.call.arguments,
            }
            content.append({"type": "tool_use", **call})
        return {
            "id": f"msg_{len(asked.messages):04}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": content,
            "stop_reason": "tool_use" if said.call else _STOPS[said.stop],
            "stop_sequence": None,
            "usage": {**_USAGE, "output_tokens": OUTPUT_TOKENS},
        }

    def refusal(self, refuse: Refuse, now: float) -> Refusal:
        error = {"type": _TYPES[refuse.fault], "message": refuse.message}
        headers = {"request-id": "req_0001"}
        if refuse.resets_in is not None:
            # What a subscription's window answers once it is used up; the hours are those of the short one.
            reset = str(int(now) + refuse.resets_in)
            unified = {
                "status": "rejected",
                "reset": reset,
                "representative-claim": "five_hour",
                "fallback": "unavailable",
                "5h-status": "rejected",
                "5h-reset": reset,
                "5h-utilization": "1.0",
                "overage-status": "rejected",
                "overage-disabled-reason": "org_level_disabled",
            }
            headers |= {f"anthropic-ratelimit-unified-{name}": value for name, value in unified.items()}
        return Refusal({"type": "error", "error": error, "request_id": "req_0001"}, headers)


def _messages(message: dict[str, Any], names: dict[str, str]) -> list[Message]:
    """A message, with each tool result as one of its own; `names` remembers which call had which tool."""
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    names.update({call["id"]: call["name"] for call in calls})
    results = [
        Message(
            "tool",
            text_of(block.get("content")),
            (names.get(block["tool_use_id"], ""),),
            bool(block.get("is_error")),
        )
        for block in blocks
        if block.get("type") == "tool_result"
    ]
    said = text_of(content)
    own = [Message(message["role"], said, tuple(call["name"] for call in calls))] if said or calls else []
    # The program's reminders travel beside a result; the result is still what was said last.
    return own + results


def _block(index: int, block: dict[str, Any], said: Said) -> list[dict[str, Any]]:
    if block["type"] == "text":
        start: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in said.pieces]
    else:
        start = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
