"""A task's properties about retries and time, as the scheduler and the clock want them."""

from __future__ import annotations

from typing import Any

from smithers.errors import HeartbeatTimeout, TaskTimeout
from smithers.nodes import MISSING, Task, span_ms
from smithers.records import FailureClass
from smithers.scheduler.retry import RetryRule

from .job import Failed, Job


def rule_of(task: Task[Any]) -> RetryRule:
    """A task's retry properties, lowered."""
    policy = task.retry_policy
    is_agent = task.mode == "agent"
    is_explicit = task.retries is not MISSING
    retries = None if task.retries is MISSING else task.retries
    if policy is not None:
        return RetryRule(
            retries=retries if is_explicit else policy.retries,
            is_explicit=True,
            backoff=policy.backoff,
            first_ms=span_ms(policy.initial_delay, "initial_delay"),
            cap_ms=span_ms(policy.max_delay, "max_delay"),
            has_jitter=False,
            is_agent=is_agent,
        )
    if not is_explicit and task.continue_on_fail:
        # One further try for agents, and at least one for each agent of the chain.
        retries = max(1, len(task.agents) - 1) if is_agent else 0
    return RetryRule(retries, is_explicit, is_agent=is_agent)


def out_of_time(job: Job, now_ms: int) -> Failed | None:
    """The outcome of an attempt that took too long, or was silent for too long; None: neither.

    Args:
        now_ms: monotonic.
    """
    task = job.task
    if task.timeout_ms is not None and now_ms - job.started_ms >= task.timeout_ms:
        late = TaskTimeout(f"{job.key} took longer than {task.timeout_ms} ms", place=task.place)
        return Failed(FailureClass.TIMEOUT, late.payload(), is_running=True)
    window_ms = task.heartbeat_timeout_ms
    if job.asks:
        return None  # it waits for a person: its silence means nothing
    if window_ms is not None and now_ms - job.last_beat_ms >= window_ms:
        silent = HeartbeatTimeout(f"{job.key} gave no sign of life for {window_ms} ms", place=task.place)
        return Failed(FailureClass.STALLED, silent.payload(), is_running=True)
    return None


def still_running(job: Job) -> dict[str, Any]:
    """The error of a task whose abandoned code has outlived its timeout twice."""
    limit_ms = job.task.timeout_ms or job.task.heartbeat_timeout_ms
    return TaskTimeout(
        f"{job.key} is still running after its limit of {limit_ms} ms, twice",
        hint='a thread cannot be ended from outside: give the task run_in="process", whose end is certain',
        place=job.task.place,
    ).payload()
