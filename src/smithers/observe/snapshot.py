"""The rows of one run, read together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smithers.observe.waits import open_below
from smithers.records import UNSPENT, OwnerHealth, RunState, Spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smithers.observe.quota import Limit
    from smithers.observe.waits import WaitView
    from smithers.ports import Reader
    from smithers.records import (
        AttemptRow,
        CallRow,
        ChildRow,
        InboxRow,
        MountRow,
        NodeRow,
        ParkedAccount,
        PassRow,
        RunRow,
        WaitRow,
        Wakeup,
    )

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
    limits: Mapping[str, Sequence[Limit]] = field(default_factory=dict)
    """Accounts that such runs wait for, by name, if they wait for nothing else; filled in there too."""
    accounts: Sequence[ParkedAccount] = ()
    """Whose limits are used up; read if a task waits for one."""
    calls: Sequence[CallRow] = ()
    """What its attempts have asked of agents."""
    spent: Mapping[int, Mapping[str, Spending]] = field(default_factory=dict)
    """What it and such runs have cost in all, by number and by agent."""

    waits: Sequence[WaitRow] = ()
    """Of the run itself, those that are over too."""
    open_waits: Sequence[WaitView] = ()
    """Its own and those of the runs that belong to it."""

    def cost_of(self, run: int) -> Spending:
        """What it, or such a run, has cost in all."""
        return sum(self.spent.get(run, {}).values(), UNSPENT)


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
    wakeups, children = reader.wakeups(run.id), reader.children(run.id)
    return Snapshot(
        run=run,
        nodes=reader.nodes(run.id),
        attempts=reader.attempts(run.id),
        passes=reader.passes(run.id),
        mounts=reader.mounts(run.id),
        wakeups=wakeups,
        inbox=[] if run.state.has_ended else orders(reader, run.id),
        children=children,
        accounts=accounts_for(reader, wakeups),
        calls=reader.calls(run.id),
        spent=reader.spent([run.id, *{child.run for child in children}]),
        waits=reader.waits(run.id),
        open_waits=[] if run.state.has_ended else open_below(reader, run),
    )


def orders(reader: Reader, run: int) -> list[InboxRow]:
    """What was asked of a run as a whole, and is not done yet."""
    return [row for row in reader.inbox(run) if row.kind.is_order]


def accounts_for(reader: Reader, wakeups: Iterable[Wakeup]) -> list[ParkedAccount]:
    """Parked accounts, if anything waits for one."""
    return reader.accounts() if any(wakeup.kind == "quota" for wakeup in wakeups) else []


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
