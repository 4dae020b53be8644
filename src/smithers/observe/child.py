"""What the runs do that are nodes of another run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smithers.observe import quota
from smithers.observe.summary import summarize
from smithers.records import RunState

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.ports import Reader


def with_doings(reader: Reader, snapshot: Snapshot, now_ms: int) -> Snapshot:
    """The snapshot, with a few words on each child that has not finished, and the limits they wait for."""
    found, limits = {}, {}
    for row in snapshot.children:
        if row.state is not RunState.FINISHED:
            summary = summarize(reader, reader.run(row.name), now_ms)
            found[row.name] = f"{summary.status}: {summary.detail}" if summary.detail else summary.status
            if summary.status == quota.STATUS:
                limits[row.name] = summary.limits
    return replace(snapshot, doings=found, limits=limits)
