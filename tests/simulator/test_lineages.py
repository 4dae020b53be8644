"""The process dies at every operation of its store in turn, in runs that go on as new ones."""

from __future__ import annotations

from typing import Any

import pytest

from smithers import Context, ContinueAsNew, Node, Sequence, Subflow, Task, Workflow, workflow
from smithers.testing.simulator.fault import Kind, StoreFault
from tests.simulator.families import EVERY, Family, family


def three_times(stage: Family) -> Workflow[Any, Any]:
    @workflow(output=str)
    def nightly(ctx: Context) -> Node:
        done = (ctx.state() or {"done": 0})["done"] + 1
        more = done < 3
        return Sequence(
            Task("step", str, run=stage.work(f"step {done}")),
            ContinueAsNew(lambda: {"done": done}) if more else None,
            Task("end", str, value="after"),
        )

    return nightly


def at_once(stage: Family) -> Workflow[Any, Any]:
    """Each run goes on as the next in its very first frame."""

    @workflow(output=str)
    def restless(ctx: Context) -> Node:
        done = ctx.state() or 0
        return ContinueAsNew(done + 1) if done < 3 else Task("end", str, run=stage.work("end"))

    return restless


def as_child(stage: Family) -> Workflow[Any, Any]:
    @workflow(output=str)
    def parent(ctx: Context) -> Node:
        one = Subflow("one", three_times(stage))
        return Sequence(one, Task("last", str, deps=one, run=stage.work("last")))

    return parent


FLOWS = {"three times": three_times, "at once": at_once, "as a child": as_child}


def undisturbed(flow: str) -> tuple[dict[str, Any], int]:
    with family(FLOWS[flow]) as stage:
        sites = stage.drive()
        assert set(stage.executed.values()) == {1}
        return stage.end(), sites


def test_a_lineage_goes_on_to_its_end() -> None:
    end, _ = undisturbed("three times")
    assert {name: (row[0], row[3]) for name, row in end.items()} == {
        "r": ("continued", None),
        "r-2": ("continued", "r"),
        "r-3": ("finished", "r-2"),
    }
    assert end["r-3"][1] == {"step": {"text": "step 3"}, "end": {"text": "after"}}
    assert end["r"][1] == {"step": {"text": "step 1"}}


def test_a_child_that_goes_on_as_new_is_still_the_child() -> None:
    end, _ = undisturbed("as a child")
    assert {name: (row[0], row[2]) for name, row in end.items()} == {
        "r": ("finished", None),
        "r.one": ("continued", ("r", "one")),
        "r.one-2": ("continued", ("r", "one")),
        "r.one-3": ("finished", ("r", "one")),
    }
    assert end["r"][1]["one"] == {"text": "after"}


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("kind", EVERY)
def test_whatever_goes_wrong_at_any_operation_no_run_is_lost_and_none_goes_on_twice(
    flow: str, kind: Kind
) -> None:
    wanted, sites = undisturbed(flow)
    assert sites > 30
    for site in range(0, sites + 1, EVERY[kind]):
        with family(FLOWS[flow]) as stage:
            stage.drive(StoreFault(kind, site))
            stage.finish()
            assert stage.end() == wanted, f"{kind.value} at {site}"
            assert stage.again == [], f"{kind.value} at {site}"
