"""Pause and cancel from outside, whether the process that drives a run lives, has died, or is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from smithers.errors import LastPartsOwed, MessagesWaiting, RunOwned
from smithers.records import EventType, Owner, OwnerHealth, RunRow, RunState
from smithers.store import is_stopped

from .mail import unwinds
from .scope import SCRIPT_KEY
from .undriven import check_owed, obey_undriven

if TYPE_CHECKING:
    from smithers.ports import Outsider, Reader
    from smithers.store import Store

    from .order import Order

LOOK_S = 0.05
PATIENCE_MS = 10_000
"""How long a live owner may take before we say that it was asked."""


START_MS = 30_000
"""How long an owner that was started may take to import its workflow, and to take the run over."""


class Means(Enum):
    """How an order was carried out, or how far it got."""

    ALREADY = "already"
    """The run was so, or had ended: nothing was changed."""
    OWNER = "owner"
    """The process that drives the run did it."""
    HERE = "here"
    """Nobody drove it: this process did it."""
    DEAD_OWNER = "dead-owner"
    """This process did it: the one that drove it has died."""
    TAKEN_OVER = "taken-over"
    """This process did it: the one that drove it is stopped, or silent, and its lease has ended."""
    CARRIED_OUT = "carried-out"
    """A process that was started for it did it: the run owed last parts."""
    DRAINING = "draining"
    """The owner has heard it; tasks still run."""
    ASKED = "asked"
    """The owner has not answered."""

    @property
    def is_done(self) -> bool:
        return self not in (Means.DRAINING, Means.ASKED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order for one run."""

    run: RunRow
    """As it stands now."""
    means: Means
    owner: Owner | None
    """Who drove it when it was asked for, or was started for it."""
    ended: tuple[str, ...] = ()
    """What was carried out: tasks that have finished since, in this order."""
    broken: tuple[str, ...] = ()
    """Tasks that have failed since."""


class Silence(NamedTuple):
    """An owner that cannot answer: its process is stopped."""

    run: str
    owner: Owner
    left_ms: int
    """Until its lease ends, and the run can be taken over."""


class Carrier(Protocol):
    """A process that was started to carry a cancel out."""

    def left(self) -> str | None:
        """Why it has left; None: it is still there."""
        ...

    @property
    def lost_race(self) -> bool:
        """It has left because somebody else held the run at that moment."""
        ...


class Starter(Protocol):
    """Starts a process that resumes a run."""

    def __call__(self, run: RunRow) -> Carrier: ...


@dataclass(slots=True)
class _Target:
    """One run on its way."""

    run: RunRow
    owner: Owner | None = None
    asked_ms: int | None = None
    """When its owner was asked, on the monotonic clock; None: it was not."""
    asked_seq: int = 0
    has_heard: bool = False
    carrier: Carrier | None = None
    """What was started for it."""
    owed: LastPartsOwed | None = None
    """Why it was."""
    outcome: Outcome | None = field(default=None)


