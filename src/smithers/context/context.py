"""`ctx`: how a workflow reads its run's state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import TypeVar

from smithers.errors import MissingOutput, ReadRefused, StaleOutput, fault_path

from .calls import Calls
from .record import wrap
from .view import View, ambient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.ids import NodeKey
    from smithers.nodes import SqlTable, Task

    from .rows import OutputText
    from .view import Standing, State

Input = TypeVar("Input", default=Any)
T = TypeVar("T")


class Context(Calls, Generic[Input]):
    """A handle on a run's state, not a copy of it.

    In a render it reads the state at the start of the frame. In `prompt`, `run`, `value`, `skip_if`, `until`
    and the `by` of a cache it reads the state at the start of that task's attempt, in that task's pass.

    A read names a task, `(Model, "id")`, or a model and an id. The name of an output may stand for its model:
    what is read is the model that `@workflow(outputs=…)` registers under it, else a JSON object.
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
        self._view.note_of_attempt("input")
        found: Input = self._state.input
        return found

    @overload
    def state(self) -> Any: ...
    @overload
    def state(self, model: type[T]) -> T | None: ...
    def state(self, model: Any = None) -> Any:
        """What the run before this one handed over by `ContinueAsNew`; None in the first of a lineage.

        Args:
            model: what to build of it, anew per read; default: JSON, where objects have their keys as
                attributes too.
        Raises:
            StaleOutput: it does not fit the model.
        """
        text = self._state.carried
        if text is None:
            return None
        if model is None:
            return wrap(json.loads(text))
        from pydantic import ValidationError

        try:
            return from_stored(model, text)
        except ValidationError as error:
            raise StaleOutput(
                f"the state of {self.run_id} does not fit {model.__name__}: {_faults(error)}"
            ) from error

    @property
    def run_id(self) -> str:
        self._view.note_of_attempt("run_id")
        return self._state.run_id

    @property
    def iteration(self) -> int:
        """The pass of the innermost loop around the reader; in a render, of the only loop, else 0."""
        view = self._view
        at = view.at
        if at is None:
            view.note("loop", "")
            return self._state.only_loop_pass
        view.note_of_attempt("iteration")
        return at.passes[-1] if at.passes else 0

    @overload
    def output(self, target: Task[T], /) -> T: ...
    @overload
    def output(self, target: tuple[type[T], str], /) -> T: ...
    @overload
    def output(self, target: type[T], id: str, /) -> T: ...
    @overload
    def output(self, target: tuple[str, str], /) -> Any: ...
    @overload
    def output(self, target: str, id: str, /) -> Any: ...
    def output(self, target: Any, id: str | None = None, /) -> Any:
        """The task's output in this pass.

        Raises:
            MissingOutput: it is not there (yet). In a callable of a task, that task waits for it.
        """
        node, model = _target(target, id, self._state.named_outputs)
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
    @overload
    def output_maybe(self, target: tuple[str, str], /) -> Any: ...
    @overload
    def output_maybe(self, target: str, id: str, /) -> Any: ...
    def output_maybe(self, target: Any, id: str | None = None, /) -> Any:
        """The task's output in this pass, or None."""
        node, model = _target(target, id, self._state.named_outputs)
        row = self._view.newest(node)
        return decode(row, model) if row is not None else None

    @overload
    def latest(self, target: Task[T], /) -> T | None: ...
    @overload
    def latest(self, target: tuple[type[T], str], /) -> T | None: ...
    @overload
    def latest(self, target: type[T], id: str, /) -> T | None: ...
    @overload
    def latest(self, target: tuple[str, str], /) -> Any: ...
    @overload
    def latest(self, target: str, id: str, /) -> Any: ...
    def latest(self, target: Any, id: str | None = None, /) -> Any:
        """The task's newest output, of this pass or an earlier one of its loop; None without one."""
        node, model = _target(target, id, self._state.named_outputs)
        row = self._view.latest(node)
        return decode(row, model) if row is not None else None

    @overload
    def outputs(self, model: type[T], /) -> list[T]: ...
    @overload
    def outputs(self, model: SqlTable[T], /) -> list[T]: ...
    @overload
    def outputs(self, model: str, /) -> list[Any]: ...
    def outputs(self, model: Any, /) -> list[Any]:
        """All outputs of a model, a name or a table, of all tasks and passes, in the order they came."""
        named = self._state.named_outputs
        if isinstance(model, str):
            return [decode(row, named.get(model)) for row in self._view.of_output(model)]
        if not isinstance(model, type):
            return [decode(row, model.schema) for row in self._view.of_output(model.name)]
        # What is stored under a name that the model is registered by is an output of this model too.
        words = ["str" if model is str else model.__name__, *(name for name in named if named[name] is model)]
        return [decode(row, model) for row in self._view.of_output(*words)]

    def iteration_count(self, target: Any, id: str | None = None, /) -> int:
        """In how many passes of the loop around it the task has left an output."""
        return self._view.count(_target(target, id, {})[0])

    def status(self, target: Any, /) -> str:
        """`pending`, `running`, `waiting`, `finished`, `failed`, `skipped` or `cancelled`, in this pass."""
        key = self._key(target)
        return self._state.node_state(key).word if key is not None else "pending"

    def failure(self, target: Any, /) -> Mapping[str, Any] | None:
        """The error of the task's last attempt (`code`, `message`, …); None without one."""
        key = self._key(target)
        return self._state.failure(key) if key is not None else None

    def signals(self, name: str, /) -> tuple[Any, ...]:
        """Payloads of the signals of this name that were sent to the run, taken or not, the oldest first."""
        self._view.note("signal", name)
        return tuple(wrap(signal.payload) for signal in self._state.signals if signal.name == name)

    def _key(self, target: Any) -> NodeKey | None:
        node, _ = _target(target, None, {})
        view = self._view
        view.note("state", view.id_of(node))
        return view.key(node)


