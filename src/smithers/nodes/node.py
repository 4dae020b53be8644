"""What all nodes share: where they were written, what may stand in a container, how they are lowered."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from smithers.errors import BugError, ChildRefused, Place, TooDeep
from smithers.plan import MAX_DEPTH, PlanNode, SequencePlan

if TYPE_CHECKING:
    from smithers.ids import NodeKey

    from .boundary import Caught
    from .subflow import Subflow
    from .task import Task

_OWN = "smithers."


class Node(ABC):
    """An immutable value in a workflow's tree."""

    __slots__ = ("place",)

    place: Place | None
    """Where the author wrote it."""

    @abstractmethod
    def lower(self, lowering: Lowering) -> PlanNode:
        """What this node means, in plan kinds."""

    @abstractmethod
    def first_id(self) -> str | None:
        """Id of the first task or loop inside, by which containers are named."""

    def targets(self) -> tuple[str, ...] | None:
        """Ids of the tasks and loops that have settled when all of this has; None: not known before it is
        reached."""
        found = self.first_id()
        return None if found is None else (found,)


Single: TypeAlias = Node | bool | None
Child: TypeAlias = Single | Iterable[Single | Iterable[Single | Iterable[Single]]]
"""What may stand in a container: a node, `None` or `False` (absent), or an iterable of children.

Not recursive on purpose: a text is an iterable of texts, so a recursive alias takes every text for a child.
Deeper lists than these work as well.
"""


class Bodies(Protocol):
    """Who calls the functions that stand for bodies: the runtime, which notes what they read."""

    def render(self, make: Callable[[], object], key: NodeKey, place: Place | None) -> tuple[Node, ...]:
        """Call `make` as a render of its own at `key`; its last nodes, if nothing it read moved."""
        ...

    def pass_at(self, key: NodeKey) -> Any:
        """The pass that a loop's body at `key` makes."""
        ...

    def caught(self, key: NodeKey) -> Caught:
        """The failure that the catch of the block at `key` is about."""
        ...

    def within(self, node: Subflow[Any]) -> Any:
        """The `ctx` of an inline workflow."""
        ...

    def has_input(self, node: Subflow[Any]) -> bool:
        """Whether the input of an inline workflow is there; it is not where it was left out."""
        ...

    def output(self, node: Task[Any]) -> object:
        """The output of a task in the pass of whoever asks; None: there is none."""
        ...

    def result(self, node: Subflow[Any]) -> object:
        """What an inline workflow has come to."""
        ...


class Lowering:
    """Turns one rendered tree into plan nodes, and names what the author left unnamed."""

    def __init__(self, bodies: Bodies | None = None) -> None:
        self._bodies = bodies
        self._named: dict[str, int] = {}

    def name(self, kind: str, first: str | None) -> str:
        """A container's default id: its kind and the first task inside, such as `loop:draft`."""
        name = f"{kind}:{first}" if first and first != "<lambda>" else kind
        count = self._named.get(name, 0) + 1
        self._named[name] = count
        return name if count == 1 else f"{name}~{count}"

    @property
    def bodies(self) -> Bodies:
        if self._bodies is None:
            raise BugError("a body was expanded outside a run")
        return self._bodies

    def expand(self, make: Callable[[], object], key: NodeKey, place: Place | None) -> PlanNode:
        """The plan of a body function's result."""
        return self.tree(self.bodies.render(make, key, place), place)

    def expand_children(
        self, make: Callable[[], object], key: NodeKey, place: Place | None
    ) -> tuple[PlanNode, ...]:
        """The plans of the children that a body function returned."""
        return tuple(node.lower(self) for node in self.bodies.render(make, key, place))

    def tree(self, made: object, place: Place | None = None) -> PlanNode:
        """The plan of whatever a workflow or a body function returned."""
        nodes = children_of((made,), place)
        try:
            if len(nodes) == 1:
                return nodes[0].lower(self)
            name = self.name("sequence", first_of(nodes))
            return SequencePlan(tuple(node.lower(self) for node in nodes), name, place=place)
        except RecursionError:
            raise TooDeep(f"the tree is nested more than {MAX_DEPTH} levels deep", place=place) from None


def here() -> Place | None:
    """The line of the author's code that is constructing a node."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame = frame.f_back  # type: ignore[assignment]
    return Place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


def children_of(values: Iterable[object], place: Place | None = None) -> tuple[Node, ...]:
    """Flatten children: drop the absent, open iterables, refuse what is no child.

    Raises:
        ChildRefused: names the value and its type.
    """
    found: list[Node] = []
    _collect(values, found, place or here())
    return tuple(found)


def _collect(values: Iterable[object], found: list[Node], place: Place | None) -> None:
    for value in values:
        if isinstance(value, Node):
            found.append(value)
        elif value is None or value is False:
            continue
        elif isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
            _collect(value, found, place)
        else:
            raise ChildRefused(
                f"{_short(value)} is not a node: it is of type {type(value).__name__}",
                hint="call it, if it is a function that returns nodes" if callable(value) else None,
                place=place,
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def targets_of(children: tuple[Node, ...]) -> tuple[str, ...] | None:
    """`Node.targets` of all of these together."""
    found: list[str] = []
    for child in children:
        if (inside := child.targets()) is None:
            return None
        found.extend(inside)
    return tuple(found)


def first_of(children: tuple[Node, ...]) -> str | None:
    """Id of the first task or loop among these, in document order."""
    for child in children:
        if (name := child.first_id()) is not None:
            return name
    return None
