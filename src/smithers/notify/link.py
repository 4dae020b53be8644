"""Links that decide: a signed text that says which wait is decided, how, and until when.

    s1.<what, as JSON>.<HMAC-SHA256 of all before>

Who holds the link may decide, so it is made when a notice leaves, and stored nowhere. All of it can be read.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import astuple, dataclass
from typing import Final

from smithers.errors import LinkExpired, LinkInvalid

VERSION: Final = "s1"
LONGEST: Final = 4_096
"""Characters of a text that is looked at at all."""


@dataclass(frozen=True, slots=True)
class Link:
    """One decision of one wait."""

    run: str
    node: str
    scope: str
    iteration: int
    generation: int
    number: int
    """Which wait of this node's generation."""
    decision: str
    by: str | None
    """In whose name; None: whoever opens it."""
    expires_ms: int
    """Wall clock; it is void from then on."""
    nonce: str
    """Tells links of one decision apart."""


def sign(secret: bytes, link: Link) -> str:
    """The link as text, for a URL's path."""
    body = json.dumps(astuple(link), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate can stand in a name that came from a file system.
    head = f"{VERSION}.{_text(body.encode('utf-8', 'surrogatepass'))}"
    return f"{head}.{_mac(secret, head)}"


def verify(secret: bytes, token: str, now_ms: int) -> Link:
    """The link that a text is.

    Args:
        now_ms: wall clock.
    Raises:
        LinkInvalid: it was not signed with this secret, or any character of it was changed.
        LinkExpired: its time is over.
    """
    head, _, mac = token.rpartition(".")
    # The texts are compared, not what they encode: one value has several texts in base64.
    given = mac.encode("utf-8", "surrogatepass")
    if len(token) > LONGEST or not hmac.compare_digest(given, _mac(secret, head).encode()):
        raise LinkInvalid("this link was not made here, or was changed on its way")
    version, _, body = head.partition(".")
    if version != VERSION:
        raise LinkInvalid(f"this link is of another version, {version}")
    text = urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode("utf-8", "surrogatepass")
    link = Link(*json.loads(text))
    if now_ms >= link.expires_ms:
        raise LinkExpired(f"this link to {link.decision} {link.node} of {link.run} is too old", run=link.run)
    return link


def _mac(secret: bytes, head: str) -> str:
    return _text(hmac.digest(secret, head.encode("utf-8", "surrogatepass"), "sha256"))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
