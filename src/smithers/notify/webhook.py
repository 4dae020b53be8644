"""A notice by HTTP: a POST, signed, to the address that was configured and to no other."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.client import HTTPException
from threading import Event
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from smithers.errors import NotDelivered
from smithers.notify.letter import Letter

LIMIT_S: Final = 10.0
_TICK_S: Final = 0.05


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What `X-Smithers-Signature` says: `v1=` and the HMAC-SHA256 of timestamp, `.` and body, in hexadecimal.

    Args:
        timestamp: as `X-Smithers-Timestamp` says it: seconds since 1970.
    """
    mac = hmac.digest(secret.encode("utf-8", "surrogateescape"), timestamp.encode() + b"." + body, "sha256")
    return f"v1={mac.hex()}"


class _Here(HTTPRedirectHandler):
    """Follows no redirect: what was signed for one address is not for another."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class Webhook:
    """Posts to one address; implements `Way`. Proxies are those of the environment.

    Args:
        address: in no message, as its path may be a password.
        secret: signs; None: nothing is signed.
        now_s: wall clock, in seconds.
    """

    name = "webhook"
    is_owed = True

    def __init__(
        self,
        address: str,
        secret: str | None,
        *,
        limit_s: float = LIMIT_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.limit_s = limit_s
        self._address = address
        self._secret = secret
        self._now_s = now_s

    def send(self, letter: Letter, stop: Event) -> None:
        """As `Way.send`. Any 2xx is success."""
        # On a thread of its own, which is left alone when time is up: a look-up of the name, or a server that
        # answers a byte at a time, cannot be ended otherwise.
        failed: list[str | None] = []
        thread = threading.Thread(
            target=lambda: failed.append(self._post(letter)), name="smithers-webhook", daemon=True
        )
        thread.start()
        until = time.monotonic() + self.limit_s
        while thread.is_alive() and not stop.is_set() and time.monotonic() < until:
            thread.join(_TICK_S)
        if not failed:
            why = "when there was no time left" if stop.is_set() else f"after {self.limit_s:.0f} s"
            raise NotDelivered(f"the webhook had not answered {why}")
        if failed[0] is not None:
            raise NotDelivered(f"the webhook {failed[0]}")

    def _post(self, letter: Letter) -> str | None:
        """Why it has failed; None: it has not."""
        try:
            with build_opener(_Here).open(self._request(letter), timeout=self.limit_s):
                return None
        except HTTPError as error:
            error.close()
            more = ", and redirects are not followed" if 300 <= error.code < 400 else ""
            return f"answered {error.code}{more}"
        except URLError as error:
            reason = error.reason
            said = (
                reason.strerror or type(reason).__name__ if isinstance(reason, OSError) else "no connection"
            )
            return f"could not be reached: {said}"
        except TimeoutError:
            return f"had not answered after {self.limit_s:.0f} s"
        except (OSError, HTTPException, ValueError) as error:
            # Not its text: the address may stand in it.
            return f"gave no answer: {type(error).__name__}"

    def _request(self, letter: Letter) -> Request:
        timestamp = str(int(self._now_s()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "smithers",
            "Idempotency-Key": letter.uid,
            "X-Smithers-Timestamp": timestamp,
        }
        if self._secret is not None:
            headers["X-Smithers-Signature"] = signature(self._secret, timestamp, letter.body)
        return Request(self._address, data=letter.body, headers=headers, method="POST")  # noqa: S310 - http(s) only
