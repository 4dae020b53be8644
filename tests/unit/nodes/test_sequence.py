"""One thing after another."""

from __future__ import annotations

from smithers import Sequence, Task
from smithers.nodes import Lowering
from smithers.plan import SequencePlan, TaskPlan


def test_a_sequence_keeps_the_order_in_which_its_children_were_written() -> None:
    made = Lowering().tree(Sequence(*(Task(f"t{n}", str, value="") for n in (2, 0, 1))))
    assert isinstance(made, SequencePlan)
    assert [child.id for child in made.children] == ["t2", "t0", "t1"]


def test_a_sequence_in_a_sequence_stays_a_node_of_its_own() -> None:
    made = Lowering().tree(Sequence(Sequence(Task("a", str, value="")), Task("b", str, value="")))
    assert isinstance(made, SequencePlan)
    inner, last = made.children
    assert isinstance(inner, SequencePlan)
    assert isinstance(last, TaskPlan)
