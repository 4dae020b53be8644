"""Runs within runs, in any order of calls, deaths and resumes: each knows what all below it have spent."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smithers.engine.budgets import Budgets, Exceeded, Limits, Outer
from smithers.ids import NodeKey
from smithers.records import WHOLE_RUN, BudgetRow, ChildSpent, Usage

RUNS = 5
PARENT = {1: 0, 2: 0, 3: 1, 4: 3}
"""Of each run but the top one: 0 has two children, and a great-grandchild."""


@dataclass
class World:
    """The runs as they stand in memory, and their rows as they are stored."""

    limit_micros: int
    rows: dict[int, BudgetRow] = field(default_factory=dict)
    live: dict[int, Budgets] = field(default_factory=dict)
    open: list[tuple[int, Any]] = field(default_factory=list)
    spent: dict[int, int] = field(default_factory=dict)
    """What calls of each run have really cost, as far as they ended."""

    def budgets(self, run: int) -> Budgets:
        if run not in self.live:
            whole = Limits(cost_micros=self.limit_micros) if run == 0 else Limits()
            outer = None
            if run in PARENT:
                outer = Outer(lambda: self.budgets(PARENT[run]), NodeKey(f"n{run}"))
            made = self.live[run] = Budgets(whole, 4, f"r{run}", outer)
            stored = [self.rows[run]] if run in self.rows else []
            made.restore(stored, [self.stored_of(child) for child in children(run)])
        return self.live[run]

    def stored_of(self, run: int) -> ChildSpent:
        family = [self.rows[one] for one in below(run) if one in self.rows]
        return ChildSpent(
            f"r{run}",
            NodeKey(f"n{run}"),
            *(
                sum(getattr(row, name) for row in family)
                for name in ("tokens", "cost_micros", "calls", "active_ms")
            ),
        )

    def draft(self, run: int) -> Any:
        return SimpleNamespace(now_ms=0, write=SimpleNamespace(budgets=Stored(self.rows, run)))

    def begin(self, run: int) -> None:
        job = SimpleNamespace(
            key=NodeKey(f"t{len(self.open)}-{run}"), reserved={}, calls=[], asked=1, started_ms=0
        )
        leaf: Any = SimpleNamespace(parent=None)
        self.budgets(run).begin(self.draft(run), job, leaf)
        self.open.append((run, job))

    def end(self, index: int, micros: int) -> None:
        if self.open:
            run, job = self.open.pop(index % len(self.open))
            job.calls = [SimpleNamespace(usage=Usage(1, 0, cost_usd=micros / 1e6, cost_source="cli"))]
            self.budgets(run).end(self.draft(run), job)
            self.spent[run] = self.spent.get(run, 0) + micros

    def die(self) -> None:
        """All that is not stored is gone; calls in flight stay put aside."""
        self.live.clear()
        self.open.clear()

    def known(self) -> int:
        top = self.budgets(0)
        top.look(None, 0)  # what is stored is placed with the first look
        return round(top.spent_usd() * 1e6)

    def truth(self) -> int:
        return sum(row.cost_micros for row in self.rows.values())


class Stored(list[BudgetRow]):
    """A frame's rows, which are stored at once."""

    def __init__(self, rows: dict[int, BudgetRow], run: int) -> None:
        super().__init__()
        self._rows, self._run = rows, run

    def append(self, row: BudgetRow) -> None:
        assert row.key == WHOLE_RUN
        self._rows[self._run] = row


def children(run: int) -> list[int]:
    return [child for child, parent in PARENT.items() if parent == run]


def below(run: int) -> list[int]:
    return [run, *(one for child in children(run) for one in below(child))]


steps = st.one_of(
    st.tuples(st.just("begin"), st.integers(0, RUNS - 1)),
    st.tuples(st.just("end"), st.integers(0, 20), st.integers(0, 3_000_000)),
    st.tuples(st.just("die")),
    st.tuples(st.just("look"), st.integers(0, RUNS - 1)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(1_000_000, 20_000_000))
def test_the_top_run_knows_what_all_runs_below_it_have_stored(told: list[Any], limit: int) -> None:
    world = World(limit)
    for step in told:
        match step:
            case ("begin", run):
                world.begin(run)
            case ("end", index, micros):
                world.end(index, micros)
            case ("die",):
                world.die()
            case ("look", run):
                found = world.budgets(run).look(None, 0)
                is_over = world.truth() >= limit
                assert (found is not None) == is_over
                assert not isinstance(found, Exceeded) or not world.open
        assert world.known() == world.truth()
        assert world.truth() >= sum(world.spent.values())
