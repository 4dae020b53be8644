"""The words in which models write orchestration scripts: thin names over `ctx` and its script.

    from smithers import workflow
    from smithers.dynamic import agent, args, budget, log, parallel, phase, pipeline

They are for a coroutine that `@workflow(agents=…)` has made a script. Each agent call is a task whose id says
what was asked: so a call that an edit has not touched keeps its answer, wherever it stands now.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from typing import Any, Final, TypeVar, overload

from smithers.context.script import the_script
from smithers.errors import AuthoringError, InvalidNode
from smithers.nodes import Task
from smithers.nodes.node import here

T = TypeVar("T")
Item = TypeVar("Item")

__all__ = ["agent", "args", "budget", "log", "parallel", "phase", "pipeline"]


@overload
async def agent(
    prompt: str, *, schema: type[T], model: str = "", label: str | None = None, phase: str | None = None
) -> T | None: ...
@overload
async def agent(
    prompt: str, *, schema: None = None, model: str = "", label: str | None = None, phase: str | None = None
) -> str | None: ...
async def agent(
    prompt: str,
    *,
    schema: type[Any] | None = None,
    model: str = "",
    label: str | None = None,
    phase: str | None = None,
) -> Any:
    """Ask an agent; its text, or what fits `schema`. None if it failed for good: the run ends partial then.

    Args:
        schema: pydantic model of the answer.
        model: which of the workflow's `agents`; default: the one named `""`, or the only one.
        label: shown to people; part of the task's id.
        phase: shown to people; default: what `phase()` said last.
    Raises:
        InvalidNode: the workflow names no such agent.
    """
    script = the_script("agent")
    asked = blake2b(f"{model}\0{schema!r}\0{prompt}".encode(), digest_size=4).hexdigest()
    name = script.name_of(f"{_slug(label) or 'agent'}:{asked}")
    meta = {key: text for key, text in (("phase", phase or script.phase), ("label", label)) if text}
    task: Task[Any] = Task(
        name,
        schema or str,
        agent=_agent_of(script.agents, model),
        prompt=prompt,
        label=label or name,
        meta=meta,
        continue_on_fail=True,
    )
    return await script.run(task)


def _agent_of(agents: Any, model: str) -> Any:
    found = agents.get(model)
    if found is None and not model and len(agents) == 1:
        (found,) = agents.values()
    if found is None:
        known = ", ".join(map(repr, agents)) or "none"
        raise InvalidNode(
            f"the workflow has no agent for model {model!r}; it has {known}",
            hint='name them: @workflow(agents={"": coder, "fast": reviewer})',
            place=here(),
        )
    return found


def _slug(label: str | None) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", label or "").strip("-")[:60]


async def parallel(thunks: Iterable[Callable[[], Awaitable[T]] | Awaitable[T]]) -> list[T | None]:
    """Do all of these at once and wait for all; what fails is None, in its place.

    Args:
        thunks: functions that are called for something to await, or what is to be awaited itself.
    """
    waiting = [one if inspect.isawaitable(one) else one() for one in thunks]
    return await _all(waiting)


async def pipeline(items: Iterable[Any], *stages: Callable[..., Awaitable[Any]]) -> list[Any]:
    """Take each item through all stages, none waiting for another; an item whose stage fails is None.

    Args:
        stages: each is given what the stage before made (the first: the item), and if it takes more, the
            item and its index.
    """
    return await _all([_through(item, index, stages) for index, item in enumerate(items)])


async def _through(item: Any, index: int, stages: Iterable[Callable[..., Awaitable[Any]]]) -> Any:
    made = item
    for stage in stages:
        takes = len(inspect.signature(stage).parameters)
        made = await stage(*(made, item, index)[:takes])
    return made


async def _all(waiting: Iterable[Awaitable[Any]]) -> list[Any]:
    found = await asyncio.gather(*waiting, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, Exception):
            raise one  # the script is being closed, or told to stop
        if isinstance(one, AuthoringError):
            raise one  # a mistake in the file is not somebody's bad luck
    failures = [one for one in found if isinstance(one, Exception)]
    for failure in failures:
        log(f"dropped: {failure}")
    return [None if isinstance(one, Exception) else one for one in found]


def phase(title: str) -> None:
    """Say what begins now: shown to people, and with each agent call from here on."""
    script = the_script("phase")
    script.phase = title
    script.say(f"── {title}")


def log(message: object) -> None:
    """Tell people something, in the run's log; once, also when the script runs again from the top."""
    the_script("log").say(str(message))


class _Budget:
    """What the run's agents may spend, and have spent, in US dollars.

    What is asked here is stored, as `ctx.now()` is: a script that runs again from the top is told the same.
    """

    __slots__ = ()

    @property
    def total(self) -> float | None:
        """As `--max-usd` says; None: no limit."""
        return the_script("budget").limit_usd

    async def spent(self) -> float:
        """By now, calls in flight as far as they are foreseen, and what nobody knows the cost of left out."""
        script = the_script("budget")
        found: float = await script.once("spent", None, script.spent_usd)
        return found

    async def remaining(self) -> float:
        """What is left; without a limit, infinity."""
        total = self.total
        return math.inf if total is None else max(0.0, total - await self.spent())

    def __repr__(self) -> str:
        return "budget"


budget: Final = _Budget()
"""`budget.total`, `await budget.spent()`, `await budget.remaining()`."""


class _Args:
    """The run's input, by attribute or by key."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(the_script("args").input, name)

    def __getitem__(self, name: str) -> Any:
        found = the_script("args").input
        return found[name] if hasattr(found, "__getitem__") else getattr(found, name)

    def __repr__(self) -> str:
        return "args"


args: Any = _Args()
"""The run's input: `args.goal`, or `args["goal"]`."""
