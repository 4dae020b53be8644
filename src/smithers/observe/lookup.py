"""Find a run or a node by what a person typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smithers.errors import NodeNotFound, RunAmbiguous, RunNotFound
from smithers.observe import next_step
from smithers.observe.summary import named
from smithers.records import RunFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smithers.observe.node_view import NodeView, NodeViews
    from smithers.observe.tree import Place
    from smithers.ports import Reader
    from smithers.records import OutputRef, OutputRow, RunRow

LAST = "@last"
"""Names the newest run."""

_NAMED = 5
_SEARCHED = 1000
"""Newest runs whose names are compared when one is not found."""


def run_name(reader: Reader, text: str) -> str:
    """The full name of the run that `text` means: `@last`, else an exact name, else a unique prefix.

    Raises:
        RunNotFound: names the nearest runs, or the newest.
        RunAmbiguous: names the runs that begin like this.
    """
    if text == LAST:
        newest = reader.runs(RunFilter(limit=1, tops=True))
        if not newest:
            raise no_runs(text)
        return newest[0].name
    try:
        return reader.run(text).name
    except (RunNotFound, RunAmbiguous) as error:
        names = [run.name for run in reader.runs(RunFilter(limit=_SEARCHED))]
        if not names:
            raise no_runs(text) from None
        if isinstance(error, RunAmbiguous):
            found = [name for name in names if name.startswith(text)]
            raise RunAmbiguous(f"{text!r} begins {len(found)} runs: {_listed(found)}", runs=found) from None
        from difflib import get_close_matches

        near = get_close_matches(text, names, n=_NAMED, cutoff=0.5)
        meant = f"did you mean {_listed(near)}?" if near else f"the newest are {_listed(names)}"
        raise RunNotFound(f"no run {text!r}; {meant}", runs=near or names[:_NAMED]) from None


def exact_run(reader: Reader, name: str) -> RunRow | None:
    """The run of exactly this name; None: there is none, though others may begin like it."""
    try:
        row = reader.run(name)
    except (RunNotFound, RunAmbiguous):
        return None
    return row if row.name == name else None


def stored_output(reader: Reader, run: RunRow, ref: OutputRef | None = None) -> OutputRow | None:
    """An output of a run; by default its own. None: there is none."""
    ref = ref or run.output
    if ref is None:
        return None
    rows = reader.outputs(run.id)
    return next((row for row in rows if (row.key, row.generation) == (ref.key, ref.generation)), None)


def no_runs(text: str) -> RunNotFound:
    """The refusal of any run's name in a project without runs."""
    return RunNotFound(
        f"no run {text!r}: this project has no runs yet", hint=f"start one with `{next_step.START}`", runs=[]
    )


def node(
    views: NodeViews, run: str, text: str, *, iteration: int | None = None, scope: str | None = None
) -> NodeView | Place:
    """The node that `text` means: a task in its latest pass, or a container.

    Args:
        text: an id, or a name with its pass as screens show it, such as `review[1]`.
        iteration: this pass, and not the latest.
        scope: passes of the outer loops, such as `outer=2`.

    Raises:
        NodeNotFound: names the passes there are, or the nearest ids.
    """
    for view in views.all():
        if text in (view.shown, str(view.key)) and text != view.key.node:
            return view
    passes = views.by_node.get(text)
    if passes is None:
        place = views.tree.by_id.get(text)
        if place is not None:
            return place
        raise _unknown(run, text, [*views.by_node, *views.tree.by_id])
    fitting = [
        view
        for view in passes
        if (iteration is None or view.key.iteration == iteration)
        and (scope is None or view.key.scope == scope)
    ]
    if not fitting:
        there = [view.shown for view in passes]
        raise NodeNotFound(
            f"{text} has no such pass in {run}; there are {_listed(there)}",
            hint=f"list them with `{next_step.inspect(run)}`",
            nodes=there,
        )
    return fitting[-1]


def _unknown(run: str, text: str, ids: Iterable[str]) -> NodeNotFound:
    known = list(dict.fromkeys(ids))
    from difflib import get_close_matches

    near = get_close_matches(text, known, n=_NAMED, cutoff=0.5)
    meant = f"; did you mean {_listed(near)}?" if near else ""
    return NodeNotFound(
        f"no node {text!r} in {run}{meant}",
        hint=f"list its nodes with `{next_step.inspect(run)}`",
        nodes=near or known[:_NAMED],
    )


def _listed(names: list[str]) -> str:
    return named(names, _NAMED)
