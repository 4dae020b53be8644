"""What a workflow reads that stands in the run of another: its own input, and nodes under its own prefix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smithers.errors import InvalidOutput, MissingOutput
from smithers.ids import passes_of

from .context import Context, decode
from .view import Spending, View

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.records import NodeState, SignalRow

    from .rows import OutputText, Rows
    from .view import Standing, State


class InlineContext(Context[Any]):
    """The `ctx` of an inline workflow.

    Args:
        outer: of the workflow around it.
        node: id of the node that holds it; `input_model`, `output_model` and `outputs` are those of its
            definition.
    """

    def __init__(
        self,
        outer: Context[Any],
        node: str,
        input_model: type[Any] | None,
        output_model: str | None,
        outputs: Mapping[str, type[Any]],
    ) -> None:
        self._outer = outer
        self._node = node
        self._input_model = input_model
        self._output_model = output_model
        super().__init__(_InlineState(outer, outputs))

    @property
    def _view(self) -> _Inside:
        # The outermost one: prefixes are whole paths, and are put before an id once.
        outer = self._outer
        while isinstance(outer, InlineContext):
            outer = outer._outer
        return _Inside(outer._view, f"{self._node}/")

    @property
    def input(self) -> Any:
        """Its input, as it was worked out in this run; built anew per read."""
        row = self._view.outside().newest(f"{self._node}:input")
        if row is None:
            raise MissingOutput(f"{self._node} has no input yet", node=f"{self._node}:input")
        return decode(row, self._input_model)

    @property
    def has_input(self) -> bool:
        """Whether it is there; it is not where the workflow was left out."""
        return self._view.outside().newest(f"{self._node}:input") is not None

    def result(self, *, is_text: bool) -> Any:
        """What the workflow comes to: its newest row of its output model in this pass.

        Args:
            is_text: text is wanted as text, and not as an object that holds it.
        Raises:
            InvalidOutput: there is none.
        """
        view = self._view
        rows = view.rows(*([self._output_model] if self._output_model else []))
        passes = view.at.passes if view.at is not None and view.at.loops else ()
        own = [row for row in rows if passes_of(row.key)[: len(passes)] == passes]
        if not own:
            raise InvalidOutput(f"{self._node}: its workflow finished without an output")
        view.note("node", own[-1].key.node)  # of that one it is made, and of nothing else of its model
        value = json.loads(own[-1].body)
        return value["text"] if is_text and own[-1].model == "str" else value


class _Inside(View):
    """A view whose ids are those within a prefix."""

    __slots__ = ("_prefix",)

    def __init__(self, view: View, prefix: str) -> None:
        super().__init__(view.state, view.at, view.seq, view.reads)
        self._prefix = prefix

    def outside(self) -> View:
        """The same view, of all ids."""
        return View(self.state, self.at, self.seq, self.reads)

    def id_of(self, node: str) -> str:
        return f"{self._prefix}{node}"

    def of_output(self, *names: str) -> list[OutputText]:
        for name in names:
            self.note("model", name)
        return self.rows(*names)

    def rows(self, *names: str) -> list[OutputText]:
        """The same, without a note of it; without names all rows."""
        return [
            row
            for row in self.state.rows.of_output(*names)
            if row.key.node.startswith(self._prefix) and self._seen(row) is not None
        ]


class _InlineState:
    """The run's state, with the outputs that this workflow has named."""

    def __init__(self, outer: Context[Any], outputs: Mapping[str, type[Any]]) -> None:
        self._outer = outer
        self.named_outputs = outputs

    @property
    def _state(self) -> State:
        # Asked each time: a run whose memory was thrown away reads from another one.
        return self._outer._state

    @property
    def run_id(self) -> str:
        return self._state.run_id

    @property
    def input(self) -> Any:
        return self._state.input

    @property
    def budgets(self) -> Spending | None:
        return self._state.budgets

    @property
    def carried(self) -> str | None:
        return self._state.carried

    @property
    def rows(self) -> Rows:
        return self._state.rows

    def standing(self, node: str) -> Standing | None:
        return self._state.standing(node)

    def node_state(self, key: NodeKey) -> NodeState:
        return self._state.node_state(key)

    def failure(self, key: NodeKey) -> Mapping[str, Any] | None:
        return self._state.failure(key)

    @property
    def signals(self) -> Sequence[SignalRow]:
        return self._state.signals

    @property
    def only_loop_pass(self) -> int:
        return self._state.only_loop_pass
