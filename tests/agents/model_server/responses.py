"""OpenAI Responses: `POST /v1/responses`."""

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


class Responses:
    """As Codex speaks it; over HTTP only, though Codex would also try a WebSocket."""

    name = "responses"

    def asked(self, path: str, body: dict[str, Any]) -> Asked:
        items = body.get("input", [])
        items = [{"role": "user", "content": items}] if isinstance(items, str) else items
        tools = list(body.get("tools") or [])
        names: dict[str, str] = {}
        messages = [Message("system", body["instructions"])] if body.get("instructions") else []
        for item in items:
            if item.get("type") == "additional_tools":  # where the newest models are told of them
                tools += item.get("tools") or []
            elif message := _message(item, names):
                messages.append(message)
        schema = ((body.get("text") or {}).get("format") or {}).get("schema")
        return Asked(
            body.get("model", ""), tuple(messages), tuple(_tools(tools)), schema, bool(body.get("stream"))
        )

    def events(self, asked: Asked, said: Said) -> list[bytes]:
        whole = self.whole(asked, said)
        started = {**whole, "status": "in_progress", "output": [], "usage": None}
        frames: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
        for index, item in enumerate(whole["output"]):
            frames += _item_frames(index, item, said)
        ending = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
        frames.append({"type": ending, "response": whole})
        return [sse({**frame, "sequence_number": at}, frame["type"]) for at, frame in enumerate(frames)]

    def whole(self, asked: Asked, said: Said) -> dict[str, Any]:
        at = len(asked.messages)
        output: list[dict[str, Any]] = []
        if said.text:
            part = {"type": "output_text", "text": said.text, "annotations": []}
            message = {"type": "message", "id": f"msg_{at:04}", "role": "assistant", "status": "completed"}
            output.append({**message, "content": [part]})
        if said.call:
            call = {"call_id": f"call_{at:04}", "name": said.call.tool, "status": "completed"}
            if isinstance(said.call.arguments, str):
                output.append(
                    {"type": "custom_tool_call", "id": f"ctc_{at:04}", **call, "input": said.call.arguments}
                )
            else:
                arguments = json.dumps(said.call.arguments)
                output.append({"type": "function_call", "id": f"fc_{at:04}", **call, "arguments": arguments})
        return {
            "id": f"resp_{at:04}",
            "object": "response",
            "created_at": 1,
            "model": asked.model,
            "status": "completed" if said.stop == "end" else "incomplete",
            "error": None,
            "incomplete_details": None if said.stop == "end" else {"reason": _REASONS[said.stop]},
            "output": output,
            "usage": {
                "input_tokens": INPUT_TOKENS,
                "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            },
        }

    def refusal(self, refuse: Refuse, now: float) -> Refusal:
        return openai.refusal(refuse, now)


_REASONS = {"length": "max_output_tokens", "refusal": "content_filter"}


def _tools(given: list[dict[str, Any]]) -> list[Tool]:
    found: list[Tool] = []
    for tool in given:
        if tool.get("type") == "namespace":
            # The newest models get theirs in a group of this name; other groups are not the program's own.
            found += _tools(tool.get("tools") or []) if tool.get("name") == "functions" else []
            continue
        name = tool.get("name") or tool.get("type", "")
        found.append(Tool(name, tool.get("parameters") or {}, is_freeform=tool.get("type") == "custom"))
    return found


def _message(item: dict[str, Any], names: dict[str, str]) -> Message | None:
    kind = item.get("type", "message")
    if kind == "message":
        role: Role = "system" if item["role"] == "developer" else item["role"]
        return Message(role, text_of(item.get("content")))
    if kind.endswith("_call_output"):
        output = item.get("output")
        text = output if isinstance(output, str) else text_of(output) or json.dumps(output)
        return Message("tool", text, (names.get(item["call_id"], ""),))
    if kind.endswith("_call"):
        names[item.get("call_id", "")] = item.get("name", kind)
        return Message("assistant", "", (item.get("name", kind),))
    return None


def _item_frames(index: int, item: dict[str, Any], said: Said) -> list[dict[str, Any]]:
    place = {"output_index": index, "item_id": item["id"]}
    frames: list[dict[str, Any]] = []
    started = {**item, "status": "in_progress"}
    if item["type"] == "message":
        started["content"] = []
        part = {**place, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": []}
        frames += [
            {"type": "response.content_part.added", **part, "part": empty},
            *({"type": "response.output_text.delta", **part, "delta": piece} for piece in said.pieces),
            {"type": "response.output_text.done", **part, "text": said.text},
            {"type": "response.content_part.done", **part, "part": item["content"][0]},
        ]
    elif item["type"] == "function_call":
        started["arguments"] = ""
        kind = "response.function_call_arguments"
        frames += [
            {"type": f"{kind}.delta", **place, "delta": item["arguments"]},
            {"type": f"{kind}.done", **place, "arguments": item["arguments"]},
        ]
    added = {"type": "response.output_item.added", "output_index": index, "item": started}
    return [added, *frames, {"type": "response.output_item.done", "output_index": index, "item": item}]
