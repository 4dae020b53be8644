"""What a script is told of failures, and what its own error says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smithers.errors import DuplicateId, Place, ScriptFailed, SmithersError, TaskFailed
from smithers.ids import NodeKey

from .failure import author_place, describe, message_of, text_of
from .scope import Call


def failure_of(error: BaseException, workflow: str) -> SmithersError:
    """What the run fails with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # that of the group itself says nothing
    if isinstance(error, SmithersError):
        if error.place is None:
            error.place = author_place(error)
        return error
    found = describe(error)
    return ScriptFailed(
        f"{workflow} raised {type(error).__name__}: {text_of(error)}",
        place=author_place(error),
        raised=found["code"],
        traceback=found.get("traceback", []),
    )


def twice(name: str, first: Place | None, second: Place | None) -> DuplicateId:
    where = f", at {first} and again" if first and second else ""
    return DuplicateId(
        f"{name} was called twice{where}",
        hint="give each call an id of its own, derived from the data it works on; in a loop use ctx.loop",
        place=second,
        id=name,
        places=[str(place) for place in (first, second) if place],
    )


def task_failed(call: Call, cause: NodeKey, error: Any) -> TaskFailed:
    failed = TaskFailed(
        f"{cause} failed: {message_of(error) or 'no message'}",
        place=call.node.place,
        node=str(cause),
        error=dict(error),
    )
    failed.calls = (call.key,)
    return failed


def passed_by(error: BaseException) -> Iterable[NodeKey]:
    """The calls whose failures an error is, or comes from."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        one = stack.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, TaskFailed):
            yield from one.calls
        if isinstance(one, BaseExceptionGroup):
            stack.extend(one.exceptions)
        stack += [one.__cause__, one.__context__]
