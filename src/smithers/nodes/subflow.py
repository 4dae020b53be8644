"""A whole workflow as one node of another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, overload

from typing_extensions import TypeVar, Unpack

from smithers.errors import InvalidNode, MissingOutputModel
from smithers.ids import check_node_id

from .node import Node, here
from .retry import RetryPolicy
from .span import Span
from .task import Task

if TYPE_CHECKING:
    from smithers.errors import Place
    from smithers.plan import PlanNode

    from .node import Lowering
    from .task import Deps

MAX_NESTED = 16
"""Workflows within each other: one that is its own child must end somewhere."""
END_IT = "a workflow that is its own child ends by its input: return no Subflow where there is no more to do"
T_co = TypeVar("T_co", covariant=True, default=Any)
Out_co = TypeVar("Out_co", covariant=True, default=Any)
M = TypeVar("M")


class Embeddable(Protocol[Out_co]):
    """A workflow, as another one embeds it: what `@workflow` makes."""

    name: str

    @property
    def output(self) -> type[Out_co] | None:
        """Model of the run's own output."""
        ...

    @property
    def definition(self) -> Any:
        """What the engine drives."""
        ...


class SubflowOptions(TypedDict, total=False):
    """Properties of a sub-workflow besides its workflow, output, input and mode; those of a task."""

    depends_on: str | Node | SequenceOf[str | Node]
    """Ids or nodes that must have settled before, however they settled."""
    needs: Mapping[str, str]
    """Name to task id: dependencies whose outputs are read under a name of one's own."""
    skip_if: bool | Callable[[], bool]
    """Leave it out; a function is asked when its turn comes."""
    timeout: Span
    """Longest time one attempt may take; its run is cancelled then, and the next attempt goes on with it."""
    retries: int | None
    """Further attempts after the first, each of which goes on with the same run; unset: none, because its
    tasks have had their own."""
    retry_policy: RetryPolicy
    """Number and spacing of retries, obeyed to the letter."""
    label: str
    """Shown instead of the id."""
    meta: Mapping[str, Any]
    """JSON facts of your own, kept with the node and shown with it."""
    key: str
    """No effect: taken for those who come from trees that want one."""


