"""How a simulated run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smithers.ids import NodeKey
from smithers.records import AttemptRow, FailureClass, NodeState, RunState

_OF_THE_WORLD = (FailureClass.TIMEOUT, FailureClass.STALLED)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is stored of a run that has ended, in the newest generations."""

    state: RunState
    error: Mapping[str, Any] | None
    nodes: Mapping[NodeKey, NodeState]
    outputs: Mapping[NodeKey, str]
    """JSON texts."""
    attempts: Sequence[AttemptRow]

    @property
    def is_worlds_doing(self) -> bool:
        """Whether an attempt failed of what was done to its processes, and not of itself.

        A process that is stopped for a minute lets the time of its tasks run out; a task that was cut off
        three times in a row is not tried again; a saga that a cancel has ended stays undone, and a resume of
        its run says so. All that is as promised, and leads to another end.
        """
        if "was cut short by a cancel" in str((self.error or {}).get("message")):
            return True
        if any(row.failure in _OF_THE_WORLD for row in self.attempts):
            return True
        in_order = sorted(self.attempts, key=lambda row: row.attempt)
        last = {(row.key, row.generation): row.failure for row in in_order}
        return any(
            failure is FailureClass.LOST and self.nodes.get(key) is NodeState.FAILED
            for (key, _), failure in last.items()
        )
