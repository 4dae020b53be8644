"""Which of a run's events somebody asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.ports import Reader
    from smithers.records import EventRow, EventType, RunRow

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Conditions that an event meets, all of them. The default is every event."""

    types: frozenset[EventType] = frozenset()
    """Empty: any."""
    node: str | None = None
    """Of this node, in whichever pass."""
    key: NodeKey | None = None
    """Of this node in this pass."""
    since_ms: int | None = None
    """At this wall-clock instant or later."""

    @property
    def is_open(self) -> bool:
        """Whether every event meets it."""
        return self == EventQuery()

    def fits(self, event: EventRow) -> bool:
        """Whether an event meets all conditions."""
        if self.types and event.type not in self.types:
            return False
        if self.key is not None and event.key != self.key:
            return False
        if self.node is not None and (event.key is None or event.key.node != self.node):
            return False
        return self.since_ms is None or event.at_ms >= self.since_ms

    def pages(self, reader: Reader, run: int, after: int) -> Iterator[EventRow]:
        """All events with a higher `seq`, in order, whether or not they fit; read page by page."""
        while page := reader.events(run, after, _PAGE):
            yield from page
            after = page[-1].seq

    def before_last(self, reader: Reader, run: RunRow, count: int, after: int) -> int:
        """The `seq` after which the last `count` fitting events stand, but not before `after`."""
        if count == 0:
            return run.seq
        if not self.is_open:
            fitting = filter(self.fits, self.pages(reader, run.id, after))
            last = deque((event.seq for event in fitting), maxlen=count)
            return last[0] - 1 if last else run.seq
        back = count
        while True:
            begin = max(after, run.seq - back)
            found = [event.seq for event in self.pages(reader, run.id, begin)]
            if len(found) >= count:
                return found[-count] - 1
            if begin == after:
                return after
            back *= 2  # not every number is an event's: look further back
