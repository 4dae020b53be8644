"""After an answer: whoever drives the run goes on by it, and if nobody does, somebody is started."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.cli import terminal
from smithers.cli.carrier import Carrier
from smithers.cli.options import with_store
from smithers.observe import next_step
from smithers.records import OwnerHealth, RunState

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import RunRow
    from smithers.store import Store

LOOK_S = 0.02
HEARD_S = 5.0
"""How long a living owner may take to hear of an answer, before we leave it at that."""
START_S = 30.0
"""How long an owner that was started may take to own the run."""


@dataclass(frozen=True, slots=True)
class GoingOn:
    """What has become of a run after an answer."""

    run: str
    """The run that goes on: the one that was answered, or the one that it belongs to."""
    how: str
    """`driven`: by the process that drives it; `started`: by one that was started for it; `paused`: it is
    paused, and goes on when it is resumed; `left`: nobody was to be started; `ended`: it has ended since."""
    pid: int | None = None
    log: str | None = None

    def text(self, named: str | None) -> str:
        """The same in a line."""
        match self.how:
            case "driven":
                return f"{self.run} goes on in process {self.pid}"
            case "started":
                return f"{self.run} goes on in the background as process {self.pid} (log: {self.log})"
            case "paused":
                command = with_store(next_step.resume(self.run), named)
                return f"{self.run} is paused: it goes on when it is resumed: {command}"
            case "ended":
                return f"{self.run} has gone on, and ended"
            case _:
                command = with_store(next_step.resume(self.run), named)
                return f"it is stored; nobody drives {self.run}: {command}"

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {"run": self.run, "how": self.how, "pid": self.pid, "log": self.log}


def go_on(store: Store, run: RunRow, *, resumes: bool) -> GoingOn:
    """See to it that a run goes on by what was just said to it.

    Args:
        resumes: start an owner if there is none.
    """
    with closing(store.reader()) as reader:
        top = _top(reader, run)
        carrier: Carrier | None = None
        until = time.monotonic() + HEARD_S
        while True:
            row = reader.run_at(top)
            if row.state.has_ended:
                return GoingOn(row.name, "ended")
            if row.health is OwnerHealth.ALIVE and row.owner is not None:
                is_ours = carrier is not None and row.owner.pid == carrier.pid
                if is_ours and carrier is not None:
                    return GoingOn(row.name, "started", row.owner.pid, carrier.log)
                if not reader.inbox(top) and not reader.inbox(run.id):
                    return GoingOn(row.name, "driven", row.owner.pid)
                if time.monotonic() > until:
                    return GoingOn(row.name, "driven", row.owner.pid)
            elif row.state is RunState.PAUSED:
                return GoingOn(row.name, "paused")
            elif carrier is None:
                if not resumes:
                    return GoingOn(row.name, "left")
                carrier = Carrier(store.path, row)
                until = time.monotonic() + START_S
            elif (why := carrier.left()) is not None:
                if not reader.inbox(top) and not reader.inbox(run.id):
                    return GoingOn(row.name, "started", carrier.pid, carrier.log)  # it has been and gone
                if not carrier.lost_race:
                    terminal.note(why)
                    return GoingOn(row.name, "left")
                carrier = None  # somebody else held it, and has left since
            elif time.monotonic() > until:
                return GoingOn(row.name, "started", carrier.pid, carrier.log)
            time.sleep(LOOK_S)


def _top(reader: Reader, run: RunRow) -> int:
    """The run that is resumed for a run: the one that it belongs to, however far up."""
    parent = run.kin.parent
    return run.id if parent is None else reader.newest(reader.run(parent.top).id).id
