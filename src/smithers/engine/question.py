"""What the agents of a task are asked, and what their answers must fit."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from smithers.errors import InvalidOutput

from .argument import arguments
from .job import Job


def prompt_text(job: Job) -> str:
    """What an attempt's agents are asked, rendered anew.

    Raises:
        InvalidOutput: it is no text; or whatever the author's code raises.
    """
    from smithers.prompt import Prompt

    prompt = job.task.prompt
    if callable(prompt) and not isinstance(prompt, (str, Prompt)):
        prompt = prompt(*arguments(job.task, job.view))
    if isinstance(prompt, Prompt):
        prompt = prompt.render(base=job.base, project=job.project, schema=asked_for(job))
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidOutput(f"Task {job.task.id}: its prompt is {prompt!r}", place=job.task.place)
    return prompt


def prompt_mark(text: str) -> bytes:
    """16 bytes that tell one finished prompt from another."""
    return blake2b(text.encode(), digest_size=16).digest()


def asked_for(job: Job) -> type[Any] | None:
    """The model that an agent's answer must fit; None: plain text, or any JSON."""
    return None if job.model is str else (job.task.schema or job.model)
