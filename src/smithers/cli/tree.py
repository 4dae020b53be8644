"""`smithers tree`: a run's tree, as it stands or as it stood at a frame."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.project import open_project
from smithers.cli.spot import UNSHOWN, container_glyph, loop_state
from smithers.cli.table import Column, Table
from smithers.observe import lookup, moment
from smithers.observe.history import History, TreeRow
from smithers.observe.tree import LOOP

if TYPE_CHECKING:
    from smithers.observe.tree import Place


@click.command()
@run_argument
@click.option("--frame", type=click.IntRange(1), metavar="N", help="As of this frame; default: the newest.")
@store_option
@json_option
def tree(run_id: str, frame: int | None, store: str | None, is_json: bool) -> None:
    """Show the tree of RUN, with the states of that moment: each task in the pass its loops were in.

    BEGAN and ENDED are the frames in which a node's first attempt began and in which it settled; TREE is from
    which frame to which it stands where it stands.
    """
    with open_project(store) as project:
        if project is None:
            raise lookup.no_runs(run_id)
        run = project.reader.run(lookup.run_name(project.reader, run_id))
        history = History(project.reader, run, frame)
        if is_json:
            print(json.dumps(history.document(), ensure_ascii=False))
            return
        row, (settled, mounted) = history.frame, history.views.progress()
        at = f"{moment.offset(row.at_ms - run.created_ms)} ({moment.local(row.at_ms)})"
        head = f"{run.name}, frame {row.frame} of {run.frame}: {settled} of {mounted} tasks settled at {at}"
        if (parent := run.kin.parent) is not None:
            head += f"; it is node {parent.key} of {parent.name}"
        print("\n".join(textwrap.wrap(head, terminal.width())), end="\n\n")
        print("\n".join(_table(history).lines(terminal.width())))
        if frame is None and run.frame > 1:
            print(f"\nearlier: {project.command(f'smithers tree {run.name} --frame {run.frame - 1}')}")


def _table(history: History) -> Table:
    table = Table(
        [
            Column("  NODE", is_text=True, paint=terminal.paint_glyph),
            Column("STATE", paint=terminal.state_style),
            Column("BEGAN", is_right=True),
            Column("ENDED", is_right=True),
            Column("TREE", is_right=True),
        ]
    )
    for row in history.rows():
        if row.view is None and row.place.kind in UNSHOWN:
            continue
        glyph, name, state = _named(row, history)
        if row.view is not None and row.view.child is not None:
            name += f" = {row.view.child.name}"
        table.add(
            f"{glyph} {'  ' * _depth(row.place)}{name}",
            state,
            "" if row.began is None else str(row.began),
            "" if row.ended is None else str(row.ended),
            f"{row.mounted.from_frame}-{row.mounted.to_frame or ''}",
        )
    return table


def _named(row: TreeRow, history: History) -> tuple[str, str, str]:
    """Glyph, name and state of a row."""
    if row.view is not None and history.is_interrupted(row.view):
        return terminal.INTERRUPTED, row.view.shown, "interrupted"
    if row.view is not None:
        return terminal.GLYPHS[row.view.state.word], row.view.shown, row.view.state.word
    place, views = row.place, history.views
    state = ""
    if place.kind == LOOP:
        key, limit = views.tree.key_now(place), place.spec.get("max_iterations")
        most = limit if isinstance(limit, int) else None
        state = loop_state(views.tree.current_pass(key), most, views.tree.verdict(key))
    return container_glyph(place.kind), place.node, state


def _depth(place: Place) -> int:
    return sum(1 for around in place.ancestors() if around.kind not in UNSHOWN)
