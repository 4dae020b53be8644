"""Keeps what agents are asked and what they say, beside the store and out of the way of runs.

    AttemptTranscript ──► Moments (a queue) ──► one thread: Scribe ──► Transcripts.add, a batch at a time
      any thread            bounded               merged, cleaned, cut

Nothing here ever raises into an attempt, or makes it wait. What cannot be kept is counted.
"""

from __future__ import annotations

import logging
import os
import threading
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from smithers.clock import Clock
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
from smithers.records.redaction import credentials, redactor
from smithers.records.transcript import Conversation, EntryKind

from .moments import Limits, Moment, Moments, Plain, Speaker
from .scribe import Draft, Scribe, as_json, write_down

_log = logging.getLogger("smithers")


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


@dataclass(slots=True)
class _Desk:
    """What the writing thread knows; nobody else touches it."""

    transcripts: Transcripts | None = None
    holding: dict[Scribe, None] = field(default_factory=dict)
    """Those with a text that waits for more."""
    environment: tuple[tuple[str, str], ...] = ()
    secrets: frozenset[str] = frozenset()
    """Those of that environment."""
    has_warned: bool = False
    broken_until_ms: int = 0


class TranscriptRecorder:
    """Records the conversations of one store's runs. `attempt` and `close` are safe from any thread.

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
        self._open = open
        self._clock = clock
        self._environment = environment
        self._limits = limits or Limits()
        self._moments = Moments(self._limits)
        self._secrets: frozenset[str] = frozenset()
        """Of agents' own environments."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._desk = _Desk()

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
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="smithers-transcript", daemon=True)
                self._thread.start()
        conversation = Conversation(run, key, generation, attempt, agent, self._clock.now_ms())
        return AttemptTranscript(Speaker(conversation), self._moments, self._clock)

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

    # --- The recorder's thread ------------------------------------------------------------------

    def _serve(self) -> None:
        while moments := self._moments.take():
            self._write(self._drafts(moments))
        rest: list[Draft] = []
        for scribe in self._desk.holding:
            scribe.release(rest)
        self._write(rest)
        self._let_go()

    def _drafts(self, moments: list[Moment]) -> list[Draft]:
        drafts: list[Draft] = []
        heard: dict[Scribe, None] = {}
        for moment in moments:
            scribe = moment.speaker.scribe or self._scribe(moment.speaker)
            heard[scribe] = None
            try:
                scribe.hear(moment, drafts)
            except Exception as error:  # noqa: BLE001 - whatever an event holds, the next one counts
                self._warn(error)
        for scribe in heard:
            scribe.pause(drafts)
        holding = self._desk.holding | heard
        self._desk.holding = {scribe: None for scribe in holding if scribe.is_holding}
        return drafts

    def _scribe(self, speaker: Speaker) -> Scribe:
        environment = tuple(self._environment().items())
        if environment != self._desk.environment:
            self._desk.environment, self._desk.secrets = environment, credentials(dict(environment))
        found = redactor(self._desk.secrets | self._secrets)
        speaker.scribe = Scribe(found, speaker.conversation, self._limits)
        return speaker.scribe

    def _write(self, drafts: list[Draft]) -> None:
        try:
            written = write_down(drafts, self._limits)
        except Exception as error:  # noqa: BLE001 - a fault of ours is no run's
            self._warn(error)
            return
        try:
            if written:
                self._store().add([(scribe.conversation, entries) for scribe, entries in written])
        except Exception as error:  # noqa: BLE001 - runs go on without their transcripts
            for scribe, entries in written:
                scribe.lose(entries)
            self._fail(error)

    def _store(self) -> Transcripts:
        desk = self._desk
        if desk.transcripts is None:
            if self._clock.monotonic_ms() < desk.broken_until_ms:
                raise _StillBroken
            desk.transcripts = self._open()
        return desk.transcripts

    def _fail(self, error: Exception) -> None:
        if isinstance(error, _StillBroken):
            return
        self._warn(error)
        self._desk.broken_until_ms = self._clock.monotonic_ms() + self._limits.retry_ms
        self._let_go()

    def _let_go(self) -> None:
        transcripts, self._desk.transcripts = self._desk.transcripts, None
        if transcripts is not None:
            with suppress(Exception):  # what could not be written has been counted
                transcripts.close()

    def _warn(self, error: Exception) -> None:
        if not self._desk.has_warned:
            self._desk.has_warned = True
            _log.warning("what agents say is not recorded, runs go on: %s", error)


class _StillBroken(Exception):
    """The file could not be written a moment ago."""


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
