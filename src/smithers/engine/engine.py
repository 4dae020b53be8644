"""The engine: one thread that drives all runs of this process and owns the one writing connection.

    drain mailbox ─► step each run touched ─► one commit ─► acknowledge ─► dispatch ─┐
         ▲                                                                           │
         └──────────────────────── what settled meanwhile ◄─────────────────────────┘

There is no second thread between a decision and its commit: nothing can interleave, and while a commit waits
for the disk the settlements of all runs gather for the next one. That is the whole of group commit.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from random import Random
from typing import assert_never

from smithers.clock import Clock
from smithers.errors import (
    BugError,
    CommitUnknown,
    LeaseLost,
    MessagesWaiting,
    RunExists,
    SmithersError,
    StoreError,
)
from smithers.ids import short_run_id
from smithers.ports import Leases, Writer
from smithers.process import Processes
from smithers.records import (
    AttemptState,
    FrameWrite,
    HeartbeatRow,
    NewRun,
    Owner,
    RunState,
)

from .author import Author, grace_ms
from .beats import Beats
from .drive import Drive, Wires
from .failure import text_of
from .handle import Handle, RunEnd
from .job import Job, Outcome, Stopped
from .lease import LeaseKeeper
from .memory import Memory
from .message import Beat, Close, JobEnded, Lost, Message, New, Resume, StopRun
from .policy import out_of_time
from .timetable import Timetable

_log = logging.getLogger("smithers")

POLL_MS = 50
"""How often the engine looks for messages of other processes."""
STOP_GRACE_MS = 5_000
"""How long a cancelled coroutine may take to end before it is given up."""
TIMEOUT_GRACE_MS = 1_000
MAX_DOUBTS = 3
"""Frames of a run that may come to nothing in a row, before the run stops with the store's error."""


