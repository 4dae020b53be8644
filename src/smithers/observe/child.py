"""What the runs do that are nodes of another run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smithers.observe.summary import summarize
from smithers.records import RunState

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.ports import Reader


def with_doings(reader: Reader, snapshot: Snapshot, now_ms: int) -> Snapshot:
    """The snapshot, with a few words on each of its children that has not finished."""
    found = {}
    for row in snapshot.children:
        if row.state is not RunState.FINISHED:
            summary = summarize(reader, reader.run(row.name), now_ms)
            found[row.name] = f"{summary.status}: {summary.detail}" if summary.detail else summary.status
    return replace(snapshot, doings=found)
