"""Tells people that they are waited for."""

from __future__ import annotations

from collections.abc import Mapping

from smithers.records import NoticeKind, WaitKind, WaitRef
from smithers.records.wait_command import wait_commands

from .draft import Draft
from .waiting import Waiting

_NOTICES: Mapping[WaitKind, NoticeKind] = {
    WaitKind.APPROVAL: NoticeKind.APPROVAL,
    WaitKind.HUMAN: NoticeKind.QUESTION,
    WaitKind.EVENT: NoticeKind.EVENT,
}


def call_people(draft: Draft, run: str, ref: WaitRef, wait: Waiting) -> None:
    """Have the frame tell of an open wait, if anybody wants to know.

    Args:
        run: its name.
    """
    kind, spec = _NOTICES.get(wait.kind), wait.spec
    if kind is None:
        return
    is_yes_or_no = kind is NoticeKind.APPROVAL and spec.get("mode") == "approve"
    draft.notice(
        kind,
        ref.key,
        number=ref.number,
        title=title_of(wait),
        summary=str(spec.get("prompt") or spec.get("summary") or ""),
        options=[str(option["key"]) for option in spec.get("options", ())],
        decisions=("approve", "deny") if is_yes_or_no else (),
        due_ms=wait.due_ms,
        commands=wait_commands(run, str(ref), wait.kind, spec),
    )


def title_of(wait: Waiting) -> str:
    """What is asked, in a line."""
    return str(wait.spec.get("title") or "")
