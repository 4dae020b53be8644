"""The runs that an engine drives: one frame for each that was touched, all of them in one commit.

A run begins here with its first frame, which is stored together with the frames of all others: a thousand
runs that are started at once cost a handful of commits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from smithers.errors import (
    BugError,
    CommitUnknown,
    LeaseLost,
    MessagesWaiting,
    RowsRefused,
    RunExists,
    SmithersError,
    StoreError,
    plain,
)
from smithers.ids import short_run_id
from smithers.records import (
    AttemptState,
    FrameWrite,
    HeartbeatRow,
    InboxRow,
    NewRun,
    RunState,
    StoredRun,
)
from smithers.store.refusal import machine_error

from .children import Children, Wiring
from .continuation import first_frame, next_name
from .dispatch import Dispatch
from .drive import Drive
from .effects import Effects
from .failure import text_of
from .handle import Handle, RunEnd
from .job import Job, Outcome
from .memory import Memory
from .message import New, Resume, Swap, Unfit
from .release import Releases
from .run_name import numbered
from .steady import SteadyClock
from .swap import Swaps
from .terms import Wires
from .timetable import Timetable

_log = logging.getLogger("smithers")

NAMES_TRIED = 8
"""Numbers that are tried for the name of the run that a run goes on as."""
MAX_DOUBTS = 3
"""Frames of a run that may come to nothing in a row, before the run stops with the store's error."""
COMMIT_EVENTS = 500
"""Frames with more events than this, taken together, are stored in several commits: while one goes on, nobody
else can write to the file."""


@dataclass(slots=True)
class Driven:
    """One run, and whoever waits for it."""

    drive: Drive
    handle: Handle
    begins: New | Resume | None
    """What asked for it, until its first frame is stored."""
    job: Job | None = None
    """The attempt of another run that it is."""


@dataclass(slots=True)
class Step:
    """A frame on its way to the store."""

    driven: Driven
    frame: FrameWrite
    outcomes: list[tuple[Job, Outcome]]
    """What the frame applies: applied again if it comes to nothing."""
    names: int = 0
    """How many names were taken that the run was to go on by."""


