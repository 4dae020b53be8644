"""The same thing again, until it is good."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from smithers.errors import InvalidNode
from smithers.ids import check_node_id
from smithers.plan import HolePlan, LoopPlan, PlanNode

from .node import Child, Lowering, Node, children_of, first_of, here
from .option import check_limit

if TYPE_CHECKING:
    from .task import Task

T = TypeVar("T")


class Pass(Protocol):
    """What a loop's body function is given: which pass it makes, and what the one before it left."""

    @property
    def index(self) -> int:
        """Counts from 0."""
        ...

    def previous(self, task: Task[T] | tuple[type[T], str], /) -> T | None:
        """The task's output in the pass before this one; None in the first, or without an output."""
        ...


class Loop(Node):
    """Children as a sequence, pass after pass.

    A pass ends when all in it has settled. Only then `until` is asked, and at least one pass is always made.

    Args:
        children: nodes; or one function of the pass that returns them: `lambda i: Task(...)`, with `i.index`
            and `i.previous(task)`.
        until: a bool, computed anew by a render at each pass's end; or a function of no argument (reads
            through `ctx`), called at each pass's end.
        max_iterations: passes at most; None: no limit.
        on_max_reached: `"return-last"` goes on with the last pass; `"fail"` is an unhandled failure.
        id: the loop's memory goes by it; default: `loop:` and the first task inside. Give one to a loop whose
            body is a function.
    """

    __slots__ = ("body", "children", "id", "max_iterations", "on_max_reached", "until")

    def __init__(
        self,
        *children: Child | Callable[[Pass], Child],
        until: bool | Callable[[], bool] = False,
        max_iterations: int | None = 5,
        on_max_reached: Literal["return-last", "fail"] = "return-last",
        id: str | None = None,
    ) -> None:
        self.place = here()
        self.body: Callable[[Pass], Child] | None = None
        first = children[0] if children else None
        if callable(first) and len(children) == 1:
            self.body, children = first, ()
        self.children = children_of(children, self.place)
        if not isinstance(until, bool) and not callable(until):
            raise InvalidNode(
                f"until={until!r} is neither a bool nor a function",
                hint="write `until=verdict is not None and verdict.approved`, or a function",
                place=self.place,
            )
        check_limit(max_iterations, "max_iterations", self.place)
        if on_max_reached not in ("return-last", "fail"):
            raise InvalidNode(
                f'on_max_reached={on_max_reached!r} is not "return-last" or "fail"', place=self.place
            )
        self.until = until
        self.max_iterations = max_iterations
        self.on_max_reached = on_max_reached
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        if self.body is None:
            name = self.id or lowering.name("loop", first_of(self.children))
            body = lowering.tree(self.children, self.place)
        else:
            function = self.body
            name = self.id or lowering.name("loop", getattr(function, "__name__", None))
            body = HolePlan(
                f"{name}:body",
                lambda key: lowering.expand(lambda: function(lowering.bodies.pass_at(key)), key, self.place),
                self,
                self.place,
            )
        return LoopPlan(name, body, self.max_iterations, self.on_max_reached == "fail", self, self.place)

    def first_id(self) -> str | None:
        inside = first_of(self.children)
        return self.id or (f"loop:{inside}" if inside else None)
