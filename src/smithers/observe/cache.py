"""What an attempt found in the cache, and what the cache holds: in words, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from smithers.observe import moment

if TYPE_CHECKING:
    from smithers.records import CacheRow, Lookup

SHOWN_KEY = 12
"""Digits of a key that people are shown."""


def lookup_text(lookup: Lookup, now_ms: int) -> str:
    """`hit: stored by run swift-otter-3f2 5m ago, key 8ff2e9b69160`, or in what the nearest entry differs."""
    *most, final = lookup.differs or ("",)
    parts = f"{', '.join(most)} and {final}" if most else final
    more = f"; {lookup.detail}" if lookup.detail else ""
    match lookup.verdict:
        case "hit":
            return f"hit: stored by {_who(lookup, now_ms)}, key {lookup.mark[:SHOWN_KEY]}"
        case "differs":
            verb = "differs" if len(lookup.differs) == 1 else "differ"
            return f"miss: {parts} {verb} from what was stored by {_who(lookup, now_ms)}{more}"
        case "expired":
            return f"miss: expired; what was stored by {_who(lookup, now_ms)} is older than the ttl{more}"
        case "unfit":
            return f"miss: what was stored by {_who(lookup, now_ms)} did not fit the model: {lookup.detail}"
        case "unreadable":
            return f"miss: it cannot be read: {lookup.detail}"
        case "refused":
            return f"miss: a table refused what was stored by {_who(lookup, now_ms)}: {lookup.detail}"
        case "empty":
            return f"miss: nothing stored for this task{more}"
        case "rerun":
            return f"not looked at: it was asked to be executed again{more}"
        case "unknown":
            return f"not used: it cannot be said what its {parts} is, so nothing would be found again"
        case _:
            assert_never(lookup.verdict)


def lookup_document(lookup: Lookup | None) -> dict[str, Any] | None:
    """`cache` of an attempt in JSON; None: its task has none, or it has not ended."""
    if lookup is None:
        return None
    return {
        "hit": lookup.is_hit,
        "verdict": lookup.verdict,
        "key": lookup.mark or None,
        "differs": list(lookup.differs),
        "run": lookup.run or None,
        "node": lookup.node or None,
        "stored_at": moment.iso(lookup.stored_ms),
        "detail": lookup.detail or None,
    }


def entry_document(row: CacheRow) -> dict[str, Any]:
    """One of `entries` in the JSON of `smithers cache --json`."""
    return {
        "workflow": row.workflow,
        "task": row.key.node,
        "scope": "run" if row.is_of_run else "workflow",
        "key": row.mark.hex(),
        "parts": dict(row.parts),
        "run": row.run,
        "node": str(row.key),
        "stored_at": moment.iso(row.stored_ms),
    }


def _who(lookup: Lookup, now_ms: int) -> str:
    """The run that stored it and when; its node too where that stood in another pass."""
    node = f"{lookup.node} of " if "[" in lookup.node else ""
    when = f" {moment.ago(lookup.stored_ms, now_ms)}" if lookup.stored_ms is not None else ""
    return f"{node}run {lookup.run}{when}"
