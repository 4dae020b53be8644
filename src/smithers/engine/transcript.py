"""Keeps what agents are asked and what they say, beside the store and out of the way of runs.

    AttemptTranscript ──► Moments ──► TranscriptWriter, Scribe ──► Transcripts.add
      any thread          bounded     one thread: merged,          a batch at a time
                                      cleaned, cut

Nothing here ever raises into an attempt, or makes it wait. What cannot be kept is counted.
"""

from __future__ import annotations

import os
import threading
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smithers.clock import Clock, SystemClock
from smithers.errors import SmithersError
from smithers.ids import NodeKey
from smithers.ports import (
    AgentEvent,
    AgentReply,
    NoticeEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    Transcripts,
    UsageEvent,
)
from smithers.records.redaction import credentials
from smithers.records.transcript import Conversation, EntryKind

from .moments import Limits, Moments, Plain, Speaker
from .scribe import as_json
from .transcript_writer import TranscriptWriter


@dataclass(slots=True)
class AttemptTranscript:
    """What one agent is asked and says in one attempt. From any thread."""

    _speaker: Speaker
    _moments: Moments
    _clock: Clock

    def prompt(self, text: str, turn: int = 0) -> None:
        """The agent is asked; what it says from here on belongs to this turn, which counts from 0."""
        self._moments.prompt(self._speaker, turn, Plain(EntryKind.PROMPT, text, {}), self._clock.now_ms())

    def event(self, event: AgentEvent) -> None:
        """It said or did something."""
        now_ms = self._clock.now_ms()
        if isinstance(event, TextEvent):
            if event.text:
                self._moments.say(self._speaker, event.text, now_ms, is_reasoning=event.is_reasoning)
            return
        is_vital = isinstance(event, (UsageEvent, SessionEvent))
        self._moments.put(self._speaker, event, now_ms, _characters(event), is_vital=is_vital)

    def end(self, outcome: AgentReply | BaseException | str) -> None:
        """The turn is over: what it answered, or why it did not."""
        plain = _outcome(outcome)
        self._moments.put(self._speaker, plain, self._clock.now_ms(), len(plain.text), is_vital=True)

    async def hear(self, call: Awaitable[AgentReply]) -> AgentReply:
        """Await what the agent answers, and tell how the turn has ended."""
        try:
            reply = await call
        except BaseException as error:
            self.end(error)
            raise
        self.end(reply)
        return reply


UNRECORDED: Final = AttemptTranscript(
    Speaker(Conversation(0, NodeKey(""), 0, 0, "", 0)), Moments(Limits(), is_closed=True), SystemClock()
)
"""What is told where nothing is recorded: in simulations, and with a store in memory."""


class TranscriptRecorder:
    """Records the conversations of one store's runs. From any thread.

    Args:
        open: opens the file; called on the recorder's own thread, when there is something to write.
        environment: where credentials are looked for, anew for each conversation.
    """

    def __init__(
        self,
        open: Callable[[], Transcripts],
        clock: Clock,
        *,
        environment: Callable[[], Mapping[str, str]] = lambda: dict(os.environ),
        limits: Limits | None = None,
    ) -> None:
        self._clock = clock
        self._moments = Moments(limits or Limits())
        self._writer = TranscriptWriter(open, clock, environment, self._moments.limits)
        self._secrets: frozenset[str] = frozenset()
        """Of agents' own environments: one agent may read what another one signs in by."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def attempt(
        self,
        run: int,
        key: NodeKey,
        generation: int,
        attempt: int,
        agent: str,
        env: Mapping[str, str] | None = None,
    ) -> AttemptTranscript:
        """Where one agent's part of an attempt is told.

        Args:
            run: its number in the store.
            env: variables that its program gets beside ours; their credentials are secrets as well.
        """
        with self._lock:
            if env:
                self._secrets |= credentials(env)
            secrets = self._secrets
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="smithers-transcript", daemon=True)
                self._thread.start()
        conversation = Conversation(run, key, generation, attempt, agent, self._clock.now_ms())
        return AttemptTranscript(Speaker(conversation, secrets), self._moments, self._clock)

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write what waits, and close the file.

        Returns:
            False: that takes longer; it goes on as long as the process does.
        """
        self._moments.close()
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _serve(self) -> None:
        while moments := self._moments.take():
            self._writer.write(moments)
        self._writer.close()


def _characters(event: AgentEvent) -> int:
    """About how many characters an event holds."""
    if isinstance(event, ToolCallEvent):
        given: Any = event.input
        texts = given.values() if isinstance(given, dict) else (given,)
        return sum(len(one) for one in texts if isinstance(one, str))
    return len(event.text) if isinstance(event, (ToolResultEvent, NoticeEvent)) else 0


def _outcome(outcome: AgentReply | BaseException | str) -> Plain:
    if isinstance(outcome, str):
        return Plain(EntryKind.REPLY, outcome, {})
    if isinstance(outcome, AgentReply):
        if outcome.output is None or outcome.text:
            return Plain(EntryKind.REPLY, outcome.text, {})
        return Plain(EntryKind.REPLY, _output(outcome.output), {"is_structured": True})
    if isinstance(outcome, SmithersError):
        return Plain(EntryKind.ERROR, outcome.message, {"code": outcome.code})
    try:
        text = str(outcome)
    except Exception:  # noqa: BLE001 - an adapter's own exception may do anything
        text = ""
    name = "cancelled" if isinstance(outcome, CancelledError) else type(outcome).__name__
    return Plain(EntryKind.ERROR, f"{name}: {text}" if text else name, {})


def _output(value: Any) -> str:
    dump = getattr(value, "model_dump", None)  # a model; pydantic itself is not needed here
    try:
        return as_json(dump(mode="json") if callable(dump) else value)
    except Exception:  # noqa: BLE001 - the author's model may do anything
        return as_json(repr(type(value)))
