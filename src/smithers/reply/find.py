"""Which wait somebody means."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from smithers.errors import AlreadyDecided, NodeNotFound, NotWaiting
from smithers.observe import moment
from smithers.observe.node_view import shown_name
from smithers.observe.waits import WaitView, open_below
from smithers.records import WaitKind, WaitState

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import RunRow, WaitRow


def find_wait(reader: Reader, run: RunRow, node: str | None, kinds: Collection[WaitKind]) -> WaitView:
    """The open wait that is meant.

    Args:
        node: as it was typed, with its pass or without; None: the only one there is.
        kinds: which kinds are looked at.
    Raises:
        NotWaiting: there is none, or it cannot be told which; says what waits.
        AlreadyDecided: it was decided; says by whom.
    """
    if run.state.has_ended:
        raise NotWaiting(f"{run.name} has ended ({run.state.word}); it waits for nobody", run=run.name)
    all_open = open_below(reader, run)
    fitting = [view for view in all_open if view.row.kind in kinds]
    if node is not None:
        named = [view for view in fitting if node in (*_names(view.row), view.row.key.node)]
        exact = [view for view in named if node in _names(view.row)]
        found = exact or named
        if not found:
            raise _not_open(reader, run, node, fitting or all_open)
    else:
        found = fitting
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotWaiting(
            f"{run.name} waits for no {_words(kinds)}" + _others(all_open),
            hint=_hint(all_open, run),
            run=run.name,
        )
    raise NotWaiting(
        f"{len(found)} waits of {run.name} may be meant: {', '.join(view.node for view in found)}",
        hint=f"name one: `{found[0].commands()[0]}`",
        run=run.name,
        nodes=[view.node for view in found],
    )


def _names(row: WaitRow) -> tuple[str, str]:
    """What screens call a wait of a node in its pass: the first pass goes by two names."""
    mark = f"#{row.ref.number}" if row.ref.number else ""
    return f"{row.key}{mark}", shown_name(row.key, is_in_loop=True) + mark


def _not_open(reader: Reader, run: RunRow, node: str, all_open: list[WaitView]) -> Exception:
    """Why nothing can be said to a node.

    Args:
        all_open: what was perhaps meant.
    """
    rows = [row for row in reader.waits(run.id) if node in (*_names(row), row.key.node)]
    over = [row for row in rows if row.state in (WaitState.DECIDED, WaitState.SETTLED)]
    if over and len(over) == len(rows):
        return AlreadyDecided(
            f"{node} of {run.name} is decided already: {told(reader, over[-1])}",
            hint=f"see `smithers why {run.name}`",
            run=run.name,
            node=node,
        )
    if not rows and node not in {mount.node for mount in reader.mounts(run.id)}:
        return NodeNotFound(f"{run.name} has no node {node}" + _others(all_open), hint=_hint(all_open, run))
    return NotWaiting(
        f"{node} of {run.name} does not wait for that" + _others(all_open),
        hint=_hint(all_open, run),
        run=run.name,
        node=node,
    )


def told(reader: Reader, row: WaitRow) -> str:
    """Who has decided a wait, and how."""
    votes = [vote for vote in reader.votes(row.run) if vote.ref == row.ref]
    if votes:
        last = votes[-1]
        return f"{last.word} by {last.by}, {moment.local(last.at_ms)}"
    return f"by {(row.result or {}).get('by', 'the run itself')}"


def _words(kinds: Collection[WaitKind]) -> str:
    names = {
        WaitKind.APPROVAL: "decision",
        WaitKind.HUMAN: "answer",
        WaitKind.EVENT: "signal",
        WaitKind.TIMER: "time",
    }
    return " or ".join(names[kind] for kind in sorted(kinds))


def _others(all_open: list[WaitView]) -> str:
    if not all_open:
        return ""
    shown = ", ".join(f"{view.node} ({view.row.kind.word})" for view in all_open[:5])
    more = len(all_open) - 5
    return f"; open are {shown}" + (f" and {more} more" if more > 0 else "")


def _hint(all_open: list[WaitView], run: RunRow) -> str:
    return f"`{all_open[0].commands()[0]}`" if all_open else f"see `smithers why {run.name}`"
