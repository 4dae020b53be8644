"""Asking the agents of a task: who of its chain can be asked, in which conversation, and what it comes to.

On the author's loop; what looks into the store does so on a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeVar

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentMissing,
    AgentQuota,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
    BugError,
    InvalidOutput,
    MissingOutput,
    SmithersError,
)
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.ports import (
    Agent,
    AgentEvent,
    AgentReply,
    AgentRequest,
    AgentTools,
    Child,
    Program,
    SessionEvent,
    UsageEvent,
)
from smithers.records import NOTHING, AttemptState, CallRow, FailureClass, Usage
from smithers.workers import Workers, on_thread

from .argument import arguments
from .cache import look_up
from .desk import Desk, account_of, has_account
from .encode import encode_output
from .failure import classify, describe
from .job import Done, Failed, Job, Outcome
from .places import pool_of

CORRECTIONS: Final = 3
"""How often an agent is shown what is wrong with its answer, within one attempt."""
NOTE_EVERY_S: Final = 5.0
"""What a call has cost so far is stored at most this often while it goes on."""

INTERRUPTED = (
    "You were interrupted before you had finished. Look at what you have already done, and go on from there; "
    "do not begin anew. This is what was asked:\n\n"
)
BEGUN_BEFORE = (
    "Note: this was tried before, and part of it may be done already. Look at what is there before you "
    "begin.\n\n"
)

_INTERRUPTIONS = frozenset({FailureClass.QUOTA, FailureClass.THROTTLE, FailureClass.LOST})
"""What ends an attempt and says nothing against its conversation."""
_DOUBTS = frozenset({FailureClass.STALLED, FailureClass.TIMEOUT, FailureClass.CRASH})
"""What may be the conversation's own fault: it is gone on with once."""

T = TypeVar("T")

_enders = Workers("smithers-end")
"""Where the event loops wait for programs to end."""
_lookers = Workers("smithers-look")
"""Where they wait for the store."""


async def _looked_up(desk: Desk, look: Callable[[], T]) -> T:
    """What a look into the store gives; on a thread, if there is a store."""
    return await on_thread(_lookers, look) if desk.has_store else look()


# --- The prompt ---------------------------------------------------------------------------------


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


# --- The chain ----------------------------------------------------------------------------------


async def ask(job: Job, desk: Desk) -> Outcome:
    """Ask the first agent of the chain that can be asked."""
    prompt = prompt_text(job)
    mark = prompt_mark(prompt)
    if job.caching is not None:
        body = await on_thread(_lookers, partial(look_up, job, prompt))
        if body is not None:
            return Done(body, None, mark)
    waits: list[tuple[int, SmithersError]] = []
    unusable: list[SmithersError] = []
    for rank, agent in enumerate(job.chain):
        error = await _excuse(job, desk, agent)
        if error is None:
            await _take_place(job, agent)
            try:
                return Done(await _Call(job, desk, agent, rank, prompt).make(), agent.name, mark)
            except (asyncio.CancelledError, MissingOutput):
                raise
            except _Parked as parked:
                error = parked.error
            except (AgentAuth, AgentMissing, AgentQuota, AgentUnfit) as raised:
                # Signing in, installing and waiting are nobody's retry: the next agent is asked at once.
                error = await _set_aside(job, desk, agent, raised)
            except Exception as raised:  # noqa: BLE001 - an adapter may raise anything; it is stored
                return _failed(desk, raised, agent, mark)
        if isinstance(error, AgentQuota) and (resets_ms := error.resets_ms) is not None:
            waits.append((resets_ms, error))
        else:
            unusable.append(error)
    if waits:
        # Somebody will be there again: that others are not is no reason to give up.
        resets_ms, error = min(waits, key=lambda wait: wait[0])
        return Failed(FailureClass.QUOTA, describe(error), None, mark, retry_at_ms=resets_ms)
    if not unusable:
        raise BugError(f"{job} has no agent")
    return Failed(classify(unusable[-1]), describe(_together(unusable)), None, mark)


async def _excuse(job: Job, desk: Desk, agent: Agent) -> SmithersError | None:
    """Why an agent is not asked at all; None: it is."""
    account = account_of(agent)
    if (out := job.out.why(agent)) is not None:
        return out
    if has_account(agent) or not desk.has_looked:  # functions and rehearsals have no limits
        await _looked_up(desk, desk.look)
    return _parked(desk, account)


def _parked(desk: Desk, account: str) -> AgentQuota | None:
    """What keeps an account from being asked, as far as this process knows; None: nothing."""
    until_ms = desk.until_ms(account)
    if until_ms is None:
        return None
    return AgentQuota(f"the limit of {account} is used up", resets_ms=until_ms, account=account)


class _Parked(Exception):
    """Between the look at an account and the call somebody else has found its limit used up."""

    def __init__(self, error: AgentQuota) -> None:
        super().__init__(error.message)
        self.error = error


