"""Where conversations with agents are kept: beside the store, and outside its commits."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from smithers.records.transcript import Batch, Conversation, EntryRow


class Transcripts(Protocol):
    """Takes what agents say. Used from one thread."""

    def add(self, batch: Batch) -> None:
        """Store entries, all or none of them.

        Raises:
            StoreError: nothing of them was stored.
        """
        ...

    def close(self) -> None: ...


class TranscriptReader(Protocol):
    """What people and programs look at. Holds no transaction between calls."""

    def conversations(self, run: int) -> list[Conversation]:
        """Those of a run, in the order they began."""
        ...

    def entries(self, conversation: int, after: int = 0, limit: int = 1000) -> list[EntryRow]:
        """Entries of a conversation with a higher `id`, in order."""
        ...

    def newer(self, run: int, after: int, limit: int = 1000) -> list[EntryRow]:
        """Entries of a run with a higher `id`, as they came, of whichever conversation."""
        ...

    def before_last(self, conversations: Collection[int], count: int) -> int:
        """The `id` after which the last `count` entries of these conversations stand."""
        ...

    def newest(self) -> int:
        """The highest `id` there is."""
        ...

    def has_changed(self) -> bool:
        """Whether anything was stored since the last call; True the first time."""
        ...

    def close(self) -> None: ...
