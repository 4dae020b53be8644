"""When to look at what again: the limits of attempts in flight, and the ends of back-offs."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from .job import Job


class Timetable:
    """Two heaps. An entry that means nothing any more is found out by whoever looks at what it names."""

    def __init__(self) -> None:
        self._looks: list[tuple[int, int, Job]] = []
        """(monotonic ms, tie-break, attempt)"""
        self._wakes: list[tuple[int, int]] = []
        """(wall clock ms, run)"""
        self._noted: dict[int, int] = {}
        """The wake-up last noted of each run: a run says it again with every frame."""
        self._ties = 0

    def look_at(self, job: Job, at_ms: int) -> None:
        """Look at an attempt at a time of the monotonic clock."""
        self._ties += 1
        heappush(self._looks, (at_ms, self._ties, job))

    def arm(self, job: Job) -> None:
        """Look at an attempt when its next limit is reached, if it has any."""
        task = job.task
        limits = []
        if task.timeout_ms is not None:
            limits.append(job.started_ms + task.timeout_ms)
        if task.heartbeat_timeout_ms is not None:
            limits.append(job.last_beat_ms + task.heartbeat_timeout_ms)
        if limits:
            self.look_at(job, min(limits))

    def wake(self, run: int, at_ms: int | None) -> None:
        """Wake a run at a time of the wall clock; None: it waits for no time."""
        if at_ms is not None and self._noted.get(run) != at_ms:
            self._noted[run] = at_ms
            heappush(self._wakes, (at_ms, run))

    def jobs(self, now_ms: int) -> Iterator[Job]:
        """Take out the attempts to look at now."""
        while self._looks and self._looks[0][0] <= now_ms:
            yield heappop(self._looks)[2]

    def runs(self, now_ms: int) -> Iterator[int]:
        """Take out the runs to wake now."""
        while self._wakes and self._wakes[0][0] <= now_ms:
            at_ms, run = heappop(self._wakes)
            if self._noted.get(run) == at_ms:
                del self._noted[run]
            yield run

    def wait_ms(self, monotonic_ms: int, now_ms: int, longest_ms: int) -> int:
        """How long nothing is due; at most `longest_ms`."""
        wait = longest_ms
        if self._looks:
            wait = min(wait, self._looks[0][0] - monotonic_ms)
        if self._wakes:
            wait = min(wait, self._wakes[0][0] - now_ms)
        return max(wait, 0)
