"""The end of a run that goes on as another one."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from typing import Any

from smithers.errors import InvalidNode

from .node import Node, here
from .task import Task

ENDS_IN = "the end of the run"
"""What it waits for: no node's id has blanks."""


class ContinueAsNew(Task[None]):
    """Close this run, and go on as a new run of the same workflow with the same input.

    It takes effect when its turn has come and nothing else in the run can go on; what stands after it in a
    sequence does not run. The new run begins with nothing but `state`, which it reads as `ctx.state()`.

    Args:
        state: JSON, or a model, of at most 10 MB; or a function that returns one, called at the very end,
            when everything that the run does can be read.
        id: stable and unique, as of a task.
        depends_on: ids or nodes that must have settled before.
        label: shown instead of the id.
    """

    __slots__ = ()

    def __init__(
        self,
        state: object | Callable[[], object] = None,
        *,
        id: str = "continue-as-new",
        depends_on: str | Node | SequenceOf[str | Node] | None = None,
        label: str | None = None,
    ) -> None:
        if isinstance(state, type):
            raise InvalidNode(
                f"ContinueAsNew: state={state!r} is a class", hint="pass what it makes", place=here()
            )
        options: dict[str, Any] = {}
        if depends_on is not None:
            options["depends_on"] = depends_on
        if label is not None:
            options["label"] = label
        super().__init__(id, "state", value=state, **options)
        self.mode = "continue"

    def __repr__(self) -> str:
        return f"ContinueAsNew({self.id!r})"