async def _take_place(job: Job, agent: Agent) -> None:
    """Wait for a place for an agent that is not the one whose place the attempt began with."""
    if job.places is None or (job.place is not None and job.place.is_for(agent)):
        return
    if job.place is not None:
        # Before it waits for another: two that wait for each other's would wait for ever.
        await on_thread(_lookers, job.place.give_back)
        job.place = None
    while pool_of(agent) is not None:
        take = partial(job.places.take, agent, job.ctx.run_id, str(job.key))
        found = await on_thread(_lookers, take)
        if not isinstance(found, int):
            job.place = found
            return
        job.beat(job, None)
        await asyncio.sleep(found / 1000)


async def _set_aside(job: Job, desk: Desk, agent: Agent, error: AgentError) -> SmithersError:
    """Remember what keeps an agent from being asked, and make room for the next one."""
    account = account_of(agent)
    if isinstance(error, AgentQuota):
        desk.mark(account, error.resets_ms)  # before anything is waited for: nobody may ask it from here on
    if job.processes is not None and job.processes.is_used:
        await on_thread(_enders, job.processes.sweep)  # no two agents in one place
    match error:
        case AgentQuota():
            park = partial(desk.park, account, error.resets_ms, error.message)
            error.details["resets_ms"] = await _looked_up(desk, park)
            error.details.setdefault("account", account)
        case AgentAuth():
            job.out.add(agent, error)
        case AgentMissing():
            job.out.add(agent, error, is_alone=True)
        case _:
            pass
    return error


def _together(errors: list[SmithersError]) -> SmithersError:
    """The last of them, which also says what the others said."""
    *others, last = errors
    if not others:
        return last
    said = "; ".join(dict.fromkeys(f"{error.code}: {error.message}" for error in others))
    last.details["others"] = said
    hints = dict.fromkeys(error.hint for error in errors)
    last.hint = "; or ".join(hints)
    return last


def _failed(desk: Desk, error: Exception, agent: Agent, mark: bytes) -> Failed:
    retry_at_ms = None
    if isinstance(error, AgentThrottled) and error.retry_after_s is not None:
        retry_at_ms = desk.clock.now_ms() + round(error.retry_after_s * 1000)
    return Failed(classify(error), describe(error), agent.name, mark, retry_at_ms=retry_at_ms)


# --- One agent ----------------------------------------------------------------------------------


class _Call:
    """One agent, asked for one attempt: its turns, its conversation and what they cost."""

    def __init__(self, job: Job, desk: Desk, agent: Agent, rank: int, prompt: str) -> None:
        self._job = job
        self._desk = desk
        self._agent = agent
        self._rank = rank
        self._prompt = prompt
        self._session: str | None = None
        self._forks = False
        self._is_continued = False
        self._counted: Usage = NOTHING
        self._spent: Usage = NOTHING
        """By the turns before this one."""
        self._spending: Usage = NOTHING
        """By this turn, so far."""
        self._noted: tuple[str | None, float] = (None, 0.0)

    async def make(self) -> str:
        """Ask, and show the agent what is wrong with its answer, a few times, in the same session.

        Returns:
            The answer, as it is stored.
        """
        self._job.asked += 1
        try:
            text = await self._begin()
            try:
                return await self._turns(text)
            except AgentSessionLost as error:
                if not self._is_continued:
                    raise
                if self._job.task.is_continuing:
                    raise AgentUnfit(error.message, hint="run the task that it goes on with again") from error
                # What was to be gone on with is not there any more: the same can be asked anew.
                self._session, self._is_continued, self._counted = None, False, NOTHING
                return await self._turns(BEGUN_BEFORE + self._prompt)
        except Exception:
            self._spending = await self._priced(self._spending)  # what failed has cost as much
            raise
        finally:
            if (row := self._row()) is not None:
                self._job.calls.append(row)

    async def _begin(self) -> str:
        """Find the conversation to go on with; what is asked in it."""
        job = self._job
        if job.attempt == 1 and not job.generation and not job.task.is_continuing:
            return self._prompt
        look = partial(_conversation, self._job, self._desk, self._agent)
        found = await _looked_up(self._desk, look)
        if found is None:
            return self._prompt
        row, forks, before = found
        if row is None:
            return BEGUN_BEFORE + self._prompt
        self._session, self._forks, self._is_continued = row.session, forks, True
        self._counted = row.counted or NOTHING
        return before + self._prompt

    async def _turns(self, text: str) -> str:
        from smithers.agents.correction import correction_prompt, parse_reply

        job, schema = self._job, _asked_for(self._job)
        for turn in range(CORRECTIONS + 1):
            request = self._request(text, schema)
            if turn == 0 and (parked := _parked(self._desk, account_of(self._agent))) is not None:
                raise _Parked(parked)
            reply = await self._agent.call(request)
            await self._heard(reply)
            try:
                answer = parse_reply(reply, schema)
                return encode_output(job.task, job.model, answer)
            except InvalidOutput as error:
                if turn == CORRECTIONS:
                    raise
                # From the task's own prompt each time: a correction of a correction would repeat them all.
                asked = replace(request, prompt=self._prompt, session=self._session)
                text = correction_prompt(asked, error)
        raise BugError("unreachable")

    def _request(self, text: str, schema: type[Any] | None) -> AgentRequest:
        job = self._job
        return AgentRequest(
            prompt=text,
            schema=schema,
            task=job.key,
            run_id=job.ctx.run_id,
            attempt=job.attempt,
            session=self._session,
            forks=self._forks,
            counted=self._counted,
            tools=AgentTools(job.task.allow_tools, job.explicit_tools),
            now_ms=self._desk.clock.now_ms,
            emit=self._hear,
            spawn=partial(_spawn, job),
        )

    def _hear(self, event: AgentEvent) -> None:
        """From any thread: a sign of life."""
        self._job.beat(self._job, None)
        if isinstance(event, SessionEvent):
            self._named(event.session)
        elif isinstance(event, UsageEvent):
            self._spending = event.usage
            if time.monotonic() - self._noted[1] >= NOTE_EVERY_S:
                self._note()

    def _named(self, session: str) -> None:
        """The conversation has a name now: whoever is cut off from here on can go on with it."""
        self._session, self._forks = session, False
        if self._noted[0] != session:
            self._note()

    def _note(self) -> None:
        if (row := self._row()) is not None:
            self._noted = (self._session, time.monotonic())
            self._desk.note(self._job.run, self._job.fence, row)

    async def _heard(self, reply: AgentReply) -> None:
        """One turn is over."""
        usage = reply.usage if reply.usage is not None else self._spending
        self._spent += await self._priced(usage)
        self._spending = NOTHING
        self._counted = reply.counted or self._counted
        if reply.session is not None:
            self._named(reply.session)

    async def _priced(self, usage: Usage) -> Usage:
        """With what it costs by the list, where the agent does not say and the model is known."""
        model = usage.model or getattr(self._agent, "model", None)
        if usage.cost_usd is not None or not usage.tokens or not isinstance(model, str):
            return usage
        from smithers.agents.price import priced  # what it imports takes a tenth of a second: not on the loop

        provider = getattr(self._agent, "provider", None)
        return await on_thread(_lookers, partial(priced, usage, model, provider))

    def _row(self) -> CallRow | None:
        """What is known of the call; None: nothing that anybody would want to know."""
        usage = self._spent + self._spending
        own = self._session if not self._forks else None
        if own is None and not usage:
            return None
        job = self._job
        return CallRow(
            job.key,
            job.generation,
            job.attempt,
            self._rank,
            self._agent.name,
            account_of(self._agent),
            own,
            self._is_continued,
            usage,
            self._counted or None,
            self._desk.clock.now_ms(),
        )


