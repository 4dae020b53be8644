"""`smithers why`: what a run or a node waits for, and what helps."""

from __future__ import annotations

import json
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import Project, open_run
from smithers.observe import lookup, moment, next_step
from smithers.observe.child import with_doings
from smithers.observe.explanation import Blocker, Explanation
from smithers.observe.node_view import NodeView, NodeViews
from smithers.observe.why import why_node, why_place, why_run

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot


@click.command()
@run_argument
@click.argument("node", required=False)
@store_option
@json_option
def why(run_id: str, node: str | None, store: str | None, is_json: bool) -> None:
    """Say why RUN does not progress, or what it is doing; or why NODE ran, was skipped, or waits.

    NODE is an id, or a pass as `inspect` shows it: review[1].
    """
    with open_run(store, run_id) as (project, snapshot):
        snapshot = with_doings(project.reader, snapshot, project.now_ms)
        answer = _explain(project, snapshot, node)
        if is_json:
            document = answer.document()
            document["commands"] = [project.command(text) for text in answer.commands]
            print(json.dumps(document, ensure_ascii=False))
        else:
            _print(answer, project)


def _explain(project: Project, snapshot: Snapshot, node: str | None) -> Explanation:
    if node is None:
        return why_run(snapshot, project.now_ms)
    found = lookup.node(NodeViews(snapshot), snapshot.run.name, node)
    if isinstance(found, NodeView):
        return why_node(snapshot, found, project.now_ms)
    return why_place(snapshot, found, project.now_ms)


def _print(answer: Explanation, project: Project) -> None:
    width = terminal.width()
    _print_text(answer.summary, width)
    for blocker, after in zip_longest(answer.blockers, answer.blockers[1:]):
        if blocker.text.rstrip(".") not in answer.summary:
            _print_text(f"- {_with_since(blocker, project.now_ms)}", width, indent="  ")
        error = blocker.error or {}
        hint = blocker.hint or error.get("hint")
        if blocker.hint and after is not None and after.hint == blocker.hint:
            hint = None  # said once, below the last of them
        for name, found in (("place", error.get("place")), ("hint", hint)):
            if found:
                text = next_step.for_run(str(found), answer.run)
                _print_text(f"{name}: {text}", width, indent="    ")
    if answer.cache:
        _print_text(f"- cache {answer.cache}", width, indent="  ")
    for line in answer.attempts:
        _print_text(f"- {line}", width, indent="  ")
    for command in answer.commands:
        print(f"  {terminal.style('next:', None, bold=True)} {project.command(command)}")


def _with_since(blocker: Blocker, now_ms: int) -> str:
    if blocker.since_ms is None or blocker.kind in ("running", "quota"):  # these say it themselves
        return blocker.text
    return f"{blocker.text} ({moment.ago(blocker.since_ms, now_ms)})"


def _print_text(text: str, width: int, indent: str = "") -> None:
    """Prose is wrapped, not cut: every word of a reason counts."""
    hanging = indent + ("  " if text.startswith("- ") else "")
    print(
        textwrap.fill(
            " ".join(text.split()),
            width=max(width, 40),
            initial_indent=indent,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
