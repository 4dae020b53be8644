"""What every mode of a task takes besides its mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict

from smithers.errors import InvalidNode, Place

from .cache import Cache
from .node import Node
from .retry import RetryPolicy
from .span import Span

if TYPE_CHECKING:
    from pydantic import BaseModel

    from smithers.ports import Agent
    from smithers.prompt import Prompt

    from .task import Task

AnyCallable: TypeAlias = Callable[..., Any]
AgentLike: TypeAlias = "Agent | AnyCallable"
"""An agent, or any callable that takes the prompt and returns the answer."""
PromptLike: TypeAlias = "str | Prompt"


class Missing(Enum):
    """Tells an absent `value=` from `value=None`."""

    VALUE = 0


MISSING: Final = Missing.VALUE


def check_limit(value: object, name: str, place: Place | None) -> None:
    """Raise `InvalidNode` unless `value` is None (no limit) or a whole number of at least 1.

    Args:
        name: the property it was given for, named in the error.
    """
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidNode(f"{name}={value!r} is not a number of at least 1, or None (no limit)", place=place)


def check_amount(value: object, name: str, place: Place | None = None) -> float:
    """`value`, if it is a finite number above 0.

    Raises:
        InvalidNode: it is not.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return value
    raise InvalidNode(f"{name}={value!r} is not an amount above 0", place=place)


class TaskOptions(TypedDict, total=False):
    """Properties that every mode of `Task` takes."""

    output_schema: type[BaseModel] | None
    """What an agent's answer must look like; default: the output model."""
    depends_on: str | Node | SequenceOf[str | Node]
    """Ids or nodes that must have settled before, however they settled."""
    needs: Mapping[str, str]
    """Name to task id: dependencies whose outputs are read under a name of one's own."""
    skip_if: bool | Callable[[], bool]
    """Skip this task; a function is asked when its turn comes."""
    timeout: Span
    """Longest time one attempt may take."""
    heartbeat_timeout: Span
    """Longest silence of one attempt: without a sign of life it fails as stalled."""
    run_in: Literal["process"] | None
    """Call `run` in a process of its own, which a timeout or a cancel ends whatever it does."""
    cache: Cache | None
    """Take the output from the cache where one was stored that was made from the same."""
    allow_tools: SequenceOf[str] | None
    """Tools that the agent may use, by its own names, and no others; empty: none; unset: as the agent
    says."""
    on_suspect: Literal["fail", "flag", "accept"]
    """What becomes of an agent's answer that fits, and looks like a placeholder: `"flag"` (the default)
    stores it and says so, `"fail"` shows it to the agent as any other that does not fit, `"accept"` takes
    it."""
    continue_: Task[Any] | str
    """Go on with the conversation that this task has had with the same agent; it must have finished."""
    fork: Task[Any] | str
    """Begin with a copy of that conversation, and leave it as it is."""
    needs_approval: bool | str
    """Ask a person before anything of it runs; a text is what they are asked."""
    async_: bool
    """With `needs_approval`: while they are asked, the sequence around it goes on."""
    retries: int | None
    """Further attempts after the first; 0: none. Unset: until the same error has come five times."""
    no_retry: bool
    """The same as `retries=0`."""
    retry_policy: RetryPolicy
    """Number and spacing of retries, obeyed to the letter."""
    fallback_agent: AgentLike
    """Appended to the list of agents."""
    label: str
    """Shown instead of the id."""
    meta: Mapping[str, Any]
    """JSON facts of your own, kept with the node and shown with it."""
    key: str
    """No effect: taken for those who come from trees that want one."""
