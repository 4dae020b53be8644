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
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

from smithers.context import Fields, View, decode, model_of
from smithers.errors import (
    AgentAuth,
    AgentMissing,
    AgentQuota,
    BugError,
    InvalidOutput,
    MissingOutput,
    SmithersError,
)
from smithers.ports import Agent, AgentEvent, AgentReply, AgentRequest, Child, Program
from smithers.process import GRACE_S, Attempt, AttemptProcesses, Processes
from smithers.workers import Workers, is_async, on_thread

from .author_loop import BLOCKER, AuthorLoop, name_blocker
from .cache import look_up, note_seen
from .encode import child_input, encode_output
from .failure import classify, describe
from .job import Called, Done, Failed, Job, NotYet, Outcome, Stopped
from .remote import work_in_process
from .script import LiveScript

CORRECTIONS = 3
"""How often an agent is shown what is wrong with its answer, within one attempt."""


_enders = Workers("smithers-end")
"""Where the event loops wait for programs to end."""

_lookers = Workers("smithers-cache")
"""Where they wait for the cache."""

_claiming = threading.Lock()
"""Held while a loop takes a job, so that two never run the same one."""


class Author:
    """Runs jobs. Its public methods are called from the engine's thread.

    Args:
        processes: what attempts start programs with.
        workers: runs functions that block.
        new_loop: gives an event loop that runs; asked again when the last one is blocked.
        begun: told of each attempt before a line of its code has run, wherever that runs. It must not raise.
    """

    def __init__(
        self,
        processes: Processes,
        workers: Workers | None = None,
        new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
        begun: Callable[[Job], None] | None = None,
    ) -> None:
        self._processes = processes
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
            loop.call_soon_threadsafe(_spawn_all, loop, coroutines)

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
            self._loop.call_soon_threadsafe(_spawn_all, self._loop, stranded)

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


def _spawn_all(loop: asyncio.AbstractEventLoop, jobs: Sequence[Job]) -> None:
    for job in jobs:
        with _claiming:
            if job.loop is not loop:
                continue
            if job.is_cancelled:
                job.report(job, Stopped())
                continue
            handle = job.handle = loop.create_task(_drive(job, loop))
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


async def _drive(job: Job, loop: asyncio.AbstractEventLoop) -> None:
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
        job.enter()
        if job.task.mode == "child":
            _call_child(job)
            return
        outcome = await _outcome(job)
    except BaseException as error:  # noqa: BLE001 - the author's code may raise anything; it is stored
        outcome = outcome_of(job, error)
    if job.processes is not None:
        if job.processes.seal():
            # Nothing that an attempt has started outlives it; a cancel in between changes nothing about that.
            with suppress(asyncio.CancelledError):
                await on_thread(_enders, job.processes.end)
        if job.processes.was_refused and not isinstance(outcome, Done):
            outcome = Stopped()  # what it says whose programs were ended from outside says nothing about it
    job.report(job, outcome)


async def _outcome(job: Job) -> Outcome:
    """What the task comes to: found in the cache, or made."""
    if job.task.mode == "agent":
        return await _call_agents(job)
    body = await on_thread(_lookers, partial(look_up, job)) if job.caching is not None else None
    if body is not None:
        return Done(body)
    if job.task.mode == "run":
        value = await _function(job)(*arguments(job))
    else:
        made = job.task.value
        value = made(*arguments(job)) if callable(made) else made
    body = encode_output(job.task, job.model, value)
    note_seen(job)
    return Done(body)


def _call_child(job: Job) -> None:
    """Work out the input of the run that an attempt is; the engine begins it."""
    made = job.task.value
    text = child_input(job.task, made(*arguments(job)) if callable(made) else made)
    if job.call is None:
        raise BugError(f"{job} has nobody to call")
    job.call(job, Called(text))


def _function(job: Job) -> Callable[..., Any]:
    if job.task.run is None:
        raise BugError(f"{job} has no function")
    return job.task.run


def _call_in(job: Job) -> Any:
    job.enter()
    return _function(job)(*arguments(job))


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