class Subflow(Task[T_co]):
    """A whole workflow as one node: its result is the node's output.

    Args:
        id: stable and unique, as of a task.
        workflow: what `@workflow` made.
        output: what its result is read as; may be left out where the workflow declares `output=`.
        input: its input, the model or JSON that fits it; or a function of the `deps` that returns one, called
            when its turn comes.
        mode: `"child-run"`: a run of its own, which is retried, resumed, cancelled and listed as a unit;
            `"inline"`: its nodes stand in this run, with ids under this node's: `id/child-node`.
        deps: tasks whose outputs are handed to `input`, as to a task's `prompt`.
        continue_on_fail: go on if it fails for good; its output may then be missing.
        options: see `SubflowOptions`.
    """

    __slots__ = ("depth", "is_inline", "workflow")

    @overload
    def __init__(
        self: Subflow[M],
        id: str,
        workflow: Embeddable[M],
        *,
        input: object = None,
        mode: Literal["child-run", "inline"] = "child-run",
        deps: Deps | None = None,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[SubflowOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Subflow[M | None],
        id: str,
        workflow: Embeddable[M],
        *,
        continue_on_fail: bool,
        input: object = None,
        mode: Literal["child-run", "inline"] = "child-run",
        deps: Deps | None = None,
        **options: Unpack[SubflowOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Subflow[M],
        id: str,
        workflow: Embeddable[Any],
        output: type[M],
        *,
        input: object = None,
        mode: Literal["child-run", "inline"] = "child-run",
        deps: Deps | None = None,
        continue_on_fail: Literal[False] = False,
        **options: Unpack[SubflowOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Subflow[M | None],
        id: str,
        workflow: Embeddable[Any],
        output: type[M],
        *,
        continue_on_fail: bool,
        input: object = None,
        mode: Literal["child-run", "inline"] = "child-run",
        deps: Deps | None = None,
        **options: Unpack[SubflowOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Subflow[Any],
        id: str,
        workflow: Embeddable[Any],
        output: str,
        *,
        input: object = None,
        mode: Literal["child-run", "inline"] = "child-run",
        deps: Deps | None = None,
        continue_on_fail: bool = False,
        **options: Unpack[SubflowOptions],
    ) -> None: ...
    def __init__(
        self,
        id: str,
        workflow: Embeddable[Any],
        output: type[Any] | str | None = None,
        *,
        input: object = None,
        mode: Literal["child-run", "inline"] = "child-run",
        deps: Any = None,
        continue_on_fail: bool = False,
        **options: Unpack[SubflowOptions],
    ) -> None:
        place = here()
        check_node_id(id, place)
        self.workflow = check_workflow(workflow, id, place)
        if mode not in ("child-run", "inline"):
            raise InvalidNode(f'Subflow {id}: mode={mode!r} is not "child-run" or "inline"', place=place)
        if output is None:
            output = workflow.output
        if output is None:
            raise MissingOutputModel(
                f"Subflow {id} has no output: {workflow.name} does not say what it returns",
                hint="give it a model as its third argument, or write @workflow(output=Model)",
                place=place,
            )
        unknown = options.keys() - SubflowOptions.__annotations__.keys()
        if unknown:
            raise InvalidNode(f"Subflow {id} does not take {', '.join(sorted(unknown))}", place=place)
        if inspect.isawaitable(input):
            raise InvalidNode(f"Subflow {id}: input= is an awaitable", place=place)
        self.is_inline = mode == "inline"
        self.depth = 1
        """Inline workflows around and with it."""
        if self.is_inline:
            _check_inline(id, options, place, continue_on_fail=continue_on_fail)
            _check_tree(id, workflow, place)
        elif "retries" not in options and "retry_policy" not in options:
            options["retries"] = 0  # its tasks have had their own
        # A quick function of the deps, or a plain value, as a task's `value` is.
        value: Any = {} if input is None else input
        super().__init__(id, output, value=value, deps=deps, continue_on_fail=continue_on_fail, **options)
        self.place = place
        self.mode = "child"

    def lower(self, lowering: Lowering) -> PlanNode:
        if not self.is_inline:
            return super().lower(lowering)
        from .inline import lower_inline

        return lower_inline(self, lowering)

    def __repr__(self) -> str:
        return f"Subflow({self.id!r}, {self.workflow.name})"


def _check_inline(id: str, options: SubflowOptions, place: Place | None, *, continue_on_fail: bool) -> None:
    """Refuse what is about an attempt: nodes that stand in this run have attempts of their own."""
    refused: list[str] = [name for name in ("retries", "retry_policy", "timeout") if name in options]
    if continue_on_fail:
        refused.append("continue_on_fail")
    if refused:
        raise InvalidNode(
            f'Subflow {id}: mode="inline" does not take {", ".join(refused)}',
            hint="its tasks have their own; around them write TryCatchFinally, or leave mode= out",
            place=place,
        )


def _check_tree(id: str, workflow: Embeddable[Any], place: Place | None) -> None:
    """Refuse a script: its calls have a run of their own to stand in."""
    if inspect.iscoroutinefunction(workflow.definition.function):
        raise InvalidNode(
            f"Subflow {id}: {workflow.name} is an async function: it cannot stand in another workflow's tree",
            hint='leave mode="inline" out: it then is a run of its own',
            place=place,
        )


def check_workflow(value: object, id: str, place: Place | None) -> Embeddable[Any]:
    """Return what `@workflow` has made.

    Raises:
        InvalidNode: it is something else.
    """
    if not isinstance(value, type) and hasattr(value, "definition") and hasattr(value, "output"):
        return value  # type: ignore[return-value]
    hint = "write @workflow over the function" if callable(value) else "pass what @workflow has made"
    raise InvalidNode(f"Subflow {id}: {value!r} is not a workflow", hint=hint, place=place)
