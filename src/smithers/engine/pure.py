"""Whether a render gives the same tree twice; asked by `--strict`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from smithers.context import model_of
from smithers.errors import Place, RenderImpure
from smithers.nodes import Lowering, Node, Task
from smithers.nodes.node import Bodies
from smithers.plan import (
    HolePlan,
    LoopPlan,
    ParallelPlan,
    PlanNode,
    SagaPlan,
    ScopePlan,
    SequencePlan,
    TaskPlan,
    TryPlan,
)

from .definition import Definition
from .fingerprint import fingerprint
from .terms import Terms


class Twice:
    """Compares what two renders over one state have made."""

    def __init__(self, definition: Definition, terms: Terms) -> None:
        self._definition = definition
        self._terms = terms

    def check(self, bodies: Bodies, one: Sequence[Node], other: Sequence[Node], place: Place | None) -> None:
        """Compare two results of one function.

        Raises:
            RenderImpure: they differ; names the first node that does.
        """
        first, second = (list(self._walk(Lowering(bodies).tree(made, place))) for made in (one, other))
        for (name, facts, where), (other_name, other_facts, _) in zip(first, second, strict=False):
            if name != other_name:
                text = f"a render made {name}, and {other_name} when it was made again over the same state"
                raise RenderImpure(text, place=where or place, node=name)
            if facts != other_facts:
                text = f"a render made {name}, and made it otherwise the second time over the same state"
                raise RenderImpure(text, place=where or place, node=name)
        if len(first) != len(second):
            longer, at = (first, len(second)) if len(first) > len(second) else (second, len(first))
            name, _, where = longer[at]
            raise RenderImpure(
                f"of two renders over the same state only one made {name}", place=where or place, node=name
            )

    def _walk(self, top: PlanNode) -> Iterator[tuple[str, Any, Place | None]]:
        """Each node's name, what else it is, and its line; a body that is a function is not called."""
        stack: list[PlanNode] = [top]
        while stack:
            plan = stack.pop()
            yield plan.id or type(plan).__name__, self._facts(plan), plan.place
            match plan:
                case SequencePlan() | ParallelPlan():
                    stack.extend(reversed(plan.children))
                case LoopPlan():
                    stack.append(plan.body)
                case TryPlan():
                    parts = (plan.finally_, plan.catch, plan.body)
                    stack.extend(part for part in parts if part is not None)
                case SagaPlan():
                    steps = [part for step in plan.steps for part in (step.action, step.compensation)]
                    stack.extend(part for part in reversed(steps) if part is not None)
                case TaskPlan() | HolePlan() | ScopePlan():
                    pass

    def _facts(self, plan: PlanNode) -> Any:
        match plan:
            case TaskPlan(payload=Task() as task):
                agents = self._terms.agents(task) if task.mode == "agent" else ()
                mark = fingerprint(task, agents, model_of(task, self._definition.outputs))
                return plan.edges, plan.continue_on_fail, mark
            case LoopPlan(payload=payload):
                until = getattr(payload, "until", None)
                return plan.max_iterations, until if isinstance(until, bool) else None
            case _:
                return type(plan).__name__
