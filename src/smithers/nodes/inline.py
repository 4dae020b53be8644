"""A workflow's nodes within the run of another: every id under the id of the node that holds them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from smithers.errors import BugError, InvalidNode, TooDeep
from smithers.ids import NodeKey, check_node_id
from smithers.plan import Edge, HolePlan, PlanNode, SequencePlan

from .boundary import Caught, Saga, SagaStep, TryCatchFinally
from .branch import Branch
from .continuation import ContinueAsNew
from .event import Signal
from .loop import Loop
from .node import Bodies, Lowering, Node, children_of
from .parallel import Parallel
from .sequence import Sequence
from .subflow import END_IT, MAX_NESTED, Subflow
from .task import Task

if TYPE_CHECKING:
    from smithers.errors import Place

N = TypeVar("N", bound=Node)


@dataclass(frozen=True, slots=True)
class Within:
    """What tasks of an inline workflow have of their own."""

    ctx: Any
    """Reads within the ids of that workflow."""
    base: Path | None
    """Folder of that workflow's file, for its prompts."""
    policies: tuple[Callable[[Any], object], ...] = ()
    """Of that workflow, and of those it stands in, the outermost first: they are asked beside the run's."""


class InlineResult:
    """What an inline workflow comes to, when it is asked."""

    __slots__ = ("_bodies", "_node")

    def __init__(self, bodies: Bodies, node: Subflow[Any]) -> None:
        self._bodies = bodies
        self._node = node

    def __call__(self) -> object:
        return self._bodies.result(self._node)


def lower_inline(node: Subflow[Any], lowering: Lowering) -> PlanNode:
    """Its input, its nodes and its result, one after the other.

    The input is a task of its own, so that it is stored, and waits for what the node depends on. The result
    is one that has the node's own id: what others read is read of it.
    """
    if node.depth > MAX_NESTED:
        raise TooDeep(
            f"{node.id}: more than {MAX_NESTED} workflows within each other, such as {node.workflow.name}",
            hint=END_IT,
            place=node.place,
        )
    definition = node.workflow.definition
    bodies = lowering.bodies
    policies = () if node.within is None else node.within.policies
    if definition.policy is not None:
        policies = (*policies, definition.policy)
    within = Within(bodies.within(node), definition.base, policies)
    prefix = f"{node.id}/"

    def make() -> object:
        if not bodies.has_input(node):
            return ()  # it was left out
        made = definition.function(within.ctx)
        return _Scope(node, prefix, within).nodes(children_of((made,), definition.place))

    def expand(key: NodeKey) -> PlanNode:
        return _Inner(bodies, prefix).expand(make, key, node.place)

    given: Task[Any] = Task(f"{node.id}:input", definition.input_model or "input", value=node.value)
    given.deps, given.dep_names, given.needs, given.edges = node.deps, node.dep_names, node.needs, node.edges
    given.skip_if, given.place, given.within = node.skip_if, node.place, node.within
    result: Task[Any] = Task(node.id, node.model or node.model_name, value=InlineResult(bodies, node))
    result.edges = (Edge(given.id, needs_output=True),)
    result.place, result.label, result.meta = node.place, node.label, node.meta
    body = HolePlan(f"{node.id}:body", expand, place=node.place)
    children = (given.lower(lowering), body, result.lower(lowering))
    return SequencePlan(children, f"{node.id}:all", place=node.place)


class _Inner(Lowering):
    """Names containers that the author left unnamed under the prefix too."""

    def __init__(self, bodies: Bodies, prefix: str) -> None:
        super().__init__(bodies)
        self._prefix = prefix

    def name(self, kind: str, first: str | None) -> str:
        return self._prefix + super().name(kind, first.removeprefix(self._prefix) if first else first)


class _Scope:
    """Copies nodes, with their ids under a prefix."""

    def __init__(self, holder: Subflow[Any], prefix: str, within: Within) -> None:
        self._holder = holder
        self._prefix = prefix
        self._within = within

    def nodes(self, found: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(self._node(one) for one in found)

    def _node(self, node: Node) -> Node:
        match node:
            case ContinueAsNew():
                raise InvalidNode(
                    f"Subflow {self._holder.id}: {self._holder.workflow.name} goes on as a new run, and has"
                    " none of its own",
                    hint='leave mode="inline" out: a child that is a run of its own may',
                    place=self._holder.place,
                )
            case Task():
                return self._task(node)
            case Loop():
                loop = self._named(node)
                loop.children = self.nodes(node.children)
                if (body := node.body) is not None:
                    loop.body = lambda pass_: self._made(body(self._pass(pass_)), node.place)
                return loop
            case Parallel():
                parallel = self._named(node)
                parallel.children = self.nodes(node.children)
                if (every := node.body) is not None:
                    parallel.body = lambda: self._made(every(), node.place)
                return parallel
            case Sequence():
                sequence = self._named(node)
                sequence.children = self.nodes(node.children)
                return sequence
            case Branch():
                branch = self._named(node)
                branch.then, branch.else_ = self._side(node.then, node), self._side(node.else_, node)
                return branch
            case TryCatchFinally():
                return self._try(node)
            case Saga():
                saga = self._named(node)
                saga.steps = tuple(map(self._step, node.steps))
                return saga
            case _:
                raise BugError(f"{type(node).__name__} cannot stand in an inline workflow")

    def _named(self, node: N) -> N:
        made: Any = copy(node)
        if made.id is not None:
            made.id = check_node_id(f"{self._prefix}{made.id}", node.place)
        return made  # type: ignore[no-any-return]

    def _task(self, task: Task[Any]) -> Task[Any]:
        made = self._named(task)
        prefix = self._prefix
        made.edges = tuple(Edge(f"{prefix}{edge.target}", edge.needs_output) for edge in task.edges)
        made.dep_names = tuple(f"{prefix}{name}" for name in task.dep_names)
        if isinstance(task.deps, tuple):
            made.deps = tuple(map(self._named, task.deps))
        names = dict.fromkeys(task.deps or ()) if not isinstance(task.deps, tuple) else {}
        made.needs = {name: f"{prefix}{task.needs.get(name, name)}" for name in (*names, *task.needs)}
        outputs = self._holder.workflow.definition.outputs
        if task.output_name is not None:
            made.model, made.output_name = outputs.get(task.output_name, task.model), None
        made.within = self._within
        if isinstance(made, Signal) and (then := made.then) is not None:
            made.then = lambda payload: self._made(then(payload), task.place)
        if isinstance(made, Subflow):
            made.depth = self._holder.depth + 1
        return made

    def _try(self, node: TryCatchFinally) -> TryCatchFinally:
        made = self._named(node)
        made.body, made.finally_ = self.nodes(node.body), self.nodes(node.finally_)
        catch = node.catch
        made.catch = (
            (lambda caught: self._made(catch(self._caught(caught)), node.place))
            if callable(catch)
            else self.nodes(catch)
        )
        return made

    def _step(self, step: SagaStep) -> SagaStep:
        made = copy(step)
        made.action, made.compensation = self.nodes(step.action), self.nodes(step.compensation)
        return made

    def _side(self, side: Any, node: Branch) -> Any:
        return (lambda: self._made(side(), node.place)) if callable(side) else self.nodes(side)

    def _made(self, made: object, place: Place | None) -> tuple[Node, ...]:
        return self.nodes(children_of((made,), place))

    def _pass(self, pass_: Any) -> Any:
        return pass_.within(self._prefix)

    def _caught(self, caught: Caught) -> Caught:
        name = caught.node.removeprefix(self._prefix)
        return Caught(caught.code, caught.message, name, caught.place)
