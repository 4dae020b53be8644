"""What `up` says when a run leaves its process: how it stands, what it waits for, what to type next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Any

from smithers.cli import terminal
from smithers.cli.exit_code import OF_A_RUN
from smithers.cli.options import with_store
from smithers.cli.table import one_line
from smithers.clock import SystemClock
from smithers.observe import moment
from smithers.observe.spending import spending_document, spent_text
from smithers.records import RunState, WaitKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smithers.cli.parting import Parting
    from smithers.cli.wanted import Wanted
    from smithers.ids import NodeKey
    from smithers.observe.quota import Limit
    from smithers.observe.waits import WaitView
    from smithers.records import Wakeup

_RESUMED_BY_HAND = (
    RunState.FAILED,
    RunState.PAUSED,
    RunState.CANCELLED,
    RunState.PARTIAL,
    RunState.WAITING,
)


def told(last: Parting, signal: int | None, wanted: Wanted) -> int:
    """Print how the run ended; returns the exit code.

    Args:
        signal: the one that interrupted it, if one did.
    """
    end = last.end
    for line in _lines(last, wanted):
        terminal.note(line)
    if any(wait.row.kind in (WaitKind.APPROVAL, WaitKind.HUMAN) for wait in last.open_waits):
        terminal.bell()
    print_result(last, is_json=wanted.is_json)
    if signal is not None and end.state is RunState.PAUSED:
        return 128 + signal
    return OF_A_RUN[end.state]


def print_result(last: Parting, *, is_json: bool) -> None:
    """The one thing on stdout."""
    end = last.end
    if is_json:
        result: dict[str, Any] = {
            "status": end.state.word,
            "run": end.run_id,
            "output": None if end.output is None else json.loads(end.output),
            "error": None if end.error is None else dict(end.error),
            "cost": spending_document(last.spent),
        }
        if end.state is RunState.WAITING:
            due = [wait for wait in end.waits if wait.kind != "wait"]
            result["waits"] = [_wait_document(wait, last.limits.get(wait.key)) for wait in due]
            result["waits"] += [wait.document() for wait in last.open_waits]
        print(json.dumps(result, ensure_ascii=False, default=str))
    elif end.output is not None and end.state in (RunState.FINISHED, RunState.PARTIAL):
        indent = 2 if terminal.is_terminal() else None
        print(json.dumps(json.loads(end.output), ensure_ascii=False, indent=indent))
    sys.stdout.flush()


def _lines(last: Parting, wanted: Wanted) -> Iterator[str]:
    """The last lines on stderr."""
    end = last.end
    word = terminal.style(end.state.word, terminal.STATE_COLOURS.get(end.state.word), stream=sys.stderr)
    by = f": {end.asked_by} asked for it" if end.asked_by else ""
    yield f"{word} {end.run_id}{by}"
    if end.error:
        yield from _error_lines(end.error)
    due = tuple(wait for wait in end.waits if wait.kind != "wait")
    if last.open_waits:
        yield from _open_lines(last.open_waits, wanted)
    elif due:
        yield from _wait_lines(due, last.limits)
    if end.waits:
        yield _waker(last.supervisor)
    if last.spent.is_known:
        yield f"  spent:  {spent_text(last.spent)}"
    if end.state in _RESUMED_BY_HAND and not last.open_waits:
        resume = f"smithers up {quote(wanted.file)} --run-id {end.run_id} --resume"
        yield f"  resume: {with_store(resume, wanted.store)}"
    if end.state in (RunState.FAILED, RunState.PARTIAL):
        yield f"  why:    {with_store(f'smithers why {end.run_id}', wanted.store)}"


def _error_lines(error: Mapping[str, Any]) -> Iterator[str]:
    place = error.get("place")
    place = f" ({place})" if place and str(place) not in str(error.get("message")) else ""
    yield f"[{error.get('code')}] {error.get('message')}{place}"
    if error.get("hint"):
        yield f"  hint: {error['hint']}"


_SHOWN_WAITS = 10
"""Waits that are listed; the rest are counted."""


def _open_lines(waits: Sequence[WaitView], wanted: Wanted) -> Iterator[str]:
    """What a parked run waits for, and what to type for each."""
    now_ms = SystemClock().now_ms()
    for wait in waits[:_SHOWN_WAITS]:
        yield f"  waits:  {one_line(wait.text(now_ms))}"
        for command in wait.commands():
            yield f"          {with_store(command, wanted.store)}"
    if len(waits) > _SHOWN_WAITS:
        yield f"  and {len(waits) - _SHOWN_WAITS} more: {with_store('smithers inbox --all', wanted.store)}"


def _wait_lines(waits: tuple[Wakeup, ...], limits: Mapping[NodeKey, Limit]) -> Iterator[str]:
    """What a parked run waits for, and until when."""
    first, now_ms = waits[0], SystemClock().now_ms()
    when = f"{moment.local(first.due_ms)}, {moment.due(first.due_ms, now_ms)}"
    limit = limits.get(first.key)
    match first.kind:
        case _ if limit is not None:
            what = f"for {one_line(limit.name)} until"
            waits = tuple(wait for wait in waits if wait is first or limits.get(wait.key) != limit)
        case "quota":
            what = f"for the agents of {first.key} until"
        case "child":
            what = f"to go on with {first.key} at"
        case _:
            what = f"to try {first.key} again at"
    more = f", and {len(waits) - 1} more after that" if len(waits) > 1 else ""
    yield f"  waits:  {what} {when}{more}"
    if limit is not None:
        yield f"  reason: its limit is used up{f': {one_line(limit.reason)}' if limit.reason else ''}"


def _waker(supervisor: int | None) -> str:
    if supervisor is not None:
        return f"  process {supervisor} (`smithers supervise`) wakes it then"
    return (
        "  nothing wakes it by itself: resume it then, or let `smithers supervise` do it; "
        "or resume it at any time with a longer --linger"
    )


def _wait_document(wait: Wakeup, limit: Limit | None) -> dict[str, Any]:
    return {
        "kind": wait.kind,
        "node": wait.key.node,
        "scope": wait.key.scope,
        "iteration": wait.key.iteration,
        "due_at": moment.iso(wait.due_ms),
        "account": limit.account if limit is not None else None,
    }
