"""OpenAI Chat Completions: `POST /v1/chat/completions`, which most other providers speak too."""

from __future__ import annotations

import json
from typing import Any

from tests.agents.model_server import openai
from tests.agents.model_server.asked import Asked, Message, Role, Tool
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

_STOPS = {"end": "stop", "length": "length", "refusal": "content_filter"}
_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
}


class Chat:
    """As Pi, OpenCode and both Kimi programs speak it."""

    name = "chat"

    def asked(self, path: str, body: dict[str, Any]) -> Asked:
        functions = [tool["function"] for tool in body.get("tools") or [] if "function" in tool]
        tools = tuple(Tool(function["name"], function.get("parameters") or {}) for function in functions)
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        names: dict[str, str] = {}
        messages = tuple(_message(message, names) for message in body.get("messages", []))
        return Asked(body.get("model", ""), messages, tools, schema, bool(body.get("stream")))

    def events(self, asked: Asked, said: Said) -> list[bytes]:
        message = self.whole(asked, said)["choices"][0]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in said.pieces]
        deltas += [
            {"tool_calls": [{"index": 0, **call}]} for call in message["message"].get("tool_calls", [])
        ]
        chunks = [_chunk(asked, {"index": 0, "delta": delta, "finish_reason": None}) for delta in deltas]
        last = {"index": 0, "delta": {}, "finish_reason": message["finish_reason"]}
        chunks += [_chunk(asked, last), {**_chunk(asked), "usage": _USAGE}]
        return [*map(sse, chunks), sse("[DONE]")]

    def whole(self, asked: Asked, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.call:
            arguments = said.call.arguments
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            function = {"name": said.call.tool, "arguments": text}
            message["tool_calls"] = [
                {"id": f"call_{len(asked.messages):04}", "type": "function", "function": function}
            ]
        finish = "tool_calls" if said.call else _STOPS[said.stop]
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return {**_chunk(asked, choice), "object": "chat.completion", "usage": _USAGE}

    def refusal(self, refuse: Refuse, now: float) -> Refusal:
        return openai.refusal(refuse, now)


def _chunk(asked: Asked, *choices: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{len(asked.messages):04}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": asked.model,
        "choices": list(choices),
    }


def _message(message: dict[str, Any], names: dict[str, str]) -> Message:
    role: Role = "system" if message["role"] == "developer" else message["role"]
    calls = message.get("tool_calls") or []
    names.update({call["id"]: call["function"]["name"] for call in calls})
    called = tuple(call["function"]["name"] for call in calls)
    if role == "tool":
        called = (names.get(message.get("tool_call_id", ""), ""),)
    return Message(role, text_of(message.get("content")), called)
