"""The rows of one run, read together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smithers.records import OwnerHealth, RunState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smithers.ports import Reader
    from smithers.records import AttemptRow, ChildRow, InboxRow, MountRow, NodeRow, PassRow, RunRow, Wakeup

_READS = 3
"""Tries to read all rows between two commits; a run that is busier than that is shown a moment apart."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store says about one run."""

    run: RunRow
    nodes: list[NodeRow]
    attempts: list[AttemptRow]
    """All generations, oldest first within a node."""
    passes: list[PassRow]
    mounts: list[MountRow]
    """The tree as it stands, parents before children."""
    wakeups: list[Wakeup]
    inbox: Sequence[InboxRow] = ()
    """What was asked of the run, and is not done yet."""
    children: Sequence[ChildRow] = ()
    """Runs that are what its nodes do, of every generation, the oldest first."""
    doings: Mapping[str, str] = field(default_factory=dict)
    """What such runs do, or what became of them, by name; filled in by `observe.child`."""


def take(reader: Reader, name: str) -> Snapshot:
    """Read a run's rows.

    The reader holds no transaction between calls, so a commit may fall between two of them; `seq` tells.

    Raises:
        RunNotFound, RunAmbiguous: as `Reader.run`.
    """
    snapshot = _rows(reader, reader.run(name))
    for _ in range(_READS - 1):
        run = reader.run(snapshot.run.name)
        if run.seq == snapshot.run.seq:
            break
        snapshot = _rows(reader, run)
    return snapshot


def _rows(reader: Reader, run: RunRow) -> Snapshot:
    return Snapshot(
        run=run,
        nodes=reader.nodes(run.id),
        attempts=reader.attempts(run.id),
        passes=reader.passes(run.id),
        mounts=reader.mounts(run.id),
        wakeups=reader.wakeups(run.id),
        inbox=[] if run.state.has_ended else reader.inbox(run.id),
        children=reader.children(run.id),
    )


def shown_status(run: RunRow) -> str:
    """The word people see: the stored state, or what became of it.

    `orphaned`: stored as running, but nobody drives it. `stalled`: its owner has not renewed its lease, and
    this machine cannot tell whether it lives.
    """
    if run.state in (RunState.RUNNING, RunState.WAITING):
        match run.health:
            case OwnerHealth.DEAD:
                return "orphaned"
            case OwnerHealth.EXPIRED:
                return "stalled"
            case OwnerHealth.NONE if run.state is RunState.RUNNING:
                return "orphaned"
            case OwnerHealth.NONE | OwnerHealth.ALIVE:
                pass
    return run.state.word


def is_driven(run: RunRow) -> bool:
    """Whether a living process drives the run right now."""
    return not run.state.has_ended and run.health is OwnerHealth.ALIVE
