"""A notice as it leaves: the JSON that the command reads and the webhook gets. Its shape is stable."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from smithers.notify.link import Link, sign
from smithers.records import NoticeKind, NoticeRow

VERSION: Final = 1
LINK_LIFE_MS: Final = 7 * 86_400_000
"""How long a link decides, where the wait has no end of its own."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice that is ready to be sent."""

    uid: str
    kind: NoticeKind
    run: str
    title: str
    summary: str
    body: bytes
    """The JSON, in UTF-8. The same at every try."""


def letter_of(notice: NoticeRow, url: str | None, key: Callable[[], bytes]) -> Letter:
    """Write a stored notice out.

    Its `data` holds `title`, `summary`, `options`, `due_ms`, `status`, `error`, `commands`, and `decisions`:
    the words for which there are to be links.

    Args:
        url: what links begin with; None: there are none.
        key: gives the key that signs them; asked only if there are any.
    Raises:
        LinkKeyRefused: it is not safe to use.
        StoreError: it cannot be read.
    """
    data: dict[str, Any] = json.loads(notice.data)
    due_ms: int | None = data.get("due_ms")
    found: dict[str, Any] = {
        "version": VERSION,
        "id": notice.uid,
        "kind": notice.kind.value,
        "at": _iso(notice.at_ms),
        "run": notice.run_name,
        "workflow": notice.workflow,
    }
    if notice.key is not None:
        node, scope, iteration = notice.key
        found |= {"node": node, **({"scope": scope} if scope else {}), "iteration": iteration}
    found["title"] = data.get("title") or f"{notice.run_name}: {notice.kind.value}"
    for name in ("summary", "options", "status", "error", "commands"):
        if data.get(name):
            found[name] = data[name]
    if due_ms is not None:
        found["due_at"] = _iso(due_ms)
    if url is not None and notice.key is not None and data.get("decisions"):
        found["links"] = _links(notice, data["decisions"], due_ms, url, key())
    body = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    return Letter(notice.uid, notice.kind, notice.run_name, found["title"], found.get("summary") or "", body)


def trial_letter(uid: str, now_ms: int, project: str) -> Letter:
    """What `smithers notify test` sends."""
    title, summary = "smithers: a test", f"Notices of {project} arrive here."
    found = {
        "version": VERSION,
        "id": uid,
        "kind": NoticeKind.TEST.value,
        "at": _iso(now_ms),
        "run": "test",
        "workflow": "test",
        "title": title,
        "summary": summary,
    }
    body = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    return Letter(uid, NoticeKind.TEST, "test", title, summary, body)


def _links(
    notice: NoticeRow, decisions: list[str], due_ms: int | None, url: str, key: bytes
) -> dict[str, str]:
    """A link for each decision; the same ones at every try, since the receiver may compare them."""
    assert notice.key is not None
    expires_ms = due_ms if due_ms is not None else notice.at_ms + LINK_LIFE_MS
    found = {}
    for decision in decisions:
        nonce = hmac.digest(key, f"nonce {notice.uid} {decision}".encode(), "sha256").hex()[:16]
        link = Link(
            notice.run_name, *notice.key, notice.generation, notice.number, decision, None, expires_ms, nonce
        )
        found[decision] = f"{url}/links/{sign(key, link)}"
    return found


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
