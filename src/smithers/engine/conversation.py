"""Which conversation an attempt goes on with: the one that was cut short, another task's, or none."""

from __future__ import annotations

from typing import Any

from smithers.errors import AgentUnfit
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.ports import Agent
from smithers.records import AttemptState, CallRow, FailureClass

from .desk import Desk, account_of
from .job import Job

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


def conversation_of(job: Job, desk: Desk, agent: Agent) -> tuple[CallRow | None, bool, str] | None:
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
