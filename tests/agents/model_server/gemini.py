"""Gemini: `POST …/models/MODEL:streamGenerateContent?alt=sse`, and without a stream `:generateContent`."""

from __future__ import annotations

import json
from typing import Any

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

_STOPS = {"end": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}
_STATUSES = {
    "authentication": "UNAUTHENTICATED",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "invalid": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "usage_limit": "RESOURCE_EXHAUSTED",
    "quota": "RESOURCE_EXHAUSTED",
    "server": "INTERNAL",
    "overloaded": "UNAVAILABLE",
}
_USAGE = {
    "promptTokenCount": INPUT_TOKENS,
    "cachedContentTokenCount": CACHED_TOKENS,
    "candidatesTokenCount": OUTPUT_TOKENS,
    "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
}


class Gemini:
    """As Gemini CLI speaks it."""

    name = "gemini"

    def asked(self, path: str, body: dict[str, Any]) -> Asked:
        model, _, verb = path.rpartition("/")[2].partition(":")
        groups = [group.get("functionDeclarations") or [] for group in body.get("tools") or []]
        tools = tuple(
            Tool(each["name"], each.get("parametersJsonSchema") or each.get("parameters") or {})
            for group in groups
            for each in group
        )
        config = body.get("generationConfig") or {}
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        system = text_of((body.get("systemInstruction") or {}).get("parts"))
        messages = [Message("system", system)] if system else []
        for content in body.get("contents", []):
            messages += _messages(content)
        return Asked(model, tuple(messages), tools, schema, verb.startswith("stream"))

    def events(self, asked: Asked, said: Said) -> list[bytes]:
        parts: list[dict[str, Any]] = [{"text": piece} for piece in said.pieces]
        if said.call:
            parts.append(_call(said))
        frames = [{"candidates": [{"index": 0, "content": _content([part])}]} for part in parts]
        last = {"index": 0, "content": _content([{"text": ""}]), "finishReason": _STOPS[said.stop]}
        ending = {"candidates": [last], "usageMetadata": _USAGE, "modelVersion": asked.model}
        return [*map(sse, frames), sse(ending)]

    def whole(self, asked: Asked, said: Said) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": said.text}] if said.text else []
        if said.call:
            parts.append(_call(said))
        candidate = {"index": 0, "content": _content(parts), "finishReason": _STOPS[said.stop]}
        return {"candidates": [candidate], "usageMetadata": _USAGE, "modelVersion": asked.model}

    def refusal(self, refuse: Refuse, now: float) -> Refusal:
        error: dict[str, Any] = {
            "code": refuse.status,
            "message": refuse.message,
            "status": _STATUSES[refuse.fault],
        }
        if refuse.resets_in is not None:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": f"{refuse.resets_in}s"}]
        return Refusal({"error": error})


def _content(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "model", "parts": parts}


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    return {"functionCall": {"name": said.call.tool, "args": said.call.arguments}}


def _messages(content: dict[str, Any]) -> list[Message]:
    """A content, with each function's response as a message of its own."""
    parts = content.get("parts") or []
    role: Role = "assistant" if content.get("role") == "model" else "user"
    calls = tuple(part["functionCall"]["name"] for part in parts if "functionCall" in part)
    responses = [part["functionResponse"] for part in parts if "functionResponse" in part]
    text = text_of(parts)
    own = [Message(role, text, calls)] if text or calls else []
    results = [Message("tool", json.dumps(each.get("response")), (each["name"],)) for each in responses]
    return own + results