class Engine:
    """Drives runs. Its public methods are safe from any thread.

    Args:
        writer: this engine's own; used from its thread only.
        leases: with the registered `owner`; handed over to the lease keeper.
        processes: what attempts start programs with; whoever made it closes it.
    """

    def __init__(
        self, writer: Writer, leases: Leases, owner: Owner, clock: Clock, random: Random, processes: Processes
    ) -> None:
        self._writer = writer
        self._owner = owner
        self._leases = leases
        self._clock = clock
        self._random = random
        self._processes = processes
        self._author = Author(processes)
        self._mailbox: SimpleQueue[Message] = SimpleQueue()
        self._drives: dict[int, tuple[Drive, Handle]] = {}
        self._timetable = Timetable()
        self._hungry: set[int] = set()
        """Runs that have more to decide at once."""
        self._polled_ms = 0
        self._watched_ms = 0
        self._closing: Close | None = None
        self.has_lost = False
        """Its lease is gone: it can own nothing any more."""
        self._beats = Beats(clock, lambda job: self._mailbox.put(Beat(job)))
        self._wires = Wires(lambda job, outcome: self._mailbox.put(JobEnded(job, outcome)), self._beats.note)
        self._keeper = LeaseKeeper(leases, owner, clock, self._lose)
        self._thread = threading.Thread(target=self._serve, name="smithers-engine", daemon=True)
        self._thread.start()

    # --- From any thread ------------------------------------------------------------------------

    def post(self, message: Message) -> None:
        self._mailbox.put(message)

    def _lose(self) -> None:
        """On the keeper's thread: whatever holds the engine up, what it has started must not go on."""
        self._mailbox.put(Lost())  # first: how its programs end now is nothing to be stored
        self._processes.end_all()

    def handle(self, watch: Callable[[FrameWrite], None] | None = None) -> Handle:
        """A handle for a run that is about to be asked for with `New` or `Resume`.

        Args:
            watch: called on the engine's thread after each commit, with what was stored.
        """
        handle = Handle(lambda handle, state: self._mailbox.put(StopRun(handle, state)))
        if watch is not None:
            handle.watchers.append(watch)
        return handle

    def close(self, timeout_s: float = 10.0) -> bool:
        """End the engine's thread, release the lease and checkpoint. Runs it still drives stay resumable.

        Returns:
            False: the thread is still busy with an author's code; it ends when that does.
        """
        done = threading.Event()
        self._mailbox.put(Close(done.set))
        return done.wait(timeout_s)

    # --- The loop -------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._closing is None:
            try:
                self._turn(self._drain(self._timeout_s()))
            except BaseException as error:  # noqa: BLE001 - a fault of ours must end every run loudly, not hang them
                self._abandon_all(_as_bug(error))
        self._abandon_all(LeaseLost("the engine was closed"))
        # Each by itself: a store that fails one of them must not keep the other.
        for leave in (self._writer.close, self._keeper.close):
            try:
                leave()
            except SmithersError as error:
                _log.warning("closing the store: %s", error)
        self._closing.done()

    def _drain(self, timeout_s: float | None) -> list[Message]:
        """Everything in the mailbox, waiting for the first."""
        box = self._mailbox
        try:
            batch = [box.get(timeout=timeout_s) if timeout_s != 0 else box.get_nowait()]
            while not box.empty():
                batch.append(box.get_nowait())
        except Empty:
            return []
        return batch

    def _timeout_s(self) -> float | None:
        if not self._drives:
            return None
        if self._hungry:
            return 0
        return self._timetable.wait_ms(self._clock.monotonic_ms(), self._clock.now_ms(), POLL_MS) / 1000

    def _turn(self, batch: list[Message]) -> None:
        settled: dict[int, list[tuple[Job, Outcome]]] = {}
        for message in batch:
            match message:
                case JobEnded(job, outcome):
                    settled.setdefault(job.run, []).append((job, outcome))
                case Beat(job):
                    self._beats.add(job)
                case New():
                    self._create(message)
                case Resume():
                    self._resume(message)
                case StopRun(handle, state):
                    self._stop(handle, state, settled)
                case Lost():
                    self.has_lost = True
                    self._abandon_all(LeaseLost("this process' lease was taken over"))
                case Close():
                    self._closing = message
                case _:
                    assert_never(message)
        for run in self._hungry:
            settled.setdefault(run, [])
        self._hungry.clear()
        self._poll(settled)
        self._check_time(settled)
        if self._beats:
            self._store_beats()
        if settled:
            self._step(settled)

    def _step(self, settled: dict[int, list[tuple[Job, Outcome]]]) -> None:
        """One frame for each run that was touched, all in one commit."""
        now_ms = self._clock.now_ms()
        frames: list[FrameWrite] = []
        for run, outcomes in settled.items():
            found = self._drives.get(run)
            if found is None:
                continue
            drive, handle = found
            try:
                frame = drive.step(outcomes, now_ms)
            except BaseException as error:  # noqa: BLE001 - ours or the author's: it concerns this run only
                self._drop(drive, handle, _as_bug(error))
                continue
            if frame is not None:
                frames.append(frame)
            self._timetable.wake(run, drive.next_due_ms())
            if drive.wants_more:
                self._hungry.add(run)
            if frame is None:
                self._dispatch(drive)
        if frames:
            self._commit(frames, settled)

    def _commit(self, frames: list[FrameWrite], settled: dict[int, list[tuple[Job, Outcome]]]) -> None:
        try:
            results = self._writer.commit(frames)
        except CommitUnknown as error:
            for frame in frames:
                self._rebuild(frame.run, settled.get(frame.run, []), error)
            return
        for frame, error_ in zip(frames, results, strict=True):
            drive, handle = self._drives[frame.run]
            if error_ is None:
                self._acknowledge(drive, handle, frame)
            elif isinstance(error_, MessagesWaiting):
                # Somebody wrote to the run while it was about to leave: it stays, and reads its mail first.
                self._rebuild(frame.run, settled.get(frame.run, []), error_)
            else:
                self._drop(drive, handle, error_)

    def _acknowledge(self, drive: Drive, handle: Handle, frame: FrameWrite) -> None:
        """The frame is durable: tell the watchers, then start what it started."""
        drive.doubts = 0
        for watcher in handle.watchers:
            watcher(frame)
        self._dispatch(drive)
        if drive.ended is not None:
            self._finish(drive, handle)

    def _dispatch(self, drive: Drive) -> None:
        if drive.to_cancel:
            jobs, drive.to_cancel = drive.to_cancel, []
            for job in jobs:
                self._cancel(job)
        if drive.to_start:
            # What was cancelled by the same frame, or before its commit returned, never begins.
            jobs = [job for job in drive.to_start if not job.is_cancelled]
            drive.to_start = []
            now_ms = self._clock.monotonic_ms()
            for job in jobs:
                job.started_ms = job.last_beat_ms = now_ms
                self._timetable.arm(job)
            self._author.start(jobs)

    def _finish(self, drive: Drive, handle: Handle) -> None:
        ended = drive.ended
        if ended is None:
            raise BugError("a run that has not ended was finished")
        del self._drives[drive.run]
        has_output = ended.state in (RunState.FINISHED, RunState.PARTIAL)
        ref = drive.own_output() if has_output else None
        row = drive.memory.rows.get(ref.key) if ref is not None else None
        end = RunEnd(
            drive.memory.name, ended.state, row.body if row else None, row.model if row else None, ended.error
        )
        handle.ended.set_result(end)
        if not self._drives:
            self._rest()

    def _rest(self) -> None:
        """Nothing runs: a good time to move the log into the file."""
        try:
            self._writer.idle()
        except StoreError as error:
            _log.warning("checkpoint: %s", error)

    # --- Beginning ------------------------------------------------------------------------------

    def _create(self, new: New) -> None:
        """Store a run together with its first frame; a mistake in the file leaves no trace."""
        handle = new.handle
        try:
            name = new.name or short_run_id(self._random)
            while True:
                drive = self._drive_for(new, name)
                frame = drive.step((), self._clock.now_ms())
                if frame is None:
                    raise BugError("a first frame without an event")
                row = NewRun(name, new.definition.name, new.terms.source, new.input, new.config, frame.at_ms)
                try:
                    stored = self._writer.create_run(row, self._owner.id, frame)
                    break
                except RunExists:
                    if new.name is not None:
                        raise
                    name = short_run_id(self._random)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
            handle.fail(_as_bug(error))
            return
        drive.run, drive.fence = stored.id, stored.fence
        for job in (*drive.jobs.values(), *drive.to_start):
            job.run, job.fence = stored.id, stored.fence
        self._adopt(drive, handle, frame)

    def _drive_for(self, message: New | Resume, name: str) -> Drive:
        text = message.input if isinstance(message, New) else message.row.input
        memory = Memory(name, text, message.definition.input_model)
        return Drive(message.definition, memory, message.terms, self._random, self._wires)

    def _resume(self, message: Resume) -> None:
        handle, run = message.handle, message.row.id
        try:
            drive = self._drive_for(message, message.row.name)
            drive.restore(self._writer.load(run))
            drive.fence = message.fence
            frame = drive.step((), self._clock.now_ms())
            if frame is None:
                raise BugError("a first frame without an event")
            error = self._writer.commit([frame])[0]
            if error is not None:
                raise error
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
            handle.fail(_as_bug(error))
            return
        self._adopt(drive, handle, frame)

    def _adopt(self, drive: Drive, handle: Handle, frame: FrameWrite) -> None:
        self._drives[drive.run] = (drive, handle)
        handle.run = drive.run
        handle.started.set_result(drive.memory.name)
        self._timetable.wake(drive.run, drive.next_due_ms())
        if drive.wants_more:
            self._hungry.add(drive.run)
        self._acknowledge(drive, handle, frame)

    def _rebuild(self, run: int, outcomes: Iterable[tuple[Job, Outcome]], cause: Exception) -> None:
        """Throw the run's memory away and go on from its rows.

        What the lost frame had applied is applied again where the rows do not show it; attempts that the rows
        show as started, and that were not dispatched, are dispatched now.
        """
        drive, handle = self._drives[run]
        outcomes = list(outcomes)
        if drive.doubts >= MAX_DOUBTS:
            self._drop(drive, handle, cause)
            return
        try:
            stored = self._writer.load(run)
            if stored.run.fence != drive.fence:
                raise LeaseLost(f"{stored.run.name} has a newer owner")
            running = {
                (row.key, row.generation, row.attempt)
                for row in stored.attempts
                if row.state is AttemptState.RUNNING
            }
            known = {id(job): job for job in (*drive.jobs.values(), *(job for job, _ in outcomes))}
            in_flight = [j for j in known.values() if (j.key, j.generation, j.attempt) in running]
            fresh = drive.rebuilt(stored, in_flight)
        except Exception as error:  # noqa: BLE001 - the store may be gone for good
            self._drop(drive, handle, error if isinstance(error, StoreError | LeaseLost) else cause)
            return
        self._drives[run] = (fresh, handle)
        for message in stored.inbox:
            fresh.take(message)
        again = {run: [(job, outcome) for job, outcome in outcomes if job in in_flight]}
        self._step(again)

    # --- Stopping -------------------------------------------------------------------------------

    def _stop(self, handle: Handle, state: RunState, settled: dict[int, list[tuple[Job, Outcome]]]) -> None:
        found = self._drives.get(handle.run)
        if found is not None:
            found[0].stop(state)
            self._dispatch(found[0])
            settled.setdefault(handle.run, [])

    def _cancel(self, job: Job) -> None:
        """Ask an attempt to end. A thread cannot: its result will be discarded."""
        job.is_cancelled = True
        if not job.can_be_ended:
            self._mailbox.put(JobEnded(job, Stopped()))
        else:
            self._author.cancel(job)
            self._timetable.look_at(job, self._clock.monotonic_ms() + grace_ms(job, STOP_GRACE_MS))

    def _drop(self, drive: Drive, handle: Handle, error: Exception) -> None:
        """Let go of a run without another frame: what it had running is cut off, anybody may resume it."""
        self._drives.pop(drive.run, None)
        for job in drive.jobs.values():
            job.is_cancelled = True
            self._author.cancel(job)
        # Before anybody else may drive the run: nothing of ours works on it any more.
        self._processes.end_run(drive.run)
        try:
            if not isinstance(error, LeaseLost):
                self._leases.release(drive.run, drive.fence)
        except SmithersError as refused:
            # The store is what is wrong: the lease ends by itself.
            _log.warning("the run is not released: %s", refused)
        finally:
            handle.fail(error)

    def _abandon_all(self, error: SmithersError) -> None:
        for drive, handle in list(self._drives.values()):
            self._drop(drive, handle, error)

    # --- Time -----------------------------------------------------------------------------------

    def _poll(self, settled: dict[int, list[tuple[Job, Outcome]]]) -> None:
        """Read the mail of our runs when another process has written."""
        now_ms = self._clock.monotonic_ms()
        if not self._drives or now_ms - self._polled_ms < POLL_MS:
            return
        self._polled_ms = now_ms
        if self._writer.has_changed():
            for run, messages in self._writer.inbox(list(self._drives)).items():
                drive, _ = self._drives[run]
                for message in messages:
                    drive.take(message)
                self._dispatch(drive)
                settled.setdefault(run, [])
        if now_ms - self._watched_ms >= 500:
            self._watched_ms = now_ms
            in_flight = (job for drive, _ in self._drives.values() for job in drive.jobs.values())
            blocking = self._author.watch(now_ms, in_flight)
            if blocking is not None:
                _log.warning(
                    "%s has blocked the event loop for a second (%s); use a plain `def` for code that blocks",
                    blocking,
                    blocking.task.place,
                )

    def _check_time(self, settled: dict[int, list[tuple[Job, Outcome]]]) -> None:
        """End attempts whose time is up, and wake runs whose back-off has ended."""
        now_ms = self._clock.monotonic_ms()
        for job in self._timetable.jobs(now_ms):
            found = self._drives.get(job.run)
            if found is None or found[0].jobs.get(job.key) is not job:
                continue
            outcome = self._expire(job, now_ms)
            if outcome is not None:
                settled.setdefault(job.run, []).append((job, outcome))
        for run in self._timetable.runs(self._clock.now_ms()):
            if run in self._drives:
                settled.setdefault(run, [])

    def _expire(self, job: Job, now_ms: int) -> Outcome | None:
        """What the clock says of an attempt in flight; None: it may go on."""
        if job.timed_out is not None or job.is_cancelled:
            self._author.give_up(job)  # it was asked to end, and has not
            return job.timed_out or Stopped()
        failed = out_of_time(job, now_ms)
        if failed is None:
            self._timetable.arm(job)
            return None
        if not job.can_be_ended:
            return failed
        # A coroutine can be asked: its end is the attempt's end. If it does not listen, it is given up.
        job.timed_out = failed
        self._author.cancel(job)
        self._timetable.look_at(job, now_ms + grace_ms(job, TIMEOUT_GRACE_MS))
        return None

    def _store_beats(self) -> None:
        """Store the heartbeat data that has come, of attempts that still run."""
        rows: list[tuple[int, int, HeartbeatRow]] = []
        for job in self._beats.take():
            found = self._drives.get(job.run)
            if found is not None and (row := found[0].note_beat(job)) is not None:
                rows.append((found[0].run, found[0].fence, row))
        try:
            self._writer.heartbeats(rows)
        except StoreError as error:
            # What is lost costs a resumed task its hint, nothing else; the next commit says what is wrong.
            _log.warning("heartbeat not stored: %s", error)


def _as_bug(error: BaseException) -> SmithersError:
    if isinstance(error, SmithersError):
        return error
    bug = BugError(f"{type(error).__name__}: {text_of(error)}")
    bug.__cause__ = error
    return bug
