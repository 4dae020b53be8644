"""Attempts that are runs: sub-workflows, from the attempt's start to what their run comes to.

A child is driven beside its parent, by the same engine, under a fence of its own; its parent's attempt runs
for as long as the child does. Which child a node has is stored with the child's first frame: after a crash
the next attempt of the node finds it, and goes on with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from smithers.clock import Clock
from smithers.errors import (
    BugError,
    LeaseLost,
    MessagesWaiting,
    RunOwned,
    SmithersError,
    StoreCorrupt,
    StoreError,
    TooDeep,
)
from smithers.nodes import Subflow
from smithers.nodes.subflow import END_IT, MAX_NESTED
from smithers.records import InboxKind, NewChild, RunRow, RunState, StoredRun

from .budgets import Budgets, Outer
from .child import end_of, outcome_of_end, outcome_of_refusal
from .definition import Definition
from .effects import Effects
from .handle import Handle, RunEnd
from .host import config_of
from .job import Called, ChildWord, Claimed, Job, NotClaimed, Outcome, Parked, Stopped
from .message import New, Resume
from .order import Order
from .run_name import child_name
from .terms import Terms
from .undriven import LastFrame

if TYPE_CHECKING:
    from .drive import Drive
    from .release import Releases

_log = logging.getLogger("smithers")

AGAIN_MS = 1_000
"""Until the next try, where the store or another owner stood in the way."""
_RAISED = ("max_usd",)
"""What a resume of a run may change for its children, too."""
_INHERITED = ("durability", "rehearse", "agent_tools", "max_usd")


@dataclass(slots=True, eq=False)
class Child:
    """A run on its way, or under way, for an attempt."""

    drive: Drive | None = None
    """None: it has not begun."""
    stop: RunState | None = None
    """Asked for before it began."""


@dataclass(slots=True)
class Wiring:
    """What the fleet does for children."""

    begin: Callable[[New | Resume], None]
    settled: Callable[[Job, Outcome], None]
    drive: Callable[[int], Drive | None]
    carry_out: Callable[[Drive], None]
    touch: Callable[[int], None]
    call: Callable[[Job, ChildWord], None]
    """From any thread: to be given to `take`."""
    releases: Releases
    clock: Clock


@dataclass(slots=True)
class Children:
    """The children of an engine's runs; used from the engine's thread."""

    effects: Effects
    wiring: Wiring
    _of: dict[Job, Child] = field(default_factory=dict)

    # --- Beginning ------------------------------------------------------------------------------

    def start(self, jobs: Iterable[Job]) -> list[Job]:
        """Go on with the children that these attempts have; returned are those that have none."""
        return [job for job in jobs if job.child is None or not self._go_on(job)]

    def _go_on(self, job: Job) -> bool:
        """Take up the child of an earlier attempt; False: it is a run of another workflow."""
        assert job.child is not None
        try:
            # It may have gone on as another run, of which nobody here has heard.
            while (heir := self.effects.writer.successor(job.child)) is not None:
                job.child = heir
            stored = self.effects.writer.load(job.child)
        except SmithersError as error:
            self.refused(job, error)
            return True
        if stored.run.workflow != _definition(job).name:
            job.child, job.instead_of = None, job.child
            return False
        if self._has_result(job, stored):
            self.wiring.settled(job, outcome_of_end(job, end_of(stored)))
        else:
            self._of[job] = Child()
            self.effects.author.submit(partial(self._claim, job, stored.run))
        return True

    def _has_result(self, job: Job, stored: StoredRun) -> bool:
        """Whether a child has ended, and its node has not heard of that yet."""
        match stored.run.state:
            case RunState.FINISHED:
                return True
            case RunState.PARTIAL:
                return not job.retries_child
            case RunState.CANCELLED:
                return stored.cancelled_by is not None and self._is_news(job)
            case _:
                return False

    def _is_news(self, job: Job) -> bool:
        """Whether a cancel of the child by itself has not come to anything for its node yet."""
        parent = self.wiring.drive(job.run)
        if parent is None or parent.memory.was_cancelled or job.retries_child:
            return False
        return not parent.memory.log(job.key).failures

    def _claim(self, job: Job, row: RunRow) -> None:
        """On a thread: take the child over, and end what its former owner has left running."""
        leases = self.effects.leases
        try:
            fence = leases.claim(row.id, self.effects.owner.id)
            try:
                self.effects.reap(row.id, row.name)
            except BaseException:
                leases.release(row.id, fence)
                raise
        except Exception as error:  # noqa: BLE001 - on a thread of its own: it must be heard of
            if not isinstance(error, SmithersError):
                error = BugError(f"{type(error).__name__}: {error}")
            self.wiring.call(job, NotClaimed(error))
        else:
            self.wiring.call(job, Claimed(row, fence))

    def take(self, job: Job, word: ChildWord) -> None:
        """Hear of a child that is about to begin."""
        parent = self.wiring.drive(job.run)
        is_wanted = parent is not None and parent.jobs.get(job.key) is job
        if not is_wanted or job.is_cancelled or job.timed_out is not None or parent is None:
            if isinstance(word, Claimed):
                self.wiring.releases.release(word.row.id, word.fence)
            self._of.pop(job, None)
            self.wiring.settled(job, Stopped())
            return
        match word:
            case NotClaimed(error):
                self.refused(job, error)
            case Claimed(row, fence):
                limit = int(row.config.get("max_concurrency") or 0) or None
                raised = {name: parent.terms.config[name] for name in _RAISED if name in parent.terms.config}
                terms = self._terms(job, parent.terms, limit, {**row.config, **raised})
                message = Resume(_definition(job), row, fence, terms, _handle(), job=job)
                self.wiring.begin(message)
            case Called(text):
                self._begin(job, parent, text)

    def _begin(self, job: Job, parent: Drive, text: str) -> None:
        definition = _definition(job)
        line = (*parent.terms.ancestors, parent.definition.name)
        if len(line) > MAX_NESTED:
            shown = " → ".join((*line[:3], "…", *line[-2:], definition.name))
            error = TooDeep(f"more than {MAX_NESTED} runs within each other: {shown}", hint=END_IT)
            self.refused(job, error)
            return
        limit = definition.max_concurrency or parent.terms.limit
        inherited = {name: parent.terms.config[name] for name in _INHERITED if name in parent.terms.config}
        config = config_of(text, {"max_concurrency": limit, **inherited})
        terms = self._terms(job, parent.terms, limit, config)
        self._of[job] = Child()
        name = child_name(parent.memory.name, job.key, job.generation)
        self.wiring.begin(New(definition, name, text, config, terms, _handle(), job=job))

    def _terms(self, job: Job, parent: Terms, limit: int | None, config: Mapping[str, Any]) -> Terms:
        drive = self.wiring.drive(job.run)
        own = drive.definition.name if drive is not None else ""
        return replace(
            parent,
            source=_definition(job).source(parent.project),
            limit=limit,
            config=config,
            ancestors=(*parent.ancestors, own),
            policies=job.policies,
            outer=Outer(partial(self._budgets_around, job), job.key),
        )

    def _budgets_around(self, job: Job) -> Budgets | None:
        parent = self.wiring.drive(job.run)
        return None if parent is None else parent.budgets

    def link(self, job: Job) -> NewChild:
        """What the first frame of a new child stores."""
        return NewChild(job.run, job.fence, job.key, job.generation, job.instead_of)

    # --- Going on -------------------------------------------------------------------------------

    def adopted(self, job: Job, drive: Drive) -> bool:
        """A child's first frame is stored: it is driven from now on; False: nobody wants it any more."""
        parent = self.wiring.drive(job.run)
        if parent is None or parent.jobs.get(job.key) is not job:
            self._of.pop(job, None)
            return False
        parent.note_child(job, drive.run, drive.memory.name)
        self.wiring.touch(job.run)
        child = self._of.setdefault(job, Child())
        child.drive = drive
        if child.stop is not None:
            self.stop(job, child.stop)
        elif parent.is_draining:
            drive.drain()
        return True

    def rebuilt(self, job: Job, drive: Drive) -> None:
        """A child's memory was thrown away: this is its drive now."""
        self._of[job] = Child(drive)

    def runs_of(self, drive: Drive) -> list[Drive]:
        """The children that a run has going on."""
        found = (self._of.get(job) for job in drive.jobs.values())
        return [child.drive for child in found if child is not None and child.drive is not None]

    def stop(self, job: Job, state: RunState, *, is_now: bool = False) -> bool:
        """End the run that an attempt is; the attempt ends with it. False: there is none yet.

        Args:
            is_now: cancel it without its last parts.
        """
        child = self._of.get(job)
        if child is None:
            return False
        child.stop = state
        if child.drive is not None and child.drive.ended is None:
            if state is RunState.CANCELLED and not is_now:
                child.drive.cancel()
            else:
                child.drive.stop(state)
            self.wiring.carry_out(child.drive)
        return True

    def has(self, job: Job) -> bool:
        """Whether an attempt's run has begun, or is about to."""
        return job in self._of

    def drain(self, parent: Drive) -> None:
        """A run is to be paused when what runs has ended: so are its children."""
        for drive in self.runs_of(parent):
            drive.drain()
            self.wiring.carry_out(drive)

    # --- Ending ---------------------------------------------------------------------------------

    def ended(self, job: Job, end: RunEnd) -> None:
        """A child has left the engine."""
        child = self._of.pop(job, None)
        outcome = outcome_of_end(job, end)
        if isinstance(outcome, Parked) and outcome.is_waiting and self._was_answered(child):
            # Its parent was told of that before it knew that it has to wait: it goes on at once.
            outcome = replace(outcome, due_ms=self.wiring.clock.now_ms())
        self.wiring.settled(job, outcome)

    def _was_answered(self, child: Child | None) -> bool:
        """Whether somebody has said something to a child since it has parked."""
        if child is None or child.drive is None:
            return False
        run = child.drive.run
        try:
            return bool(self.effects.writer.inbox([run]))
        except SmithersError:
            return True  # looked at once more, by whoever drives it next

    def leave_none(self, drive: Drive) -> None:
        """A run has ended: what it has left of children, whose nodes an edit has taken out, ends with it."""
        if not drive.memory.children:
            return
        try:
            for run in self.effects.writer.open_children(drive.run):
                self._end_left(run)
        except SmithersError as error:
            # They stay as they are, and resumable; the run itself has ended well.
            _log.warning("a child that nobody needs any more could not be ended: %s", error)

    def _end_left(self, run: int) -> None:
        for below in self.effects.writer.open_children(run):
            self._end_left(below)
        stored = self.effects.writer.load(run)
        fence = self.effects.leases.claim(run, self.effects.owner.id)
        try:
            self.effects.reap(run, stored.run.name)
            while True:
                stored = self.effects.writer.load(run)
                now_ms = max(self.wiring.clock.now_ms(), stored.last_ms)
                order = Order(InboxKind.CANCEL, "the run that it belonged to")
                frame = LastFrame(stored, fence, order, now_ms).written(is_lost=True, is_asked=False)
                (refused,) = self.effects.writer.commit([frame])
                if not isinstance(refused, MessagesWaiting):  # or else somebody has answered since
                    break
        except BaseException:
            self.wiring.releases.release(run, fence)
            raise
        if refused is not None:
            self.wiring.releases.release(run, fence)

    def refused(self, job: Job, error: SmithersError) -> None:
        """A child did not begin, or does not go on: its attempt ends by that."""
        self._of.pop(job, None)
        if isinstance(error, StoreError | LeaseLost | RunOwned) and not isinstance(error, StoreCorrupt):
            # Not the workflow's doing: the parent's own next frame says what it is, or a later attempt works.
            due_ms = self.wiring.clock.now_ms() + AGAIN_MS
            self.wiring.settled(job, Parked("", due_ms))
            return
        self.wiring.settled(job, outcome_of_refusal(job, error))


def _definition(job: Job) -> Definition:
    assert isinstance(job.task, Subflow)
    found: Definition = job.task.workflow.definition
    return found


def _handle() -> Handle:
    """Nobody waits for a child but its parent, and nobody stops it but through the fleet."""
    return Handle(lambda handle, state: None)
