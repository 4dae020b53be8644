"""`ctx`: how a workflow reads its run's state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import TypeVar

from smithers.errors import MissingOutput, ReadRefused, StaleOutput, fault_path

from .record import wrap
from .view import View, ambient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.ids import NodeKey
    from smithers.nodes import Task

    from .rows import OutputText
    from .view import Standing, State

Input = TypeVar("Input", default=Any)
T = TypeVar("T")


class Context(Generic[Input]):
    """A handle on a run's state, not a copy of it.

    In a render it reads the state at the start of the frame. In `prompt`, `run`, `value`, `skip_if` and
    `until` it reads the state at the start of that task's attempt, in that task's pass.

    A read names a task, `(Model, "id")`, or a model and an id.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def rebind(self, state: State) -> None:
        """Internal: read from another memory of the same run."""
        self._state = state

    @property
    def _view(self) -> View:
        return ambient.get() or View(self._state)

    @property
    def input(self) -> Input:
        """The run's input, built anew per read."""
        found: Input = self._state.input
        return found

    @property
    def run_id(self) -> str:
        return self._state.run_id

    @property
    def iteration(self) -> int:
        """The pass of the innermost loop around the reader; in a render, of the only loop, else 0."""
        view = self._view
        at = view.at
        if at is None:
            view.note("loop", "")
            return self._state.only_loop_pass
        return at.passes[-1] if at.passes else 0

    @overload
    def output(self, target: Task[T], /) -> T: ...
    @overload
    def output(self, target: tuple[type[T], str], /) -> T: ...
    @overload
    def output(self, target: type[T], id: str, /) -> T: ...
    def output(self, target: Any, id: str | None = None, /) -> Any:
        """The task's output in this pass.

        Raises:
            MissingOutput: it is not there (yet). In a callable of a task, that task waits for it.
        """
        node, model = _target(target, id)
        view = self._view
        row = view.newest(node)
        if row is not None:
            return decode(row, model)
        if getattr(target, "continue_on_fail", False) and self.status(node) == "failed":
            return None
        raise MissingOutput(f"{node} has no output yet", node=node)

    @overload
    def output_maybe(self, target: Task[T], /) -> T | None: ...
    @overload
    def output_maybe(self, target: tuple[type[T], str], /) -> T | None: ...
    @overload
    def output_maybe(self, target: type[T], id: str, /) -> T | None: ...
    def output_maybe(self, target: Any, id: str | None = None, /) -> Any:
        """The task's output in this pass, or None."""
        node, model = _target(target, id)
        row = self._view.newest(node)
        return decode(row, model) if row is not None else None

    @overload
    def latest(self, target: Task[T], /) -> T | None: ...
    @overload
    def latest(self, target: tuple[type[T], str], /) -> T | None: ...
    @overload
    def latest(self, target: type[T], id: str, /) -> T | None: ...
    def latest(self, target: Any, id: str | None = None, /) -> Any:
        """The task's newest output, of this pass or an earlier one of its loop; None without one."""
        node, model = _target(target, id)
        row = self._view.latest(node)
        return decode(row, model) if row is not None else None

    @overload
    def outputs(self, model: type[T], /) -> list[T]: ...
    @overload
    def outputs(self, model: str, /) -> list[Any]: ...
    def outputs(self, model: Any, /) -> list[Any]:
        """All outputs of a model (or of a named output), of all tasks and passes, in the order they came."""
        if isinstance(model, str):
            return [decode(row, None) for row in self._view.of_model(model)]
        name = "str" if model is str else model.__name__
        return [decode(row, model) for row in self._view.of_model(name)]

    def iteration_count(self, target: Any, id: str | None = None, /) -> int:
        """In how many passes of the loop around it the task has left an output."""
        return self._view.count(_target(target, id)[0])

    def status(self, target: Any, /) -> str:
        """`pending`, `running`, `waiting`, `finished`, `failed`, `skipped` or `cancelled`, in this pass."""
        key = self._key(target)
        return self._state.node_state(key).word if key is not None else "pending"

    def failure(self, target: Any, /) -> Mapping[str, Any] | None:
        """The error of the task's last attempt (`code`, `message`, …); None without one."""
        key = self._key(target)
        return self._state.failure(key) if key is not None else None

    def _key(self, target: Any) -> NodeKey | None:
        node, _ = _target(target, None)
        view = self._view
        view.note("state", node)
        return view.key(node)


class LoopPass:
    """The pass that a loop's body function makes."""

    __slots__ = ("_at", "_state", "index")

    def __init__(self, state: State, at: Standing) -> None:
        self._state = state
        self._at = at
        self.index = at.passes[-1]

    def previous(self, target: Any, /) -> Any:
        """The task's output in the pass before this one; None in the first, or without an output."""
        if self.index == 0:
            return None
        node, model = _target(target, None)
        view = ambient.get() or View(self._state)
        before = self._at._replace(passes=(*self._at.passes[:-1], self.index - 1))
        row = View(view.state, before, view.seq, view.reads).newest(node)
        return decode(row, model) if row is not None else None


def _target(target: Any, id: str | None) -> tuple[str, Any]:
    """The node id and the model that a read names."""
    if id is not None:
        return id, target
    if isinstance(target, str):
        return target, None
    node = getattr(target, "id", None)
    if isinstance(node, str) and hasattr(target, "model_name"):
        return node, target.model
    if isinstance(target, tuple) and len(target) == 2 and isinstance(target[1], str):
        return target[1], target[0]
    raise ReadRefused(f"cannot read {target!r}")


def from_stored(model: Any, text: str) -> Any:
    """A model from its stored text, where fields go by their own names, whatever aliases they have."""
    return model.model_validate_json(text, by_name=True, by_alias=True)


def decode(row: OutputText, model: Any) -> Any:
    """Build the value of a stored output anew.

    Raises:
        StaleOutput: the model was edited, and what is stored does not fit it any more.
    """
    if row.model == "str":
        return json.loads(row.body)["text"]
    if model is None or isinstance(model, str):
        return wrap(json.loads(row.body))
    from pydantic import ValidationError

    try:
        return from_stored(model, row.body)
    except ValidationError as error:
        faults = "; ".join(f"{fault_path(fault['loc']) or '$'}: {fault['msg']}" for fault in error.errors())
        raise StaleOutput(
            f"the stored output of {row.key} does not fit {row.model} as it is now: {faults}",
            node=str(row.key),
        ) from error