def _spawn(job: Job, program: Program) -> Child:
    if job.processes is None:
        raise BugError(f"{job} has nothing to start programs with")
    return job.processes.spawn(program)


# --- Which conversation ---------------------------------------------------------------------------


def _conversation(job: Job, desk: Desk, agent: Agent) -> tuple[CallRow | None, bool, str] | None:
    """What an attempt goes on with.

    Returns:
        The call whose conversation it is, whether a copy of it is gone on with, and what is said before the
        prompt. Without a call: it begins anew, and an earlier attempt has done some of it. None: it is the
        first.
    Raises:
        AgentUnfit: the task goes on with another one's conversation, which this agent cannot.
    """
    former = _former(job, desk) if not job.is_rerun or job.attempt > 1 else []
    if former and _is_of(former[0], agent) and _was_interrupted(former[0]):
        return former[0], False, INTERRUPTED
    source = job.task.continue_ or job.task.fork
    if source is None:
        return (None, False, "") if former else None
    row = _source(job, desk, agent, source)
    return row, job.task.fork is not None, BEGUN_BEFORE if former else ""


def _former(job: Job, desk: Desk) -> list[CallRow]:
    """Conversations of earlier attempts, the newest first."""
    # A task that failed and is tried again by a resume may go on as well as one that was only interrupted.
    rows = desk.calls_of(job.run, job.key, job.generation if job.is_rerun else None)
    here = (job.generation, job.attempt)
    return [row for row in rows if (row.generation, row.attempt) < here and row.session is not None]


def _is_of(row: CallRow, agent: Agent) -> bool:
    """Whether an agent can go on with the conversation of a call: its own, under the same account."""
    return (row.agent, row.account) == (agent.name, account_of(agent))


def _was_interrupted(row: CallRow) -> bool:
    """Whether a call was cut short, so that its conversation can be gone on with."""
    if row.state in (None, AttemptState.RUNNING, AttemptState.LOST, AttemptState.CANCELLED):
        return True
    if row.failure in _INTERRUPTIONS:
        return True
    return row.failure in _DOUBTS and not row.is_continued


def _source(job: Job, desk: Desk, agent: Agent, source: Task[Any] | str) -> CallRow:
    node = source if isinstance(source, str) else source.id
    output = job.view.newest(node)
    key = output.key if output is not None else NodeKey(node)
    for row in desk.calls_of(job.run, key, None):
        if row.session is not None and _is_of(row, agent):
            return row
    raise AgentUnfit(
        f"{agent.name} has no conversation of {node} to go on with",
        hint=f"{node} must have been answered by the same agent, under the same account",
    )