def arguments(job: Job) -> tuple[Any, ...]:
    """What `deps` hands to a callable: outputs by position, or one object with named fields."""
    task = job.task
    if task.deps is None:
        return ()
    if isinstance(task.deps, tuple):
        named_outputs = job.view.state.named_outputs
        return tuple(_read(job.view, dep.id, model_of(dep, named_outputs)) for dep in task.deps)
    named = {name: _read(job.view, task.needs.get(name, name), model) for name, model in task.deps.items()}
    return (Fields(named),)


def _read(view: View, node: str, model: Any) -> Any:
    row = view.newest(node)
    if row is None:
        raise MissingOutput(f"{node} has no output yet", node=node)
    return decode(row, model)


# --- Agents -------------------------------------------------------------------------------------


async def _call_agents(job: Job) -> Outcome:
    """Call the first agent of the chain that can be used."""
    prompt = prompt_text(job)
    mark = prompt_mark(prompt)
    if job.caching is not None:
        body = await on_thread(_lookers, partial(look_up, job, prompt))
        if body is not None:
            return Done(body, None, mark)
    unusable: SmithersError | None = None
    for agent in job.chain:
        try:
            body = await _converse(job, agent, prompt)
        except (AgentAuth, AgentMissing, AgentQuota) as error:
            # Signing in, installing and waiting are nobody's retry: the next agent is asked at once.
            unusable = error
            if job.processes is not None and job.processes.is_used:
                await on_thread(_enders, job.processes.sweep)  # no two agents in one place
            continue
        except (asyncio.CancelledError, MissingOutput):
            raise
        except Exception as error:  # noqa: BLE001 - an adapter may raise anything; it is stored
            return Failed(classify(error), describe(error), agent.name, mark)
        return Done(body, agent.name, mark)
    if unusable is None:
        raise BugError(f"{job} has no agent")
    return Failed(classify(unusable), describe(unusable), None, mark)


def prompt_text(job: Job) -> str:
    """What an attempt's agents are asked, rendered anew.

    Raises:
        InvalidOutput: it is no text; or whatever the author's code raises.
    """
    from smithers.prompt import Prompt

    prompt = job.task.prompt
    if callable(prompt) and not isinstance(prompt, (str, Prompt)):
        prompt = prompt(*arguments(job))
    if isinstance(prompt, Prompt):
        prompt = prompt.render(base=job.base, project=job.project, schema=_asked_for(job))
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidOutput(f"Task {job.task.id}: its prompt is {prompt!r}", place=job.task.place)
    return prompt


def prompt_mark(text: str) -> bytes:
    """16 bytes that tell one finished prompt from another."""
    return blake2b(text.encode(), digest_size=16).digest()


def _asked_for(job: Job) -> type[Any] | None:
    """The model that an agent's answer must fit; None: plain text, or any JSON."""
    return None if job.model is str else (job.task.schema or job.model)


async def _converse(job: Job, agent: Agent, prompt: str) -> str:
    """Ask, and show the agent what is wrong with its answer, a few times, in the same session."""
    from smithers.agents.correction import correction_prompt, parse_reply

    task = job.task
    schema = _asked_for(job)
    session: str | None = None
    text = prompt
    for turn in range(CORRECTIONS + 1):
        request = AgentRequest(
            prompt=text,
            schema=schema,
            task=job.key,
            run_id=job.ctx.run_id,
            attempt=job.attempt,
            session=session,
            emit=partial(_emit, job),
            spawn=partial(_spawn, job),
        )
        reply: AgentReply = await agent.call(request)
        session = reply.session or session
        try:
            answer = parse_reply(reply, schema)
            return encode_output(task, job.model, answer)
        except InvalidOutput as error:
            if turn == CORRECTIONS:
                raise
            # From the task's own prompt each time: a correction of a correction would repeat them all.
            text = correction_prompt(replace(request, prompt=prompt, session=session), error)
    raise BugError("unreachable")


def _spawn(job: Job, program: Program) -> Child:
    if job.processes is None:
        raise BugError(f"{job} has nothing to start programs with")
    return job.processes.spawn(program)


def _emit(job: Job, _: AgentEvent) -> None:
    job.beat(job, None)
