"""One event in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from smithers.observe import moment
from smithers.observe.node_view import headline, shown_name

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from smithers.records import EventRow


def event_text(event: EventRow, began_ms: int, looped: AbstractSet[str] = frozenset()) -> str:
    """`#12 +00:03.250 node-failed draft[1] attempt 2  [TIMEOUT] took longer than 5s`.

    Args:
        event: the stored event.
        began_ms: the instant that offsets count from: the run's creation.
        looped: ids of tasks that stand in a loop; their first pass is named too.
    """
    parts = [f"#{event.seq}", moment.offset(event.at_ms - began_ms), event.type.word]
    if event.key is not None:
        parts.append(shown_name(event.key, is_in_loop=event.key.node in looped))
    if event.attempt:
        parts.append(f"attempt {event.attempt}")
    data = _data_text(event.data, began_ms)
    return " ".join(parts) + (f"  {data}" if data else "")


def event_document(event: EventRow, run: str) -> dict[str, Any]:
    """One line of `smithers logs --json`."""
    return {
        "run": run,
        "seq": event.seq,
        "at": moment.iso(event.at_ms),
        "event": event.type.word,
        "node": event.key.node if event.key else None,
        "scope": event.key.scope if event.key else None,
        "iteration": event.key.iteration if event.key else None,
        "attempt": event.attempt or None,
        "data": json.loads(event.data) if event.data else None,
    }


def _data_text(data: str | None, began_ms: int) -> str:
    """An event's own facts in short: an error by its headline, the rest as `name=value`."""
    if not data:
        return ""
    facts = json.loads(data)
    if not isinstance(facts, dict):
        return _value(facts)
    error = facts.pop("error", None)
    shown = [headline(error)] if isinstance(error, dict) else [str(error)] if error else []
    if "message" in facts:
        shown.append(headline({"code": facts.pop("code", None), "message": facts.pop("message")}))
    shown += [_fact(name, value, began_ms) for name, value in facts.items() if value is not None]
    return " ".join(shown)


def _fact(name: str, value: object, began_ms: int) -> str:
    if name.endswith("_ms") and isinstance(value, int):
        # Instants count from where the line's own offset does; spans are small numbers.
        text = moment.offset(value - began_ms) if value > began_ms // 2 else moment.span(value)
        return f"{name.removesuffix('_ms')}={text}"
    return f"{name}={_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, str):
        first = value.strip().splitlines()[0] if value.strip() else ""
        return first if first and " " not in first else json.dumps(first, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
