"""Transcripts in a list, for tests of what writes them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from smithers.engine.moments import Limits
from smithers.engine.transcript import AttemptTranscript, TranscriptRecorder
from smithers.errors import StoreFull
from smithers.ids import NodeKey
from smithers.records.transcript import Batch, Conversation, EntryKind, NewEntry
from smithers.testing import FakeClock


@dataclass
class Kept:
    """Implements `ports.Transcripts`."""

    entries: list[tuple[Conversation, NewEntry]] = field(default_factory=list)
    batches: int = 0
    opened: int = 0
    closed: int = 0
    refused: int = 0
    """So many batches are refused."""
    gate: threading.Event | None = None
    """Nothing is taken before it is set."""

    def open(self) -> Kept:
        self.opened += 1
        return self

    def add(self, batch: Batch) -> None:
        if self.gate is not None:
            self.gate.wait(30)
        if self.refused:
            self.refused -= 1
            raise StoreFull("no space left")
        self.batches += 1
        self.entries += [(conversation, entry) for conversation, entries in batch for entry in entries]

    def close(self) -> None:
        self.closed += 1

    def of(self, attempt: int = 1) -> list[NewEntry]:
        """Entries of one attempt."""
        return [entry for conversation, entry in self.entries if conversation.attempt == attempt]

    def text(self, kind: EntryKind = EntryKind.TEXT, attempt: int = 1) -> str:
        """All texts of a kind."""
        return "".join(entry.text for entry in self.of(attempt) if entry.kind is kind)

    def kinds(self, attempt: int = 1) -> list[EntryKind]:
        """Kinds in order; texts that follow one another count once."""
        found: list[EntryKind] = []
        for entry in self.of(attempt):
            if not found or entry.kind is not found[-1] or entry.kind is not EntryKind.TEXT:
                found.append(entry.kind)
        return found


class Recording:
    """A recorder over a list."""

    def __init__(
        self,
        kept: Kept | None = None,
        environment: dict[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.kept = kept or Kept()
        self.clock = FakeClock()
        self.recorder = TranscriptRecorder(
            self.kept.open,
            self.clock,
            environment=lambda: environment or {},
            limits=limits or Limits(batch_s=0.001),
        )

    def attempt(self, number: int = 1, env: dict[str, str] | None = None) -> AttemptTranscript:
        return self.recorder.attempt(7, NodeKey("draft", "", 2), 1, number, "codex", env)

    def close(self) -> Kept:
        assert self.recorder.close(30)
        return self.kept
