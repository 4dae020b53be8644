"""What tests of notices share: a notice without a store, a web server, a way that does as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any

from smithers.errors import NotDelivered
from smithers.ids import NodeKey
from smithers.notify.letter import Letter
from smithers.records import NoticeKind, NoticeRow

AT_MS = 1_750_000_000_000


def notice(
    kind: NoticeKind = NoticeKind.FAILED, key: NodeKey | None = None, *, at_ms: int = AT_MS, **data: Any
) -> NoticeRow:
    text = json.dumps({"title": f"r1 {kind.value}", **data})
    return NoticeRow(7, "ab" * 16, 1, "r1", "flow", kind, key, 2, 3, text, at_ms, 0, (), 0, None, None)


def letter(body: bytes = b'{"version": 1}', **more: str) -> Letter:
    found = {"run": "r1", "title": "r1 failed", "summary": "no", **more}
    return Letter("ab" * 16, NoticeKind.FAILED, body=body, **found)


@dataclass
class StandIn:
    """A way that fails as often as it is told, and remembers what it delivered. Implements `Way`."""

    name: str = "command"
    failures: list[Exception | str] = field(default_factory=list)
    """One for each try, the first ones; a text fails as a way does."""
    is_owed: bool = True
    limit_s: float = 1.0
    tried: int = 0
    letters: list[Letter] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def send(self, letter: Letter, stop: Event) -> None:
        self.tried += 1
        self.meanwhile()
        if self.failures:
            failure = self.failures.pop(0)
            raise NotDelivered(failure) if isinstance(failure, str) else failure
        self.letters.append(letter)


@dataclass
class Server:
    """A web server that answers as it is told, the last answer again and again."""

    address: str
    answers: list[int | Callable[[BaseHTTPRequestHandler], None]]
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """Method and path, headers in small letters, body."""


@contextmanager
def server(
    answers: Sequence[int | Callable[[BaseHTTPRequestHandler], None]] = (200,),
) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append((f"{self.command} {self.path}", headers, body))
            answer = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.end_headers()

        do_POST = do_GET = _answer  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody wants to see it."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.block_on_close = False
    found = Server(f"http://127.0.0.1:{made.server_address[1]}/hook", list(answers))
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
