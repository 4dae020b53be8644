"""Reruns of scripts: what is asked for behind something that runs again may be something else now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.records import AttemptState, BlockRow, History, NodeState, StoredRun

from .scope import SCRIPT_KEY, Call


class Rechecking:
    """What a script asks for behind something that is executed again may be something else now.

    Args:
        marks: fingerprints of finished tasks, as stored.
        again: what is executed again.
        mark_now: a task's fingerprint.
    """

    def __init__(
        self,
        marks: Mapping[NodeKey, bytes],
        again: Iterable[NodeKey],
        mark_now: Callable[[Task[Any]], bytes | None],
    ) -> None:
        self._marks = marks
        self._again = set(again)
        self._mark_now = mark_now
        self._is_behind = False

    def __bool__(self) -> bool:
        return bool(self._marks)

    def answered(self, calls: Iterable[Call]) -> None:
        """The script is given these: what it asks for from now on may come from them."""
        self._is_behind = self._is_behind or any(call.key in self._again for call in calls)

    def is_another(self, call: Call) -> bool:
        """Whether a finished task is to be executed again, because it is asked for something else."""
        before = self._marks.get(call.key)
        if not self._is_behind or before is None or not isinstance(call.node, Task):
            return False
        now = self._mark_now(call.node)
        if now is None or now == before:
            return False
        self._again.add(call.key)
        return True


def pending_rerun(stored: StoredRun) -> tuple[NodeKey, ...]:
    """What a rerun was asked to execute again, and the script has not been through since."""
    ended = max(
        (row.frame for row in stored.nodes if row.key == SCRIPT_KEY and row.state is NodeState.FINISHED),
        default=0,
    )
    asked = [row for row in stored.blocks if is_rerun(row) and row.frame > ended]
    return tuple(dict.fromkeys(key for row in asked for key in row.again))


def is_rerun(row: BlockRow) -> bool:
    """Whether it says what a script's rerun was asked for."""
    return row.block == SCRIPT_KEY and row.at is None and bool(row.again)


def marks_of(history: History) -> dict[NodeKey, bytes]:
    """Fingerprints of finished tasks, in their newest generation."""
    generations = history.stored.generations
    return {
        row.key: row.fingerprint
        for row in history.attempts
        if row.state is AttemptState.FINISHED
        and row.fingerprint is not None
        and row.generation == generations.get(row.key, 0)
    }