class LoopPass:
    """The pass that a loop's body function makes."""

    __slots__ = ("_at", "_prefix", "_state", "index")

    def __init__(self, state: State, at: Standing) -> None:
        self._state = state
        self._at = at
        self._prefix = ""
        self.index = at.passes[-1]

    def within(self, prefix: str) -> LoopPass:
        """The same pass, for nodes whose ids stand under a prefix."""
        found = LoopPass(self._state, self._at)
        found._prefix = prefix
        return found

    def previous(self, target: Any, /) -> Any:
        """The task's output in the pass before this one; None in the first, or without an output."""
        if self.index == 0:
            return None
        node, model = _target(target, None, self._state.named_outputs)
        view = ambient.get() or View(self._state)
        before = self._at._replace(passes=(*self._at.passes[:-1], self.index - 1))
        row = View(view.state, before, view.seq, view.reads).newest(f"{self._prefix}{node}")
        return decode(row, model) if row is not None else None


def _target(target: Any, id: str | None, named: Mapping[str, type[Any]]) -> tuple[str, Any]:
    """The node id and the model that a read names; None: any JSON object.

    Args:
        named: models of named outputs.
    """
    if id is None and isinstance(target, tuple) and len(target) == 2 and isinstance(target[1], str):
        return _target(*target, named)
    if id is not None:
        return id, named.get(target) if isinstance(target, str) else target
    if isinstance(target, str):
        return target, None
    node = getattr(target, "id", None)
    if isinstance(node, str) and hasattr(target, "model_name"):
        return node, model_of(target, named)
    raise ReadRefused(f"cannot read {target!r}")


def model_of(task: Any, named: Mapping[str, type[Any]]) -> type[Any] | None:
    """The model of a task's output: what its name is registered for, else its own; None: any JSON."""
    found: type[Any] | None = named.get(task.output_name) if task.output_name is not None else None
    return found if found is not None else task.model


def from_stored(model: Any, text: str) -> Any:
    """A model from its stored text, where fields go by their own names, whatever aliases they have."""
    return model.model_validate_json(text, by_name=True, by_alias=True)


def _faults(error: Any) -> str:
    return "; ".join(f"{fault_path(fault['loc']) or '$'}: {fault['msg']}" for fault in error.errors())


def decode(row: OutputText, model: Any) -> Any:
    """Build the value of a stored output anew.

    Raises:
        StaleOutput: the model was edited, and what is stored does not fit it any more.
    """
    if row.model == "str" or model is str:
        return json.loads(row.body)["text"]
    if model is None:
        return wrap(json.loads(row.body))
    from pydantic import ValidationError

    try:
        return from_stored(model, row.body)
    except ValidationError as error:
        raise StaleOutput(
            f"the stored output of {row.key} does not fit {row.model} as it is now: {_faults(error)}",
            node=str(row.key),
        ) from error
