"""Asking the agents of a task: who of its chain can be asked, and what it comes to.

On the author's loop; what looks into the store does so on a thread.
"""

from __future__ import annotations

import asyncio
from functools import partial

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentMissing,
    AgentQuota,
    AgentThrottled,
    AgentUnfit,
    BugError,
    MissingOutput,
    SmithersError,
)
from smithers.ports import Agent
from smithers.records import FailureClass
from smithers.workers import on_thread

from .agent_call import AgentCall, Parked, looked_up, parked
from .cache import look_up
from .desk import Desk, account_of, has_account
from .failure import classify, describe
from .job import Done, Failed, Job, Outcome
from .places import pool_of
from .question import prompt_mark, prompt_text
from .threads import ENDERS, LOOKERS


async def ask(job: Job, desk: Desk) -> Outcome:
    """Ask the first agent of the chain that can be asked."""
    prompt = prompt_text(job)
    mark = prompt_mark(prompt)
    if job.caching is not None:
        body = await on_thread(LOOKERS, partial(look_up, job, prompt))
        if body is not None:
            return Done(body, None, mark)
    waits: list[tuple[int, SmithersError]] = []
    unusable: list[SmithersError] = []
    for rank, agent in enumerate(job.chain):
        error = await _excuse(job, desk, agent)
        if error is None:
            await _take_place(job, agent)
            try:
                body, suspect = await AgentCall(job, desk, agent, rank, prompt).make()
                return Done(body, agent.name, mark, suspect=suspect)
            except (asyncio.CancelledError, MissingOutput):
                raise
            except Parked as found:
                error = found.error
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
        await looked_up(desk, desk.look)
    return parked(desk, account)


async def _take_place(job: Job, agent: Agent) -> None:
    """Wait for a place for an agent that is not the one whose place the attempt began with."""
    if job.places is None or (job.place is not None and job.place.is_for(agent)):
        return
    if job.place is not None:
        # Before it waits for another: two that wait for each other's would wait for ever.
        await on_thread(LOOKERS, job.place.give_back)
        job.place = None
    while pool_of(agent) is not None:
        take = partial(job.places.take, agent, job.ctx.run_id, str(job.key))
        found = await on_thread(LOOKERS, take)
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
        await on_thread(ENDERS, job.processes.sweep)  # no two agents in one place
    match error:
        case AgentQuota():
            park = partial(desk.park, account, error.resets_ms, error.message)
            error.details["resets_ms"] = await looked_up(desk, park)
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
