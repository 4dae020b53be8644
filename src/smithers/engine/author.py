"""The author's side: where prompts are made, agents called and functions run.

Coroutines run on an event loop of their own, away from the engine's thread; functions that block run on
threads. Nothing here decides or stores anything: each job ends in one `report`.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from smithers.clock import SystemClock
from smithers.errors import (
    BugError,
    MissingOutput,
)
from smithers.process import GRACE_S, Attempt, AttemptProcesses, Processes
from smithers.workers import Workers, is_async, on_thread

from .argument import arguments
from .asking import ask
from .author_loop import BLOCKER, AuthorLoop, name_blocker
from .cache import look_up, note_seen
from .desk import Desk
from .encode import child_input, encode_output
from .failure import classify, describe
from .job import Called, Done, Failed, Job, NotYet, Outcome, Stopped
from .permission import ask_policies
from .remote import work_in_process
from .script import LiveScript
from .threads import ENDERS, LOOKERS

_claiming = threading.Lock()
"""Held while a loop takes a job, so that two never run the same one."""


class Author:
    """Runs jobs. Its public methods are called from the engine's thread.

    Args:
        processes: what attempts start programs with.
        workers: runs functions that block.
        new_loop: gives an event loop that runs; asked again when the last one is blocked.
        desk: what its agents have in common; by default one that stores nothing.
        begun: told of each attempt before a line of its code has run, wherever that runs. It must not raise.
    """

    def __init__(
        self,
        processes: Processes,
        workers: Workers | None = None,
        new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
        begun: Callable[[Job], None] | None = None,
        desk: Desk | None = None,
    ) -> None:
        self._processes = processes
        self._desk = desk or Desk(SystemClock())
        self._begun = begun
        self._workers = workers or Workers()
        self._new_loop = new_loop or _new_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pinged_ms: int | None = None

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin these attempts; each ends in its own `report`."""
        coroutines: list[Job] = []
        for job in jobs:
            job.begun = self._begun
            if job.task.run_in == "process":
                job.processes = self._processes_of(job)
                self._workers.submit(partial(work_in_process, job))
                continue
            if job.task.mode == "agent":
                job.processes = self._processes_of(job)
            if job.task.mode == "run" and not is_async(job.task.run):
                self._workers.submit(partial(self._work, job))
            else:
                coroutines.append(job)
        if coroutines:
            loop = self._a_loop()
            for job in coroutines:
                job.loop = loop
            loop.call_soon_threadsafe(_spawn_all, loop, coroutines, self._desk)

    def begin(self, script: LiveScript) -> None:
        """Begin a script; it reports by its own moves."""
        script.start(self._a_loop())

    def _a_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = self._new_loop()
        return loop

    def submit(self, work: Callable[[], None]) -> None:
        """Run something that may block on a thread. It must not raise."""
        self._workers.submit(work)

    def cancel(self, job: Job) -> None:
        """Ask a job to end. A thread cannot be asked: its result is discarded when it comes."""
        if job.loop is not None:
            job.loop.call_soon_threadsafe(_cancel, job)
        elif job.processes is not None:
            job.processes.refuse()
            self._workers.submit(job.processes.end)

    def give_up(self, job: Job) -> None:
        """It does not end although it was asked to: what it has started ends all the same."""
        if job.processes is not None:
            self._workers.submit(partial(job.processes.end, 0))

    def _processes_of(self, job: Job) -> AttemptProcesses:
        return self._processes.of(
            Attempt(job.run, job.ctx.run_id, job.fence, job.key, job.generation, job.attempt)
        )

    def watch(self, now_ms: int, in_flight: Iterable[Job]) -> str | None:
        """Notice a coroutine that has blocked the loop for a second; what waits behind it gets another loop.

        Args:
            now_ms: monotonic.
            in_flight: all attempts of this engine.
        Returns:
            What blocks, the first time it is noticed.
        """
        loop = self._loop
        if loop is None:
            return None
        if self._pinged_ms is None:
            self._pinged_ms = now_ms
            loop.call_soon_threadsafe(self._pong)
            return None
        if now_ms - self._pinged_ms < 1000:
            return None
        self._pinged_ms = None
        self._loop = None
        blocking = asyncio.current_task(loop)
        self._move_from(loop, in_flight)
        return getattr(blocking, BLOCKER, None)

    def _move_from(self, blocked: asyncio.AbstractEventLoop, in_flight: Iterable[Job]) -> None:
        """Begin elsewhere what has not begun: it may be what the blocking code waits for."""
        with _claiming:
            stranded = [job for job in in_flight if job.loop is blocked and not job.is_begun]
            if stranded:
                self._loop = self._new_loop()
            for job in stranded:
                job.loop = self._loop
        if self._loop is not None:
            self._loop.call_soon_threadsafe(_spawn_all, self._loop, stranded, self._desk)

    def _pong(self) -> None:
        self._pinged_ms = None

    def _work(self, job: Job) -> None:
        """On a worker thread: call a function that blocks."""
        if job.is_cancelled:
            job.report(job, Stopped())  # before a line of it has run: its attempt is stored as ended
            return
        job.tell_begun()
        context = contextvars.Context()
        try:
            ask_policies(job)
            body = look_up(job) if job.caching is not None else None
            if body is None:
                value = context.run(_call_in, job)
                if inspect.isawaitable(value):
                    # It reports by itself: nobody waits here, which in a simulation would be for ever.
                    asyncio.run_coroutine_threadsafe(_await(value, job), self._a_loop())
                    return
                body = context.run(encode_output, job.task, job.model, value)
                note_seen(job)
            outcome: Outcome = Done(body)
        except BaseException as error:  # noqa: BLE001 - the author's code may raise anything; it is stored
            outcome = outcome_of(job, error)
        job.report(job, outcome)


