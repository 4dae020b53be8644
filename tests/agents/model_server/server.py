"""A model provider on this machine: the protocols of the real ones, answers from a script."""

from __future__ import annotations

import socket
import threading
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.agents.model_server.exchange import Exchange
from tests.agents.model_server.log import RequestLog
from tests.agents.model_server.script import Script, text
from tests.agents.model_server.seat import Seat


class ModelServer:
    """Serves while it is entered: `with ModelServer(writes()) as server: … server.url`.

    Args:
        script: what the model does for every API key that has no script of its own (`give`).
    """

    def __init__(self, script: Script | None = None) -> None:
        self.log = RequestLog()
        self._seats: dict[str | None, Seat] = {None: Seat(script or text())}
        self._closing = threading.Event()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Without a slash or a path at its end."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def script(self) -> Script:
        """What every key gets that has no script of its own; set it to switch, from its first reply on."""
        return self._seats[None].script

    @script.setter
    def script(self, script: Script) -> None:
        self._seats[None] = Seat(script)

    def give(self, key: str, script: Script) -> None:
        """Answer this API key by a script of its own, from its first reply on."""
        self._seats[key] = Seat(script)

    def seat(self, key: str | None) -> Seat:
        """Where this key's script stands."""
        return self._seats.get(key) or self._seats[None]

    @property
    def closing(self) -> threading.Event:
        """Set when the server ends; a hanging answer waits for it."""
        return self._closing

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.end()


class _Http(ThreadingHTTPServer):
    """Knows its open connections: threads that wait for a next request on one would never be joined."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, model: ModelServer) -> None:
        self.model = model
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Exchange)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def end(self) -> None:
        """End every connection, and with it the thread that serves it."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the program has gone already
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Programs are killed in the middle of an answer: that is the point of these tests."""
        import sys

        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
