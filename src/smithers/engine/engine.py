"""The engine: one thread that drives all runs of this process and owns the one writing connection.

    drain mailbox ─► step each run touched ─► one commit ─► acknowledge ─► dispatch ─┐
         ▲                                                                           │
         └──────────────────────── what settled meanwhile ◄─────────────────────────┘

There is no second thread between a decision and its commit: nothing can interleave, and while a commit waits
for the disk the settlements of all runs gather for the next one. That is the whole of group commit.

The loop is a method, `turn`, and the thread that calls it again and again is one way to run it. A simulator
calls it from a thread of its own, in whatever order it likes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty
from typing import assert_never

from smithers.errors import LeaseLost, SmithersError
from smithers.records import FrameWrite, RunState

from .author import grace_ms
from .beats import Beats
from .effects import Effects
from .fleet import Fleet, as_error
from .handle import Handle
from .job import ChildWord, Job, Outcome, Stopped
from .lease import LeaseKeeper
from .mailbox import Mailbox
from .message import (
    Beat,
    ChildCall,
    Close,
    JobEnded,
    Lost,
    Message,
    New,
    Resume,
    ScriptMoved,
    StopRun,
    Swap,
    Unfit,
)
from .policy import out_of_time
from .steady import SteadyClock
from .terms import Wires

_log = logging.getLogger("smithers")

POLL_MS = 50
"""How often the engine looks for messages of other processes."""
WATCH_MS = 500
"""How often it looks whether the author's code blocks its loop."""
TIMEOUT_GRACE_MS = 1_000
SET_MS = 100
"""By so much the wall clock must have moved against our own until we look at what waits for it."""


