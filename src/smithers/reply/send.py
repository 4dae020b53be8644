"""Signals: to whom they go, and whether they fit, before they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from smithers.errors import AnswerUnfit, NotWaiting
from smithers.observe.waits import WaitView, open_below
from smithers.records import WaitKind

from .fit import check_schema, check_storable

if TYPE_CHECKING:
    from smithers.ports import Outsider, Reader
    from smithers.records import RunRow

MAX_BYTES = 1 << 20
"""Of a payload, as JSON."""


class Sent(NamedTuple):
    """What became of a signal."""

    taken_by: list[WaitView]
    """Open waits that take it; none: it is kept for whoever waits for it later."""
    id: int


def send_signal(
    reader: Reader,
    outsider: Outsider,
    run: RunRow,
    name: str,
    payload: Any,
    correlation: str | None,
    *,
    by: str,
    keeps: bool = False,
) -> Sent:
    """Send a signal to a run, or to the runs that belong to it and wait for it.

    Args:
        keeps: send it although there are waits for that name, all with another correlation.
    Raises:
        NotWaiting: the run has ended; or nobody waits for this correlation.
        AnswerUnfit: the payload does not fit what an open wait asks for; or it is nothing that can be sent.
    """
    if not name:
        raise AnswerUnfit("a signal has a name", hint=f"`smithers signal {run.name} NAME`")
    check_storable([name, correlation, payload], "the signal")
    if run.state.has_ended:
        raise NotWaiting(f"{run.name} has ended ({run.state.word}); it takes no signal", run=run.name)
    of_name = [
        view
        for view in open_below(reader, run)
        if view.row.kind is WaitKind.EVENT and view.row.spec.get("event") == name
    ]
    fitting = [view for view in of_name if view.row.spec.get("correlation") == correlation]
    if of_name and not fitting and not keeps:
        known = ", ".join(sorted({str(view.row.spec.get("correlation")) for view in of_name}))
        about = "without a correlation" if correlation is None else f"with the correlation {correlation}"
        raise NotWaiting(
            f"nobody in {run.name} waits for {name} {about}; waits are about {known}",
            hint=f"`{of_name[0].commands()[0]}`, or add --keep to leave it for a later wait",
            run=run.name,
        )
    for view in fitting:
        what = f"the payload of {name}"
        check_schema(view.row.spec.get("schema"), payload, what, view.commands()[0])
    runs = list(dict.fromkeys(view.row.run for view in fitting)) or [run.id]
    ids = [outsider.signal(number, name, payload, correlation, by) for number in runs]
    return Sent(fitting, ids[0])


def check_size(text: str) -> None:
    """Refuse what is more than a message.

    Raises:
        AnswerUnfit: it is.
    """
    size = len(text.encode())
    if size > MAX_BYTES:
        raise AnswerUnfit(
            f"{size} bytes; at most {MAX_BYTES} are taken", hint="send the name of a file instead"
        )
