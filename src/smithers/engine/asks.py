"""What agents, and other programs of attempts, ask people while they work (`smithers ask-human`).

A question is a wait of the attempt's node, numbered from 1, that is open for as long as the attempt runs.
Nothing in the tree waits for it: the program that asks does.
"""

from __future__ import annotations

import json

from smithers.ids import NodeKey
from smithers.records import EventType, InboxRow, WaitKind, WaitRef, WaitState, WaitWrite

from .calling import call_people
from .draft import Draft, dump
from .memory import Memory
from .settling import Settling
from .waiting import BY_CLOCK, Waiting, iso


class Asks:
    """The questions of one run's attempts."""

    def __init__(self, memory: Memory, settling: Settling) -> None:
        self._memory = memory
        self._settling = settling
        self._untaken: list[InboxRow] = []

    def take(self, message: InboxRow) -> None:
        """Read a question; the next frame opens it."""
        self._untaken.append(message)

    def look(self, draft: Draft) -> None:
        """Open what is asked; go on by what people have answered, and by deadlines that have come."""
        asks, self._untaken = self._untaken, []
        for message in asks:
            self._open(draft, message)
        for ref, wait in list(self._memory.live.items()):
            if not ref.number:
                continue
            if wait.state is WaitState.DECIDED:
                self._end(draft, ref, wait, WaitState.SETTLED, was=WaitState.DECIDED)
            elif not self._is_asked(ref, wait):
                self._end(draft, ref, wait, WaitState.WITHDRAWN)
            elif wait.due_ms is not None and wait.due_ms <= draft.now_ms:
                wait.result = {"by": BY_CLOCK, "at": iso(draft.now_ms)}
                self._end(draft, ref, wait, WaitState.SETTLED)

    def withdraw(self, draft: Draft, ref: WaitRef, wait: Waiting) -> None:
        """End a question that is open, if its attempt does not run any more."""
        if not self._is_asked(ref, wait):
            self._end(draft, ref, wait, WaitState.WITHDRAWN)

    def _is_asked(self, ref: WaitRef, wait: Waiting) -> bool:
        """Whether the attempt that asks it still runs."""
        job = self._settling.jobs.get(ref.key)
        return job is not None and job.attempt == wait.spec.get("attempt")

    def _open(self, draft: Draft, message: InboxRow) -> None:
        """Nothing, if its attempt has ended meanwhile."""
        found = json.loads(message.data or "{}")
        key = NodeKey(*found["key"])
        job = self._settling.jobs.get(key)
        if job is None or (job.generation, job.attempt) != (found["generation"], found["attempt"]):
            return
        memory = self._memory
        numbers = (ref.number for ref in memory.waits if (ref.key, ref.generation) == (key, job.generation))
        number = 1 + max(numbers, default=0)
        ref, timeout_ms = WaitRef(key, job.generation, number), found.get("timeout_ms")
        spec = {**found["spec"], "attempt": job.attempt}
        due_ms = None if timeout_ms is None else draft.now_ms + int(timeout_ms)
        wait = Waiting(WaitKind.HUMAN, WaitState.OPEN, draft.now_ms, due_ms, spec)
        memory.waits[ref] = memory.live[ref] = wait
        draft.write.waits.append(WaitWrite(ref, wait.kind, wait.opened_ms, due_ms, dump(spec)))
        data = {"kind": wait.kind.word, "title": spec.get("title"), "number": number, "by": "agent"}
        draft.event(EventType.WAIT_OPENED, key, job.attempt, data)
        job.asks += 1
        call_people(draft, memory.name, ref, wait)

    def _end(
        self,
        draft: Draft,
        ref: WaitRef,
        wait: Waiting,
        state: WaitState,
        *,
        was: WaitState = WaitState.OPEN,
    ) -> None:
        wait.state = state
        self._memory.live.pop(ref, None)
        draft.end_wait(ref, state, wait.result, was=was)
        is_answered = state is WaitState.SETTLED
        kind = EventType.WAIT_DECIDED if is_answered else EventType.WAIT_WITHDRAWN
        by = (wait.result or {}).get("by")
        draft.event(kind, ref.key, 0, {"kind": wait.kind.word, "number": ref.number, "by": by})
        job = self._settling.jobs.get(ref.key)
        if job is not None and job.attempt == wait.spec.get("attempt"):
            job.asks -= 1
            job.beat(job, None)
