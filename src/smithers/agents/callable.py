"""Any function as an agent."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from functools import partial
from typing import Any

from smithers.errors import InvalidNode
from smithers.ports import Agent, AgentReply, AgentRequest
from smithers.workers import Workers, is_async, on_thread

_WORKERS = Workers("smithers-agent")


class CallableAgent:
    """An agent that answers by calling a function.

    Args:
        fn: sync or async, taking one argument: the prompt's text, or the whole `AgentRequest` if the
            parameter is annotated so. It returns an `AgentReply`, a text, or the output itself (the model, or
            anything it validates). A sync function runs in a thread with the caller's context variables;
            when its task is cancelled, the thread goes on and its answer is dropped, and no second call is
            made beside it.
        name: what people see; by default the function's own name.
    Raises:
        InvalidNode: `fn` cannot be called with one argument.
    """

    __slots__ = ("_fn", "_is_async", "_name", "_takes_request")

    def __init__(self, fn: Callable[..., Any], *, name: str | None = None) -> None:
        _check_one_argument(fn)
        self._fn = fn
        self._name = name or _name_of(fn)
        self._takes_request = _takes_request(fn)
        self._is_async = is_async(fn)

    @property
    def name(self) -> str:
        return self._name

    @property
    def function(self) -> Callable[..., Any]:
        """What it calls; part of its identity."""
        return self._fn

    def __repr__(self) -> str:
        return f"CallableAgent({self._name})"

    async def call(self, request: AgentRequest) -> AgentReply:
        """Answer one request with what the function returns; what it raises passes through."""
        argument = request if self._takes_request else request.prompt
        if self._is_async:
            answer = self._fn(argument)
        else:
            answer = await on_thread(_WORKERS, partial(self._fn, argument))
        # Not `else`: a sync function, such as a lambda around an async one, may also return an awaitable.
        if inspect.isawaitable(answer):
            answer = await answer
        match answer:
            case AgentReply():
                return answer
            case str():
                return AgentReply(text=answer)
            case _:
                return AgentReply(output=answer)


def as_agent(value: object) -> Agent:
    """`value` itself if it is an agent, or the agent that calls it.

    Raises:
        InvalidNode: neither an agent nor a function; names the value.
    """
    # A class has the members of its instances, so the protocol's own check would let it pass.
    if isinstance(value, type):
        raise InvalidNode(
            f"not an agent but a class: {value.__name__}", hint=f"make one of it: {value.__name__}()"
        )
    if isinstance(value, Agent):
        return value
    if callable(value):
        return CallableAgent(value)
    raise InvalidNode(
        f"not an agent: {value!r}",
        hint="an agent has a name and an async call(request); a function of the prompt will do",
    )


def _name_of(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", None)
    if not isinstance(name, str):
        return "callable"
    return "lambda" if name == "<lambda>" else name


def _check_one_argument(fn: Callable[..., Any]) -> None:
    if not callable(fn):
        raise InvalidNode(f"not an agent's function: {fn!r}", hint="pass a function that takes the prompt")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # some built-ins have no signature; the call itself will tell
    try:
        signature.bind(None)
    except TypeError:
        raise InvalidNode(
            f"an agent's function takes one argument, the prompt or the request: {_name_of(fn)}{signature}",
            hint="give the other parameters defaults, or bind them with functools.partial",
        ) from None


def _takes_request(fn: Callable[..., Any]) -> bool:
    """Whether the first parameter is annotated `AgentRequest`."""
    try:
        first = next(iter(inspect.signature(fn).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    if first is None:
        return False
    if not isinstance(first.annotation, str):
        return first.annotation is AgentRequest
    target = fn if inspect.isroutine(fn) else getattr(fn, "func", type(fn).__call__)
    try:
        return typing.get_type_hints(target).get(first.name) is AgentRequest
    except Exception:  # noqa: BLE001
        # Another annotation of the function may name something that only a type checker sees; the text of
        # this one is then all there is.
        return first.annotation.rpartition(".")[2] == "AgentRequest"
