"""The process dies at every operation of its store in turn, in a parent and its children."""

from __future__ import annotations

from typing import Any

import pytest

from smithers import Context, Node, Parallel, Sequence, Subflow, Task, Workflow, workflow
from smithers.testing.simulator.fault import Kind, StoreFault
from tests.simulator.families import EVERY, Family, family


def nested(stage: Family) -> Workflow[Any, Any]:
    @workflow(output=str)
    def grandchild(ctx: Context) -> Node:
        return Task("deep", str, run=stage.work("deep"))

    @workflow(output=str)
    def child(ctx: Context) -> Node:
        first = Task("first", str, run=stage.work("first"))
        return Sequence(first, Subflow("own", grandchild), Task("last", str, run=stage.work("last")))

    @workflow(output=str)
    def parent(ctx: Context) -> Node:
        one = Subflow("one", child)
        beside = Task("beside", str, run=stage.work("beside"))
        return Sequence(
            Parallel(one, beside), Task("end", str, deps=(one, beside), value=lambda a, b: f"{a} {b}")
        )

    return parent


def undisturbed() -> tuple[dict[str, Any], dict[str, int], int]:
    with family(nested) as stage:
        sites = stage.drive()
        return stage.end(), dict(stage.executed), sites


def test_children_are_driven_to_the_end() -> None:
    end, executed, _ = undisturbed()
    assert {name: row[0] for name, row in end.items()} == {
        "r": "finished",
        "r.one": "finished",
        "r.one.own": "finished",
    }
    assert end["r"][1]["end"] == {"text": "last beside"}
    assert end["r.one.own"][2] == ("r.one", "own")
    assert set(executed.values()) == {1}


@pytest.mark.parametrize("kind", EVERY)
def test_whatever_goes_wrong_at_any_operation_the_end_is_the_same(kind: Kind) -> None:
    wanted, _, sites = undisturbed()
    assert sites > 60
    for site in range(0, sites + 1, EVERY[kind]):
        with family(nested) as stage:
            stage.drive(StoreFault(kind, site))
            stage.finish()
            assert stage.end() == wanted, f"{kind.value} at {site}"
            assert stage.again == [], f"{kind.value} at {site}"


def test_a_second_death_during_the_recovery_changes_nothing() -> None:
    wanted, _, sites = undisturbed()
    for site in range(0, sites, 7):
        for second in range(0, 60, 5):
            with family(nested) as stage:
                stage.drive(StoreFault(Kind.CRASH_AFTER, site))
                stage.drive(StoreFault(Kind.CRASH_AFTER, second))
                stage.finish()
                assert stage.end() == wanted, (site, second)
                assert stage.again == [], (site, second)
