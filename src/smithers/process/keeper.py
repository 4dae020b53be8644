"""The programs of one engine: recorded before their first line runs, ended with their attempt."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakSet

from smithers.errors import ProcessCrashed, SmithersError
from smithers.ids import NodeKey
from smithers.ports import Child, Exit, Ledger, Program, Spawner, Trace
from smithers.records import ProcessStart

_log = logging.getLogger("smithers")

GRACE_S: Final = 2.0
"""How long what an attempt has started may take to end by itself, before it is killed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """For whom programs are started."""

    run: int
    run_id: str
    fence: int
    key: NodeKey
    generation: int
    attempt: int


_open: WeakSet[Processes] = WeakSet()


class Processes:
    """Starts programs for attempts, and ends them. Safe from any thread.

    Args:
        ledger: opens the ledger when it is first needed: most runs start no program.
        added: variables that all programs are given, beside what they are started with.
    """

    def __init__(
        self, spawner: Spawner, ledger: Callable[[], Ledger], added: Mapping[str, str] | None = None
    ) -> None:
        self._spawner = spawner
        self._added = added or {}
        self._open_ledger = ledger
        self._ledger: Ledger | None = None
        self._lock = threading.Lock()
        self._serial = itertools.count(1)
        self._attempts: defaultdict[int, set[AttemptProcesses]] = defaultdict(set)
        """By run: attempts that have started a program."""
        _open.add(self)

    @property
    def spawner(self) -> Spawner:
        return self._spawner

    @property
    def ledger(self) -> Ledger:
        with self._lock:
            if self._ledger is None:
                self._ledger = self._open_ledger()
            return self._ledger

    def of(self, attempt: Attempt) -> AttemptProcesses:
        """The programs of an attempt; end them before its end is told to anybody."""
        return AttemptProcesses(attempt, self)

    def end_run(self, run: int) -> None:
        """Kill all that attempts of a run have started, and let them start nothing more."""
        for one in list(self._attempts.get(run, ())):
            one.refuse()
            one.end(0)

    def end_all(self) -> None:
        """The same for all runs."""
        for run in list(self._attempts):
            self.end_run(run)

    def kill_now(self) -> None:
        """The same from a signal handler: it takes no lock, and waits for little."""
        running = [one for found in list(self._attempts.values()) for one in list(found)]
        for one in running:
            one.refuse()
        self._spawner.end([trace for one in running for trace in one.traces()], 0)

    def close(self) -> None:
        """End everything, and give back the ledger."""
        self.end_all()
        self._spawner.close()
        with self._lock:
            ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

    # --- For AttemptProcesses -------------------------------------------------------------------

    def start(self, attempt: Attempt, program: Program) -> Child:
        """Spawn, record, go: in this order, whatever happens in between."""
        ledger = self.ledger
        mark = self._mark(ledger.store_id, attempt)
        if self._added:
            own = os.environ if program.env is None else program.env
            program = replace(program, env={**own, **self._added})
        child = self._spawner.spawn(program, mark)
        try:
            row = ledger.open(
                ProcessStart(
                    attempt.run,
                    attempt.fence,
                    attempt.key,
                    attempt.generation,
                    attempt.attempt,
                    child.trace.pid,
                    child.trace.ticks,
                    mark,
                    os.path.basename(program.argv[0])[:200],  # noqa: PTH119 - a name, not a path of ours
                )
            )
        except BaseException:
            child.end(0)
            child.close_streams()
            raise
        try:
            child.go(lambda found: self._close_row(row, found))
        except BaseException:
            child.end(0)
            child.close_streams()
            self._close_row(row, child.ended.result())
            raise
        return child

    def _mark(self, store: str, one: Attempt) -> str:
        key = one.key
        place = f"{key.node}:{key.scope}:{key.iteration}:{one.generation}:{one.attempt}"
        # Who started it, and which of an attempt's programs it is: no two trees share a mark.
        return f"{store}:{one.run_id}:{place}:{os.getpid()}.{next(self._serial)}"

    def _close_row(self, row: int, found: Exit) -> None:
        try:
            self.ledger.close_row(row, found.status)
        except SmithersError as error:
            # The next start finds nothing there and closes it.
            _log.warning("the end of a process is not recorded: %s", error)

    def note(self, one: AttemptProcesses) -> None:
        """This attempt is about to start a program."""
        with self._lock:
            self._attempts[one.attempt.run].add(one)

    def forget(self, one: AttemptProcesses) -> None:
        """Nothing of this attempt is left."""
        with self._lock:
            left = self._attempts.pop(one.attempt.run, set()) - {one}
            if left:
                self._attempts[one.attempt.run] = left


class AttemptProcesses:
    """What one attempt has started."""

    def __init__(self, attempt: Attempt, processes: Processes) -> None:
        self.attempt = attempt
        self._processes = processes
        self._lock = threading.Lock()
        self._children: list[Child] = []
        self._is_ending = False
        self._was_refused = False
        self._is_used = False

    @property
    def was_refused(self) -> bool:
        """Somebody else than the attempt itself has ended it."""
        return self._was_refused

    @property
    def is_used(self) -> bool:
        """A program was asked for."""
        return self._is_used

    def spawn(self, program: Program) -> Child:
        """Start a program; blocks for some milliseconds.

        Raises:
            TaskError: it could not be started, or the attempt is being ended.
            LeaseLost: the run is not ours any more; nothing has run.
            StoreError: it could not be recorded; nothing has run.
        """
        self._is_used = True
        # One after another, so that whoever ends the attempt ends what is being started too.
        with self._lock:
            if self._is_ending:
                raise ProcessCrashed(f"{program.argv[0]} was not started: its attempt is being ended")
            self._processes.note(self)
            child = self._processes.start(self.attempt, program)
            self._children = [one for one in self._children if not _is_done_with(one)]
            self._children.append(child)
            return child

    def seal(self) -> bool:
        """Let nothing more be started; True: there may be something to end."""
        self._is_ending = True
        return self._is_used

    def traces(self) -> list[Trace]:
        """Of the trees that may still be there."""
        return [child.trace for child in list(self._children)]

    def refuse(self) -> None:
        """The attempt is being ended from outside: nothing more is started."""
        self._was_refused = self._is_ending = True

    def end(self, grace_s: float = GRACE_S) -> None:
        """End all of it and wait until it is gone; nothing more can be started."""
        self._is_ending = True
        self.sweep(grace_s)
        self._processes.forget(self)

    def sweep(self, grace_s: float = GRACE_S) -> None:
        """End what there is and wait until it is gone; more can be started afterwards."""
        with self._lock:
            children = list(self._children)
        if len(children) > 1:
            self._processes.spawner.end(self.traces(), grace_s)  # together: one grace for all of them
        for child in children:
            child.end(grace_s)
            child.close_streams()
        with self._lock:
            self._children = [one for one in self._children if one not in children]


def _is_done_with(child: Child) -> bool:
    """Gone, and read to its end by whoever started it."""
    streams = (child.stdin, child.stdout, child.stderr)
    return child.ended.done() and all(one is None or one.closed for one in streams)


def kill_everything() -> None:
    """Kill all that attempts of this process have started, before it leaves; also from a signal handler."""
    for processes in list(_open):
        processes.kill_now()
