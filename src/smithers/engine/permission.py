"""Policies: the workflow's own word on whether an attempt may begin."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from smithers.errors import InvalidNode, Place, PolicyDenied
from smithers.nodes import Task

from .failure import text_of
from .job import Job


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """An attempt that is about to begin: what a policy is asked about."""

    run_id: str
    node: str
    iteration: int
    """Pass of the innermost loop around it; counts from 0."""
    attempt: int
    """Counts from 1."""
    mode: str
    """`agent`, `run`, `value` or `child`."""
    agents: tuple[str, ...]
    """Names of the agents that may be asked, the first one first."""
    allow_tools: tuple[str, ...] | None
    """What the task says of its agent's tools; None: nothing."""
    task: Task[Any]


Policy: TypeAlias = Callable[[PolicyRequest], object]
"""Returns None or True to let an attempt begin; False, or a text that says why, not to. Quick, not async."""


def check_policy(policy: object, place: Place | None) -> None:
    """Refuse what cannot be one.

    Raises:
        InvalidNode: it cannot be called, or would have to be awaited.
    """
    if policy is None:
        return
    if not callable(policy) or inspect.iscoroutinefunction(policy):
        raise InvalidNode(
            f"policy={policy!r} is not a plain function",
            hint="a policy takes a PolicyRequest and returns None, or why not",
            place=place,
        )


def ask_policies(job: Job) -> None:
    """Ask the policies of the run and of those it belongs to, before a line of the attempt's own code runs.

    Raises:
        PolicyDenied: one of them says no, or says nothing that can be understood, or failed: in doubt, no.
    """
    if not job.policies:
        return
    request = PolicyRequest(
        job.ctx.run_id,
        job.key.node,
        job.key.iteration,
        job.attempt,
        job.task.mode,
        tuple(agent.name for agent in job.chain),
        job.task.allow_tools,
        job.task,
    )
    for policy in job.policies:
        try:
            answer = policy(request)
        except Exception as error:
            raise _denied(job, f"its policy failed: {type(error).__name__}: {text_of(error)}") from error
        if answer is None or answer is True:
            continue
        if isinstance(answer, str):
            raise _denied(job, answer or "its policy says no")
        if answer is False:
            raise _denied(job, "its policy says no")
        raise _denied(job, f"its policy answered {answer!r}, which is neither None, True, False nor a reason")


def _denied(job: Job, reason: str) -> PolicyDenied:
    return PolicyDenied(f"{job.key}: {reason}", place=job.task.place)
