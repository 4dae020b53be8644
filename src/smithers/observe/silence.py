"""Why there is nothing to show of what agents have said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smithers.observe import lookup
from smithers.observe.node_view import NodeView, NodeViews

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot


def why_silent(snapshot: Snapshot, node: str | None, file: str | None) -> str:
    """One line that says why nothing is recorded of a run or of a node.

    Args:
        node: as a person named it.
        file: name of the file of transcripts; None: there is none.
    """
    views = NodeViews(snapshot)
    what, tasks = snapshot.run.name, views.all()
    if node is not None:
        found = lookup.node(views, snapshot.run.name, node)
        inside = [found] if isinstance(found, NodeView) else [views.now(task) for task in found.tasks()]
        what, tasks = f"{node} of {what}", inside
    attempts = [row for view in tasks for row in view.attempts]
    if not any(row.agent for row in attempts):
        yet = "" if snapshot.run.state.has_ended else " yet"
        return f"no agent has been called for {what}{yet}"
    if all(row.is_cached for row in attempts):
        return f"no agent was called for {what}: its outputs came from the cache"
    if snapshot.run.config.get("rehearse"):
        return f"nothing is recorded of {what}: it is a rehearsal"
    if file is None:
        return f"nothing is recorded of {what}: there is no file of transcripts, and rehearsals write none"
    return f"nothing is recorded of {what}: {file} was not written then, or had to make room for newer runs"
