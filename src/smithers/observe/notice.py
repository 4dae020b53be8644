"""Notices as programs read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from smithers.observe import moment

if TYPE_CHECKING:
    from smithers.records import NoticeRow


def notice_document(row: NoticeRow) -> dict[str, Any]:
    """One of `notices` in the JSON of `smithers notify list --json`."""
    key = row.key
    is_due = row.next_ms is not None and row.next_ms > 0
    return {
        "id": row.uid,
        "kind": row.kind.value,
        "run": row.run_name,
        "node": key.node if key is not None else None,
        "scope": key.scope if key is not None else None,
        "iteration": key.iteration if key is not None else None,
        "title": title_of(row),
        "state": row.state,
        "at": moment.iso(row.at_ms),
        "tries": row.tries,
        "delivered_by": list(row.taken),
        "next_at": moment.iso(row.next_ms) if is_due else None,
        "sent_at": moment.iso(row.sent_ms),
        "error": row.error,
    }


def title_of(row: NoticeRow) -> str:
    """A notice in one line."""
    return str(json.loads(row.data).get("title") or row.kind.value)