class Control:
    """Carries out one order for several runs at once.

    Args:
        patience_ms: how long living owners may take.
        tell: called again and again while a stopped owner's lease runs out.
        start: starts an owner for a run that nobody drives, and that owes last parts to a cancel.
    """

    def __init__(
        self,
        store: Store,
        order: Order,
        *,
        patience_ms: int = PATIENCE_MS,
        tell: Callable[[Silence], None],
        start: Starter | None = None,
    ) -> None:
        self._store = store
        self._order = order
        self._patience_ms = patience_ms
        self._tell = tell
        self._start = start
        self._clock = store.clock

    def apply(self, runs: Sequence[RunRow]) -> list[Outcome]:
        """Carry it out, and say for each run what happened.

        Raises:
            LastPartsOwed: a cancelled run has last parts to run, and nobody can; it stays open.
        """
        targets = [_Target(run, run.owner) for run in runs]
        with closing(self._store.outsider()) as outsider, closing(self._store.reader()) as reader:
            for target in targets:
                self._look(target, outsider, reader)
            # All are asked before any is waited for.
            while waiting := [target for target in targets if target.outcome is None]:
                time.sleep(LOOK_S)
                for target in waiting:
                    target.run = reader.run(target.run.name)
                    self._look(target, outsider, reader)
        return [target.outcome for target in targets if target.outcome is not None]

    def _look(self, target: _Target, outsider: Outsider, reader: Reader) -> None:
        """Take one run as far as it goes now."""
        if target.run.state is RunState.CONTINUED:
            # Whoever asks this of a run means what it has become.
            target.run, target.asked_ms = reader.newest(target.run.id), None
        if target.carrier is not None and self._waits_for_carrier(target, target.carrier, reader):
            return
        run = target.run
        is_driven = run.health is OwnerHealth.ALIVE
        if run.state.has_ended or (run.state is self._order.state and not is_driven):
            self._end_asked(target, reader)
        elif not is_driven:
            self._do_it_here(target, outsider, reader)
        elif target.asked_ms is None:
            target.owner = run.owner
            self._ask(target, outsider)
        else:
            self._wait(target, reader)

    def _ask(self, target: _Target, outsider: Outsider) -> None:
        run = target.run
        target.asked_seq = run.seq
        outsider.post(run.id, self._order.kind, self._order.by, self._order.data)
        target.asked_ms = self._clock.monotonic_ms()

    def _do_it_here(self, target: _Target, outsider: Outsider, reader: Reader) -> None:
        run = target.run
        below = _open_below(reader, run, self._order.state)
        self._check_children(run, below)
        try:
            if below:
                check_owed(self._store, run, self._order)  # an owner will see to its children
            # Its children first: once it is said to have ended, nothing of it is left.
            for child in below:
                obey_undriven(self._store, child, self._order, is_asked=False)
            is_mine = obey_undriven(self._store, run, self._order)
        except (RunOwned, MessagesWaiting):
            return  # somebody has resumed it since, or has answered it: the next look sees that
        except LastPartsOwed as owed:
            self._start_owner(target, owed, outsider, reader)
            return
        target.run = reader.run(run.name)
        if not is_mine:
            self._end(target, Means.OWNER if target.asked_ms is not None else Means.ALREADY)
            return
        match run.health:
            case OwnerHealth.DEAD:
                self._end(target, Means.DEAD_OWNER)
            case OwnerHealth.EXPIRED:
                self._end(target, Means.TAKEN_OVER)
            case OwnerHealth.NONE | OwnerHealth.ALIVE:
                self._end(target, Means.HERE)

    def _check_children(self, run: RunRow, below: Sequence[RunRow]) -> None:
        """Refuse a cancel that a part of the run cannot be seen to its end by.

        Raises:
            LastPartsOwed: a child has last parts to run: it would have to be driven by a run that goes on.
        """
        for child in below:
            try:
                check_owed(self._store, child, self._order)
            except LastPartsOwed as owed:
                raise LastPartsOwed(
                    f"{run.name} is not cancelled: a run within it owes last parts; {owed.message}",
                    hint=f"resume it (`smithers up --resume {run.name}`) and cancel it while {child.name} "
                    f"runs, or end all without them: `smithers cancel {run.name} --now`",
                    **owed.details,
                ) from None

    def _start_owner(self, target: _Target, owed: LastPartsOwed, outsider: Outsider, reader: Reader) -> None:
        """Only an owner can carry it out: leave the order where it finds it, and start one."""
        if self._start is None:
            raise owed
        run = target.run
        if any(unwinds(message) for message in reader.inbox(run.id)):
            target.asked_seq, target.asked_ms = run.seq, self._clock.monotonic_ms()
        else:
            self._ask(target, outsider)
        target.owed, target.has_heard = owed, False
        target.carrier = self._start(run)

    def _waits_for_carrier(self, target: _Target, carrier: Carrier, reader: Reader) -> bool:
        """Whether what was started for a run is about to take it over.

        Raises:
            LastPartsOwed: it has left, and the run is still open.
        """
        why = carrier.left()
        target.run = run = reader.run(target.run.name)
        if run.health is OwnerHealth.ALIVE:
            if target.owner is None or run.owner is None or run.owner.id != target.owner.id:
                # Its patience begins with it.
                target.owner, target.asked_ms = run.owner, self._clock.monotonic_ms()
            return False
        if run.state.has_ended:
            return False
        if why is None:
            if self._clock.monotonic_ms() - (target.asked_ms or 0) >= max(self._patience_ms, START_MS):
                self._end(target, Means.ASKED)
            return True
        if carrier.lost_race:
            target.carrier = None  # another cancel has looked at it, or drives it by now
            return False
        assert target.owed is not None  # it was started because of that
        owed = target.owed
        raise LastPartsOwed(f"{owed.message}; {why}", hint=owed.hint, **owed.details)

    def _end_asked(self, target: _Target, reader: Reader) -> None:
        """The run is as it was asked to be, or has ended."""
        if target.carrier is None or target.run.state is not self._order.state:
            self._end(target, Means.ALREADY if target.asked_ms is None else Means.OWNER)
            return
        events = reader.events(target.run.id, target.asked_seq)
        named = {
            kind: tuple(
                str(event.key)
                for event in events
                if event.type is kind and event.key is not None and event.key != SCRIPT_KEY
            )
            for kind in (EventType.NODE_FINISHED, EventType.NODE_FAILED)
        }
        ended, broken = named[EventType.NODE_FINISHED], named[EventType.NODE_FAILED]
        target.outcome = Outcome(target.run, Means.CARRIED_OUT, target.owner, ended, broken)

    def _wait(self, target: _Target, reader: Reader) -> None:
        """A living owner has been asked: how does it stand?"""
        run, owner = target.run, target.run.owner
        assert owner is not None  # whoever is alive is somebody
        if is_stopped(owner):
            left_ms = owner.expires_monotonic_ms - self._clock.monotonic_ms()
            self._tell(Silence(run.name, owner, max(0, left_ms)))
            return
        if not target.has_heard and run.seq > target.asked_seq:
            events = reader.events(run.id, target.asked_seq)
            target.has_heard = any(event.type is self._order.asked for event in events)
        waited_ms = self._clock.monotonic_ms() - (target.asked_ms or 0)
        if waited_ms < self._patience_ms:
            return
        if target.has_heard:
            self._end(target, Means.DRAINING)
        elif self._has_renewed(target):
            self._end(target, Means.ASKED)

    def _has_renewed(self, target: _Target) -> bool:
        """Whether an owner that does not answer lives at all: a frozen one renews nothing."""
        before, now = target.owner, target.run.owner
        return before is None or now is None or now.expires_wall_ms > before.expires_wall_ms

    def _end(self, target: _Target, means: Means) -> None:
        target.outcome = Outcome(target.run, means, target.owner)


def _open_below(reader: Reader, run: RunRow, state: RunState) -> list[RunRow]:
    """The children of a run, and theirs, that are to become this; the innermost first."""
    found: list[RunRow] = []
    names = {row.run: row.name for row in reader.children(run.id) if not row.state.has_ended}
    for name in names.values():
        child = reader.run(name)
        found += _open_below(reader, child, state)
        if child.state is not state:
            found.append(child)
    return found


def stands_open(run: RunRow) -> bool:
    """Whether somebody drives a run, or did until it died: what `down` sees to."""
    if run.state in (RunState.RUNNING, RunState.WAITING):
        return run.owner is not None or run.state is RunState.RUNNING
    return False
