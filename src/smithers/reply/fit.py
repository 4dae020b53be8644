"""Whether what somebody says fits the wait that it is said to: looked at before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from smithers.errors import AnswerUnfit, NotAllowed
from smithers.records import Vote

if TYPE_CHECKING:
    from smithers.observe.waits import WaitView

MAX_NOTE = 10_000
"""Characters of a note."""


def decision(
    view: WaitView,
    *,
    is_approved: bool,
    by: str,
    now_ms: int,
    note: str | None = None,
    select: str | None = None,
    rank: tuple[str, ...] = (),
    link: str | None = None,
) -> Vote:
    """A decision of an approval.

    Raises:
        NotAllowed: this person may not decide.
        AnswerUnfit: what is chosen or ranked is not what is asked.
    """
    spec = view.row.spec
    allowed = spec.get("allowed_users")
    if allowed and by not in allowed:
        raise NotAllowed(
            f"{by} may not decide {view.node} of {view.run}; {_and(allowed)} may",
            hint=f"`{view.commands()[0]}`",
            allowed=list(allowed),
        )
    if note is not None and len(note) > MAX_NOTE:
        raise AnswerUnfit(f"the note has {len(note)} characters; {MAX_NOTE} are taken")
    check_storable(note, "the note")
    data: dict[str, Any] = {"approved": is_approved, "by": by, "at": iso(now_ms)}
    if note:
        data["note"] = note
    if is_approved:
        data |= _chosen(view, select, rank)
    elif select is not None or rank:
        raise AnswerUnfit("what is denied is neither selected nor ranked")
    quorum = int(spec.get("quorum") or 1) if is_approved else 1
    return Vote(
        view.row.run, view.row.ref, "approve" if is_approved else "deny", data, by, note, link, quorum
    )


def _chosen(view: WaitView, select: str | None, rank: tuple[str, ...]) -> dict[str, Any]:
    mode, keys = view.row.spec.get("mode"), [option["key"] for option in view.row.spec.get("options", ())]
    there = ", ".join(keys)
    example = f"`{view.commands()[0]}`"
    if select is not None and mode != "select":
        raise AnswerUnfit(f"{view.node} asks for no selection", hint=example)
    if rank and mode != "rank":
        raise AnswerUnfit(f"{view.node} asks for no ranking", hint=example)
    if mode == "select":
        if select is None:
            raise AnswerUnfit(f"{view.node} asks to choose one of {there}", hint=example, options=keys)
        if select not in keys:
            raise AnswerUnfit(
                f"{select!r} is no option of {view.node}; there are {there}", hint=example, options=keys
            )
        return {"selected": select}
    if mode == "rank":
        twice = sorted({key for key in rank if rank.count(key) > 1})
        strange = [key for key in rank if key not in keys]
        missing = [key for key in keys if key not in rank]
        for what, found in (("twice", twice), ("no options", strange), ("missing", missing)):
            if found:
                raise AnswerUnfit(
                    f"{view.node} asks to rank {there}, each once; {what}: {', '.join(found)}",
                    hint=example,
                    options=keys,
                )
        return {"ranking": list(rank)}
    return {}


def answer(view: WaitView, value: Any, *, by: str, now_ms: int, link: str | None = None) -> Vote:
    """An answer to a question.

    Raises:
        AnswerUnfit: it does not fit; names path and value.
    """
    what = f"the answer to {view.node}"
    check_storable(value, what)
    check_schema(view.row.spec.get("schema"), value, what, view.commands()[0])
    data = {"value": value, "by": by, "at": iso(now_ms)}
    return Vote(view.row.run, view.row.ref, "answer", data, by, None, link)


def skip(view: WaitView, *, by: str, now_ms: int) -> Vote:
    """Let a timer be over."""
    data = {"skipped": True, "by": by, "at": iso(now_ms)}
    return Vote(view.row.run, view.row.ref, "skip", data, by)


def check_storable(value: Any, what: str) -> None:
    """Refuse what can be typed, and cannot be written down as JSON in UTF-8.

    Raises:
        AnswerUnfit: it holds a number without an end, or half a character.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise AnswerUnfit(f"{what} cannot be stored: {error}") from None


def check_schema(schema: Mapping[str, Any] | None, value: Any, what: str, command: str) -> None:
    """Refuse a value that does not fit a JSON schema.

    Raises:
        AnswerUnfit: names each path and what is wrong there.
    """
    if not schema:
        return
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(dict(schema)).iter_errors(value), key=lambda error: list(error.path))
    if not errors:
        return
    faults = []
    for error in errors[:5]:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
        faults.append(f"{path.lstrip('.') or 'value'}: {error.message[:300]}")
    more = f" (and {len(errors) - 5} more)" if len(errors) > 5 else ""
    raise AnswerUnfit(f"{what} does not fit: {'; '.join(faults)}{more}", hint=f"such as `{command}`")


def iso(at_ms: int) -> str:
    """A wall-clock time in ISO 8601."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
