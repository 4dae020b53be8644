"""The frame that is being written: everything one commit will store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from smithers.ids import NodeKey
from smithers.records import (
    AttemptEnd,
    AttemptState,
    EventRow,
    EventType,
    FailureClass,
    FrameWrite,
    NodeEnd,
    NodeState,
    NoticeKind,
    NoticeWrite,
    WaitEnd,
    WaitRef,
    WaitState,
    Wakeup,
)

from .memory import Memory

_MESSAGE_LIMIT = 300
"""Characters of an error's message in an event; all of it stands with the attempt."""
_SUMMARY_LIMIT = 4_000
"""Characters of a notice's summary: chats and desktops take no more, and there are the commands."""


class Draft:
    """Collects one frame's rows. `seq` numbers are final: nobody else gives any out under this fence."""

    def __init__(
        self, memory: Memory, run: int, fence: int, now_ms: int, wanted: frozenset[NoticeKind] = frozenset()
    ) -> None:
        """Args: wanted: what somebody wants to be told of; other notices are not written."""
        self._memory = memory
        self._wanted = wanted
        self.now_ms = now_ms
        self.write = FrameWrite(run, fence, memory.frame + 1, memory.frame, memory.seq, 0, now_ms)

    @property
    def seq(self) -> int:
        """The last `seq` given out."""
        return self.write.seq + self.write.used

    def event(
        self,
        kind: EventType,
        key: NodeKey | None = None,
        attempt: int = 0,
        data: Mapping[str, Any] | None = None,
    ) -> int:
        """Append an event; returns its `seq`."""
        write = self.write
        write.used += 1
        seq = write.seq + write.used
        text = dump(data) if data else None
        write.events.append(EventRow(seq, kind, self.now_ms, key, attempt, text))
        return seq

    def end_wait(
        self,
        ref: WaitRef,
        state: WaitState,
        result: Mapping[str, Any] | None,
        *,
        was: WaitState = WaitState.OPEN,
    ) -> None:
        """Append the end of a wait, and take its deadlines away; arguments as in `WaitEnd`."""
        self.write.wait_ends.append(WaitEnd(ref, state, None if result is None else dump(result), was))
        if not ref.number:
            self.wake(ref.key, "wait", "reminder")

    def wake(self, key: NodeKey, *kinds: str) -> None:
        """Take deadlines of a node away: those that are stored, and those of this very frame."""
        write = self.write
        write.wakeups = [one for one in write.wakeups if one.key != key or one.kind not in kinds]
        write.woken += (Wakeup(key, kind, 0) for kind in kinds)

    def end_attempt(
        self,
        key: NodeKey,
        attempt: int,
        state: AttemptState,
        failure: FailureClass | None = None,
        *,
        counted: bool = False,
        error: Mapping[str, Any] | None = None,
        prompt: bytes | None = None,
        agent: str | None = None,
    ) -> None:
        """Append an attempt's end, now, in its node's newest generation; arguments as in `AttemptEnd`."""
        generation = self._memory.generations.get(key, 0)
        text = dump(error) if error is not None else None
        self.write.ended.append(
            AttemptEnd(key, generation, attempt, state, self.now_ms, failure, counted, text, prompt, agent)
        )

    def settle_node(
        self, key: NodeKey, state: NodeState, attempt: int = 0, reason: str | None = None
    ) -> None:
        """Append a node's one final row of its newest generation; arguments as in `NodeEnd`."""
        generation = self._memory.generations.get(key, 0)
        self._memory.frames[key] = self.write.frame
        self.write.settled.append(NodeEnd(key, generation, state, attempt, reason))

    def notice(
        self,
        kind: NoticeKind,
        key: NodeKey | None = None,
        *,
        number: int = 0,
        title: str,
        summary: str = "",
        options: Sequence[str] = (),
        decisions: Sequence[str] = (),
        due_ms: int | None = None,
        status: str | None = None,
        error: Mapping[str, Any] | None = None,
        commands: Sequence[str] = (),
    ) -> None:
        """Tell people of it, if anybody wants to know: stored with this frame, delivered after it.

        Args:
            key: the node that waits, in its newest generation; None: it is about the whole run.
            number: which wait of that generation.
            title: one line; cut at 300 characters, the summary at 4,000.
            options: what a person may choose from.
            decisions: for which of the words that decide there is to be a link: `approve`, `deny`.
            due_ms: wall clock of the wait's end; its links are void from then on.
            status: the run's.
            error: as in `SmithersError.payload`; only its code and message leave.
            commands: what to type next.
        """
        if kind not in self._wanted:
            return
        found: dict[str, Any] = {
            "title": _cut(" ".join(title.split()), _MESSAGE_LIMIT),
            "summary": _cut(summary, _SUMMARY_LIMIT),
            "options": list(options),
            "decisions": list(decisions),
            "due_ms": due_ms,
            "status": status,
            "error": brief(error) if error else None,
            "commands": list(commands),
        }
        text = dump({name: value for name, value in found.items() if value or name == "title"})
        generation = self._memory.generations.get(key, 0) if key is not None else 0
        self.write.notices.append(NoticeWrite(kind, text, key, generation, number))


def brief(error: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says of an error: enough to read a log by."""
    return {"code": error.get("code"), "message": _cut(str(error.get("message", "")), _MESSAGE_LIMIT)}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


# One encoder for all: `json.dumps` with options makes a new one each time, which costs more than its use.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def dump(value: Mapping[str, Any]) -> str:
    """JSON text of an event's or an error's facts; what JSON does not know is written as text."""
    return _ENCODER.encode(value)
