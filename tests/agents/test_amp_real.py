"""Amp, the real one, as far as it goes without its service: whatever that may answer but an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from smithers.agents import Amp
from smithers.errors import AgentAuth, AgentError, AgentSessionLost, AgentThrottled, AgentUnfit
from tests.agents.caller import Caller, Heard

pytestmark = pytest.mark.slow

THREAD = "T-12345678-0000-4000-8000-000000000000"


class Service:
    """Amp's service as it is when it does not work: every request is refused with one status."""

    def __init__(self) -> None:
        self.status = 500
        self.paths: list[str] = []
        service = self

        class Refusal(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                service.paths.append(self.path)
                self.send_response(service.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST  # noqa: N815 - the library's own name

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    found.thread.start()
    yield found
    found.http.shutdown()
    found.thread.join()
    found.http.server_close()


class TestAmp:
    @pytest.fixture(autouse=True)
    def scene(self, service: Service, tmp_path: Path, executable: Callable[[str], Path]) -> Iterator[None]:
        self.binary = str(executable("amp"))
        self.service, self.home = service, tmp_path
        self.caller = Caller()
        yield
        left = self.caller.survivors
        self.caller.close()
        assert left == []

    def call(self, env: dict[str, str] | None = None, *, session: str | None = None, **options: Any) -> Heard:
        variables = {
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "AMP_URL": self.service.url,
            "AMP_API_KEY": "sgamp_fake",
            **(env or {}),
        }
        agent = Amp(env=variables, binary=self.binary, cwd=self.home, start_timeout=60, **options)
        return self.caller.ask(agent, "hello", session=session)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, AgentAuth),
            (403, AgentAuth),
            (429, AgentThrottled),
            (500, AgentThrottled),
            (503, AgentThrottled),
        ],
    )
    def test_what_its_service_refuses_has_its_class(self, status: int, kind: type[AgentError]) -> None:
        self.service.status = status
        assert type(self.call().failure) is kind
        assert any("getUserInfo" in path for path in self.service.paths)

    def test_a_service_that_is_not_there_is_a_passing_failure(self) -> None:
        assert isinstance(self.call({"AMP_URL": "http://127.0.0.1:9"}).failure, AgentThrottled)

    def test_without_a_key_it_is_not_even_started(self) -> None:
        called = self.call({"AMP_API_KEY": ""})
        assert isinstance(called.failure, AgentAuth)
        assert called.failure.hint == "sign in: `amp login`"
        assert self.caller.traces == []

    def test_a_key_that_its_sign_in_has_kept_is_a_key(self) -> None:
        kept = self.home / "data/amp/secrets.json"
        kept.parent.mkdir(parents=True)
        kept.write_text(json.dumps({f"apiKey@{self.service.url}": "sgamp_kept"}))
        self.service.status = 401
        assert isinstance(self.call({"AMP_API_KEY": ""}).failure, AgentAuth)
        assert self.service.paths

    def test_a_private_folder_has_a_key_of_its_own(self) -> None:
        kept = self.home / "own/data/amp/secrets.json"
        kept.parent.mkdir(parents=True)
        kept.write_text(json.dumps({f"apiKey@{self.service.url}": "sgamp_kept"}))
        env = {"HOME": str(self.home), "AMP_URL": self.service.url}
        agent = Amp(
            env=env, binary=self.binary, cwd=self.home, config_dir=self.home / "own", start_timeout=60
        )
        self.service.status = 401
        assert isinstance(self.caller.ask(agent, "hello").failure, AgentAuth)
        assert self.service.paths

    def test_a_thread_that_cannot_be_is_lost(self) -> None:
        assert isinstance(self.call(session="nosuch").failure, AgentSessionLost)

    def test_its_options_are_understood(self) -> None:
        called = self.call(
            session=THREAD,
            mode="low",
            mcp_config={"mcpServers": {"x": {"command": "true"}}},
            visibility="private",
            labels=["a"],
            dangerously_allow_all=True,
        )
        assert isinstance(called.failure, AgentThrottled)

    def test_an_option_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(args=["--nosuch"]).failure, AgentUnfit)
