"""What a script finds out for itself, on its own loop, without asking the engine."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from smithers.clock import Clock
from smithers.ids import NodeKey
from smithers.scheduler import Settled

from .memory import Memory
from .scope import End

if TYPE_CHECKING:
    from random import Random


class Stored:
    """What was stored of a run when its script began; read from the script's own thread."""

    def __init__(self, memory: Memory, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self.rebind(memory)
        self.last_frame = memory.frame
        self.is_open = True
        """False: the engine has to look at each call, also at those that have finished."""
        rows = sorted((memory.frames.get(row.key, 0), row.seq) for row in memory.rows.of_output())
        self._frames = [frame for frame, _ in rows]
        self._seqs: list[int] = []
        newest = 0
        for _, seq in rows:
            newest = max(newest, seq)
            self._seqs.append(newest)

    def rebind(self, memory: Memory) -> None:
        """Read from another memory of the same run."""
        self._memory = memory

    def stored(self, key: NodeKey) -> End | None:
        if not self.is_open:
            return None
        frame = self._memory.frames.get(key)
        if frame is None or frame > self.last_frame:
            return None
        row = self._memory.rows.get(key)
        if row is None or self._memory.facts.nodes.get(key) is not Settled.FINISHED:
            return None
        return End(frame, Settled.FINISHED, row)

    @property
    def is_resumed(self) -> bool:
        return self.last_frame > 0

    def seq_at(self, frame: int) -> int:
        found = bisect_right(self._frames, frame)
        return self._seqs[found - 1] if found else 0

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def random(self) -> float:
        return self._random.random()
