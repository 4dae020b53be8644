"""Which accounts waiting tasks of a live tree wait for: a frame only says until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from smithers.errors import SmithersError
from smithers.observe import quota
from smithers.observe.summary import summarize

from .spot import Leaf

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.ports import Reader
    from smithers.records import ParkedAccount, Wakeup
    from smithers.store import Store


def note_limits(waiting: Sequence[tuple[Leaf, Wakeup]], store: Store | None, run: int) -> None:
    """Tell tasks that wait for a reset, or whose own run does, whose it is."""
    rows: list[ParkedAccount] = []
    inside: Mapping[NodeKey, quota.Limit] = {}
    if store is not None and waiting:
        # What cannot be read is not shown: a display never ends a run.
        with suppress(SmithersError), closing(store.reader()) as reader:
            rows, inside = reader.accounts(), _inside(reader, run, waiting)
    for leaf, wakeup in waiting:
        if wakeup.kind == quota.KIND:
            leaf.limit = quota.limit_at(wakeup.due_ms, rows, quota.agents_in(leaf.spec))
        else:
            leaf.limit = inside.get(wakeup.key)
        if leaf.limit is not None and leaf.limit.reason:
            leaf.message = leaf.limit.reason


def _inside(
    reader: Reader, run: int, waiting: Sequence[tuple[Leaf, Wakeup]]
) -> Mapping[NodeKey, quota.Limit]:
    """What the runs wait for that such tasks are, if they wait for nothing else."""
    wanted = {wakeup.key for _, wakeup in waiting if wakeup.kind == "child"}
    found = {}
    for child in reader.children(run) if wanted else ():
        if child.key in wanted:
            summary = summarize(reader, reader.run(child.name), 0)
            if summary.status == quota.STATUS:
                found[child.key] = summary.limits[0]
    return found