class Fleet:
    """Drives runs, from the engine's thread.

    Args:
        clock: what frames are stamped by.
        wires: how attempts report.
        report: takes the end of an attempt that nobody will report.
    """

    def __init__(
        self, effects: Effects, clock: SteadyClock, wires: Wires, report: Callable[[Job, Outcome], None]
    ) -> None:
        self._effects = effects
        self._clock = clock
        self._wires = wires
        self._driven: dict[int, Driven] = {}
        self._beginning: list[Driven] = []
        self._stepping: list[Driven] = []
        """Those that begin in the step that goes on; some may be begun or refused already."""
        self._touched: dict[int, list[tuple[Job, Outcome]]] = {}
        self._swaps = Swaps()
        self.timetable = Timetable()
        self.releases = Releases(effects.leases, clock)
        self.children = Children(
            effects,
            Wiring(
                self.begin,
                self.settled,
                self.drive,
                self._follow,
                self.touch,
                wires.call,
                self.releases,
                clock,
            ),
        )
        self._dispatch = Dispatch(effects.author, clock, self.timetable, report, self.children)

    # --- What the engine's loop asks -----------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self._driven or self._beginning or self.releases)

    def __iter__(self) -> Iterator[Drive]:
        return (driven.drive for driven in self._driven.values())

    @property
    def runs(self) -> list[int]:
        return list(self._driven)

    def drive(self, run: int) -> Drive | None:
        found = self._driven.get(run)
        return None if found is None else found.drive

    @property
    def is_hungry(self) -> bool:
        """There is something to decide at once."""
        return bool(self._touched or self._beginning)

    def settled(self, job: Job, outcome: Outcome) -> None:
        """An attempt has ended: the next step applies it."""
        self._touched.setdefault(job.run, []).append((job, outcome))

    def touch(self, run: int) -> None:
        """Look at a run in the next step."""
        self._touched.setdefault(run, [])

    def begin(self, message: New | Resume) -> None:
        """Drive a new run, or one that this process has claimed, from the next step on."""
        try:
            name = message.row.name if isinstance(message, Resume) else message.name
            if isinstance(message, New) and message.name is not None:
                name = numbered(message.name, message.number)
            self._prepare(message, name or short_run_id(self._effects.random))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
            self._refuse(message, as_error(error))

    def stop(self, handle: Handle, state: RunState) -> bool:
        """Pause or cancel a run; False: its first frame is not stored yet, ask again after the next step."""
        found = self._driven.get(handle.run)
        if found is not None and found.handle is handle:
            found.drive.stop(state)
            self._dispatch.carry_out([found.drive])
            self.touch(handle.run)
        return all(driven.handle is not handle for driven in self._beginning)

    def swap(self, message: Swap | Unfit) -> bool:
        """Drive a run by other code from the next step on; False: its first frame is not stored yet."""
        found = self._driven.get(message.handle.run)
        if found is not None and found.handle is message.handle:
            self._swaps.ask(found.drive, message)
            self.touch(found.drive.run)
        return all(driven.handle is not message.handle for driven in self._beginning)

    def take(self, run: int, messages: Sequence[InboxRow]) -> None:
        """Obey what others wrote to a run."""
        drive = self._driven[run].drive
        for message in messages:
            drive.take(message)
        if drive.is_draining:
            self.children.drain(drive)
        self._follow(drive)

    def _follow(self, drive: Drive) -> None:
        """See to what a run was told: it must look at it in the next step."""
        self._dispatch.carry_out([drive])
        if drive.is_draining:
            self.children.drain(drive)
        self.touch(drive.run)

    def look_at_times(self) -> None:
        """The wall clock was set: what waits for a time of the day waits for longer, or not as long."""
        for drive in self:
            drive.look_at_times()
            self.touch(drive.run)

    def look_at_limits(self) -> None:
        """What is known of accounts has changed: runs that wait for one look in the next step."""
        for drive in self:
            drive.looks_at_limits = True
            self.touch(drive.run)

    def step(self) -> None:
        """One frame for each run that was touched or begins."""
        touched, self._touched = self._touched, {}
        self._stepping, self._beginning = self._beginning, []
        steps = [self._frame(driven, []) for driven in self._stepping]
        for run, outcomes in touched.items():
            if run in self._driven:
                steps.append(
                    self._swapped(self._driven[run], outcomes) or self._frame(self._driven[run], outcomes)
                )
        for group in _groups([step for step in steps if step is not None]):
            self._commit(group)
        self._stepping = []

    def abandon(self, error: SmithersError) -> None:
        """Let go of every run, those of a step that was broken off too."""
        beginning = (*self._stepping, *self._beginning)
        self._stepping, self._beginning = [], []
        for driven in beginning:
            if not driven.handle.started.done():
                self._let_go(driven, error)
        for driven in list(self._driven.values()):
            self._let_go(driven, error)

    # --- A frame, from its making to what follows it ------------------------------------------------

    def _frame(self, driven: Driven, outcomes: list[tuple[Job, Outcome]]) -> Step | None:
        drive = driven.drive
        try:
            frame = drive.step(outcomes, self._clock.now_ms())
            if driven.begins is not None:
                self._create(driven, frame)
            if frame is not None and drive.ended is not None and drive.ended.carried is not None:
                frame.then = first_frame(
                    drive.memory, drive.terms, drive.ended.carried, frame.at_ms, self._effects.owner.id
                )
        except BaseException as error:  # noqa: BLE001 - ours or the author's: it concerns this run only
            self._let_go(driven, as_error(error))
            return None
        if frame is None:
            self._look_ahead(drive)
            self._dispatch.carry_out([drive])
            return None
        return Step(driven, frame, outcomes)

    def _swapped(self, driven: Driven, outcomes: list[tuple[Job, Outcome]]) -> Step | None:
        """The frame that drives a run by other code; None: there is none, or none that it can go on by."""
        drive = driven.drive
        if (swap := self._swaps.ready(drive)) is None:
            return None
        try:
            stored = self._effects.writer.load(drive.run)
            if stored.run.fence != drive.fence:  # not under the fence of whoever drives it now
                raise LeaseLost(f"{stored.run.name} has a newer owner")
            in_flight = _in_flight(stored, list(drive.jobs.values()))
            found = self._swaps.try_out(drive, swap, stored, in_flight, self._clock.now_ms())
        except Exception as error:  # noqa: BLE001 - the store's, the author's or ours: the run goes on as it was
            self._swaps.refuse(drive, as_error(error))
            return None
        if found is None:
            return None
        drive.step_aside()
        driven.drive, frame = found
        # What has ended meanwhile is applied by the next frame, to the plan that is then.
        self._touched.setdefault(drive.run, []).extend(outcomes)
        return Step(driven, frame, [])

    def _create(self, driven: Driven, frame: FrameWrite | None) -> None:
        """Let a new run's first frame bring it into being."""
        if frame is None:
            raise BugError("a first frame without an event")
        new, drive = driven.begins, driven.drive
        if isinstance(new, New):
            frame.creates = NewRun(
                drive.memory.name, new.definition.name, new.terms.source, new.input, new.config,
                frame.at_ms, self._effects.owner.id,
                None if new.job is None else self.children.link(new.job),
            )  # fmt: skip

    def _commit(self, steps: Sequence[Step]) -> None:
        has_notices = any(step.frame.notices for step in steps)
        try:
            results = self._effects.writer.commit([step.frame for step in steps])
        except CommitUnknown as error:
            if has_notices:
                self._effects.deliver()  # they may be stored
            for step in steps:
                self._doubt(step, error)
            return
        except BaseException as error:
            for step in steps:
                self._let_go(step.driven, as_error(error))
            raise
        if has_notices:
            self._effects.deliver()
        stored: list[Drive] = []
        for step, refused in zip(steps, results, strict=True):
            if refused is None:
                self._acknowledge(step)
                if step.driven.drive.run in self._driven:
                    stored.append(step.driven.drive)
            else:
                self._refused(step, refused)
        self._dispatch.carry_out(stored)
        for step in steps:
            if step.driven.drive.ended is not None and step.driven.drive.run in self._driven:
                if step.frame.then is not None:
                    self._go_on(step.driven, step.frame.then.run)
                else:
                    self._finish(step.driven)

    def _acknowledge(self, step: Step) -> None:
        """The frame is durable: tell whoever waits for it."""
        driven, frame = step.driven, step.frame
        if driven.begins is not None:
            self._adopt(driven, frame.run, frame.fence)
        driven.drive.doubts = 0
        if frame.notes and not driven.drive.note(frame.notes):
            _log.warning("%s: %s", driven.drive.memory.name, "; ".join(frame.notes))
        for watcher in driven.handle.watchers:
            watcher(frame)
        self._look_ahead(driven.drive)

    def _adopt(self, driven: Driven, run: int, fence: int) -> None:
        """A run that has begun: it is one of ours from now on."""
        drive, handle = driven.drive, driven.handle
        drive.begin_under(run, fence)
        driven.begins = None
        self._driven[run] = driven
        handle.run = run
        handle.started.set_result(drive.memory.name)
        if driven.job is not None and not self.children.adopted(driven.job, drive):
            self._let_go(driven, LeaseLost("the run that it belongs to has left"))

    def _refused(self, step: Step, error: Exception) -> None:
        """A frame that alone was not stored."""
        driven = step.driven
        new = driven.begins
        if isinstance(error, MessagesWaiting) and isinstance(new, Resume):
            self.begin(new)  # from the rows as they are now
        elif (
            isinstance(error, RunExists)
            and step.frame.then is not None
            and step.frame.then.creates is not None
        ):
            taken = step.frame.then.creates
            step.names += 1
            # Somebody may count their own runs like that: no walk through all of them.
            mark = f"-{self._effects.random.randrange(16**6):06x}"
            many = step.names > NAMES_TRIED
            taken.name = driven.drive.memory.name[:80] + mark if many else next_name(taken.name, 2)
            self._commit([step])
        elif isinstance(error, MessagesWaiting):
            # Somebody wrote to the run while it was about to leave: it stays, and reads its mail first. That
            # is no fault of the store, however many people answer one after the other.
            driven.drive.doubts = 0
            self._doubt(step, error)
        elif isinstance(error, RowsRefused) and new is not None:
            self._let_go(driven, driven.drive.unfit(error))
        elif isinstance(error, RowsRefused):
            driven.drive.refuse(step.frame, error)
            self._doubt(step, error)
        elif isinstance(error, RunExists) and isinstance(new, New) and new.name is None:
            self.begin(new)  # under another name
        elif isinstance(error, RunExists) and isinstance(new, New) and new.job is not None:
            self.begin(replace(new, number=new.number + 1))
        else:
            self._let_go(driven, error)

    def _look_ahead(self, drive: Drive) -> None:
        self.timetable.wake(drive.run, drive.next_due_ms())
        if drive.wants_more or self._swaps.ready(drive) is not None:
            self.touch(drive.run)

    def _finish(self, driven: Driven) -> None:
        drive, ended = driven.drive, driven.drive.ended
        if ended is None:
            raise BugError("a run that has not ended was finished")
        del self._driven[drive.run]
        drive.leave()
        has_output = ended.state in (RunState.FINISHED, RunState.PARTIAL)
        ref = drive.own_output() if has_output else None
        row = drive.memory.rows.get(ref.key) if ref is not None else None
        body, model = (row.body, row.model) if row is not None else (None, None)
        end = RunEnd(
            drive.memory.name,
            ended.state,
            body,
            model,
            ended.error,
            ended.asked_by,
            ended.waits,
            ended.due_ms,
        )
        if ended.state.has_ended:
            self.children.leave_none(drive)
        driven.handle.ended.set_result(end)
        if driven.job is not None:
            self.children.ended(driven.job, end)
        if not self:
            self._rest()

    def _go_on(self, driven: Driven, run: int) -> None:
        """Drive the run that a run went on as, for whoever waits for that one."""
        before = driven.drive
        del self._driven[before.run]
        before.step_aside()
        self.children.leave_none(before)
        try:
            stored = self._effects.writer.load(run)
        except StoreError as error:
            self.releases.release(run, 1)
            driven.handle.fail(error)
            if driven.job is not None:
                self.children.refused(driven.job, error)
            return
        memory = Memory(stored.run.name, stored.run.input, before.definition.input_model)
        drive = Drive(before.definition, memory, before.terms, self._effects.random, self._wires)
        drive.take_on(stored)
        self._driven[run] = Driven(drive, driven.handle, None, driven.job)
        driven.handle.run = run
        if driven.job is not None and not self.children.adopted(driven.job, drive):
            self._let_go(self._driven[run], LeaseLost("the run that it belongs to has left"))
        self.touch(run)

    def _rest(self) -> None:
        """Nothing runs: a good time to move the log into the file."""
        try:
            self._effects.writer.idle()
        except StoreError as error:
            _log.warning("checkpoint: %s", error)

    # --- Beginning ----------------------------------------------------------------------------------

    def _prepare(self, message: New | Resume, name: str) -> None:
        text = message.input if isinstance(message, New) else message.row.input
        memory = Memory(name, text, message.definition.input_model)
        drive = Drive(message.definition, memory, message.terms, self._effects.random, self._wires)
        if isinstance(message, Resume):
            stored = self._effects.writer.load(message.row.id)
            self._clock.not_before(stored.last_ms)
            drive.restore(stored, message.again, message.marks, message.afresh)
            drive.begin_under(message.row.id, message.fence)
        self._beginning.append(Driven(drive, message.handle, message, message.job))

    # --- Doubt --------------------------------------------------------------------------------------

    def _doubt(self, step: Step, cause: Exception) -> None:
        """Nobody knows whether this frame was stored: the rows say."""
        driven = step.driven
        if isinstance(driven.begins, New):
            try:
                if (heir := self._heir(step.frame)) is not None:
                    self._adopt(driven, step.frame.run, 1)
                    self._go_on(driven, heir)
                    return
                run = self._effects.writer.held(driven.drive.memory.name, self._effects.owner.id)
            except StoreError:
                run = None
            if run is None:
                self._let_go(driven, cause)
                return
            if run in self._driven:  # another of that name, perhaps of this very commit
                name = driven.drive.memory.name
                self._refused(step, RunExists(f"there is a run {name} already", run=name))
                return
            self._adopt(driven, run, fence=1)
        elif driven.begins is not None:
            self._let_go(driven, cause)
            return
        self._rebuild(step, cause)

    def _heir(self, frame: FrameWrite) -> int | None:
        """The run that this frame lets its run go on as, if that is stored."""
        new = frame.then.creates if frame.then is not None else None
        return None if new is None else self._effects.writer.held(new.name, self._effects.owner.id)

    def _rebuild(self, step: Step, cause: Exception) -> None:
        """Throw the run's memory away and go on from its rows.

        What the lost frame had applied is applied again where the rows do not show it; attempts that the rows
        show as started, and that were not dispatched, are dispatched now.
        """
        driven, drive = step.driven, step.driven.drive
        if drive.doubts >= MAX_DOUBTS:
            self._let_go(driven, cause)
            return
        try:
            stored = self._effects.writer.load(drive.run)
            if stored.run.fence != drive.fence:
                raise LeaseLost(f"{stored.run.name} has a newer owner")
            if stored.run.state is RunState.CONTINUED and (
                next_ := self._effects.writer.successor(drive.run)
            ):
                self._go_on(driven, next_)
                return
            in_flight = _in_flight(stored, (*drive.jobs.values(), *(job for job, _ in step.outcomes)))
            driven.drive = fresh = drive.rebuilt(stored, in_flight)
            if driven.job is not None:
                self.children.rebuilt(driven.job, fresh)
        except Exception as error:  # noqa: BLE001 - the store may be gone for good
            self._let_go(driven, error if isinstance(error, StoreError | LeaseLost) else cause)
            return
        for message in stored.inbox:
            fresh.take(message)
        self.touch(drive.run)
        for job, outcome in step.outcomes:
            if job in in_flight:
                self.settled(job, outcome)

    def _let_go(self, driven: Driven, error: Exception) -> None:
        """Let go of a run without another frame: what it had running is cut off, anybody may resume it."""
        drive = driven.drive
        if driven.begins is not None:
            self._refuse(driven.begins, error)
            return
        if self._driven.pop(drive.run, None) is None:
            return  # with the run that it belongs to
        for child in self.children.runs_of(drive):
            if child.run in self._driven:
                self._let_go(self._driven[child.run], error)
        self._dispatch.abandon(drive)
        # Before anybody else may drive the run: nothing of ours works on it any more.
        self._effects.processes.end_run(drive.run)
        try:
            if not isinstance(error, LeaseLost):
                self.releases.release(drive.run, drive.fence)
        finally:
            driven.handle.fail(as_error(error))
            if driven.job is not None:
                self.children.refused(driven.job, as_error(error))

    def _refuse(self, asked: New | Resume, error: Exception) -> None:
        """A run that does not begin here: it is as it was."""
        try:
            if isinstance(asked, Resume) and not isinstance(error, LeaseLost):
                self.releases.release(asked.row.id, asked.fence)
        finally:
            asked.handle.fail(as_error(error))
            if asked.job is not None:
                self.children.refused(asked.job, as_error(error))

    def beat(self, jobs: Sequence[Job]) -> None:
        """Store the heartbeat data that has come, of attempts that still run."""
        rows: list[tuple[int, int, HeartbeatRow]] = []
        for job in jobs:
            drive = self.drive(job.run)
            if drive is not None and (row := drive.note_beat(job)) is not None:
                rows.append((drive.run, drive.fence, row))
        try:
            self._effects.writer.heartbeats(rows)
        except StoreError as error:
            # What is lost costs a resumed task its hint, nothing else; the next commit says what is wrong.
            _log.warning("heartbeat not stored: %s", error)


def _in_flight(stored: StoredRun, jobs: Sequence[Job]) -> list[Job]:
    """Those of these jobs that the rows show as running."""
    running = {
        (row.key, row.generation, row.attempt) for row in stored.attempts if row.state is AttemptState.RUNNING
    }
    known = {id(job): job for job in jobs}
    return [job for job in known.values() if (job.key, job.generation, job.attempt) in running]


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Steps in the order they came, in groups of about `COMMIT_EVENTS`."""
    group: list[Step] = []
    events = 0
    for step in steps:
        size = len(step.frame.events) + len(step.frame.mounted)
        if group and events + size > COMMIT_EVENTS:
            yield group
            group, events = [], 0
        group.append(step)
        events += size
    if group:
        yield group


def as_error(error: BaseException) -> SmithersError:
    """An error of ours as it is, any other one as our own fault."""
    if isinstance(error, SmithersError):
        return plain(error)
    if (refused := machine_error(error)) is not None:
        return refused
    bug = BugError(f"{type(error).__name__}: {text_of(error)}")
    bug.__cause__ = error
    return bug