def grace_ms(job: Job, grace_ms: int) -> int:
    """How long an attempt may take to end once it was asked to; its programs have a grace of their own."""
    starts = job.processes is not None and (job.task.run_in == "process" or job.processes.is_used)
    return grace_ms + int(GRACE_S * 1000) if starts else grace_ms


def outcome_of(job: Job, error: BaseException) -> Outcome:
    """What an exception that left the author's code means for the attempt."""
    if isinstance(error, asyncio.CancelledError) and job.is_cancelled:
        # Only a cancel of ours: code that cancels itself has failed, and must not look like done.
        return Stopped()
    if isinstance(error, MissingOutput) and "node" in error.details:
        return NotYet(str(error.details["node"]))
    return Failed(classify(error), describe(error))


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = AuthorLoop()
    threading.Thread(target=loop.run_forever, name="smithers-author", daemon=True).start()
    return loop


def _spawn_all(loop: asyncio.AbstractEventLoop, jobs: Sequence[Job], desk: Desk) -> None:
    for job in jobs:
        with _claiming:
            if job.loop is not loop:
                continue
            if job.is_cancelled:
                job.report(job, Stopped())
                continue
            handle = job.handle = loop.create_task(_drive(job, loop, desk))
        handle.add_done_callback(partial(_never_begun, job))
        name_blocker(handle, f"{job} ({job.task.place})")


def _never_begun(job: Job, handle: asyncio.Task[None]) -> None:
    """A cancel that comes before a coroutine's first step ends it without a line of it having run."""
    if handle.cancelled():
        job.report(job, Stopped())


def _cancel(job: Job) -> None:
    job.is_cancelled = True
    if job.handle is not None:
        job.handle.cancel()


async def _drive(job: Job, loop: asyncio.AbstractEventLoop, desk: Desk) -> None:
    """On the author's loop: one attempt, from its callables to its report."""
    with _claiming:
        if job.loop is not loop:
            return
        if job.is_cancelled:
            job.report(job, Stopped())  # the cancel itself is still on its way to this loop
            return
        job.is_begun = True
    job.tell_begun()
    try:
        ask_policies(job)
        job.enter()
        if job.task.mode == "child":
            _call_child(job)
            return
        outcome = await _outcome(job, desk)
    except BaseException as error:  # noqa: BLE001 - the author's code may raise anything; it is stored
        outcome = outcome_of(job, error)
    if job.processes is not None:
        if job.processes.seal():
            # Nothing that an attempt has started outlives it; a cancel in between changes nothing about that.
            with suppress(asyncio.CancelledError):
                await on_thread(ENDERS, job.processes.end)
        if job.processes.was_refused and not isinstance(outcome, Done):
            outcome = Stopped()  # what it says whose programs were ended from outside says nothing about it
    job.report(job, outcome)


async def _outcome(job: Job, desk: Desk) -> Outcome:
    """What the task comes to: found in the cache, or made."""
    if job.task.mode == "agent":
        return await ask(job, desk)
    body = await on_thread(LOOKERS, partial(look_up, job)) if job.caching is not None else None
    if body is not None:
        return Done(body)
    if job.task.mode == "run":
        value = await _function(job)(*arguments(job.task, job.view))
    else:
        made = job.task.value
        value = made(*arguments(job.task, job.view)) if callable(made) else made
    body = encode_output(job.task, job.model, value)
    note_seen(job)
    return Done(body)


def _call_child(job: Job) -> None:
    """Work out the input of the run that an attempt is; the engine begins it."""
    made = job.task.value
    text = child_input(job.task, made(*arguments(job.task, job.view)) if callable(made) else made)
    if job.call is None:
        raise BugError(f"{job} has nobody to call")
    job.call(job, Called(text))


def _function(job: Job) -> Callable[..., Any]:
    if job.task.run is None:
        raise BugError(f"{job} has no function")
    return job.task.run


def _call_in(job: Job) -> Any:
    job.enter()
    return _function(job)(*arguments(job.task, job.view))


async def _await(value: Any, job: Job) -> None:
    """On the author's loop: the rest of a function that turned out to be one to await."""
    try:
        job.enter()
        body = encode_output(job.task, job.model, await value)
        note_seen(job)
        outcome: Outcome = Done(body)
    except BaseException as error:  # noqa: BLE001 - the author's code may raise anything; it is stored
        outcome = outcome_of(job, error)
    job.report(job, outcome)
