"""What agents say, on its way to the thread that writes it down: bounded, and never waited for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from smithers.ports import NoticeEvent, RetryEvent, SessionEvent, ToolCallEvent, ToolResultEvent, UsageEvent
from smithers.records.transcript import Conversation, EntryKind

if TYPE_CHECKING:
    from .scribe import Scribe

VITAL: Final = 2
"""How many times as long the queue may be for what says how a turn stands."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, and how soon."""

    queue_events: int = 10_000
    """What waits to be written; what comes beyond that is counted and left out."""
    queue_characters: int = 32 << 20
    batch_s: float = 0.2
    """How long the first event of a batch waits for others."""
    batch_events: int = 500
    """A batch of so many is written at once."""
    batch_characters: int = 1 << 20
    text_bytes: int = 64 << 10
    """Of one entry's text: its beginning and its end are kept."""
    attempt_bytes: int = 4 << 20
    """Of what an agent says in one attempt; after that only how the turns stand."""
    retry_ms: int = 30_000
    """When a file that could not be written is tried again."""


@dataclass(slots=True)
class Speech:
    """What was said without anything between."""

    parts: list[str]
    is_reasoning: bool


class Plain(NamedTuple):
    """What is written as it is."""

    kind: EntryKind
    text: str
    data: dict[str, Any]


Payload: TypeAlias = (
    Speech | Plain | ToolCallEvent | ToolResultEvent | UsageEvent | SessionEvent | RetryEvent | NoticeEvent
)


@dataclass(slots=True, eq=False)
class Speaker:
    """One agent in one attempt, as the queue knows it. Guarded by the queue's lock."""

    conversation: Conversation
    secrets: frozenset[str] = frozenset()
    """Values that must not be written, beside those of our own environment."""
    turn: int = 0
    serial: int = 0
    """Of its last event."""
    last: Moment | None = None
    last_batch: int = 0
    """The batch that its last moment waits in."""
    lost_events: int = 0
    lost_characters: int = 0
    scribe: Scribe | None = None
    """Who writes it down; belongs to the thread that does."""


@dataclass(slots=True, eq=False)
class Moment:
    """Something that was said or done."""

    speaker: Speaker
    serial: int
    turn: int
    at_ms: int
    payload: Payload


@dataclass(slots=True)
class Moments:
    """The queue. Everything but `take` is safe from any thread and waits for nobody."""

    limits: Limits
    _waiting: list[Moment] = field(default_factory=list)
    _characters: int = 0
    _batch: int = 1
    _losing: list[Speaker] = field(default_factory=list)
    _has_told: bool = False
    _has_told_due: bool = False
    _changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.Lock()))
    is_closed: bool = False

    def say(self, speaker: Speaker, text: str, at_ms: int, *, is_reasoning: bool) -> None:
        """Add a text, to the one before it if that still waits."""
        if self.is_closed:
            return
        with self._changed:
            speaker.serial += 1
            if self._characters + len(text) > self.limits.queue_characters:
                self._lose(speaker, len(text))
                return
            last = speaker.last if speaker.last_batch == self._batch else None
            if (
                last is not None
                and isinstance(last.payload, Speech)
                and last.payload.is_reasoning is is_reasoning
            ):
                last.payload.parts.append(text)
                self._characters += len(text)
                self._tell()
                return
            self._add(speaker, Speech([text], is_reasoning), at_ms, len(text), is_vital=False)

    def put(
        self, speaker: Speaker, payload: Payload, at_ms: int, characters: int = 0, *, is_vital: bool = False
    ) -> None:
        """Add anything else.

        Args:
            characters: about how many it takes.
            is_vital: it says how the turn stands.
        """
        if self.is_closed:
            return
        with self._changed:
            speaker.serial += 1
            last = speaker.last if speaker.last_batch == self._batch else None
            if isinstance(payload, UsageEvent) and last is not None and isinstance(last.payload, UsageEvent):
                last.payload = payload  # the later one stands for all of it
                return
            self._add(speaker, payload, at_ms, characters, is_vital=is_vital)

    def prompt(self, speaker: Speaker, turn: int, payload: Plain, at_ms: int) -> None:
        """Begin a turn."""
        if self.is_closed:
            return
        with self._changed:
            speaker.serial += 1
            speaker.turn = turn
            self._add(speaker, payload, at_ms, len(payload.text), is_vital=True)

    def _add(
        self, speaker: Speaker, payload: Payload, at_ms: int, characters: int, *, is_vital: bool
    ) -> None:
        room = VITAL if is_vital else 1
        if (
            len(self._waiting) >= self.limits.queue_events * room
            or self._characters + characters > self.limits.queue_characters * room
        ):
            self._lose(speaker, characters)
            return
        moment = Moment(speaker, speaker.serial, speaker.turn, at_ms, payload)
        self._waiting.append(moment)
        self._characters += characters
        speaker.last, speaker.last_batch = moment, self._batch
        self._tell()

    def _tell(self) -> None:
        """Wake who waits, once when there is something, and once when it is enough."""
        is_due = self._is_due()
        if not self._has_told or (is_due and not self._has_told_due):
            self._has_told, self._has_told_due = True, is_due
            self._changed.notify()

    def _lose(self, speaker: Speaker, characters: int) -> None:
        if not speaker.lost_events:
            self._losing.append(speaker)
        speaker.lost_events += 1
        speaker.lost_characters += characters

    def _is_due(self) -> bool:
        return (
            self.is_closed
            or len(self._waiting) >= self.limits.batch_events
            or self._characters >= self.limits.batch_characters
        )

    def take(self) -> list[Moment]:
        """Wait for something, then a little for more; all that waits. Nothing: the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self.is_closed)
            self._changed.wait_for(self._is_due, self.limits.batch_s)
            taken, self._waiting, self._characters = self._waiting, [], 0
            self._batch += 1
            self._has_told = self._has_told_due = False
            for speaker in self._losing:
                taken.append(_loss(speaker, taken))
                speaker.lost_events = speaker.lost_characters = 0
            self._losing.clear()
            return taken

    def close(self) -> None:
        """Take nothing more; what waits is still given out."""
        with self._changed:
            self.is_closed = True
            self._changed.notify()


def _loss(speaker: Speaker, taken: list[Moment]) -> Moment:
    data = {"why": "queue", "events": speaker.lost_events, "characters": speaker.lost_characters}
    at_ms = taken[-1].at_ms if taken else speaker.conversation.began_ms
    return Moment(speaker, speaker.serial, speaker.turn, at_ms, Plain(EntryKind.LEFT_OUT, "", data))
