"""Waits for a signal from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from typing_extensions import TypeVar, Unpack

from smithers.errors import InvalidNode
from smithers.plan import HolePlan, PlanNode, SequencePlan
from smithers.records import WaitKind

from .node import Child, Lowering
from .option import MISSING
from .span import Span
from .task import OutputOf
from .wait import Question, Text, WaitNode, WaitOptions, check_text, check_word, said, wait_ms

M = TypeVar("M", default=Any)
EVENT = "event"
"""Name that payloads are stored under of which nothing is said."""


class WaitForEvent(WaitNode[M]):
    """Wait for a signal of a name; its payload is the output.

    A signal that was sent before is kept, and taken; each wait takes one, and all that are open when one
    comes take it.

    Args:
        id: stable and unique, as of a task.
        output: what the payload must fit; left out: any JSON object.
        event: name of the signal; default: the id.
        correlation: only signals with the same one are taken; a function of the `deps` is called when its
            turn comes.
        timeout: how long, from the moment its turn comes.
        on_timeout: `"fail"`; `"skip"` it, and what needs its output; or `"continue"` with `default` as its
            output.
        default: see there.
        options: see `WaitOptions`.
    """

    __slots__ = ("after_ms", "correlation", "default", "event", "on_timeout")

    def __init__(
        self,
        id: str,
        output: OutputOf[M] | str | None = None,
        *,
        event: str | None = None,
        correlation: Text | None = None,
        timeout: Span | None = None,
        on_timeout: Literal["fail", "skip", "continue"] = "fail",
        default: object = MISSING,
        **options: Unpack[WaitOptions],
    ) -> None:
        super().__init__(id, EVENT if output is None else output, options)
        self.event = id if event is None else event
        if not isinstance(self.event, str) or not self.event or self.event.startswith("-"):
            raise InvalidNode(f"event={event!r} is not the name of a signal", place=self.place)
        check_text(correlation, "correlation", self.place)
        self.correlation = correlation
        self.after_ms = wait_ms(timeout, "timeout", self.place)
        check_word(on_timeout, "on_timeout", ("fail", "skip", "continue"), self.place)
        if (on_timeout == "continue") is (default is MISSING):
            raise InvalidNode(
                f'{self!r}: on_timeout="continue" and default= go together',
                hint="default= is the output if no signal comes in time",
                place=self.place,
            )
        self.on_timeout = on_timeout
        self.default = default

    def question(self, args: tuple[Any, ...]) -> Question:
        spec = {
            "title": self.title,
            "event": self.event,
            "correlation": said(self.correlation, args, "correlation", self.place),
            "schema": schema_of(self.model),
            "on_timeout": self.on_timeout,
        }
        return Question(WaitKind.EVENT, spec, self.after_ms)


class Signal(WaitForEvent[M]):
    """Wait for the signal that is called as the node is, and go on with what `then` makes of its payload.

    Args:
        id: name of the signal, and of the node.
        output: what the payload must fit.
        then: a function of the payload that returns nodes; they stand behind the wait, and are made when it
            has settled with an output.
        options: as of `WaitForEvent`, but for `event`.
    """

    __slots__ = ("then",)

    def __init__(
        self,
        id: str,
        output: OutputOf[M] | str | None = None,
        then: Callable[[M], Child] | None = None,
        *,
        correlation: Text | None = None,
        timeout: Span | None = None,
        on_timeout: Literal["fail", "skip", "continue"] = "fail",
        default: object = MISSING,
        **options: Unpack[WaitOptions],
    ) -> None:
        super().__init__(
            id,
            output,
            correlation=correlation,
            timeout=timeout,
            on_timeout=on_timeout,
            default=default,
            **options,
        )
        if then is not None and not callable(then):
            raise InvalidNode(f"{self!r}: then={then!r} is not a function of the payload", place=self.place)
        if then is not None and self.is_async:
            raise InvalidNode(
                f"{self!r}: async_= and then= do not go together",
                hint="what then= returns stands behind the wait; put both beside the rest, in a Parallel",
                place=self.place,
            )
        self.then = then

    def lower(self, lowering: Lowering) -> PlanNode:
        wait, then = super().lower(lowering), self.then
        if then is None:
            return wait

        def make() -> object:
            payload: Any = lowering.bodies.output(self)
            return None if payload is None else then(payload)

        hole = HolePlan(
            f"{self.id}:then", lambda key: lowering.expand(make, key, self.place), place=self.place
        )
        return SequencePlan((wait, hole), lowering.name("signal", self.id), place=self.place)


def schema_of(model: Any) -> Any:
    """JSON schema that a value has to fit; None: any JSON."""
    if model is str:
        return {"type": "string"}
    return model.model_json_schema() if model is not None else {"type": "object"}
