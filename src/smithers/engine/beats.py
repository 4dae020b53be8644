"""Heartbeats on their way from an attempt to the store: noted at once, stored now and then."""

from __future__ import annotations

from collections.abc import Callable

from smithers.clock import Clock

from .job import Job

BEAT_STORE_MS = 1_000
"""Data of tasks without a heartbeat_timeout is stored at most this often."""


class Beats:
    """The heartbeats of one engine.

    Args:
        send: hands a job with data worth storing to the engine's thread; from any thread.
    """

    def __init__(self, clock: Clock, send: Callable[[Job], None]) -> None:
        self._clock = clock
        self._send = send
        self._waiting: dict[int, Job] = {}

    def note(self, job: Job, data: str | None) -> None:
        """From any thread: a sign of life; its data is sent on at most once per third of the window."""
        now_ms = self._clock.monotonic_ms()
        job.last_beat_ms = now_ms
        if data is None:
            return
        job.pending_beat = data
        window_ms = job.task.heartbeat_timeout_ms
        every_ms = window_ms // 3 if window_ms is not None else BEAT_STORE_MS
        if not job.stored_beat_ms or now_ms - job.stored_beat_ms >= every_ms:
            job.stored_beat_ms = now_ms
            self._send(job)

    def add(self, job: Job) -> None:
        """On the engine's thread: this job has data to store."""
        self._waiting[id(job)] = job

    def take(self) -> list[Job]:
        """On the engine's thread: the jobs with data to store."""
        jobs, self._waiting = list(self._waiting.values()), {}
        return jobs

    def __bool__(self) -> bool:
        return bool(self._waiting)
