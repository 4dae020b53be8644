"""What every store promises about what runs have cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smithers.ids import NodeKey
from smithers.records import UNSPENT, AttemptEnd, AttemptState, CallRow, KeptChild, Spending, Usage
from tests.contract.kin_contract import SUB, add_child, go_on

if TYPE_CHECKING:
    from tests.contract.store_contract import Drive, World

CENT = Usage(100, 20, 60, 5, 0.01, "cli", "opus")
LISTED = Usage(10, 2, cost_usd=0.001, cost_source="prices", model="gpt")


def call(
    usage: Usage, agent: str = "claude-code", *, attempt: int = 1, generation: int = 0, rank: int = 0
) -> CallRow:
    return CallRow(NodeKey("plan"), generation, attempt, rank, agent, agent, usage=usage, session="s")


def spend(drive: Drive, *calls: CallRow) -> None:
    """Tell of calls in the frame that ends the newest attempt."""
    for attempt, generation in sorted({(one.attempt, one.generation) for one in calls}):
        drive.commit(started=[drive.start("plan", attempt=attempt, generation=generation)])
        end = AttemptEnd(NodeKey("plan"), generation, attempt, AttemptState.CANCELLED, 0)
        told = [one for one in calls if (one.attempt, one.generation) == (attempt, generation)]
        drive.commit(ended=[end], calls=told)


def driving(run: int, like: Drive) -> Drive:
    """The memory of a run that the owner of another one has just created."""
    return replace(like, run=run, fence=1, frame=1, seq=1, stored=[])


def total(world: World, run: int) -> Spending:
    return sum(world.reader.spent([run]).get(run, {}).values(), UNSPENT)


class SpendingContract:
    """Mixed into the contract of stores."""

    def test_a_run_has_cost_the_calls_of_all_its_attempts_and_generations_by_agent(
        self, world: World
    ) -> None:
        drive = world.create("r1")
        spend(
            drive, call(CENT), call(LISTED, "codex", rank=1), call(CENT, attempt=2), call(CENT, generation=1)
        )
        (found,) = world.reader.spent([drive.run]).values()
        assert dict(found) == {
            "claude-code": Spending(Usage(300, 60, 180, 15, 0.03, "cli", "opus"), 3, 3, 3),
            "codex": Spending(LISTED, 1, 1, 1),
        }

    def test_what_is_said_by_the_rows_is_what_they_sum_up_to(self, world: World) -> None:
        drive = world.create("r1")
        spend(
            drive, call(CENT), call(Usage(4, 1), attempt=2), call(Usage(), attempt=3), call(LISTED, attempt=4)
        )
        assert total(world, drive.run) == Spending.of(world.reader.calls(drive.run))

    def test_what_no_agent_tells_is_unknown_and_not_nothing(self, world: World) -> None:
        drive = world.create("r1")
        spend(drive, call(Usage(4, 1)), call(Usage(), attempt=2))
        found = total(world, drive.run)
        assert (found.usd, found.source, found.tokens) == (None, "", 5)
        assert (found.calls, found.counted, found.priced) == (2, 1, 0)

    def test_a_run_of_which_no_agent_told_is_left_out(self, world: World) -> None:
        silent, told = world.create("r1"), world.create("r2")
        spend(told, call(CENT))
        assert set(world.reader.spent([silent.run, told.run])) == {told.run}
        assert world.reader.spent([]) == {}

    def test_a_run_has_cost_its_children_too_each_once(self, world: World) -> None:
        parent = world.create("r1")
        spend(parent, call(CENT))
        child = add_child(world, parent, "r1.sub")
        parent.commit(children=[KeptChild(SUB, 1, child)])
        inner = driving(child, parent)
        spend(inner, call(CENT))
        grandchild = add_child(world, inner, "r1.sub.sub")
        spend(driving(grandchild, parent), call(CENT))
        spend(world.create("r2"), call(CENT))
        assert [total(world, run).usd for run in (parent.run, child, grandchild)] == [0.03, 0.02, 0.01]

    def test_a_run_has_cost_what_the_runs_before_it_have_and_not_what_came_after(self, world: World) -> None:
        first = world.create("r1")
        spend(first, call(CENT))
        second = go_on(world, first, "r1-2")
        spend(driving(second, first), call(CENT))
        assert [total(world, run).usd for run in (first.run, second)] == [0.01, 0.02]

    def test_a_child_that_went_on_counts_with_all_of_its_lineage(self, world: World) -> None:
        parent = world.create("r1")
        child = driving(add_child(world, parent, "r1.sub"), parent)
        spend(child, call(CENT))
        newest = go_on(world, child, "r1.sub-2")
        spend(driving(newest, child), call(CENT))
        assert total(world, parent.run).usd == total(world, newest).usd == 0.02
