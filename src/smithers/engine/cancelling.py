"""A cancel on its way: what has begun is found again, then the run unwinds by its last parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smithers.errors import LastPartsOwed
from smithers.ids import NodeKey
from smithers.records import RunState, StoredRun
from smithers.scheduler import Schedule, Settled
from smithers.scheduler.block import turn_of
from smithers.scheduler.vertex import BlockVertex

from .memory import Memory
from .owed import Debts, debts_of, document, told
from .planning import Planning

if TYPE_CHECKING:
    from .scripting import Scripting

PATIENCE_MS = 60_000
"""How long a script may stand still before it has come back to a block that has begun: a timer of its own may
move it."""


class Cancelling:
    """Whether and how far one run is cancelled.

    A tree is there at once. A script has to go through what is stored again, before its blocks stand where
    they stood: until then nothing starts, and the run does not unwind yet.
    """

    def __init__(self, memory: Memory, planning: Planning) -> None:
        self._memory = memory
        self._planning = planning
        self._debts: Debts = {}
        """What was owed when the rows were read, of blocks that may not stand in the plan again yet."""
        self.is_asked = False
        self._still_ms: int | None = None
        """Since when a script stands still that should go on."""

    def restore(self, stored: StoredRun) -> None:
        """Take in what is owed; `memory` has been filled from the same rows."""
        if not stored.run.state.has_ended:
            self._debts = debts_of(self._memory, stored.mounts)

    @property
    def owes(self) -> bool:
        """Whether a cancel that reaches a run as it is stored has something to run, or had begun."""
        blocks = self._memory.facts.blocks.values()
        return bool(self._debts) or any(fact.then is Settled.CANCELLED for fact in blocks)

    def had_begun(self, stored: StoredRun, *, is_script: bool) -> bool:
        """Whether a cancel was being carried out when its owner died, by what blocks have come to.

        Not of a script: one that does not wait for a tree any more cancels that alone.
        """
        is_open = stored.run.state is RunState.RUNNING
        blocks = self._memory.facts.blocks.items()
        return not is_script and any(
            fact.then is Settled.CANCELLED
            and (is_open or not fact.has_ended)
            and self._memory.is_going_on(key)
            for key, fact in blocks
        )

    # --- Asked ----------------------------------------------------------------------------------

    @property
    def has_last_parts(self) -> bool:
        """Whether the run has anything to do before it is cancelled."""
        schedule = self._memory.schedule
        is_begun = schedule is not None and schedule.has_last_parts
        return self.is_asked or is_begun or any(not self._has_ended(key) for key in self._debts)

    @property
    def is_gathering(self) -> bool:
        """It was asked for, and what has begun is not all there yet: nothing may start."""
        return self.is_asked and not self._planning.is_cancelled

    @property
    def due_ms(self) -> int | None:
        """When to look again, by the wall clock."""
        return None if self._still_ms is None or not self.is_gathering else self._still_ms + PATIENCE_MS

    def ask(self) -> None:
        """End the run when what has begun in it has run its last parts."""
        self.is_asked = True
        schedule = self._memory.schedule
        if schedule is not None and not self._missing(schedule) and not self._behind(schedule):
            self._unwind(schedule)

    def take_over(self, other: Cancelling, stored: StoredRun) -> None:
        """Go on as another one of the same run, whose memory was thrown away."""
        self.is_asked = other.is_asked
        self.restore(stored)

    # --- Looking --------------------------------------------------------------------------------

    def look(self, now_ms: int, scripting: Scripting | None) -> None:
        """The plan is up to date: unwind, if all that has begun stands in it.

        Raises:
            LastPartsOwed: something that has begun is not there any more.
        """
        schedule = self._planning.schedule
        if scripting is None and not self.is_asked:
            self._debts = {}  # the plan knows them from now on
        if not self.is_gathering:
            return
        missing = self._missing(schedule)
        if scripting is not None and (missing or self._behind(schedule)):
            scripting.only_stored = True
            if scripting.is_live:
                self._still_ms = None
                return
            self._still_ms = now_ms if self._still_ms is None else self._still_ms
            if missing and scripting.goes_on and now_ms - self._still_ms < PATIENCE_MS:
                return
        if missing:
            name = self._memory.name
            raise LastPartsOwed(
                f"{name} is not cancelled: its workflow does not come to what has begun any more; owed: "
                + told(missing),
                hint=f"put it back and run `smithers cancel {name}` again, or end it without: "
                f"`smithers cancel {name} --now`",
                owed=document(missing),
            )
        self._unwind(schedule)

    def _unwind(self, schedule: Schedule) -> None:
        self._planning.is_cancelled = True
        schedule.cancel(key for key in self._debts if not self._has_ended(key))

    def _missing(self, schedule: Schedule) -> Debts:
        """What does not stand in the plan."""
        return {
            key: debt
            for key, debt in self._debts.items()
            if not self._has_ended(key) and not _stands(schedule, key)
        }

    def _behind(self, schedule: Schedule) -> bool:
        """Whether a script has not come out of the body of a block that it had come out of."""
        for key, (known, _) in self._debts.items():
            if known.then is Settled.CANCELLED or self._has_ended(key) or not _stands(schedule, key):
                continue
            fact = self._memory.facts.blocks.get(key)
            if turn_of(fact.at if fact is not None else "body") < turn_of(known.at):
                return True
        return False

    def _has_ended(self, key: NodeKey) -> bool:
        fact = self._memory.facts.blocks.get(key)
        return fact is not None and fact.has_ended


def _stands(schedule: Schedule, key: NodeKey) -> bool:
    vertex = schedule.vertex(key.node)
    return isinstance(vertex, BlockVertex) and vertex.key == key
