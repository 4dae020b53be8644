"""Looks at a store again and again, and has the runs driven that nobody drives. Itself it drives none.

It stays small: nothing here imports the engine, pydantic or a line of an author's code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from smithers.errors import SmithersError, StoreError, StoreNotFound
from smithers.records import Owner, OwnerHealth, RunState
from smithers.store import health

from .choice import Choice, choose
from .event import Event, given, left_alone, unfit
from .post import Post
from .slot import SLOTS, Slot
from .turn import LOCK, Turn, folder_of

if TYPE_CHECKING:
    from smithers.store import Store

LOOK_S: Final = 1.0
"""Never longer between two looks: processes die without a word in the store, and clocks are set."""
PATIENCE_S: Final = 15.0
"""A host that takes nothing over for so long is stuck, most likely in the import of a workflow."""
SUSPECT: Final = 2
"""A run that was lost so often in a row may have taken its process with it."""
ASIDE_S: Final = (3.0, 60.0)
"""So long, at least and at most, one suspect is alone before the next is tried: one of them is to blame."""
ASIDE_ALL_S: Final = 300.0
"""In about so long all suspects have had their turn."""
LONGEST_S: Final = 300.0
"""Between two resumes of a run that nothing comes of."""


@dataclass(frozen=True, slots=True)
class _Try:
    """What a run was given to a host for."""

    cause: object
    """Why, and what had settled by then."""
    number: int
    """In a row for the same cause."""
    next_s: float
    """Not before then again, by the monotonic clock."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """A suspect that goes on alone."""

    run: int
    settled: int
    until_s: float
    """By the monotonic clock."""


class Supervisor:
    """The supervisor of one store, once it is its turn.

    Args:
        only: number of the one run that is seen to; None: of all.
        tell: is told what happens.
        named: what `--store` said: commands for people repeat it.
    """

    def __init__(
        self,
        store: Store,
        tell: Callable[[Event], None],
        *,
        only: int | None = None,
        named: str | None = None,
    ) -> None:
        self._store = store
        self._named = named
        self._tell = tell
        self._only = only
        self._clock = store.clock
        self._revivals = store.revivals()
        self._file = store.path.stat().st_ino
        self._turn = Turn(folder_of(store.path) / LOCK)
        self._slots = [Slot(store.path, number) for number in range(1, SLOTS + 1)]
        self._alive: list[Owner] = []
        self._next_due_ms: int | None = None
        self._next_try_s: float | None = None
        self._looked_s: float | None = None
        self._tries: dict[int, _Try] = {}
        self._trial: _Trial | None = None
        self._random = Random()
        self._told: dict[object, object] = {}
        """What has been said of a run, or of the store: it is not said again."""
        self._stands_by = False
        self._post = Post(store.path, self._tell_undelivered)

    # --- Whose turn it is -------------------------------------------------------------------------

    def take_turn(self) -> bool:
        """Become the active one, if nobody is; says so once, either way."""
        if self._turn.is_held:
            return True
        self._turn.drop()
        if not self._turn.take():
            if not self._stands_by:
                self._stands_by = True
                pid = self._turn.holder
                text = f"process {pid} supervises {self._store.path} already; standing by"
                self._tell(Event("standing-by", text, {"active": pid}))
            return False
        self._turn.sign(os.getpid())
        self._stands_by = False
        self._looked_s = None
        for slot in self._slots:
            slot.look()
        self._tell(Event("active", f"supervising {self._store.path}", {"hosts": self.hosts}))
        return True

    @property
    def holder(self) -> int | None:
        """The active process, as far as it has said so."""
        return self._turn.holder

    @property
    def hosts(self) -> list[int]:
        """Processes that drive runs for it."""
        return [slot.pid for slot in self._slots if slot.pid is not None]

    # --- Again and again --------------------------------------------------------------------------

    def serve(self) -> None:
        """Look until a signal ends it, or until the one run that is seen to has ended or was paused.

        Raises:
            StoreNotFound: the store was removed.
        """
        while not self._is_over():
            if self.take_turn():
                self._tick()
            time.sleep(self._patience_s())

    def once(self, patience_s: float) -> tuple[list[Choice], list[Choice]]:
        """Look once, and wait until what was found has been taken over.

        Returns:
            What should have gone on, and what of that nobody has taken over by then.
        """
        choices = self._look()
        until_s = time.monotonic() + patience_s
        while time.monotonic() < until_s and any(slot.given for slot in self._slots):
            time.sleep(0.1)
            self._see_hosts()
            self._settle(self._chosen(self._clock.now_ms()))
        left = [choice for choice in choices if not self._is_taken(choice)]
        return choices, left

    def _is_taken(self, choice: Choice) -> bool:
        now = self._revivals.standing(choice.standing.run)
        return now is None or now.fence != choice.standing.fence

    def chosen(self) -> list[Choice]:
        """What should go on, and what of it is left alone; nothing is changed."""
        return self._chosen(self._clock.now_ms())

    def tell_left(self) -> None:
        """Say what goes on without this process."""
        for slot in self._slots:
            slot.look()
        hosts = self.hosts if self._turn.is_held else []
        plural = "s" if len(hosts) > 1 else ""
        more = f"; host{plural} {', '.join(map(str, hosts))} goes on with its runs" if hosts else ""
        if len(hosts) > 1:
            more = more.replace("goes on with its", "go on with their")
        self._tell(Event("left", f"leaving{more}", {"hosts": hosts}))

    def close(self) -> None:
        """Leave; hosts go on."""
        self._post.close()
        for slot in self._slots:
            slot.close()
        self._turn.drop()
        self._revivals.close()

    def _is_over(self) -> bool:
        try:
            if self._store.path.stat().st_ino != self._file:
                raise FileNotFoundError
        except FileNotFoundError:
            raise StoreNotFound(f"{self._store.path} was removed", path=str(self._store.path)) from None
        if self._only is None:
            return False
        try:
            with closing(self._store.reader()) as reader:
                self._only = reader.newest(self._only).id  # it may have gone on as a new run
            standing = self._revivals.standing(self._only)
        except StoreError:
            return False  # the look tells of it
        if standing is None or standing.state.has_ended:
            return True
        return standing.state is RunState.PAUSED and standing.cancel_ms is None

    def _tick(self) -> None:
        try:
            self._see_hosts()
            self._post.look()
            if self._is_time():
                self._look()
        except StoreError as error:
            # A full disk, a file that is busy: the runs are there all the same, and so are we.
            self._say("store", error.message, Event("store", f"[{error.code}] {error.message}"))
            self._looked_s = time.monotonic()
        else:
            self._told.pop("store", None)

    def _is_time(self) -> bool:
        """Whether anything can be otherwise than at the last look. Costs one page of the file."""
        has_changed = self._revivals.has_changed()
        now_s = time.monotonic()
        return (
            has_changed
            or self._looked_s is None
            or (self._next_due_ms is not None and self._clock.now_ms() >= self._next_due_ms)
            or (self._next_try_s is not None and now_s >= self._next_try_s)
            or any(health(owner, self._clock) is not OwnerHealth.ALIVE for owner in self._alive)
            or any(slot.given for slot in self._slots)
            or self._trial is not None
        )

    def _patience_s(self) -> float:
        """How long to sleep: a clock may be set meanwhile, so never for long."""
        if self._next_due_ms is None or not self._turn.is_held:
            return LOOK_S
        return min(LOOK_S, max(0.02, (self._next_due_ms - self._clock.now_ms()) / 1000))

    # --- One look ---------------------------------------------------------------------------------

    def _look(self) -> list[Choice]:
        now_ms, now_s = self._clock.now_ms(), time.monotonic()
        choices = self._chosen(now_ms)
        self._looked_s = now_s
        self._next_due_ms = self._revivals.next_due_ms(now_ms)
        self._settle(choices)
        self._count(choices)
        held = [choice for choice in choices if choice.held_until_ms is not None]
        ready = [choice for choice in choices if choice.held_until_ms is None]
        self._tell_lost(held, ready)
        ends_s = [now_s + ((one.held_until_ms or now_ms) - now_ms) / 1000 for one in held]
        ends_s += [one.next_s for one in self._tries.values() if one.next_s > now_s]
        self._next_try_s = min(ends_s, default=None)
        self._forget(now_s)
        if self._trial is not None and not self._is_on_trial(now_s):
            self._trial = None
        self._give([one for one in ready if self._may_try(one, now_s)], now_s)
        return choices

    def _chosen(self, now_ms: int) -> list[Choice]:
        """What should go on; losses that nobody has counted yet are counted."""
        owners = self._revivals.owners()
        self._alive = [one for one in owners if health(one, self._clock) is OwnerHealth.ALIVE]
        alive = {one.id for one in self._alive}
        gone = [one.id for one in owners if one.id not in alive]
        standings = self._revivals.standings(gone, now_ms)
        return choose((one for one in standings if self._only in (None, one.run)), now_ms)

    def _settle(self, choices: Iterable[Choice]) -> None:
        """See which of the runs that were given to hosts have been taken over."""
        fences = {choice.standing.run: choice.standing.fence for choice in choices}
        for slot in self._slots:
            for run, one in list(slot.given.items()):
                if fences.get(run) != one.fence:
                    slot.settle(run)

    def _count(self, choices: Sequence[Choice]) -> None:
        """Have losses on record before anything is done about them; somebody else may have been faster."""
        self._revivals.note(
            [
                (choice.standing.run, choice.lost, choice.standing.revival)
                for choice in choices
                if choice.lost is not None and choice.lost != choice.standing.revival
            ]
        )

    def _may_try(self, choice: Choice, now_s: float) -> bool:
        """Whether a run may be given to a host now: no host has it, and it is none that nothing comes of."""
        one = choice.standing
        if any(one.run in slot.given and not slot.is_retired for slot in self._slots):
            return False
        before = self._tries.get(one.run)
        return before is None or before.cause != cause_of(choice) or now_s >= before.next_s

    def _give(self, ready: Sequence[Choice], now_s: float) -> None:
        suspects = [one for one in ready if is_suspect(one)]
        others = [one for one in ready if not is_suspect(one)]
        if others:
            self._give_to(self._slots, others, now_s)
        if suspects and self._trial is None:
            # Apart from the rest, one by one: it must not take those down again that are not to blame. Who is
            # to blame nobody knows, and the same order each time would be unjust to those that stand before.
            one = self._random.choice(suspects)
            longest_s = min(max(ASIDE_ALL_S / len(suspects), ASIDE_S[0]), ASIDE_S[1])
            self._trial = _Trial(one.standing.run, one.standing.settled, now_s + longest_s)
            self._give_to(self._slots[::-1], [one], now_s)

    def _is_on_trial(self, now_s: float) -> bool:
        """Whether a suspect goes on alone, and has neither settled anything nor left yet."""
        trial = self._trial
        if trial is None or now_s >= trial.until_s:
            return False
        if any(trial.run in slot.given for slot in self._slots):
            return True
        now = self._revivals.standing(trial.run)
        return now is not None and now.health is OwnerHealth.ALIVE and now.settled == trial.settled

    def _give_to(self, slots: Sequence[Slot], choices: Sequence[Choice], now_s: float) -> None:
        slot = self._host(slots)
        if slot is None:
            return
        runs = {choice.standing.run: choice for choice in choices}
        taken = slot.give(choice.standing for choice in choices)
        for one in taken:
            before = self._tries.get(one.run)
            cause = cause_of(runs[one.run])
            number = before.number + 1 if before is not None and before.cause == cause else 0
            self._tries[one.run] = _Try(cause, number, now_s + min(2.0 ** min(number, 10), LONGEST_S))
        if taken:
            self._tell(given([runs[one.run] for one in taken], slot.pid))

    def _host(self, slots: Sequence[Slot]) -> Slot | None:
        """A host that can take runs, the first of `slots` if it is well; started, if there is none."""
        usable = [slot for slot in slots if not slot.is_retired]
        if not usable:
            for slot in slots:  # nothing is lost by asking them again
                slot.is_retired = False
            usable = list(slots)
        for slot in usable:
            if slot.pid is None:
                slot.look()
            if slot.pid is None and slot.start():
                text = f"host {slot.pid} started; its log: {slot.log}"
                self._tell(Event("host-started", text, {"pid": slot.pid, "log": str(slot.log)}))
            if slot.pid is not None:
                return slot
        return None

    def _see_hosts(self) -> None:
        for slot in self._slots:
            before = slot.pid
            if before is not None and slot.look():
                self._looked_s = None  # what it had not taken over is for somebody else
                self._tell(Event("host-left", f"host {before} has left", {"pid": before}))
            if slot.pid is not None and not slot.is_retired and slot.is_stuck(PATIENCE_S):
                slot.is_retired = True
                self._looked_s = None
                text = (
                    f"host {slot.pid} has taken nothing over for {PATIENCE_S:.0f} s; another gets what comes"
                )
                self._tell(Event("host-stuck", text, {"pid": slot.pid, "log": str(slot.log)}))

    # --- What has been said -----------------------------------------------------------------------

    def _tell_lost(self, held: Iterable[Choice], ready: Iterable[Choice]) -> None:
        """What is left alone, and what could not be resumed: of a file's runs together."""
        groups: dict[object, list[Choice]] = {}
        for choice in held:
            one, lost = choice.standing, choice.lost
            groups.setdefault((one.source, lost.why) if lost and lost.why else one.run, []).append(choice)
        for subject, choices in groups.items():
            deaths = max(choice.lost.deaths for choice in choices if choice.lost is not None)
            self._say(subject, deaths, left_alone(choices, self._named))
        for choice in ready:
            if choice.lost is not None and choice.lost.why is not None:
                self._say(choice.standing.source, choice.lost.why, unfit(choice))

    def _say(self, subject: object, what: object, event: Event) -> None:
        if self._told.get(subject) != what:
            self._told[subject] = what
            self._tell(event)

    def _tell_undelivered(self, error: SmithersError) -> None:
        self._say("post", error.message, Event("post", f"[{error.code}] {error.message}"))

    def _forget(self, now_s: float) -> None:
        """Runs that have not been tried for long begin anew."""
        old = [run for run, one in self._tries.items() if now_s > one.next_s + 2 * LONGEST_S]
        for run in old:
            del self._tries[run]
            self._told.pop(run, None)


def is_suspect(choice: Choice) -> bool:
    """Whether a run may have taken its process with it."""
    return choice.lost is not None and choice.lost.deaths >= SUSPECT


def cause_of(choice: Choice) -> object:
    """What a run is resumed for: if it is so again, the resume has not changed anything.

    Not the earliest deadline: one that means nothing any more would stand for all that come after it.
    """
    one = choice.standing
    return choice.why, one.came_ms, one.message_ms, one.settled
