"""What people are told of a run's end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smithers.records import NoticeKind, RunState

from .draft import Draft


def tell_end(
    draft: Draft, run: str, state: RunState, error: Mapping[str, Any] | None, *, is_child: bool
) -> None:
    """Tell that a run has ended, or is paused because a budget is used up.

    Args:
        run: its name.
        error: why, as in `SmithersError.payload`.
        is_child: it is what a node of another run does: that one tells of it.
    """
    kind = _kind(state, error)
    if kind is None or is_child:
        return
    what = "is paused: a budget is used up" if kind is NoticeKind.BUDGET else state.word
    summary = f"[{error.get('code')}] {error.get('message')}" if error else ""
    draft.notice(
        kind,
        title=f"{run} {what}",
        summary=summary,
        status=state.word,
        error=error,
        commands=_commands(run, state),
    )


def _kind(state: RunState, error: Mapping[str, Any] | None) -> NoticeKind | None:
    match state:
        case RunState.FINISHED:
            return NoticeKind.FINISHED
        case RunState.PARTIAL:
            return NoticeKind.PARTIAL
        case RunState.FAILED:
            return NoticeKind.FAILED
        case RunState.CANCELLED:
            return NoticeKind.CANCELLED
        case RunState.PAUSED:
            # Without an error somebody has asked for it, and knows.
            return NoticeKind.BUDGET if error else None
        case RunState.RUNNING | RunState.WAITING | RunState.CONTINUED:
            return None


def _commands(run: str, state: RunState) -> list[str]:
    if state is RunState.FINISHED:
        return [f"smithers output {run}"]
    return [f"smithers why {run}", f"smithers up --resume {run}"]
