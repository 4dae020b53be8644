"""Calling the workflow, and knowing when what it read has moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from smithers.context import (
    Context,
    InlineContext,
    LoopPass,
    Standing,
    Subject,
    View,
    ambient,
    decode,
    model_of,
    passes_of,
)
from smithers.errors import AuthoringError, Place, RenderFailed, SmithersError
from smithers.ids import NodeKey
from smithers.nodes import Caught, Lowering, Node, Subflow, Task, children_of
from smithers.plan import PlanNode

from .definition import Definition
from .failure import author_place, text_of
from .memory import Memory
from .pure import Twice


@dataclass(slots=True)
class Unit:
    """One render: the workflow function's, or that of a body function in one pass."""

    reads: set[Subject] = field(default_factory=set)
    made: tuple[Node, ...] = ()


class Renderer:
    """The renders of one run and what each of them read."""

    def __init__(self, workflow: Definition, ctx: Context[Any], state: Memory) -> None:
        self._workflow = workflow
        self._ctx = ctx
        self._state = state
        self._root = Unit()
        self._bodies: dict[NodeKey, Unit] = {}
        self._readers: dict[Subject, set[NodeKey | None]] = {}
        """Which renders read a subject; None stands for the workflow function."""
        self.stale: set[NodeKey | None] = {None}
        self.script: Callable[[], PlanNode] | None = None
        """Gives the plan of a workflow that is a script."""
        self.twice: Twice | None = None
        """Set by `--strict`: each render is made twice."""
        self.unsure: Callable[[set[Subject]], bool] | None = None
        """Whether what these reads give is not known yet; set by who looks ahead, where nothing is there yet
        that tasks of the future will leave. A body that cannot be made then is empty."""
        self.unknown: list[NodeKey] = []
        """Bodies that a look ahead could not make."""

    def render_tree(self) -> PlanNode:
        """Call the workflow function; all bodies are to be made anew.

        Raises:
            RenderError: what it returned is no tree, or it raised; with file and line.
        """
        self._bodies.clear()
        self._readers.clear()
        self.stale.clear()
        if self.script is not None:
            return self.script()
        self._root = Unit()
        made = self._call(lambda: self._workflow.function(self._ctx), None, self._root, self._workflow.place)
        return Lowering(self).tree(made, self._workflow.place)

    # --- Bodies, as `Lowering` wants them -----------------------------------------------------------

    def render(self, make: Callable[[], object], key: NodeKey, place: Place | None) -> tuple[Node, ...]:
        """The nodes that a body function returns at `key`; called once, and again when it is stale."""
        unit = self._bodies.get(key)
        if unit is None:
            unit = self._bodies[key] = Unit()
            unit.made = self._made(make, unit, place, key)
        return unit.made

    def _made(
        self, make: Callable[[], object], unit: Unit, place: Place | None, key: NodeKey
    ) -> tuple[Node, ...]:
        try:
            made = self._call(make, self._standing(key), unit, place, key)
        except SmithersError:
            if self.unsure is None:
                raise
        else:
            if self.unsure is None or not self.unsure(unit.reads):
                return made
        self.unknown.append(key)
        return ()

    def reads_of(self, key: NodeKey | None) -> set[Subject]:
        """What a render has read; None: the workflow function's."""
        unit = self._root if key is None else self._bodies.get(key)
        return unit.reads if unit is not None else set()

    def pass_at(self, key: NodeKey) -> LoopPass:
        """What a loop's body function at `key` is given."""
        return LoopPass(self._state, self._standing(key))

    def caught(self, key: NodeKey) -> Caught:
        """The failure that the catch of the block at `key` is about."""
        return self._state.caught(key)

    def within(self, node: Subflow[Any]) -> InlineContext:
        """The `ctx` of an inline workflow."""
        definition = node.workflow.definition
        outer = self._ctx if node.within is None else node.within.ctx
        return InlineContext(
            outer, node.id, definition.input_model, definition.output_model, definition.outputs
        )

    def has_input(self, node: Subflow[Any]) -> bool:
        """Whether the input of an inline workflow is there; it is not where it was left out."""
        return self.within(node).has_input

    def output(self, node: Task[Any]) -> object:
        """The output of a task in the pass of whoever asks; None: there is none."""
        row = (ambient.get() or View(self._state)).newest(node.id)
        return None if row is None else decode(row, model_of(node, self._state.named_outputs))

    def result(self, node: Subflow[Any]) -> object:
        """What an inline workflow has come to, in the pass of whoever asks."""
        return self.within(node).result(is_text=node.model is str)

    def _standing(self, key: NodeKey) -> Standing:
        found = self._state.standing(key.node)
        return found if found is not None else Standing((), passes_of(key))

    def forget(self, keys: list[NodeKey]) -> None:
        """Drop these bodies' results: they are to be made anew, or will never be asked for again."""
        for key in keys:
            self.stale.discard(key)
            unit = self._bodies.pop(key, None)
            if unit is not None:
                for subject in unit.reads:
                    self._readers.get(subject, set()).discard(key)

    def moved(self, subject: Subject) -> None:
        """A subject's version has moved: every render that read it is stale."""
        readers = self._readers.get(subject)
        if readers:
            self.stale |= readers

    def _call(
        self,
        make: Callable[[], object],
        at: Standing | None,
        unit: Unit,
        place: Place | None,
        key: NodeKey | None = None,
    ) -> tuple[Node, ...]:
        made = self._called(make, at, unit, place)
        if self.twice is not None:
            self.twice.check(self, made, self._called(make, at, unit, place), place)
        for subject in unit.reads:
            self._readers.setdefault(subject, set()).add(key)
        return made

    def _called(
        self, make: Callable[[], object], at: Standing | None, unit: Unit, place: Place | None
    ) -> tuple[Node, ...]:
        view = View(self._state, at, None, unit.reads)
        token = ambient.set(view)
        try:
            # Opened here: a generator somewhere in it is the author's code, and reads like it.
            return children_of((make(),), place)
        except SmithersError as error:
            if isinstance(error, AuthoringError) and error.place is None:
                error.place = author_place(error)
            raise
        except BaseException as error:  # the author's code may raise anything, `sys.exit` too
            raise RenderFailed(
                f"{self._workflow.name} raised {type(error).__name__}: {text_of(error)}",
                place=author_place(error),
            ) from error
        finally:
            ambient.reset(token)
