"""A run as it is stored at one moment, read from a copy: who reads the file itself changes it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from smithers.clock import SystemClock
from smithers.errors import RunNotFound, StoreNotFound
from smithers.ids import NodeKey
from smithers.records import AttemptRow, AttemptState, NodeState, RunState
from smithers.store import Store

Slot: TypeAlias = tuple[NodeKey, int]
"""A task in one pass, and its generation."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One run."""

    state: RunState
    seq: int
    nodes: dict[Slot, NodeState]
    """How tasks have settled, in their newest generations."""
    attempts: list[AttemptRow]
    """Of all generations."""
    outputs: dict[Slot, str]
    """Exact JSON texts, of the newest generations."""
    generations: Mapping[NodeKey, int]
    """The newest of each key, where it is not 0."""

    @property
    def finished(self) -> set[Slot]:
        """What is stored as finished: as a task, or as an attempt."""
        by_node = {slot for slot, state in self.nodes.items() if state is NodeState.FINISHED}
        by_attempt = {
            (row.key, row.generation) for row in self.attempts if row.state is AttemptState.FINISHED
        }
        return by_node | by_attempt

    @property
    def standing(self) -> set[Slot]:
        """What of that is of the newest generation."""
        return {(key, number) for key, number in self.finished if self.generations.get(key, 0) == number}

    @property
    def running(self) -> set[tuple[NodeKey, int]]:
        """Attempts that have not ended: (key, number)."""
        return {(row.key, row.attempt) for row in self.attempts if row.to_frame is None}


def take(store: Path, run_id: str, scratch: Path) -> Snapshot | None:
    """Look at a run; None: it is not stored.

    Args:
        scratch: a folder for the copy.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    copy = scratch / store.name
    for ending in ("", "-wal"):
        source = store.with_name(store.name + ending)
        if source.exists():
            shutil.copyfile(source, copy.with_name(copy.name + ending))
    if (blobs := store.parent / "blobs").is_dir():
        (scratch / "blobs").symlink_to(blobs, target_is_directory=True)
    try:
        with closing(Store(copy, durability="normal", clock=SystemClock()).reader()) as reader:
            found = reader.history(reader.run(run_id).id)
            stored = found.stored
            return Snapshot(
                stored.run.state,
                stored.run.seq,
                {(node.key, node.generation): node.state for node in stored.nodes},
                found.attempts,
                {(output.key, output.generation): output.body for output in stored.outputs},
                stored.generations,
            )
    except (RunNotFound, StoreNotFound):
        return None
