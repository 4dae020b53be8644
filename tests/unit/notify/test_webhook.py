"""The webhook, against a real server."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from http.server import BaseHTTPRequestHandler
from threading import Event

import pytest

from smithers.errors import NotDelivered
from smithers.notify.webhook import Webhook, signature
from tests.unit.notify.stage import letter, server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_the_notice_arrives_signed_and_with_its_own_key() -> None:
    with server() as found:
        Webhook(found.address + "?a=b", "s3cret", now_s=lambda: 1234.9).send(letter(b'{"a": 1}'), Event())
    ((line, headers, body),) = found.seen
    assert (line, body) == ("POST /hook?a=b", b'{"a": 1}')
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "ab" * 16
    assert headers["x-smithers-timestamp"] == "1234"
    expected = hmac.new(b"s3cret", b'1234.{"a": 1}', hashlib.sha256).hexdigest()
    assert headers["x-smithers-signature"] == f"v1={expected}"


def test_without_a_secret_nothing_is_signed() -> None:
    with server() as found:
        Webhook(found.address, None).send(letter(), Event())
    assert "x-smithers-signature" not in found.seen[0][1]


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(code: int) -> None:
    with server([code]) as found:
        Webhook(found.address, None).send(letter(), Event())


@pytest.mark.parametrize("code", [400, 404, 410, 429, 500, 503])
def test_any_other_answer_is_a_failure(code: int) -> None:
    with server([code]) as found, pytest.raises(NotDelivered) as caught:
        Webhook(found.address, None).send(letter(), Event())
    assert caught.value.message == f"the webhook answered {code}"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(code: int) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    with server([redirect]) as found, pytest.raises(NotDelivered, match=f"answered {code}, and redirects"):
        Webhook(found.address, "s").send(letter(), Event())
    assert [line for line, _, _ in found.seen] == ["POST /hook"]


def test_a_server_that_hangs_is_left_alone() -> None:
    leave = Event()
    with server([lambda handler: leave.wait(30) and None]) as found:
        begun = time.monotonic()
        with pytest.raises(NotDelivered, match="had not answered after"):
            Webhook(found.address, None, limit_s=0.3).send(letter(), Event())
        assert time.monotonic() - begun < 10
        leave.set()


def test_a_server_that_answers_a_byte_at_a_time_is_left_alone_too() -> None:
    leave = Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        for byte in b"HTTP/1.0 200 OK" * 100:
            if leave.wait(0.05):
                return
            try:
                handler.wfile.write(bytes([byte]))
            except OSError:
                return

    with server([drip]) as found:
        with pytest.raises(NotDelivered, match="had not answered after"):
            Webhook(found.address, None, limit_s=0.3).send(letter(), Event())
        leave.set()


def test_it_is_broken_off_when_there_is_no_time_left() -> None:
    leave, stop = Event(), Event()
    with server([lambda handler: leave.wait(30) and None]) as found:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(NotDelivered, match="when there was no time left"):
            Webhook(found.address, None).send(letter(), stop)
        leave.set()


def test_a_server_that_hangs_up_has_not_answered() -> None:
    said = r"the webhook (gave no answer|could not be reached): \w+"
    hangs_up = server([lambda handler: handler.connection.close()])
    with hangs_up as found, pytest.raises(NotDelivered, match=said):
        Webhook(found.address, None).send(letter(), Event())


def test_nobody_there_is_said_without_the_address() -> None:
    with server() as found:
        pass
    with pytest.raises(NotDelivered) as caught:
        Webhook(found.address + "/T0PSECRET", "T0PSECRET").send(letter(), Event())
    assert caught.value.message.startswith("the webhook could not be reached: Connection refused")
    assert "T0PSECRET" not in str(caught.value.payload())
    assert "127.0.0.1" not in caught.value.message


def test_a_secret_may_be_any_text() -> None:
    assert signature("geheimnis-\u00fc", "1", b"") != signature("geheimnis-u", "1", b"")
    assert signature("\udc80", "1", b"").startswith("v1=")  # a byte of an environment that is no UTF-8
