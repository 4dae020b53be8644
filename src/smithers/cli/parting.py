"""A run as it leaves this process: how it ended, and what the store says beside that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smithers.errors import SmithersError
from smithers.observe import quota
from smithers.observe.waits import open_below
from smithers.records import UNSPENT, RunState, Spending
from smithers.supervise.turn import active

if TYPE_CHECKING:
    from smithers.engine.handle import RunEnd
    from smithers.ids import NodeKey
    from smithers.observe.waits import WaitView
    from smithers.ports import Reader
    from smithers.store import Store


@dataclass(frozen=True, slots=True)
class Parting:
    """The last that `up` knows of its run."""

    end: RunEnd
    spent: Spending = UNSPENT
    """What it has cost in all; of what cannot be read, nothing."""
    limits: Mapping[NodeKey, quota.Limit] = field(default_factory=dict)
    """The accounts that its tasks wait for, or the runs that these are."""
    open_waits: Sequence[WaitView] = ()
    """People, messages and times that it waits for."""
    supervisor: int | None = None
    """The process that wakes it when it is due; None: nobody does."""


def parting(end: RunEnd, store: Store) -> Parting:
    """Look once more at a run that has left the engine. A store that fails now takes no result away."""
    with suppress(SmithersError), closing(store.reader()) as reader:
        spent = sum(_spent(reader, end.run_id), UNSPENT)
        open_waits = open_below(reader, reader.run(end.run_id)) if end.state is RunState.WAITING else []
        waits_beyond = any(wait.kind != "retry" for wait in end.waits)
        limits = _limits(reader, end.run_id) if waits_beyond else {}
        return Parting(end, spent, limits, open_waits, active(store.path) if end.waits else None)
    return Parting(end)


def _spent(reader: Reader, run: str) -> list[Spending]:
    row = reader.run(run)
    return [*reader.spent([row.id]).get(row.id, {}).values()]


def _limits(reader: Reader, run: str) -> Mapping[NodeKey, quota.Limit]:
    from smithers.observe.child import with_doings
    from smithers.observe.node_view import NodeViews
    from smithers.observe.snapshot import take

    snapshot = take(reader, run)
    now_ms = snapshot.run.created_ms  # limits have times of their own
    snapshot = with_doings(reader, snapshot, now_ms)
    views = NodeViews(snapshot)
    waits = quota.waits_of(snapshot, views, now_ms)
    found = {view.key: quota.limit_of(snapshot, view, waits) for view in views.all()}
    return {key: limit for key, limit in found.items() if limit is not None}
