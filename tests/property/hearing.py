"""What a stream comes to, without processes, clocks or pipes: lines into a fold, one after another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smithers.agents.cli import CliAgent, Ending
from smithers.agents.cli.line import Lines, event_in
from smithers.errors import AgentError
from smithers.ids import NodeKey
from smithers.ports import AgentEvent, AgentReply, AgentRequest, Exit
from tests.contract.agent_case import RECORDED_MS


def plain_lines(data: bytes, limit: int) -> list[str]:
    """The lines of a stream, as simply as it can be said."""
    found = [
        piece.decode(errors="replace").rstrip("\r") for piece in data.split(b"\n") if len(piece) <= limit
    ]
    return [line for line in found if line.strip()]


def folded(
    agent: CliAgent, chunks: Iterable[bytes], status: int | None = 0, stderr: str = "", **asks: Any
) -> tuple[AgentReply | AgentError, list[AgentEvent]]:
    """What a program comes to that writes these bytes and leaves so, and its events.

    Anything else than an `AgentError` passes through: it is a crash.
    """
    asks = {"schema": None, "now_ms": lambda: RECORDED_MS, **asks}
    request = AgentRequest("Do it.", task=NodeKey("task"), run_id="run", attempt=1, **asks)
    how = agent.invocation(request, Path("/folder"))
    fold, events = agent.fold(request), list[AgentEvent]()
    lines, notes = Lines(keeps_empty=how.is_text), Lines()

    def take(heard: Iterable[str], is_text: bool = how.is_text) -> None:
        for line in heard:
            event = None if is_text else event_in(line)
            events.extend(fold.event(event) if event is not None else fold.line(line))

    try:
        for chunk in chunks:
            take(lines.feed(chunk))
        take(lines.end())
        if how.hears_stderr:
            take([*notes.feed(stderr.encode()), *notes.end()], is_text=True)
        return fold.finish(Ending(Exit(status), stderr, False, lines.dropped)), events
    except AgentError as error:
        return error, events


def faults(outcome: AgentReply | AgentError, events: Iterable[AgentEvent]) -> list[str]:
    """What others could not store or count of an outcome and its events."""
    found = [f"{event!r:.200}: {error}" for event in events if (error := _unfit(_parts(event))) is not None]
    if (error := _unfit(_parts(outcome))) is not None:
        found.append(f"{outcome!r:.200}: {error}")
    return found


def _parts(value: object) -> Any:
    if isinstance(value, AgentError):
        return {"message": value.message, "hint": value.hint, "details": value.details}
    slots: Iterable[str] = getattr(type(value), "__slots__", ())
    return {slot: _parts(getattr(value, slot)) for slot in slots} if slots else value


def _unfit(value: Any) -> str | None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return None
