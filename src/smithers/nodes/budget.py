"""A limit on what agents may spend in a part of the tree."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from smithers.errors import InvalidNode
from smithers.ids import check_node_id
from smithers.plan import PlanNode, SequencePlan

from .node import Child, Lowering, Node, children_of, first_of, here, targets_of
from .option import check_amount, check_limit

OnExceeded: TypeAlias = Literal["fail", "warn", "skip-remaining", "ask"]


class Budget(Node):
    """Children one after another, whose agents together may not spend more than this.

    It is looked at before each call of an agent: what would be the first one too many does not begin. So it
    is overspent by what is in flight at most, one call for each task that runs at once. What was spent is
    stored with the attempts, and stays spent when the run is resumed. Within a loop every pass has a budget
    of its own.

    Args:
        children: nodes, `None` or `False` for absent ones, or iterables of nodes.
        tokens: read and written, caches included.
        usd: US dollars, as the agents' own programs or a list of prices say; a call whose cost nobody knows
            counts for nothing, and the run warns of it.
        minutes: how long at least one of its tasks may have been running.
        calls: how often an agent may be asked; corrections of an answer are part of one.
        on_exceeded: what happens to the tasks that would be too much. `"fail"`: they fail.
            `"skip-remaining"`: they are skipped, and the run ends partial. `"warn"`: they run, and the run
            warns once. `"ask"`: they wait, and when nothing else is left to do the run pauses; raise the
            limit in the file, and resume.
        id: shown to people; default: `budget:` and the first task inside.
    """

    __slots__ = ("calls", "children", "id", "minutes", "on_exceeded", "tokens", "usd")

    def __init__(
        self,
        *children: Child,
        tokens: int | None = None,
        usd: float | None = None,
        minutes: float | None = None,
        calls: int | None = None,
        on_exceeded: OnExceeded = "fail",
        id: str | None = None,
    ) -> None:
        self.place = here()
        self.children = children_of(children, self.place)
        check_limit(tokens, "tokens", self.place)
        check_limit(calls, "calls", self.place)
        for name, value in (("usd", usd), ("minutes", minutes)):
            if value is not None:
                check_amount(value, name, self.place)
        if tokens is None and usd is None and minutes is None and calls is None:
            raise InvalidNode(
                "a Budget limits nothing: give it tokens=, usd=, minutes= or calls=", place=self.place
            )
        if on_exceeded not in get_args(OnExceeded):
            raise InvalidNode(
                f"on_exceeded={on_exceeded!r} is none of {', '.join(get_args(OnExceeded))}", place=self.place
            )
        self.tokens = tokens
        self.usd = usd
        self.minutes = minutes
        self.calls = calls
        self.on_exceeded: OnExceeded = on_exceeded
        self.id = id if id is None else check_node_id(id, self.place)

    def lower(self, lowering: Lowering) -> PlanNode:
        name = self.id or lowering.name("budget", self.first_id())
        lowered = tuple(child.lower(lowering) for child in self.children)
        return SequencePlan(lowered, name, self, self.place)

    def first_id(self) -> str | None:
        return first_of(self.children)

    def targets(self) -> tuple[str, ...] | None:
        return targets_of(self.children)
