"""What `pause`, `cancel` and `down` share: carry out an order, and say what happened."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smithers.cli import terminal
from smithers.cli.carrier import Starting
from smithers.cli.exit_code import ExitCode
from smithers.cli.options import with_store
from smithers.cli.table import cut
from smithers.clock import SystemClock
from smithers.engine.control import PATIENCE_MS, Control, Means, Outcome, Silence
from smithers.engine.order import Order
from smithers.observe import lookup, moment, next_step, snapshot
from smithers.observe.node_view import NodeViews
from smithers.observe.summary import named, owner_document
from smithers.records import InboxKind, NodeState, RunState
from smithers.store import Store, find_store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smithers.ports import Reader
    from smithers.records import RunRow


def project_store(named_store: str | None) -> Store | None:
    """The project's store, to be changed; None: there is none yet."""
    path = find_store(Path.cwd(), named_store)
    return None if path is None else open_store(path, clock=SystemClock(), create=False)


def halt(run: str, order: Order, named_store: str | None, *, is_json: bool, patience_ms: int) -> int:
    """Carry out an order for one run, print what happened, and return the exit code.

    Raises:
        RunNotFound, RunAmbiguous: with the names that were perhaps meant.
    """
    store = project_store(named_store)
    if store is None:
        raise lookup.no_runs(run)
    with closing(store.reader()) as reader:
        row = reader.run(lookup.run_name(reader, run))
    (halted,) = carry_out(store, [row], order, patience_ms)
    if is_json:
        print(json.dumps(halted.document(), ensure_ascii=False))
    else:
        print(f"{halted.run.name} {halted.text}")
        for what, command in halted.commands():
            terminal.note(f"  {what + ':':8} {with_store(command, named_store)}")
    return 0 if halted.is_done else ExitCode.FAILED


def order(kind: InboxKind, *, is_now: bool = False) -> Order:
    """An order of whoever types."""
    return Order(kind, who(), is_now)


def who() -> str:
    """The name that one is logged in by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def carry_out(
    store: Store, runs: Sequence[RunRow], order: Order, patience_ms: int = PATIENCE_MS
) -> list[Halted]:
    """Carry out an order for these runs, and say on stderr whom it has to wait for."""
    with _countdown() as countdown:
        start = Starting(store.path)
        control = Control(store, order, patience_ms=patience_ms, tell=countdown.tell, start=start)
        outcomes = control.apply(runs)
    with closing(store.reader()) as reader:
        return [Halted(outcome, order, reader) for outcome in outcomes]


class Halted:
    """What became of an order for one run, in words and as JSON."""

    def __init__(self, outcome: Outcome, order: Order, reader: Reader) -> None:
        self.run = outcome.run
        self.owner = outcome.owner
        self.is_done = outcome.means.is_done
        self._means = outcome.means
        self._order = order
        self._outcome = outcome
        found = [] if self.is_done else _running(reader, self.run)
        self.running = [name for name, _ in found]
        """Tasks that still run."""
        self._shown = [f"{name} ({moment.span(ms)})" for name, ms in found]

    @property
    def _is_cancel(self) -> bool:
        return self._order.kind is InboxKind.CANCEL

    @property
    def text(self) -> str:
        """What happened, without the run's name."""
        word, pid = self.run.state.word, self.owner.pid if self.owner else "?"
        match self._means:
            case Means.ALREADY:
                return f"is {word} already; nothing was changed"
            case Means.OWNER if self.run.state is self._order.state:
                return f"was {word} by its owner, process {pid}"
            case Means.OWNER:
                return f"is {word}: it ended before it could be {self._order.state.word}"
            case Means.HERE:
                return f"is {word}"
            case Means.DEAD_OWNER:
                return f"is {word} (its owner was dead)"
            case Means.TAKEN_OVER:
                return f"is {word}: taken over from process {pid}, which is stopped or silent"
            case Means.CARRIED_OUT:
                return f"is {word}; what it owed was carried out first{self._carried_out}"
            case Means.DRAINING:
                doing = f"{named(self._shown)} still runs" if self._shown else "its last tasks end"
                if self._is_cancel:
                    return f"is ending: it runs its last parts, {doing}"
                return f"is draining: nothing new starts, {doing}"
            case Means.ASKED if self.run.owner is None:
                return "was asked to end; the process that was started for it has not taken it over yet"
            case Means.ASKED:
                verb = "end" if self._is_cancel else "pause"
                return f"was asked to {verb}; its owner, process {pid}, has not answered yet"

    @property
    def _carried_out(self) -> str:
        """What a process that was started for it has run."""
        ended, broken = self._outcome.ended, self._outcome.broken
        found = f": {named(list(ended))}" if ended else ""
        return found + (f"; {named(list(broken))} failed" if broken else "")

    def commands(self) -> list[tuple[str, str]]:
        """What to type next, and what for."""
        run = self.run.name
        if self.run.state is RunState.PAUSED and self.is_done:
            return [("resume", next_step.resume_of(self.run))]
        if self._means is Means.DRAINING and self._is_cancel:
            return [("watch", next_step.follow(run)), ("cut off", next_step.cancel(run, "--now"))]
        if self._means is Means.DRAINING:
            return [("wait", next_step.pause(run, "--wait 10m")), ("cut off", next_step.pause(run, "--now"))]
        return [("why", next_step.why(run))] if self._means is Means.ASKED else []

    def document(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return {
            "status": self.run.state.word,
            "run": self.run.name,
            "did": self._means.value,
            "message": f"{self.run.name} {self.text}",
            "owner": owner_document(self.run),
            "asked_pid": self.owner.pid if self.owner else None,
            "running": self.running,
            "ended": list(self._outcome.ended),
            "broken": list(self._outcome.broken),
        }


def _running(reader: Reader, run: RunRow) -> list[tuple[str, int]]:
    """Names of the tasks that run, and for how many ms."""
    views = NodeViews(snapshot.take(reader, run.name)).in_state(NodeState.RUNNING)
    now_ms = SystemClock().now_ms()
    return [(view.shown, now_ms - view.last.started_ms) for view in views if view.last is not None]


class _Countdown:
    """Says that a stopped owner's lease has to run out: each second on a terminal, else once a run."""

    def __init__(self) -> None:
        self._is_live = sys.stderr.isatty()
        self._said: dict[str, int] = {}
        self.is_open = False
        """A line is being written over, and not ended yet."""

    def tell(self, silence: Silence) -> None:
        seconds = -(-silence.left_ms // 1000)
        before = self._said.get(silence.run)
        self._said[silence.run] = seconds
        text = (
            f"{silence.run}: its owner, process {silence.owner.pid}, is stopped (SIGSTOP); "
            f"its lease ends in {seconds} s, then the run is taken over"
        )
        if not self._is_live:
            if before is None:
                terminal.note(text)
        elif before != seconds and next(iter(self._said)) == silence.run:
            # One line for all: leases of several end within seconds of each other.
            others = len(self._said) - 1
            text = f"and {others} more, {text}" if others else text
            print(f"\r\x1b[K{cut(text, terminal.width() - 1)}", end="", file=sys.stderr, flush=True)
            self.is_open = True


@contextmanager
def _countdown() -> Iterator[_Countdown]:
    countdown = _Countdown()
    try:
        yield countdown
    finally:
        if countdown.is_open:
            print(file=sys.stderr)
