"""`smithers events`: those of a run's events that somebody looks for."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import click

from smithers.cli.event_lines import EventLines, Span
from smithers.cli.options import SpanType, json_option, page_options, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.observe import lookup
from smithers.observe.event_query import EventQuery
from smithers.observe.node_view import NodeView, NodeViews
from smithers.records import EventType

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot

_TYPES = {kind.word: kind for kind in EventType}


@click.command()
@run_argument
@click.option("--node", metavar="NODE", help="Only of this node: an id, or one pass of it: review[1].")
@click.option(
    "-t",
    "--type",
    "types",
    multiple=True,
    type=click.Choice(list(_TYPES)),
    metavar="TYPE",
    help="Only these: node-failed, run-paused, …",
)
@click.option("--since", "since_ms", type=SpanType(), metavar="SPAN", help="Only of the last 10m, 2h, …")
@page_options
@store_option
@json_option
def events(
    run_id: str,
    node: str | None,
    types: tuple[str, ...],
    since_ms: int | None,
    is_following: bool,
    after: int,
    limit: int | None,
    tail: int | None,
    store: str | None,
    is_json: bool,
) -> None:
    """Print the events of RUN that fit, as `smithers logs` prints all of them.

    TYPE is the word that stands in a line after its time. With --json each line is one JSON object. Page
    through them by number: the last line of one page is the --after of the next.
    """
    with open_run(store, run_id) as (project, snapshot):
        query = _query(project, snapshot, node, types, since_ms)
        more = [f"smithers events {snapshot.run.name} --limit {limit}"]
        more += [f"--node {quote(node)}"] if node is not None else []
        more += [f"--type {word}" for word in types]
        lines = EventLines(project, snapshot.run, query, is_json=is_json)
        lines.show(Span(after, tail, limit, is_following), " ".join(more))


def _query(
    project: Project, snapshot: Snapshot, node: str | None, types: tuple[str, ...], since_ms: int | None
) -> EventQuery:
    kinds = frozenset(_TYPES[word] for word in types)
    since = None if since_ms is None else project.now_ms - since_ms
    if node is None:
        return EventQuery(kinds, since_ms=since)
    found = lookup.node(NodeViews(snapshot), snapshot.run.name, node)
    if isinstance(found, NodeView) and node != found.key.node:
        return EventQuery(kinds, key=found.key, since_ms=since)
    return EventQuery(kinds, node=node, since_ms=since)
