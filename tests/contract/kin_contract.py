"""What every store promises about runs that belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smithers.errors import BugError, LeaseLost, MessagesWaiting, RunExists
from smithers.ids import NodeKey
from smithers.records import (
    ALONE,
    EventRow,
    EventType,
    FrameWrite,
    InboxKind,
    KeptChild,
    NewChild,
    NewRun,
    ParentRef,
    RunChange,
    RunFilter,
    RunState,
)

if TYPE_CHECKING:
    from tests.contract.store_contract import Drive, World

SUB = NodeKey("sub", "outer=1", 2)


def first_frame(world: World, name: str, owner: int, **more: object) -> FrameWrite:
    """The first frame of a run that is yet to be created."""
    at_ms = world.clock.now_ms()
    frame = FrameWrite(0, 1, 1, 0, 0, 1, at_ms)
    frame.events.append(EventRow(1, EventType.RUN_STARTED, at_ms))
    frame.creates = NewRun(name, "flow", "flow.py:flow", "{}", {}, at_ms, owner, **more)  # type: ignore[arg-type]
    return frame


def add_child(world: World, parent: Drive, name: str, generation: int = 0, **more: object) -> int:
    child = NewChild(parent.run, parent.fence, SUB, generation, **more)  # type: ignore[arg-type]
    frame = first_frame(world, name, parent.owner, child_of=child)
    (refused,) = world.writer.commit([frame])
    if refused is not None:
        raise refused
    return frame.run


def go_on(world: World, drive: Drive, name: str, carried: str = "1") -> int:
    """Close a run, and create the one that it goes on as."""
    then = first_frame(world, name, drive.owner, carried=carried)
    drive.commit(run_change=RunChange(RunState.CONTINUED, release=True), then=then)
    return then.run


class KinContract:
    """Mixed into the contract of stores."""

    def test_a_child_is_stored_with_its_first_frame_and_known_from_both_sides(self, world: World) -> None:
        parent = world.create("r1")
        child = add_child(world, parent, "r1.sub")
        (row,) = world.reader.children(parent.run)
        assert (row.key, row.generation, row.run, row.name, row.state) == (
            SUB, 0, child, "r1.sub", RunState.RUNNING,
        )  # fmt: skip
        assert world.row(child).kin.parent == ParentRef(parent.run, "r1", SUB, 0, "r1")
        assert world.row(parent.run).kin == ALONE
        assert world.writer.load(parent.run).children == {(SUB, 0): child}

    def test_a_former_owner_of_the_parent_creates_no_child(self, world: World) -> None:
        parent = world.create("r1")
        world.leases.release(parent.run, parent.fence)
        world.leases.claim(parent.run, parent.owner)
        with pytest.raises(LeaseLost):
            add_child(world, parent, "r1.sub")
        assert [row.name for row in world.reader.runs(RunFilter())] == ["r1"]

    def test_a_node_has_one_child_in_a_generation(self, world: World) -> None:
        parent = world.create("r1")
        child = add_child(world, parent, "r1.sub")
        with pytest.raises(LeaseLost):
            add_child(world, parent, "r1.other")
        assert [row.run for row in world.reader.children(parent.run)] == [child]
        other = add_child(world, parent, "r1.other", instead_of=child)
        assert [row.run for row in world.reader.children(parent.run)] == [other]

    def test_a_new_generation_keeps_its_child_or_gets_another(self, world: World) -> None:
        parent = world.create("r1")
        child = add_child(world, parent, "r1.sub")
        parent.commit(children=[KeptChild(SUB, 1, child)])
        again = add_child(world, parent, "r1.sub.again-2", 2)
        found = [(row.generation, row.run) for row in world.reader.children(parent.run)]
        assert found == [(0, child), (1, child), (2, again)]
        parent_of_child = world.row(child).kin.parent
        assert parent_of_child is not None
        assert parent_of_child.generation == 1

    def test_a_run_is_closed_and_its_successor_created_in_one_commit(self, world: World) -> None:
        drive = world.create("r1")
        second = go_on(world, drive, "r1-2", '{"at":1}')
        row, next_ = world.row(drive.run), world.row(second)
        assert (row.state, row.owner, row.kin.next, row.kin.newest) == (
            RunState.CONTINUED, None, "r1-2", "r1-2",
        )  # fmt: skip
        assert (next_.state, next_.fence, next_.frame, next_.seq) == (RunState.RUNNING, 1, 1, 1)
        assert next_.owner is not None
        assert next_.owner.id == drive.owner
        assert (next_.kin.previous, next_.kin.number) == ("r1", 2)
        assert world.reader.carried(second) == world.writer.load(second).carried == '{"at":1}'
        assert world.reader.carried(drive.run) is None
        assert world.writer.successor(drive.run) == second
        assert world.reader.newest(drive.run).id == second

    def test_a_name_that_is_taken_leaves_the_run_open(self, world: World) -> None:
        world.create("r1-2")
        drive = world.create("r1")
        before = world.facts(drive.run)
        then = first_frame(world, "r1-2", drive.owner, carried="1")
        frame = drive.next(run_change=RunChange(RunState.CONTINUED, release=True), then=then)
        (refused,) = world.writer.commit([frame])
        assert isinstance(refused, RunExists)
        assert world.facts(drive.run) == before
        assert then.creates is not None
        then.creates.name = "r1-3"
        assert world.writer.commit([frame]) == [None]

    def test_a_run_goes_on_once(self, world: World) -> None:
        drive = world.create("r1")
        go_on(world, drive, "r1-2")
        then = first_frame(world, "r1-3", drive.owner, carried="1")
        frame = drive.next(run_change=RunChange(RunState.CONTINUED, release=True), then=then)
        (refused,) = world.writer.commit([frame])
        assert refused is not None
        assert {row.name for row in world.reader.runs(RunFilter())} == {"r1", "r1-2"}

    def test_a_run_with_an_open_message_does_not_go_on(self, world: World) -> None:
        drive = world.create("r1")
        world.outsider.post(drive.run, InboxKind.CANCEL, "somebody")
        then = first_frame(world, "r1-2", drive.owner, carried="1")
        frame = drive.next(run_change=RunChange(RunState.CONTINUED, release=True), then=then)
        (refused,) = world.writer.commit([frame])
        assert isinstance(refused, MessagesWaiting)
        assert [row.name for row in world.reader.runs(RunFilter())] == ["r1"]

    def test_a_successor_without_anything_handed_over_is_our_mistake(self, world: World) -> None:
        drive = world.create("r1")
        frame = drive.next(then=first_frame(world, "r1-2", drive.owner))
        assert isinstance(world.writer.commit([frame])[0], BugError)

    def test_what_is_large_is_handed_over_too(self, world: World) -> None:
        drive = world.create("r1")
        text = f'"{"x" * (2 << 20)}"'
        assert world.reader.carried(go_on(world, drive, "r1-2", text)) == text

    def test_a_child_that_goes_on_is_the_child_still(self, world: World) -> None:
        parent = world.create("r1")
        child = add_child(world, parent, "r1.sub")
        frame = FrameWrite(child, 1, 2, 1, 1, 0, world.clock.now_ms())
        frame.run_change = RunChange(RunState.CONTINUED, release=True)
        frame.then = first_frame(world, "r1.sub-2", parent.owner, carried="1")
        assert world.writer.commit([frame]) == [None]
        (row,) = world.reader.children(parent.run)
        assert row.name == "r1.sub-2"
        of_second = world.row(frame.then.run).kin.parent
        assert of_second is not None
        assert (of_second.name, of_second.top) == ("r1", "r1")

    def test_tops_are_what_people_start(self, world: World) -> None:
        drive = world.create("r1")
        add_child(world, drive, "r1.sub")
        go_on(world, drive, "r1-2")
        world.create("s")
        assert [row.name for row in world.reader.runs(RunFilter(tops=True))] == ["s", "r1-2"]
        assert [row.name for row in world.reader.runs(RunFilter(tops=True, limit=1))] == ["s"]
        assert world.reader.runs(RunFilter(tops=True, states=[RunState.CONTINUED])) == []

    def test_a_runs_beginning_means_it_and_not_its_children_or_successors(self, world: World) -> None:
        drive = world.create("otter")
        add_child(world, drive, "otter.sub")
        go_on(world, drive, "otter-2")
        assert world.reader.run("ott").name == "otter"
        assert world.reader.run("otter.").name == "otter.sub"
