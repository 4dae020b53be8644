"""One agent, asked for one attempt: its turns and conversation, what they cost, how its answer is read."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from smithers.agents import RehearsalAgent
from smithers.errors import AgentQuota, AgentSessionLost, AgentUnfit, BugError, InvalidOutput
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
from smithers.records import NOTHING, CallRow, Usage
from smithers.workers import on_thread

from .conversation import BEGUN_BEFORE, conversation_of
from .desk import Desk, account_of, has_account
from .encode import encode_output
from .job import Job
from .question import asked_for
from .threads import LOOKERS
from .transcript import UNRECORDED, AttemptTranscript

CORRECTIONS: Final = 3
"""How often an agent is shown what is wrong with its answer, within one attempt."""
LONG_CHARS: Final = 1 << 18
"""Answers from here on are read on a thread: a hostile one takes seconds."""
NOTE_EVERY_S: Final = 5.0
"""What a call has cost so far is stored at most this often while it goes on."""

T = TypeVar("T")


async def looked_up(desk: Desk, look: Callable[[], T]) -> T:
    """What a look into the store gives; on a thread, if there is a store."""
    return await on_thread(LOOKERS, look) if desk.has_store else look()


def parked(desk: Desk, account: str) -> AgentQuota | None:
    """What keeps an account from being asked, as far as this process knows; None: nothing."""
    until_ms = desk.until_ms(account)
    if until_ms is None:
        return None
    return AgentQuota(f"the limit of {account} is used up", resets_ms=until_ms, account=account)


class Parked(Exception):
    """Between the look at an account and the call somebody else has found its limit used up."""

    def __init__(self, error: AgentQuota) -> None:
        super().__init__(error.message)
        self.error = error


class AgentCall:
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
        self._talk = _transcript(job, desk, agent)
        self._noted: tuple[str | None, float] = (None, 0.0)

    async def make(self) -> tuple[str, str | None]:
        """Ask, and show the agent what is wrong with its answer, a few times, in the same session.

        Returns:
            The answer, as it is stored, and why it looks like a placeholder, if it does.
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
        except (Exception, CancelledError):
            self._spending = await self._priced(self._spending)  # what failed, or was ended, has cost as much
            raise
        finally:
            if (row := self._row()) is not None:
                self._job.calls.append(row)

    async def _begin(self) -> str:
        """Find the conversation to go on with; what is asked in it."""
        job = self._job
        if job.attempt == 1 and not job.generation and not job.task.is_continuing:
            return self._prompt
        look = partial(conversation_of, self._job, self._desk, self._agent)
        found = await looked_up(self._desk, look)
        if found is None:
            return self._prompt
        row, forks, before = found
        if row is None:
            return BEGUN_BEFORE + self._prompt
        self._session, self._forks, self._is_continued = row.session, forks, True
        self._counted = row.counted or NOTHING
        return before + self._prompt

    async def _turns(self, text: str) -> tuple[str, str | None]:
        from smithers.agents.correction import correction_prompt

        job, schema = self._job, asked_for(self._job)
        earlier: list[str] = []
        for turn in range(CORRECTIONS + 1):
            request = self._request(text, schema)
            if turn == 0 and (found := parked(self._desk, account_of(self._agent))) is not None:
                raise Parked(found)
            self._talk.prompt(text, turn)
            reply = await self._talk.hear(self._agent.call(request))
            await self._heard(reply)
            try:
                doubts = turn + job.had_bad_output if turn or job.had_bad_output else None
                if doubts is None and has_account(self._agent):
                    doubts = 0  # it may have tried a few times itself
                read = partial(_read, job, reply, schema, doubts, earlier)
                return await on_thread(LOOKERS, read) if len(reply.text) > LONG_CHARS else read()
            except InvalidOutput as error:
                earlier.append(reply.text or str(reply.output))
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
            is_asking=lambda: job.asks > 0,
            spawn=partial(_spawn, job),
        )

    def _hear(self, event: AgentEvent) -> None:
        """From any thread: a sign of life."""
        self._job.beat(self._job, None)
        self._talk.event(event)
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
        return await on_thread(LOOKERS, partial(priced, usage, model, provider))

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


def _read(
    job: Job, reply: AgentReply, schema: type[Any] | None, doubts: int | None, earlier: list[str]
) -> tuple[str, str | None]:
    """The answer in a reply, as it is stored, and why it looks like a placeholder, if it does.

    Args:
        doubts: how often answers had to be corrected before; None: there is no reason to doubt this one.
    Raises:
        InvalidOutput: it does not fit; or it looks like one, and the task does not take that.
    """
    from smithers.agents.correction import parse_reply
    from smithers.agents.stub import stub_reason

    answer = parse_reply(reply, schema)
    body = encode_output(job.task, job.model, answer)
    if doubts is None or isinstance(answer, str) or job.task.on_suspect == "accept":
        return body, None
    suspect = stub_reason(answer, schema, turn=doubts, earlier=earlier)
    if suspect is not None and job.task.on_suspect == "fail":
        fault = {
            "path": "$",
            "message": f"this is a placeholder and no answer: {suspect}",
            "value": body[:200],
        }
        raise InvalidOutput(f"the answer looks like a placeholder: {suspect}", errors=[fault])
    return body, suspect


def _transcript(job: Job, desk: Desk, agent: Agent) -> AttemptTranscript:
    """Where the call is recorded."""
    if desk.recorder is None or isinstance(agent, RehearsalAgent):
        return UNRECORDED
    env = getattr(agent, "env", None)
    given = env if isinstance(env, Mapping) else None
    return desk.recorder.attempt(job.run, job.key, job.generation, job.attempt, agent.name, given)


def _spawn(job: Job, program: Program) -> Child:
    if job.processes is None:
        raise BugError(f"{job} has nothing to start programs with")
    return job.processes.spawn(program)
