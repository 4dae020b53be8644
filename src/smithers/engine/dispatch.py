"""What stored frames say is to be started and ended: handed to the author's side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from smithers.clock import Clock
from smithers.records import RunState

from .author import Author, grace_ms
from .children import Children
from .drive import Drive
from .job import Job, Outcome, Stopped
from .timetable import Timetable

STOP_GRACE_MS = 5_000
"""How long a cancelled coroutine may take to end before it is given up."""


class Dispatch:
    """Starts and cancels attempts, from the engine's thread.

    Args:
        report: takes the end of an attempt that nobody will report.
    """

    def __init__(
        self,
        author: Author,
        clock: Clock,
        timetable: Timetable,
        report: Callable[[Job, Outcome], None],
        children: Children,
    ) -> None:
        self._children = children
        self._author = author
        self._clock = clock
        self._timetable = timetable
        self._report = report

    def carry_out(self, drives: Sequence[Drive]) -> None:
        """Start and cancel what these runs' stored frames say.

        Runs take turns, so that none waits behind a wide one.
        """
        queues: deque[deque[Job]] = deque()
        for drive in drives:
            drive.go_on(self._author)
            to_cancel, drive.to_cancel = drive.to_cancel, []
            for job in to_cancel:
                self._cancel(job, drive)
            # What was cancelled by the same frame, or before its commit returned, never begins.
            jobs = deque(job for job in drive.to_start if not job.is_cancelled)
            drive.to_start = []
            if jobs:
                queues.append(jobs)
        in_turn: list[Job] = []
        while queues:
            jobs = queues.popleft()
            in_turn.append(jobs.popleft())
            if jobs:
                queues.append(jobs)
        if in_turn:
            self.start(in_turn)

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin these attempts, and note their limits."""
        now_ms = self._clock.monotonic_ms()
        for job in jobs:
            job.started_ms = job.last_beat_ms = now_ms
            self._timetable.arm(job)
        self._author.start(self._children.start(jobs))

    def abandon(self, drive: Drive) -> None:
        """Cut off what a run has going on: nobody waits for its end."""
        drive.leave()
        for job in drive.jobs.values():
            job.is_cancelled = True
            self._author.cancel(job)

    def _cancel(self, job: Job, drive: Drive) -> None:
        """Ask an attempt to end. A thread cannot: its result will be discarded."""
        job.is_cancelled = True
        if self._children.stop(job, drive.stopping or RunState.CANCELLED, is_now=drive.is_stopped_now):
            return  # it ends when its run has ended
        if not job.can_be_ended:
            self._report(job, Stopped())
        else:
            self._author.cancel(job)
            self._timetable.look_at(job, self._clock.monotonic_ms() + grace_ms(job, STOP_GRACE_MS))