class Engine:
    """Drives runs. `post`, `handle` and `close` are safe from any thread."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._clock = SteadyClock(effects.clock)
        self._mailbox: Mailbox[Message] = Mailbox()
        self._beats = Beats(effects.clock, lambda job: self._mailbox.put(Beat(job)))
        wires = Wires(
            self._report, self._beats.note, self._script_moved, self._clock, effects.clock, self._call
        )
        self.fleet = Fleet(effects, self._clock, wires, self._report)
        """The runs it drives; for the engine's thread."""
        self.keeper = LeaseKeeper(effects.leases, effects.owner, effects.clock, self._lose)
        self._polled_ms = 0
        self._watched_ms = 0
        self._ahead_ms = 0
        """How far our clock was ahead of the machine's when we last looked."""
        self._closing: Close | None = None
        self.has_lost = False
        """Its lease is gone: it can own nothing any more."""

    # --- From any thread ------------------------------------------------------------------------

    def start(self) -> Engine:
        """Run on a thread of its own, and keep the lease from another, until closed."""
        self.keeper.start()
        threading.Thread(target=self._serve, name="smithers-engine", daemon=True).start()
        return self

    def post(self, message: Message) -> None:
        self._mailbox.put(message)

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

    def _lose(self) -> None:
        """On the keeper's thread: whatever holds the engine up, what it has started must not go on."""
        self._effects.processes.end_all()
        self._mailbox.put(Lost())

    def _report(self, job: Job, outcome: Outcome) -> None:
        if job.place is not None:
            job.place.give_back()
        self._mailbox.put(JobEnded(job, outcome))

    def _script_moved(self, run: int) -> None:
        self._mailbox.put(ScriptMoved(run))

    def _call(self, job: Job, word: ChildWord) -> None:
        self._mailbox.put(ChildCall(job, word))

    # --- The loop -------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._closing is None:
            self.turn(self._patience_s())
        self.leave()

    def turn(self, patience_s: float | None = 0) -> None:
        """One round of the loop.

        Args:
            patience_s: how long to wait for a first message; None: until there is one.
        """
        try:
            self._go_round(patience_s)
        except BaseException as error:  # noqa: BLE001 - a fault of ours must end every run loudly, not hang them
            self.fleet.abandon(as_error(error))

    def _go_round(self, patience_s: float | None) -> None:
        for message in self._drain(patience_s):
            self._obey(message)
        self._poll()
        self._check_time()
        self.fleet.releases.try_again()
        if self._beats:
            self.fleet.beat(self._beats.take())
        self.fleet.step()

    def wait_ms(self, longest_ms: int = POLL_MS) -> int | None:
        """How long nothing will be due, if no message comes; at most `longest_ms`; None: for ever."""
        if self.fleet.is_hungry or not self._mailbox.empty():
            return 0
        if not self.fleet:
            return None
        clock = self._clock
        return self.fleet.timetable.wait_ms(clock.monotonic_ms(), clock.now_ms(), longest_ms)

    def leave(self) -> None:
        """What `close` asked for: let go of all runs, release the lease, close the store."""
        self.fleet.abandon(LeaseLost("the engine was closed"))
        # Each by itself: a store that fails one of them must not keep the other.
        for end in (self._effects.writer.close, self.keeper.close):
            try:
                end()
            except SmithersError as error:
                _log.warning("closing the store: %s", error)
        if self._closing is not None:
            self._closing.done()

    def _patience_s(self) -> float | None:
        wait_ms = self.wait_ms()
        return None if wait_ms is None else wait_ms / 1000

    def _drain(self, patience_s: float | None) -> list[Message]:
        """Everything in the mailbox, waiting for the first."""
        box = self._mailbox
        try:
            batch = [box.get(timeout=patience_s) if patience_s != 0 else box.get_nowait()]
            while not box.empty():
                batch.append(box.get_nowait())
        except Empty:
            return []
        return batch

    def _obey(self, message: Message) -> None:
        match message:
            case JobEnded(job, outcome):
                self.fleet.settled(job, outcome)
            case ChildCall(job, word):
                self.fleet.children.take(job, word)
            case Beat(job):
                self._beats.add(job)
            case ScriptMoved(run):
                self.fleet.touch(run)
            case New() | Resume():
                self.fleet.begin(message)
            case StopRun(handle, state):
                if not self.fleet.stop(handle, state):
                    self._mailbox.put(message)
            case Swap() | Unfit():
                if not self.fleet.swap(message):
                    self._mailbox.put(message)
            case Lost():
                self.has_lost = True
                self.fleet.abandon(LeaseLost("this process' lease was taken over"))
            case Close():
                self._closing = message
            case _:
                assert_never(message)

    # --- Time -----------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Read the mail of our runs when another process has written."""
        now_ms = self._clock.monotonic_ms()
        runs = self.fleet.runs
        if not runs or now_ms - self._polled_ms < POLL_MS:
            return
        self._polled_ms = now_ms
        if self._effects.writer.has_changed():
            if self._effects.look_at_accounts():
                self.fleet.look_at_limits()
            for run, messages in self._effects.writer.inbox(runs).items():
                self.fleet.take(run, messages)
        if now_ms - self._watched_ms >= WATCH_MS:
            self._watched_ms = now_ms
            self._watch(now_ms)

    def _watch(self, now_ms: int) -> None:
        in_flight = (job for drive in self.fleet for job in drive.jobs.values())
        blocking = self._effects.author.watch(now_ms, in_flight)
        if blocking is not None:
            _log.warning(
                "%s has blocked the event loop for a second; put what blocks into a task with a plain `def`",
                blocking,
            )

    def _check_time(self) -> None:
        """End attempts whose time is up, and wake runs whose back-off has ended."""
        clock = self._clock
        now_ms = clock.monotonic_ms()
        for job in self.fleet.timetable.jobs(now_ms):
            drive = self.fleet.drive(job.run)
            if drive is None or drive.jobs.get(job.key) is not job:
                continue
            outcome = self._expire(job, now_ms)
            if outcome is not None:
                self.fleet.settled(job, outcome)
        for run in self.fleet.timetable.runs(clock.now_ms()):
            self.fleet.touch(run)
        # Set back, times of the day are later by our clock than they were; set ahead again, sooner.
        ahead_ms = clock.now_ms() - self._effects.clock.now_ms()
        if abs(ahead_ms - self._ahead_ms) >= SET_MS:
            self._ahead_ms = ahead_ms
            self.fleet.look_at_times()

    def _expire(self, job: Job, now_ms: int) -> Outcome | None:
        """What the clock says of an attempt in flight; None: it may go on."""
        if (job.timed_out is not None or job.is_cancelled) and self.fleet.children.has(job):
            return None  # its run has been asked, and takes the time that its own tasks take
        if job.timed_out is not None or job.is_cancelled:
            self._effects.author.give_up(job)  # it was asked to end, and has not
            return job.timed_out or Stopped()
        failed = out_of_time(job, now_ms)
        if failed is None:
            self.fleet.timetable.arm(job)
            return None
        if self.fleet.children.has(job):
            job.timed_out = failed
            self.fleet.children.stop(job, RunState.CANCELLED)
            return None
        if not job.can_be_ended:
            return failed
        # A coroutine can be asked: its end is the attempt's end. If it does not listen, it is given up.
        job.timed_out = failed
        self._effects.author.cancel(job)
        self.fleet.timetable.look_at(job, now_ms + grace_ms(job, TIMEOUT_GRACE_MS))
        return None
