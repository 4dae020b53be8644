"""One HTTP request and its answer."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, assert_never, cast
from urllib.parse import parse_qs, urlsplit

from tests.agents.model_server.anthropic import Anthropic
from tests.agents.model_server.asked import Asked
from tests.agents.model_server.chat import Chat
from tests.agents.model_server.gemini import Gemini
from tests.agents.model_server.log import Request
from tests.agents.model_server.reply import Call, Cut, Empty, Garbage, Hang, Output, Refuse, Reply, Say, Write
from tests.agents.model_server.responses import Responses
from tests.agents.model_server.tool import output_tool, sample, write_call
from tests.agents.model_server.wire import INPUT_TOKENS, Said, Wire

if TYPE_CHECKING:
    from tests.agents.model_server.server import _Http

_WIRES: dict[str, Wire] = {
    "/messages": Anthropic(),
    "/responses": Responses(),
    "/chat/completions": Chat(),
    ":streamGenerateContent": Gemini(),
    ":generateContent": Gemini(),
}
_MODELS = ("claude-sonnet-4-5", "gpt-5.5", "fake-model", "gemini-2.5-pro", "kimi-for-coding")


class Exchange(BaseHTTPRequestHandler):
    """Reads a request, logs it, answers it as the script says."""

    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        except ConnectionError:
            pass  # what was left unsent has nobody to read it
        finally:
            self.server.closed(self.connection)

    def version_string(self) -> str:
        return "fake"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the request log is for that."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        is_list = path.endswith("/models")
        self.server.model.log.add(self._request("models" if is_list else "unknown"))
        if is_list:
            self._send_json(200, _models())
        else:
            self._send_json(404, {"error": {"message": f"there is no {path}"}})

    def do_HEAD(self) -> None:
        self.server.model.log.add(self._request("unknown"))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = self._body()
        path = urlsplit(self.path).path
        wire = next((wire for ending, wire in _WIRES.items() if path.endswith(ending)), None)
        if wire is not None:
            self._converse(wire, wire.asked(path, body))
        elif path.endswith(("/count_tokens", ":countTokens")):
            self.server.model.log.add(self._request("count"))
            self._send_json(200, {"input_tokens": INPUT_TOKENS, "totalTokens": INPUT_TOKENS})
        else:
            self.server.model.log.add(self._request("unknown"))
            self._send_json(404, {"error": {"message": f"there is no {path}"}})

    def _converse(self, wire: Wire, asked: Asked) -> None:
        seat = self.server.model.seat(self._key())
        reply = seat.reply(asked)
        self.server.model.log.add(self._request(wire.name, asked, seat.script.name, reply))
        delay = seat.script.delay
        match reply:
            case Write() | Say() | Output() | Call() | Empty():
                self._answer(wire, asked, _said(asked, reply), delay)
            case Refuse():
                self._refuse(wire, reply)
            case Hang(after_events):
                if after_events:
                    self._stream(wire.events(asked, Said("This sentence stops"))[:after_events], delay)
                self.server.model.closing.wait()
                self.close_connection = True
            case Cut(said):
                self._cut(wire, asked, Said(said), delay)
            case Garbage(page):
                self._send(200, page.encode(), "text/html")
            case _:
                assert_never(reply)

    def _answer(self, wire: Wire, asked: Asked, said: Said, delay: float) -> None:
        if not asked.is_streamed:
            self._send_json(200, wire.whole(asked, said))
            return
        self._stream(wire.events(asked, said), delay)
        self.wfile.write(b"0\r\n\r\n")

    def _cut(self, wire: Wire, asked: Asked, said: Said, delay: float) -> None:
        self.close_connection = True
        if asked.is_streamed:
            events = wire.events(asked, said)
            self._stream(events[: len(events) // 2 + 1], delay)
        else:
            whole = json.dumps(wire.whole(asked, said)).encode()
            self._send(200, whole[: len(whole) // 2], "application/json", {"Content-Length": str(len(whole))})

    def _stream(self, events: list[bytes], delay: float) -> None:
        """Headers and events, but not the end: without that, a client knows that something is missing."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            if delay and self.server.model.closing.wait(delay):
                return
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()

    def _refuse(self, wire: Wire, refuse: Refuse) -> None:
        refusal = wire.refusal(refuse, time.time())
        headers = dict(refusal.headers)
        if refuse.retry_after is not None:
            headers["retry-after"] = str(refuse.retry_after)
        if refuse.may_retry is not None:
            headers["x-should-retry"] = str(refuse.may_retry).lower()
        self._send_json(refuse.status, refusal.body, headers)

    def _send_json(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> dict[str, Any]:
        """The JSON object that was sent; an empty one for anything else."""
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(sent)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _key(self) -> str | None:
        for header in ("x-api-key", "x-goog-api-key"):
            if key := self.headers.get(header):
                return str(key)
        if bearer := str(self.headers.get("Authorization", "")).removeprefix("Bearer").strip():
            return bearer
        return next(iter(parse_qs(urlsplit(self.path).query).get("key", [])), None)

    def _request(
        self, wire: str, asked: Asked | None = None, script: str = "", reply: Reply | None = None
    ) -> Request:
        request = Request(time.time(), wire, self.command, self.path, self._key())
        if asked is None or reply is None:
            return request
        return Request(
            *(request.at, request.wire, request.method, request.path, request.key),
            model=asked.model,
            tools=tuple(tool.name for tool in asked.tools),
            messages=asked.messages,
            schema=asked.schema,
            is_streamed=asked.is_streamed,
            is_aside=asked.is_aside,
            script=script,
            reply=type(reply).__name__,
        )


def _said(asked: Asked, reply: Write | Say | Output | Call | Empty) -> Said:
    match reply:
        case Write(path, content):
            return Said(call=write_call(asked, path, content))
        case Say(said, stop):
            return Said(said, stop=stop)
        case Call():
            return Said(call=reply)
        case Empty():
            return Said()
        case Output(value):
            return _output(asked, value)
        case _:
            assert_never(reply)


def _output(asked: Asked, value: Any) -> Said:
    tool = output_tool(asked)
    schema = tool.schema if tool else asked.schema
    made = value if value is not None else sample(schema) if schema else {"ok": True}
    return Said(call=Call(tool.name, cast("dict[str, Any]", made))) if tool else Said(json.dumps(made))


def _models() -> dict[str, Any]:
    """In the fields of all providers at once."""
    data = [{"id": name, "object": "model", "type": "model", "display_name": name} for name in _MODELS]
    models = [{"name": f"models/{name}", "slug": name} for name in _MODELS]
    return {"object": "list", "data": data, "has_more": False, "models": models}
